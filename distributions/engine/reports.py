"""Delivery reports: applied in bulk, each message to the best of its states."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from contacts.models import OptOut
from contacts.opt_outs import opt_out
from distributions.engine import outbox, tallies
from distributions.engine.outbox import Change
from distributions.engine.references import message_id_of_reference
from distributions.models import Message, MessageEvent
from distributions.states import FINAL, RANK, REPORTED, Status
from extensions.contract import WORDS_LENGTHS, Category, DeliveryReport
from extensions.models import ProviderAccount
from intake.sentences import stored_within
from organizations import tracing
from organizations.models import Organization

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a report needs to know of its message."""

    id: int
    to: str
    segments: int
    organization_id: int


def apply_reports(
    account: ProviderAccount, reports: Sequence[DeliveryReport], traces: Sequence[str] = ()
) -> list[bool]:
    """Apply delivery reports of one account in bulk; for each, whether its message is known.

    `traces` are those of the callbacks that each of them came with.

    Only the best state of each message is written, and only if it is a step forward: any order, any number of
    repetitions and any grouping lead to the same state.
    """
    found = _find(account, reports)
    stopped: dict[tuple[int, str], tuple[Found, DeliveryReport]] = {}
    best: dict[int, Change] = {}
    events: list[MessageEvent] = []
    in_parts: dict[int, list[DeliveryReport]] = defaultdict(list)
    for report, message in zip(reports, found, strict=True):
        if message is None:
            continue
        to = REPORTED.get(report.status)
        events.append(_event(message, report, to))
        if report.category == Category.OPTED_OUT and not report.blocked and message.to:  # else forgotten, and stopped
            stopped.setdefault((message.organization_id, message.to), (message, report))
        if to is None:
            logger.info("%s reports a state we do not know; kept in the history", account.provider)
        elif report.part:
            in_parts[message.id].append(report)
        else:
            _keep_best(best, _change(message, report, to))
    with tallies.counted():
        for number in sorted(stopped):
            _opt_out(*stopped[number])
        _keep(events)
        if in_parts:
            messages = {message.id: message for message in found if message is not None}
            for change in _combine_parts(in_parts, messages):
                _keep_best(best, change)
        outbox.apply(list(best.values()))
    for report, message, trace in zip(reports, found, traces or [""] * len(found), strict=True):
        if message is not None:
            with tracing.under(trace):  # not a number of many digits, which would be masked
                logger.info("Message %s: %s reports “%s”.", f"{message.id:_}", account.provider, report.status)
    return [message is not None for message in found]


def names_ours(report: DeliveryReport) -> bool:
    """Whether a report brings a reference that only this installation can have given out."""
    return message_id_of_reference(report.reference) is not None


def _find(account: ProviderAccount, reports: Sequence[DeliveryReport]) -> list[Found | None]:
    """Each report's message, by our own reference, which every provider echoes; only within the organisation (R97).

    Not only within the account: one that was replaced often shares its secrets with its successor, and then either may
    have verified the report. By the provider's id nothing is looked for: there is no index on what changes.
    """
    siblings = ProviderAccount.objects.filter(organization=account.organization_id, provider=account.provider)
    ids = [message_id_of_reference(report.reference) for report in reports]
    named = {pk for pk in ids if pk is not None}
    if not named:
        return [None] * len(ids)
    rows = Message.objects.filter(account__in=list(siblings.values_list("pk", flat=True)), pk__in=named)
    by_id = {row[0]: Found(*row) for row in rows.values_list("pk", "to", "segments", "organization_id")}
    return [by_id.get(pk) if pk is not None else None for pk in ids]


def _event(message: Found, report: DeliveryReport, to: Status | None) -> MessageEvent:
    return MessageEvent(
        message_id=message.id,
        source=MessageEvent.Source.REPORT,
        status=to or report.status,
        category=report.category,
        error=report.error if message.to else "",  # of somebody forgotten: it may name the number
        part=report.part,
    )


def _keep(events: Sequence[MessageEvent]) -> None:
    """Write them down; on PostgreSQL as arrays in one statement, which costs a third of `bulk_create`."""
    if connection.vendor != "postgresql":
        MessageEvent.objects.bulk_create(events)
        return
    columns = ("message_id", "source", "status", "category", "error", "part", "at")
    kinds = ("bigint", *["text"] * 5, "timestamptz")
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    table = connection.ops.quote_name(MessageEvent._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})",  # noqa: S608 (our own names)
            [[_value(event, column) for event in events] for column in columns],
        )


def _value(event: MessageEvent, column: str) -> Any:
    value = getattr(event, column)
    return stored_within(value, WORDS_LENGTHS[column]) if column == "error" else value


def _change(message: Found, report: DeliveryReport, to: Status) -> Change:
    good = to in (Status.DELIVERED, Status.SENT, Status.ACCEPTED)
    return Change(
        id=message.id,
        to=to,
        message_id=report.message_id,
        reason="" if good else report.category,
        error="" if good or not message.to else report.error,
    )


def _keep_best(best: dict[int, Change], change: Change) -> None:
    current = best.get(change.id)
    if current is None or RANK[change.to] > RANK[current.to]:
        best[change.id] = change


def _combine_parts(in_parts: dict[int, list[DeliveryReport]], messages: dict[int, Found]) -> list[Change]:
    """A text sent in parts is delivered when all are, and failed as soon as one is."""
    events = MessageEvent.objects.filter(message_id__in=in_parts).exclude(part="")
    states: dict[int, dict[str, str]] = defaultdict(dict)
    for message_id, part, status in events.values_list("message_id", "part", "status"):
        known = states[message_id].get(part, Status.QUEUED)
        if RANK.get(status, -1) >= RANK[known]:
            states[message_id][part] = status
    changes = []
    for message_id, reports in in_parts.items():
        message, parts = messages[message_id], states[message_id]
        total = max((report.parts or 0) for report in reports) or message.segments or 1
        failures = [status for status in parts.values() if status in FINAL and status != Status.DELIVERED]
        if failures:
            to = Status(max(failures, key=lambda status: RANK[status]))
        elif len(parts) >= total and all(status == Status.DELIVERED for status in parts.values()):
            to = Status.DELIVERED
        else:
            to = Status.SENT
        worst = next((report for report in reports if REPORTED.get(report.status) == to), reports[0])
        change = _change(message, worst, to)
        changes.append(change)
    return changes


def _opt_out(message: Found, report: DeliveryReport) -> None:
    organization = Organization.objects.get(pk=message.organization_id)
    opt_out(organization, message.to, OptOut.Source.PROVIDER, report.error)
