"""What somebody has reviewed, small enough to go with the button *Send*: it is what goes, or nothing does.

A fingerprint holds what a launch decides about: text, people, account and sender, times and the survey. It travels
signed through the browser or a program, and the transaction that launches compares it with what is there by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core import signing
from django.db import connection
from django.db.models import BigIntegerField, BooleanField, DecimalField, ExpressionWrapper, F, Func, Q, Sum
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from contacts.columns import IN_TEXTS
from contacts.models import Contact
from distributions.models import Distribution
from distributions.piping import EMBEDDED, Template
from distributions.planning.review import Facts, Review, route_of
from extensions.models import ProviderAccount
from extensions.routing import NoRoute
from intake import figures
from organizations.reading import pages
from surveys.conversation import Script

SALT = "distributions.fingerprint"  # signed fingerprints outlive this module's name
PAGE = 20_000  # contacts that are read at once where the database makes no digest
GRACE = timedelta(minutes=5)  # who plans for 14:00 and presses the button at 14:01 means 14:00

# Of a contact: what the review shows, what decides whether a text goes, and what the texts may be filled in with.
ALWAYS = ("pk", "phone", "first_name", "last_name", "shares_number", "stopped")
FILLED_IN = {column.name: column.attribute for column in IN_TEXTS if column.attribute not in ALWAYS}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What would go. Ids and versions are compared; names are there to be shown. "" stands for none."""

    method: str
    text: str
    survey: str
    survey_name: str
    survey_version: str
    address: str
    contact_list: str
    list_name: str
    list_version: str
    people: int
    account: str
    account_name: str
    sender: str
    begins: str  # in ISO format, UTC; at once
    link_expires: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in words. Texts are long: they are shown below each other."""

    label: str
    before: str
    after: str

    @property
    def is_long(self) -> bool:
        return len(self.before) + len(self.after) > 120 or "\n" in self.before + self.after

    def __str__(self) -> str:
        if not self.before:
            return f"{self.label}: {self.after}"
        if self.is_long:
            return f"{self.label}: “{self.before}” → “{self.after}”"
        return f"{self.label}: {self.before} → {self.after}"


def of(distribution: Distribution, now: datetime | None = None, facts: Facts | None = None) -> Fingerprint:
    """What would go if it were launched now. The list is read in two statements, however long it is."""
    facts = facts or Facts()
    people, version = facts.people(distribution), version_of_list(distribution)
    return _made(distribution, _account_of(distribution, facts), people, version, now or timezone.now())


def of_review(found: Review, list_version: str) -> Fingerprint:
    """What a review shows. The version is that of the list before it was read: what changes meanwhile is noticed."""
    return _made(found.distribution, found.account, found.sendable, list_version, timezone.now())


def _made(
    distribution: Distribution, account: ProviderAccount | None, people: int, list_version: str, now: datetime
) -> Fingerprint:
    survey, contact_list = distribution.survey, distribution.contact_list
    send_at, expires = distribution.send_at, distribution.link_expires_at
    return Fingerprint(
        method=distribution.method,
        text=distribution.whole_text,
        survey=survey.public_id,
        survey_name=survey.name,
        survey_version=_version_of_survey(distribution),
        address=survey.url,
        contact_list=contact_list.public_id if contact_list else "",
        list_name=contact_list.name if contact_list else "",
        list_version=list_version,
        people=people,
        account=account.public_id if account else "",
        account_name=f"{account.name} ({account.provider_name})" if account else "",
        sender=account.sender if account else "",
        begins=_iso(send_at) if send_at and send_at > now else "",
        link_expires=_iso(expires) if expires else "",
    )


def differences(before: Fingerprint, after: Fingerprint, now: datetime | None = None) -> list[Difference]:
    """What goes otherwise than was reviewed, in the order of the review."""
    return list(_differences(before, after, now or timezone.now()))


def reviewed(distribution: Distribution) -> Fingerprint | None:
    """What whoever answers for it has reviewed; None where that was not kept, or in an older version's way."""
    kept = distribution.reviewed
    if not isinstance(kept, dict) or kept.keys() != {field.name for field in fields(Fingerprint)}:
        return None
    return Fingerprint(**kept)


def since_reviewed(distribution: Distribution, now: Fingerprint) -> list[Difference]:
    """What is otherwise than it was reviewed by whoever answers for it. A time that has come is not a difference."""
    before = reviewed(distribution)
    return differences(before, now if now.begins else replace(now, begins=before.begins)) if before else []


def sign(fingerprint: Fingerprint) -> str:
    return signing.dumps(astuple(fingerprint), salt=SALT, compress=True)


def read(signed: str) -> Fingerprint | None:
    """What `sign` made; None for anything else, one of an older version included."""
    try:
        values = signing.loads(signed, salt=SALT)
    except (signing.BadSignature, ValueError):
        return None
    return Fingerprint(*values) if isinstance(values, list) and len(values) == len(fields(Fingerprint)) else None


# --- what differs -----------------------------------------------------------------------------------------------------


