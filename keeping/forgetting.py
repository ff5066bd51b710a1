"""Forgetting a person by their number: everywhere in one organisation, for good.

First nothing more is sent to them: they are opted out, what waits is taken back. Then, in one transaction, their rows
lose number, text and name, and the opt-out becomes a keyed hash (contacts/forgotten.py). Then every column with words
is searched for the number in portions, however it is written there. Rows stay, so that sums stay; what a person wrote
and who they were goes. Each step is its own transaction and remembers how far it came.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Field, JSONField, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from contacts import forgotten, importing
from contacts.models import Contact, ContactImport, ContactList, ForgottenKey, OptOut
from contacts.opt_outs import opt_out
from distributions.engine import outbox, tallies
from distributions.models import Conversation, Distribution, Doubt, InboundMessage, InboundPart, Message, MessageEvent
from distributions.replies import conversations
from distributions.states import Status
from extensions import registry
from extensions.models import ProviderAccount, TestMessage
from extensions.senders import spellings
from intake.masking import mask_number
from keeping import logins, tables
from keeping.models import Forgetting
from keeping.shapes import GONE, Shapes
from organizations import audit, clock, commitments, steps
from organizations.models import AuditEvent, Organization, User
from surveys.models import Answer
from webhooks import applying
from webhooks.forgetting import empty
from webhooks.models import Callback

FORGOT = gettext_noop("forgot a person")
WINDOW = 2_000  # rows that one statement looks through
WINDOW_OF_CALLBACKS = 500  # their bodies are long
_SEALED_ELSEWHERE = (ProviderAccount, Forgetting, ForgottenKey)
CALLBACKS_WORDS = ("url", "body", "content_type", "error")
TURNS = 20  # in which callbacks that have just come are applied


class NotPossible(Exception):
    """The number cannot be forgotten; `args[0]` is a sentence that says why."""


# --- what there is ----------------------------------------------------------------------------------------------------


def what_goes(organization: Organization, phone: str) -> dict[str, int]:
    """How many rows of each kind are about this number (E.164), by a word for the kind."""
    ours: dict[str, QuerySet[Any]] = {
        "contacts": Contact.objects.filter(organization=organization, phone=phone),
        "waiting": _texts(organization, phone).filter(status=Status.QUEUED),
        "texts": _texts(organization, phone),
        "replies": InboundMessage.objects.filter(organization=organization, sender=phone),
        "conversations": Conversation.objects.filter(organization=organization, phone=phone),
        "answers": _answers(organization, phone),
        "opt_outs": OptOut.objects.filter(organization=organization, phone=phone),
    }
    return {name: rows.count() for name, rows in ours.items()}


def _texts(organization: Organization, phone: str) -> QuerySet[Message]:
    return Message.objects.filter(organization=organization, to=phone)


def _answers(organization: Organization, phone: str) -> QuerySet[Answer]:
    held = Conversation.objects.filter(organization=organization, phone=phone)
    return Answer.objects.filter(response__in=held.values("response"))


def require_possible(organization: Organization, phone: str) -> None:
    """Raises NotPossible for a number that the organisation sends from, or that an account logs in with."""
    shapes = Shapes(phone)
    for account in ProviderAccount.objects.filter(organization=organization, deleted_at=None):
        values = account.credentials.get("values", {})
        if phone in spellings(account.sender) or any(shapes.is_in(str(value)) for value in values.values()):
            raise NotPossible(
                _("“%(name)s” sends from this number or logs in with it. Delete that account first.")
                % {"name": account.name}
            )


# --- the way ----------------------------------------------------------------------------------------------------------


def begin(organization: Organization, phone: str, user: User | None) -> Forgetting:
    """Stop whatever is sent to `phone` (E.164) and write down that it is to be forgotten.

    `user` is None from the command line. From the commit on nothing leaves for this number. `go_on` does the rest, at
    once or later. Raises NotPossible.
    """
    require_possible(organization, phone)
    with tallies.counted():
        asked = {"organization": organization, "digest": forgotten.digest(organization.pk, phone), "finished_at": None}
        row, is_new = Forgetting.objects.get_or_create(
            **asked, defaults={"number": {"phone": phone}, "started_by": user}
        )
        if is_new:
            row.counts = what_goes(organization, phone)
            row.save(update_fields=["counts"])
            audit.record(FORGOT, organization=organization, actor=user, count=sum(row.counts.values()))
        opt_out(organization, phone, OptOut.Source.ADMINISTRATOR)
        conversations.stop(organization, phone)
        outbox.take_back(_texts(organization, phone))
    return row


def go_on(row: Forgetting, *, until: float | None = None) -> bool:
    """Do the next steps, until nothing is left or until then (time.monotonic()); whether it is finished."""
    while True:
        if not _step(row.pk):
            row.refresh_from_db()
            return row.finished_at is not None
        if until is not None and time.monotonic() > until:
            return False


def go_on_with_all(until: float) -> None:
    """Whatever was begun and not finished: its process was stopped, or a text was just leaving."""

    def go_on_for_now(row: Forgetting) -> None:
        if time.monotonic() < until:
            go_on(row, until=until)

    steps.for_each(Forgetting.objects.filter(finished_at=None).order_by("pk"), go_on_for_now, "go on forgetting")


def _step(pk: int) -> bool:
    """One portion in a transaction of its own; False if there is nothing to do at present."""
    with transaction.atomic():
        rows = Forgetting.objects.select_for_update(of=("self",), skip_locked=True).select_related("organization")
        row = rows.filter(pk=pk, finished_at=None).first()
        if row is None or not row.number:
            return False
        shapes = Shapes(row.number["phone"])
        if not row.place:
            _forget_rows(row, shapes.phone)
            row.place = [tables.tables()[0].name, 0]
        elif row.place[0]:
            row.place = _search_on(row.organization, shapes, *row.place)
        else:
            return _finish(row, shapes)
        row.save(update_fields=["place", "counts", "in_flight"])
    if not row.place[0]:
        _apply_callbacks(row.organization, shapes)
    return True


def _finish(row: Forgetting, shapes: Shapes) -> bool:
    """The last step: once more what is found by the number, since somebody may have been writing meanwhile."""
    _forget_rows(row, shapes.phone)
    _forget_callbacks(row.organization, shapes, 0, None)
    _forget_credentials(row.organization, shapes)
    logins.forget(row.organization, shapes)
    recent = clock.now() - timedelta(seconds=2 * settings.SEND_LEASE)  # later, no request can be under way
    leaving = Message.objects.filter(pk__in=row.in_flight, status=Status.SENDING, attempted_at__gt=recent)
    if leaving.exists() or _new_callbacks(row.organization, shapes).exists():
        row.save(update_fields=["in_flight"])
        return False  # go_on_with_all comes back to it
    fields: dict[str, Any] = {"number": None, "digest": "", "in_flight": [], "finished_at": timezone.now()}
    Forgetting.objects.filter(pk=row.pk).update(**fields)
    return False


def _forget_rows(row: Forgetting, phone: str) -> None:
    """Everything that is found by the number itself. At no moment is the person neither opted out nor remembered."""
    organization = row.organization
    # Whoever is writing messages from contacts, or contacts from a file, comes before this or after it.
    list(ContactList.objects.select_for_update().filter(organization=organization).order_by("pk").values_list("pk"))
    launching = Distribution.objects.filter(organization=organization, state=Distribution.State.LAUNCHING)
    list(launching.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    contacts = Contact.objects.filter(organization=organization, phone=phone)
    ids = list(contacts.values_list("pk", "public_id"))
    _forget_trail(organization, [public_id for _pk, public_id in ids])
    InboundMessage.objects.filter(organization=organization, contact__in=[pk for pk, _id in ids]).update(contact=None)
    QuerySet(Contact).filter(pk__in=[pk for pk, _id in ids]).delete()
    _answers(organization, phone).delete()
    texts = list(_texts(organization, phone).values_list("pk", "status"))
    keys = [*(pk for pk, _status in texts), *row.in_flight]
    row.in_flight = [*row.in_flight, *(pk for pk, status in texts if status == Status.SENDING)]
    MessageEvent.objects.filter(message__in=keys).exclude(error="").update(error="")
    Message.objects.filter(pk__in=keys).update(to="", text="", error="")
    Conversation.objects.filter(organization=organization, phone=phone).update(phone="")
    InboundMessage.objects.filter(organization=organization, sender=phone).update(sender="", text="", contact=None)
    InboundPart.objects.filter(organization=organization, sender=phone).delete()
    doubts = Doubt.objects.filter(organization=organization, phone=phone)
    doubts.filter(decided_at=None).update(decision=Doubt.Decision.PERSON, decided_at=timezone.now())
    doubts.update(phone="")
    TestMessage.objects.filter(account__organization=organization, to=mask_number(phone)).update(to=GONE)
    User.objects.filter(organization=organization, phone=phone).update(phone="")
    forgotten.forget(organization.pk, phone)
    QuerySet(OptOut).filter(organization=organization, phone=phone).delete()
    commitments.changed(organization.pk)


def _forget_credentials(organization: Organization, shapes: Shapes) -> None:
    """Of deleted accounts; one that still sends from the number, or logs in with it, is in the way: see `begin`."""
    for account in ProviderAccount.objects.filter(organization=organization, deleted_at__isnull=False):
        values = account.credentials.get("values", {})
        if any(shapes.is_in(str(value)) for value in values.values()):
            sealed = {**account.credentials, "values": shapes.without_in(values)}
            QuerySet(ProviderAccount).filter(pk=account.pk).update(credentials=sealed)
    for table in tables.tables():  # such as what somebody has typed into a form a moment ago
        for field in table.sealed if table.model not in _SEALED_ELSEWHERE else ():
            for row in table.rows(organization):
                if shapes.is_in(json.dumps(getattr(row, field.attname), ensure_ascii=False)):
                    QuerySet(table.model).filter(pk=row.pk).delete()


def _forget_trail(organization: Organization, contacts: Sequence[str]) -> None:
    """The audit trail names a contact by their name. It cannot be changed otherwise: hence Django's own query set."""
    events: QuerySet[Any] = QuerySet(AuditEvent).filter(organization=organization, object_type="contact")
    events.filter(object_id__in=contacts).update(object_name=GONE)


