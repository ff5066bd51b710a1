"""Distributions that a program asks for: written and launched in one go, and once however often it asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.models import ContactList
from distributions import services
from distributions.models import Distribution
from distributions.piping import Template
from distributions.planning import fingerprint, times
from distributions.planning.fingerprint import Fingerprint
from distributions.planning.review import obstacle, survey_obstacle
from distributions.services import LaunchRefused
from organizations.models import User
from organizations.permissions import require_sms
from surveys.models import Survey

PAST = timedelta(days=1)  # a program that means "now" is a little late; one that names last year is mistaken


@dataclass(frozen=True, slots=True)
class Invitation:
    """What is asked for; survey and list by their public ids."""

    survey_id: str
    contact_list_id: str
    method: str
    name: str
    text: str  # "" for a survey by text
    send_at: datetime
    link_expires_at: datetime | None
    fingerprint: str | None = None  # of an earlier review; None: the launch is its own


class Unfit(Exception):
    """One of the fields cannot be used; `sentence` says why and what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field
        self.sentence = sentence


class Unknown(Unfit):
    """The organisation has nothing with the id in this field."""


class KeyUsed(Exception):
    """The key belongs to an earlier, different distribution; the exception's text says so."""


def review(invitation: Invitation, user: User) -> Fingerprint:
    """What would go now; nothing is written. Raises MissingRight, Unfit, or LaunchRefused if nothing could carry it."""
    require_sms(user)
    return services.look_at(_draft(invitation, user, None), user)


def launch_once(invitation: Invitation, user: User, key: str | None) -> Distribution:
    """Write and launch; the same key gives the same distribution, also if two ask at the same time.

    Raises MissingRight, Unfit, KeyUsed, or LaunchRefused if nothing could carry it or if something else would go than
    was reviewed. Then nothing was written.
    """
    require_sms(user)
    earlier = _earlier(user, key)
    if earlier is None:
        draft = _draft(invitation, user, key)
        reviewed = _reviewed(invitation)
        try:
            with transaction.atomic():
                draft.save()
                return services.launch(draft, user, reviewed)
        except (IntegrityError, Distribution.DoesNotExist):
            # Somebody with the same key was faster, or has deleted what it is about.
            earlier = _earlier(user, key)
            if earlier is None:
                _draft(invitation, user, key)  # names what is gone
                raise
    if different := _differences(invitation, earlier):
        raise KeyUsed(
            _("This Idempotency-Key belongs to %(id)s, which differs in: %(fields)s. Use a new key.")
            % {"id": earlier.public_id, "fields": ", ".join(different)}
        )
    return earlier


def _reviewed(invitation: Invitation) -> Fingerprint | None:
    if invitation.fingerprint is None:
        return None
    reviewed = fingerprint.read(invitation.fingerprint)
    if reviewed is None:
        raise LaunchRefused(
            _(
                "fingerprint: this is not one of ours. The same request with “reviewOnly” returns one; without it, "
                "the launch counts as its own review."
            )
        )
    return reviewed


def _earlier(user: User, key: str | None) -> Distribution | None:
    if key is None:
        return None
    rows = Distribution.objects.visible_to(user).select_related("survey", "contact_list")
    found: Distribution | None = rows.filter(idempotency_key=key).first()
    return found


def _differences(invitation: Invitation, earlier: Distribution) -> list[str]:
    """The fields in which the earlier one differs. A list that was deleted since cannot be compared."""
    contact_list = earlier.contact_list
    pairs = {
        "method": (invitation.method, earlier.method),
        "surveyId": (invitation.survey_id, earlier.survey.public_id),
        "name": (invitation.name, earlier.name),
        "sendDate": (invitation.send_at, earlier.send_at),
        "recipients.mailingListId": (
            invitation.contact_list_id,
            contact_list.public_id if contact_list else invitation.contact_list_id,
        ),
        "message.messageText": (invitation.text, earlier.message_text),
        "surveyLinkExpirationDate": (invitation.link_expires_at, earlier.link_expires_at),
    }
    return [field for field, (asked, there) in pairs.items() if asked != there]


def _draft(invitation: Invitation, user: User, key: str | None) -> Distribution:
    """The distribution, not yet saved. Raises Unfit, naming the field."""
    survey = Survey.objects.visible_to(user).filter(public_id=invitation.survey_id).first()
    if survey is None:
        raise Unknown("surveyId", _("Your organisation has no survey with this ID. GET /API/v3/surveys lists them."))
    contact_list = ContactList.objects.visible_to(user).filter(public_id=invitation.contact_list_id).first()
    if contact_list is None:
        raise Unknown(
            "recipients.mailingListId",
            _("Your organisation has no mailing list with this ID. GET /API/v3/mailinglists lists them."),
        )
    _check_times(invitation)
    if problems := Template(invitation.text).problems:
        raise Unfit("message.messageText", " ".join(problems))
    draft = Distribution(
        organization=user.organization,
        name=invitation.name,
        survey=survey,
        contact_list=contact_list,
        method=invitation.method,
        message_text=invitation.text,
        send_at=invitation.send_at,
        time_zone=user.organization.time_zone if user.organization else "",
        link_expires_at=invitation.link_expires_at,
        idempotency_key=key,
        created_by=user,
    )
    if sentence := survey_obstacle(survey, interactive=draft.is_interactive):
        raise Unfit("surveyId", sentence)
    if sentence := obstacle(draft):
        raise Unfit("recipients.mailingListId", sentence)
    return draft


def _check_times(invitation: Invitation) -> None:
    now = timezone.now()
    if invitation.send_at < now - PAST:
        raise Unfit("sendDate", _("This time has passed. Use the current time to send at once, or a later one."))
    try:
        times.check_send_at(invitation.send_at, now)
    except times.Unusable as refusal:
        raise Unfit("sendDate", str(refusal)) from refusal
    if invitation.link_expires_at is not None:
        try:
            times.check_expiry(invitation.link_expires_at, invitation.send_at, now)
        except times.Unusable as refusal:
            raise Unfit("surveyLinkExpirationDate", str(refusal)) from refusal