def _differences(before: Fingerprint, after: Fingerprint, now: datetime) -> Iterator[Difference]:
    if before.people != after.people:
        yield Difference(_("People who get a text"), _number(before.people), _number(after.people))
    if before.contact_list != after.contact_list:
        yield Difference(_("Contact list"), before.list_name or _("none"), after.list_name or _("none"))
    elif before.list_version != after.list_version and _says_the_same(before, after):
        yield Difference(_("Contact list"), "", _("people or their data have changed; the number of texts is the same"))
    if before.method != after.method:
        labels = dict(Distribution.Method.choices)
        yield Difference(_("Method"), str(labels[before.method]), str(labels[after.method]))
    if before.survey != after.survey:
        yield Difference(_("Survey"), before.survey_name, after.survey_name)
    elif before.address != after.address:
        yield Difference(_("Address of the survey"), before.address or _("none"), after.address or _("none"))
    elif before.survey_version != after.survey_version:
        yield Difference(_("Survey"), "", _("“%(name)s” has been changed") % {"name": after.survey_name})
    if before.text != after.text:
        yield Difference(_("Text"), before.text, after.text)
    if before.account != after.account:
        yield Difference(_("Account"), before.account_name or _("none"), after.account_name or _("none"))
    if before.sender != after.sender:
        yield Difference(_("Sender"), before.sender or _("none"), after.sender or _("none"))
    if before.begins != after.begins and not _has_just_come(before, after, now):
        yield Difference(_("Begins"), _moment(before.begins, _("at once")), _moment(after.begins, _("at once")))
    if before.link_expires != after.link_expires:
        for_ever = _("no end date")
        yield Difference(
            _("Link works until"), _moment(before.link_expires, for_ever), _moment(after.link_expires, for_ever)
        )


def _says_the_same(before: Fingerprint, after: Fingerprint) -> bool:
    """Whether the versions of the list are of the same columns, and no other number tells of the change."""
    same = before.text == after.text and before.survey_version == after.survey_version
    return same and before.people == after.people


def _has_just_come(before: Fingerprint, after: Fingerprint, now: datetime) -> bool:
    """Whether it begins at once because the time that was reviewed has passed in the meantime, by a little."""
    if after.begins or not before.begins:
        return False
    return now - GRACE <= datetime.fromisoformat(before.begins) <= now


def _number(number: int) -> str:
    return figures.whole(number)


def _moment(moment: str, otherwise: str) -> str:
    if not moment:
        return otherwise
    return date_format(timezone.localtime(datetime.fromisoformat(moment)), "DATETIME_FORMAT")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


# --- what is compared -------------------------------------------------------------------------------------------------


def _account_of(distribution: Distribution, facts: Facts) -> ProviderAccount | None:
    try:
        return route_of(distribution, facts).account
    except NoRoute:
        return None


def _version_of_survey(distribution: Distribution) -> str:
    """Everything about the survey that decides what people read and where a link leads them."""
    survey = distribution.survey
    parts: list[Any] = [survey.url, survey.reference_parameter]
    if distribution.is_interactive:
        parts += [_spoken(survey.script()), survey.wait_hours]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# What a survey could not say before 1.1; without it the version stays as it was, so that what is planned is not held.
_SINCE_1_1 = ("language", "yes", "no", "scale", "unreadable", "over")


def _spoken(script: Script) -> dict[str, Any]:
    """All that is said, and how often."""
    said = asdict(script)
    for part in (said, *said["questions"]):
        for name in _SINCE_1_1:
            if not part.get(name):
                part.pop(name, None)
    return said


def version_of_list(distribution: Distribution) -> str:
    """Other people, another number, another name or anything else that the texts show makes another version."""
    contacts = Contact.objects.filter(contact_list_id=distribution.contact_list_id)
    contacts = contacts.annotate(stopped=ExpressionWrapper(Q(opted_out_at__isnull=False), BooleanField()))
    columns = [*ALWAYS, *_filled_in(distribution)]
    if connection.vendor == "postgresql":
        row = Func(*map(F, columns), template="hashtextextended(ROW(%(expressions)s)::text, 0)")
        row.output_field = BigIntegerField()
        total = contacts.order_by().aggregate(total=Sum(row, output_field=DecimalField()))["total"]
        return str(total or 0)
    digest = hashlib.sha256()
    for found in pages(contacts, *columns, size=PAGE):
        for values in found:
            digest.update(repr(values).encode())
    return digest.hexdigest()[:16]


def _filled_in(distribution: Distribution) -> list[str]:
    """The columns of a contact that this text, or a question, is filled in with."""
    said = [distribution.whole_text]
    if distribution.is_interactive:
        script = distribution.survey.script()
        said += [script.thank_you, script.unreadable, script.over]
        for question in script.questions:
            said += [question.text, question.error_text, question.yes, question.no, question.scale]
    names = {name for text in said for name in Template(text).fields}
    found = [column for name, column in FILLED_IN.items() if name in names]
    return [*found, "fields"] if any(name.startswith(EMBEDDED) for name in names) else found