# --- the search -------------------------------------------------------------------------------------------------------


def _search_on(organization: Organization, shapes: Shapes, name: str, after: int) -> list[Any]:
    """Look through the next rows; returns where to go on, or ["", 0] when all tables are done."""
    everything = tables.tables()
    number = next((number for number, table in enumerate(everything) if table.name == name), 0)
    table = everything[number]
    window = WINDOW_OF_CALLBACKS if table.model is Callback else WINDOW
    last = _end_of_window(table, after, window)
    if last is not None:
        if table.model is Callback:
            _forget_callbacks(organization, shapes, after, last)
        else:
            _forget_words(table, organization, shapes, after, last)
        return [table.name, last]
    return [everything[number + 1].name, 0] if number + 1 < len(everything) else ["", 0]


def _end_of_window(table: tables.Table, after: int, window: int) -> int | None:
    """The key up to which the next `window` rows of all organisations go; None if there are no more.

    Counted without looking at whose they are, so that the statement is short however few are ours.
    """
    if not table.words:
        return None
    keys: QuerySet[Any] = QuerySet(table.model).filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    found = list(keys[window - 1 : window])
    if found:
        return int(found[0])
    last = keys.reverse().first()
    return None if last is None else int(last)


def _forget_words(table: tables.Table, organization: Organization, shapes: Shapes, after: int, last: int) -> None:
    rows = table.rows(organization).filter(pk__gt=after, pk__lte=last)
    if table.model is ContactImport:
        for checked in rows:
            _forget_import(checked, shapes)
        return
    for found in tables.matching(rows, table.words, shapes.rough).order_by("pk"):
        changes = {}
        for field in table.words:
            old = getattr(found, field.attname)
            new = _without(field, old, shapes)
            if new != old:
                changes[field.attname] = new
        if changes:
            _write(QuerySet(table.model).filter(pk=found.pk), changes)


