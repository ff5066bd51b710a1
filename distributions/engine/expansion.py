"""Expansion: from a contact list to message rows, in steps that can be resumed after a kill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db import connection

from contacts import columns as contact_columns
from contacts.models import Contact, OptOut, without_a_text
from distributions import segments
from distributions.engine import identity, tallies
from distributions.engine.references import link_token, opt_out_token
from distributions.models import Chunk, Distribution, Message
from distributions.piping import Template, values_of
from distributions.states import Status
from organizations import clock

STEP = 5_000  # contacts per transaction
CHUNK = 500  # messages per chunk

COLUMNS = ("id", "organization_id", "distribution_id", "contact_id", "to", "text", "segments", "status", "reason")
# Columns that COPY must fill because their defaults live in Python.
EMPTY = ("error", "attempt", "provider_message_id")


# What a launch reads of a contact, as tuples: objects would take longer to make than the texts.
READ = ("pk", "opted_out_at", "shares_number", "fields", *(column.attribute for column in contact_columns.COLUMNS))


class Recipient(Protocol):
    """A contact as READ has it: with these, and with what texts are filled in with (distributions/piping.py)."""

    @property
    def pk(self) -> int: ...
    @property
    def phone(self) -> str: ...
    @property
    def opted_out_at(self) -> datetime | None: ...
    @property
    def shares_number(self) -> bool: ...
    @property
    def fields(self) -> dict[str, Any]: ...


class Row(NamedTuple):
    """A message to be written."""

    id: int
    contact_id: int
    to: str
    text: str
    segments: int
    status: Status
    reason: str


def expand(
    distribution_id: int, may_begin: Callable[[Distribution, bool], bool], *, after_restore: bool = False
) -> bool:
    """Write the messages of the next STEP contacts; True if there are more to write.

    Messages, chunks, tally and cursor are written in one transaction: after a kill it goes on exactly where it was,
    and two at once take turns. In a restored database only `after_restore` writes any: nobody knows yet which keys
    have been given out. `may_begin` is asked before the first step, with whether there are people on the list at all:
    the list may have gone, or grown, since the launch; it holds the distribution itself where it says no.
    """
    if not after_restore and identity.says_held():
        return False
    with tallies.counted():
        distribution = (
            Distribution.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
            .select_related("account", "survey__organization", "organization")
            .filter(pk=distribution_id, state=Distribution.State.LAUNCHING)
            .first()
        )
        if distribution is None:
            return False
        remaining = Contact.objects.filter(contact_list_id=distribution.contact_list_id, pk__gt=distribution.cursor)
        contacts: list[Recipient] = list(remaining.order_by("pk").values_list(*READ, named=True)[:STEP])
        if distribution.cursor == 0 and not may_begin(distribution, bool(contacts)):
            return False
        if contacts:
            rows = _rows(distribution, contacts)
            _write(distribution, rows)
            _count(distribution, rows)
        fields: dict[str, Any] = {"cursor": contacts[-1].pk} if contacts else {}
        finished = len(contacts) < STEP
        if finished:
            fields["state"] = Distribution.State.SENDING
        Distribution.objects.filter(pk=distribution.pk).update(**fields)
    return not finished


def _rows(distribution: Distribution, contacts: Sequence[Recipient]) -> list[Row]:
    template = Template(distribution.whole_text)
    assert distribution.account is not None  # a launch chooses the account (distributions/services.py)
    carried_text = distribution.account.provider_class.carried_text
    phones = {contact.phone for contact in contacts}
    stopped = OptOut.objects.restore(distribution.organization_id, phones)  # whatever has written their contacts
    stopped |= OptOut.objects.numbers(distribution.organization_id, phones)
    served = without_a_text(distribution.contact_list_id, contacts) | _texted_already(distribution, contacts)
    survey_links, opt_out_links = f"{settings.PUBLIC_URL}/s/", f"{settings.PUBLIC_URL}/o/"
    rows = []
    for message_id, contact in zip(_new_ids(len(contacts)), contacts, strict=True):
        reason = ""
        if not contact.phone:
            reason = Message.Skip.NO_NUMBER
        elif contact.opted_out_at is not None or contact.phone in stopped:
            reason = Message.Skip.OPTED_OUT
        elif contact.pk in served:
            reason = Message.Skip.DUPLICATE
        text = carried_text(
            template.render(
                values_of(contact),
                survey_link=f"{survey_links}{link_token(message_id)}" if template.has_survey_link else "",
                opt_out_link=f"{opt_out_links}{opt_out_token(message_id)}" if template.has_opt_out_link else "",
            )
        )
        rows.append(
            Row(
                id=message_id,
                contact_id=contact.pk,
                to=contact.phone,
                text=text,
                segments=segments.count(text).segments,
                status=Status.SKIPPED if reason else Status.QUEUED,
                reason=reason,
            )
        )
    return rows


def _texted_already(distribution: Distribution, contacts: Sequence[Recipient]) -> set[int]:
    """Whose number this distribution texts through somebody of the household who has been taken off the list since."""
    sharing = [contact for contact in contacts if contact.shares_number and contact.phone]
    if not sharing or not distribution.cursor:
        return set()
    texted = Message.objects.filter(
        to__in={contact.phone for contact in sharing},
        organization=distribution.organization_id,
        distribution=distribution,
        conversation=None,
    ).exclude(status=Status.SKIPPED)
    numbers = set(texted.values_list("to", flat=True))
    return {contact.pk for contact in sharing if contact.phone in numbers}


def _new_ids(count: int) -> list[int]:
    """Keys for `count` messages, so that links and references can be made before the rows are written."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence('distributions_message', 'id')) FROM generate_series(1, %s)",
                [count],
            )
            return [row[0] for row in cursor.fetchall()]
        # The transaction is exclusive (IMMEDIATE), and the sequence follows the highest key that is inserted.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'distributions_message'")
        row = cursor.fetchone()
        first = (row[0] if row else 0) + 1
        return list(range(first, first + count))


