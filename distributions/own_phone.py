"""A test to oneself: only to one's own number, which a code by text has proved, and only so often.

Strangers are texted nothing but a fixed sentence with a code, and that a few times a day at most, whoever asks.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from contacts.models import OptOut
from distributions.engine import identity
from extensions import services, traffic
from extensions.contract import Delivery
from extensions.models import TestMessage
from extensions.routing import NoRoute, route_for
from intake.masking import mask_number
from organizations import audit
from organizations.models import Organization, PhoneCode, User
from organizations.permissions import require_sms
from organizations.throttle import Attempt, Throttled

CONFIRMED = gettext_noop("confirmed a mobile number")

LIFE = timedelta(minutes=15)  # of a code
DIGITS = 6
TRIES = 5  # wrong ones, of one code
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST = 2_000  # characters of a test
# Key, limit and time of what is counted, whatever becomes of the text.
CODES = (("user", 3, HOUR), ("user-day", 6, DAY), ("number", 3, DAY), ("organization", 30, DAY))
TESTS = (("user", 10, HOUR), ("organization", 100, DAY))
_SALT = "distributions.own_phone"


class Refused(Exception):
    """It was not done; the message says why."""


def send_code(user: User, typed: str, request: HttpRequest | None = None) -> str:
    """Text a code to a number that the user says is theirs; returns the number. Raises MissingRight and Refused."""
    require_sms(user)
    organization = _organization_of(user)
    try:
        phone = services.read_number(typed, organization)
    except ValidationError as problem:
        raise Refused(" ".join(problem.messages)) from problem
    _require_reachable(organization, phone)
    _count("code", CODES, user, phone)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    PhoneCode.objects.update_or_create(
        user=user,
        defaults={"phone": phone, "digest": _digest(user, code), "expires_at": timezone.now() + LIFE, "tries": 0},
    )
    text = _("%(code)s is your code for %(organization)s. If you have not asked for it, ignore this text.") % {
        "code": code,
        "organization": organization.name[:60],
    }
    _send(user, phone, text, request)
    return phone


def confirm(user: User, code: str, request: HttpRequest | None = None) -> None:
    """The code has come back: the number is the user's own, and the one of their profile. Raises Refused."""
    refusal = ""
    with transaction.atomic():
        row = PhoneCode.objects.select_for_update().filter(user=user).first()
        if row is None or row.expires_at <= timezone.now():
            refusal = _("This code is no longer valid. Ask for a new one.")
        elif row.tries >= TRIES:
            refusal = _("Too many wrong codes. Ask for a new one.")
        elif not constant_time_compare(row.digest, _digest(user, "".join(code.split()))):
            PhoneCode.objects.filter(pk=row.pk).update(tries=row.tries + 1)
            refusal = _("This is not the code that was sent. Look at the latest text.")
        else:
            user.phone = user.confirmed_phone = row.phone
            user.save(update_fields=["phone", "confirmed_phone"])
            row.delete()
            audit.record(CONFIRMED, organization=user.organization, actor=user, request=request, target=user)
    if refusal:
        raise Refused(refusal)


def pending(user: User) -> PhoneCode | None:
    """The code that is on its way to this user and can still be entered."""
    rows = PhoneCode.objects.filter(user=user, expires_at__gt=timezone.now(), tries__lt=TRIES)
    found: PhoneCode | None = rows.first()
    return found


def send_to_myself(user: User, text: str, request: HttpRequest | None = None) -> TestMessage:
    """Text this to the user's own number. Raises MissingRight, and Refused where it is not proved to be theirs."""
    require_sms(user)
    organization = _organization_of(user)
    if not user.has_confirmed_phone:
        raise Refused(_("Confirm your mobile number first."))
    if not text.strip():
        raise Refused(_("There is nothing to send yet: write the text first."))
    if len(text) > LONGEST:
        raise Refused(_("This is too long for a test: %(most)d characters at most.") % {"most": LONGEST})
    _require_reachable(organization, user.phone)
    _count("test", TESTS, user, user.phone)
    return _send(user, user.phone, text, request)


def _organization_of(user: User) -> Organization:
    assert user.organization is not None  # require_sms has seen to it
    return user.organization


def _require_reachable(organization: Organization, phone: str) -> None:
    """Raises Refused where no text may go to this number, or none may leave at all."""
    if barred := traffic.barred(organization, phone):
        raise Refused(barred)


def barrier(organization: Organization, phone: str) -> str:
    """Why not even a test may go to this number, whoever sends it, as extensions/traffic.py asks it."""
    if identity.is_held():
        return _("No texts are being sent at present: the database was restored from a backup.")
    if OptOut.objects.numbers(organization.pk, [phone]):
        return _("%(number)s has opted out of your organisation's texts.") % {"number": mask_number(phone)}
    return ""


def _count(purpose: str, limits: tuple[tuple[str, int, timedelta], ...], user: User, phone: str) -> None:
    """Raises Refused, with nothing counted, where one of the limits is reached."""
    subjects = {"user": user.pk, "number": salted_hmac(_SALT, phone).hexdigest()[:16]}
    subjects["organization"] = user.organization_id
    attempt = Attempt()
    try:
        for name, limit, within in limits:
            attempt.reserve(f"own-phone-{purpose}-{name}:{subjects[name.split('-')[0]]}", limit, within)
    except Throttled as throttled:
        raise Refused(
            ngettext(
                "That is enough for now. Try again in %(minutes)d minute.",
                "That is enough for now. Try again in %(minutes)d minutes.",
                throttled.minutes,
            )
            % {"minutes": throttled.minutes}
        ) from throttled


def _send(user: User, phone: str, text: str, request: HttpRequest | None) -> TestMessage:
    """Through the account that would carry a distribution now. Raises Refused where there is none, or it refuses."""
    organization = _organization_of(user)
    try:
        account = route_for(organization).account
    except NoRoute as problem:
        raise Refused(problem.reason) from problem
    try:
        sent = services.send_test(account, user, phone, text, request=request, organization=organization)
    except ValidationError as barred:
        raise Refused(" ".join(barred.messages)) from barred
    if sent.status in (Delivery.FAILED, Delivery.UNKNOWN):
        raise Refused(_("The provider did not accept the text. %(why)s") % {"why": sent.detail})
    return sent


def _digest(user: User, code: str) -> str:
    return salted_hmac(_SALT, f"{user.pk}:{code}", algorithm="sha256").hexdigest()