def _without(field: Field, value: Any, shapes: Shapes) -> Any:
    if value is None:
        return None
    if isinstance(field, JSONField):
        return shapes.without_in(value)
    if isinstance(value, bytes | memoryview):
        content = bytes(value)
        return shapes.without(content.decode("latin-1")).replace(GONE, "***").encode("latin-1")
    left = shapes.without(str(value))
    return left or (GONE if value and not field.blank else left)


def _write(row: QuerySet[Any], changes: dict[str, Any]) -> None:
    try:
        with transaction.atomic():
            row.update(**changes)
    except IntegrityError:  # names that must differ: two of them were nothing but the number
        key = row.values_list("pk", flat=True).get()
        row.update(**{name: f"{value} {key}" if isinstance(value, str) else value for name, value in changes.items()})


def _forget_import(checked: ContactImport, shapes: Shapes) -> None:
    """A file that names the person: what is kept of it goes, and one that nobody has imported yet as a whole."""
    shown = [checked.file_name, checked.reason, *map(str, (checked.preview, checked.columns, checked.choices))]
    if not (any(map(shapes.is_in, shown)) or importing.mentions(checked, shapes.is_in)):
        return
    if checked.imported_at is None:
        checked.delete()
        return
    importing.forget(checked)
    QuerySet(ContactImport).filter(pk=checked.pk).update(
        preview=[],
        reason=shapes.without(checked.reason),
        file_name=shapes.without(checked.file_name) or GONE,
        columns=shapes.without_in(checked.columns),
        choices=shapes.without_in(checked.choices),
    )