def _write(distribution: Distribution, rows: Sequence[Row]) -> None:
    assert distribution.account_id is not None
    if connection.vendor == "postgresql":
        _copy(distribution, rows)
    else:
        Message.objects.bulk_create(
            (
                Message(
                    id=row.id,
                    organization_id=distribution.organization_id,
                    distribution=distribution,
                    contact_id=row.contact_id,
                    to=row.to,
                    text=row.text,
                    segments=row.segments,
                    status=row.status,
                    reason=row.reason,
                )
                for row in rows
            ),
            batch_size=1_000,
        )
    now = clock.read()
    due_at = max(now, distribution.send_at or now)
    sendable = [row.id for row in rows if row.status == Status.QUEUED]
    Chunk.objects.bulk_create(
        Chunk(
            distribution=distribution,
            account_id=distribution.account_id,
            first_id=sendable[start],
            last_id=sendable[min(start + CHUNK, len(sendable)) - 1],
            not_before=due_at,
        )
        for start in range(0, len(sendable), CHUNK)
    )


def _escape(value: str) -> str:
    """A value in COPY's text format."""
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return value


def _copy(distribution: Distribution, rows: Sequence[Row]) -> None:
    """PostgreSQL's COPY: four to five times as fast as bulk_create (bench/)."""
    columns = ", ".join(f'"{column}"' for column in (*COLUMNS, *EMPTY))
    head = f"{distribution.organization_id}\t{distribution.pk}"
    lines = "".join(
        f"{row.id}\t{head}\t{row.contact_id}\t{row.to}\t{_escape(row.text)}\t{row.segments}\t{row.status}\t{row.reason}\t\t0\t\n"
        for row in rows
    )
    with connection.cursor() as cursor, cursor.copy(f"COPY distributions_message ({columns}) FROM STDIN") as copy:
        copy.write(lines)


def _count(distribution: Distribution, rows: Sequence[Row]) -> None:
    for status in (Status.QUEUED, Status.SKIPPED):
        lengths = [row.segments for row in rows if row.status == status]
        tallies.count(distribution.pk, status, sum(lengths), texts=len(lengths))