# --- callbacks --------------------------------------------------------------------------------------------------------


def _callbacks(organization: Organization) -> QuerySet[Callback]:
    """Those of its own accounts; of the installation's, those that came to its address."""
    shared = Q(account__organization=None, url__contains=f"/{organization.public_id}")
    return Callback.objects.filter(Q(account__organization=organization) | shared)


def _forget_callbacks(organization: Organization, shapes: Shapes, after: int, last: int | None) -> None:
    """Empty those that name the number, except the ones that are still to be applied: that empties them."""
    rows = _callbacks(organization).filter(pk__gt=after).exclude(state=Callback.State.NEW)
    # At the end only what has come while the rest was being looked through.
    rows = rows.filter(received_at__gt=clock.now() - timedelta(hours=1)) if last is None else rows.filter(pk__lte=last)
    for found in _naming(rows, shapes).select_related("account"):
        body = f"{found.url} {bytes(found.body).decode(errors='replace')}"
        if shapes.is_in(body):
            plain = shapes.phone[1:]
            provider = registry.find(found.account.provider)
            mixed = found.kind == "message" or provider is None or provider.mixes_routes
            other_shapes = shapes.is_in(body.replace(plain, "9" * len(plain)))
            empty(found, [plain], with_replies=mixed or other_shapes)
        names = [name for name in ("content_type", "error") if shapes.is_in(getattr(found, name))]
        if names:
            Callback.objects.filter(pk=found.pk).update(**dict.fromkeys(names, GONE))


def _naming(callbacks: QuerySet[Callback], shapes: Shapes) -> QuerySet[Callback]:
    words = [field for field in Callback._meta.concrete_fields if field.name in CALLBACKS_WORDS]
    return tables.matching(callbacks, words, shapes.rough)


def _apply_callbacks(organization: Organization, shapes: Shapes) -> None:
    """Apply those that have just come and name the number, as a worker would in a moment; what follows empties them."""
    for _turn in range(TURNS):
        accounts = set(_new_callbacks(organization, shapes).values_list("account", flat=True))
        if not sum(applying.apply_for(account) for account in accounts):
            return


def _new_callbacks(organization: Organization, shapes: Shapes) -> QuerySet[Callback]:
    return _naming(_callbacks(organization).filter(state=Callback.State.NEW), shapes)
