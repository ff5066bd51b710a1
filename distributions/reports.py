"""Applying what providers report: delivery reports in bulk, inbound messages one by one."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Case, F, When
from django.utils import timezone

from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions import conversations, doubts, keywords, lines, outbox, tallies
from distributions.models import InboundMessage, InboundPart, Message, MessageEvent
from distributions.outbox import Change
from distributions.references import message_id_of_reference
from distributions.states import FINAL, RANK, REPORTED, Status
from extensions import senders
from extensions.contract import Category, DeliveryReport, InboundSms
from extensions.models import ProviderAccount
from intake.text import fitted_id
from organizations.models import Organization

logger = logging.getLogger(__name__)

RECENT = timedelta(days=7)  # how far back a report without our reference looks for its message
PARTS_WAIT = timedelta(minutes=10)  # how long the parts of one text may be apart


@dataclass(frozen=True, slots=True)
class Found:
    """What a report needs to know of its message."""

    id: int
    to: str
    segments: int
    organization_id: int


def apply_reports(account: ProviderAccount, reports: Sequence[DeliveryReport]) -> list[bool]:
    """Apply delivery reports of one account in bulk; for each, whether its message is known.

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
        if report.category == Category.OPTED_OUT and not report.blocked:
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
    return [message is not None for message in found]


def _find(account: ProviderAccount, reports: Sequence[DeliveryReport]) -> list[Found | None]:
    """Each report's message: by our own reference, else by the provider's id; only within the organisation (R97).

    Not only within the account: one that was replaced often shares its secrets with its successor, and then either may
    have verified the report.
    """
    siblings = ProviderAccount.objects.filter(organization=account.organization_id, provider=account.provider)
    ids = [message_id_of_reference(report.reference) if report.reference else None for report in reports]
    rows = Message.objects.filter(account__in=list(siblings.values_list("pk", flat=True))).values_list(
        "pk", "to", "segments", "organization_id"
    )
    by_id = {row[0]: Found(*row) for row in rows.filter(pk__in={pk for pk in ids if pk is not None})}
    # A reference that is ours names its message or nobody's: only without one is the provider's id looked for.
    lost = {report.message_id for report, pk in zip(reports, ids, strict=True) if report.message_id and pk is None}
    by_provider_id: dict[str, Found] = {}
    if lost:
        recent = rows.filter(
            distribution__launched_at__gte=timezone.now() - RECENT,
            provider_message_id__in=lost,
        )
        by_provider_id = {
            row[4]: Found(*row[:4])
            for row in recent.values_list("pk", "to", "segments", "organization_id", "provider_message_id")
        }
    return [
        (by_id.get(pk) if pk is not None else None) or by_provider_id.get(report.message_id)
        for report, pk in zip(reports, ids, strict=True)
    ]


def _event(message: Found, report: DeliveryReport, to: Status | None) -> MessageEvent:
    return MessageEvent(
        message_id=message.id,
        source=MessageEvent.Source.REPORT,
        status=to or report.status,
        category=report.category,
        error=report.error,
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
            [[getattr(event, column) for event in events] for column in columns],
        )


def _change(message: Found, report: DeliveryReport, to: Status) -> Change:
    good = to in (Status.DELIVERED, Status.SENT, Status.ACCEPTED)
    return Change(
        id=message.id,
        to=to,
        message_id=report.message_id,
        reason="" if good else report.category,
        error="" if good else report.error,
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


def apply_inbound(
    account: ProviderAccount,
    organization: Organization | None,
    sms: InboundSms,
    *,
    received_at: datetime | None = None,
) -> InboundMessage | None:
    """Keep an inbound message for whom it is meant, and act on its stop, start or help word.

    `account` has verified it, at the address of `organization`; the number that was written to decides whose it is (see
    `lines`). `received_at` is when it arrived, now if it is left out. None if it was kept before, is a part of a longer
    text whose other parts have not come yet, or came on a shared number from somebody whom nobody has texted there.
    """
    at = received_at or timezone.now()
    sender, recipient = international(sms.sender), senders.e164(sms.recipient)
    sms = replace(sms, sender=sender, recipient=recipient)
    line = lines.line_of(account, recipient)
    same = {"recipient": recipient, "provider_message_id": sms.message_id}
    if InboundMessage.objects.filter(provider_identity__in=line.identities, **same).exists():
        return None
    route = lines.route(line, organization, sender, at)
    if route is None:
        logger.warning("%s: a reply on a shared number from somebody whom nobody has texted", account.public_id)
        return None
    if sms.concat_total > 1:
        return _keep_part(account, route.organization, sms, at)
    meaning = _meaning(route.organization, sender, sms)
    is_reply = meaning == keywords.Meaning.REPLY and senders.is_number(sender)
    first = conversations.first_text(route.account, route.organization, sender, at) if is_reply else None
    message = first or _latest(line, route.organization, sender, at)
    if is_reply and conversations.is_reaction(sms.text, message):
        meaning, first, is_reply = keywords.Meaning.REACTION, None, False
    contact = _contact(route.organization, sender, message)
    with tallies.counted():
        inbound, created = InboundMessage.objects.get_or_create(
            provider_identity=account.provider_identity,
            **same,
            defaults={
                "account": route.account,
                "organization": route.organization,
                "sender": sender,
                "text": sms.text,
                "meaning": meaning,
                "contact": contact,
                "message": message,
                "received_at": at,
            },
        )
        if not created:
            return None
        is_doubtful = is_reply and doubts.keep_back(route.account, first, inbound)
        if first is not None and not is_doubtful:
            conversations.take(route.account, first, inbound)
        elif senders.is_number(sender):
            _obey(route, inbound, sms)
    return inbound


def _obey(route: lines.Route, inbound: InboundMessage, sms: InboundSms) -> None:
    """Act on a stop or start word, for everybody who texts this person on the line.

    Each organisation reads it with its own stop words. A start word lets back in the others only where it was the stop
    word on this line that had ended it.
    """
    phone, shared = inbound.sender, f"shared line {inbound.recipient}"
    for organization in (route.organization, *route.others):
        is_theirs = organization.pk == inbound.organization_id
        meaning = inbound.meaning if is_theirs else _meaning(organization, phone, sms)
        if meaning == keywords.Meaning.OPT_OUT:
            opt_out(organization, phone, OptOut.Source.KEYWORD, f"inbound {inbound.pk}" if is_theirs else shared)
            conversations.stop(organization, phone)
            doubts.settle(organization, phone)
        elif meaning == keywords.Meaning.OPT_IN and (is_theirs or _was_stopped(organization, phone, shared)):
            was_stopped = opt_in(organization, phone)
            doubts.settle(organization, phone)
            if is_theirs and not was_stopped:
                conversations.remind(route.account, inbound)
        elif meaning == keywords.Meaning.HELP and is_theirs:
            conversations.help_out(route.account, inbound)


def _was_stopped(organization: Organization, phone: str, evidence: str) -> bool:
    stopped = OptOut.objects.active().filter(organization=organization, phone=phone)
    return stopped.filter(source=OptOut.Source.KEYWORD, evidence=evidence).exists()


def _contact(organization: Organization, phone: str, message: Message | None) -> Contact | None:
    """Whom the number belongs to. Whoever has no number is nobody who writes from none."""
    if not senders.is_number(phone):
        return None
    contacts = Contact.objects.filter(organization=organization)
    contact = contacts.filter(pk=message.contact_id).first() if message and message.contact_id else None
    return contact or contacts.filter(phone=phone).order_by("-pk").first()


def _latest(line: lines.Line, organization: Organization, phone: str, at: datetime) -> Message | None:
    """The distribution's text that this person was sent last, on this line if there was one.

    What a conversation went on with is none.
    """
    if not senders.is_number(phone):
        return None
    texts = Message.objects.left(at).filter(organization=organization, to=phone, conversation=None)
    here = Case(When(account__in=[one.pk for one in line.accounts], then=0), default=1)
    found: Message | None = texts.order_by(here, F("attempted_at").desc(nulls_last=True), "-pk").first()
    return found


def international(number: str) -> str:
    """A person's number as contacts hold it: E.164 with a plus. Short codes and names stay as they are."""
    return senders.e164(number, shortest=7)


def _meaning(organization: Organization, sender: str, sms: InboundSms) -> InboundMessage.Meaning:
    if sms.opt_out is not None:
        return keywords.Meaning.OPT_OUT if sms.opt_out else keywords.Meaning.OPT_IN
    opted_out = bool(OptOut.objects.numbers(organization.pk, [sender]))
    return keywords.meaning(sms.text, opted_out=opted_out, more_stop_words=organization.stop_words)


def _keep_part(
    account: ProviderAccount, organization: Organization, sms: InboundSms, at: datetime
) -> InboundMessage | None:
    """Keep one part; the last to come completes the text."""
    key = fitted_id(f"{sms.sender}/{sms.recipient}/{sms.concat_ref}", 120)
    identity = account.provider_identity
    with tallies.counted():
        InboundPart.objects.get_or_create(
            provider_identity=identity,
            recipient=sms.recipient,
            provider_message_id=sms.message_id,
            defaults={
                "account": account,
                "organization": organization,
                "key": key,
                "part": sms.concat_part,
                "total": sms.concat_total,
                "sender": sms.sender,
                "text": sms.text,
                "received_at": at,
            },
        )
        since = timezone.now() - PARTS_WAIT  # the provider's number is small and used again
        parts = InboundPart.objects.filter(provider_identity=identity, key=key, received_at__gte=since)
        parts = parts.order_by("pk").select_for_update()
        found = {part.part: part for part in parts}
        return _join(list(found.values())) if len(found) >= sms.concat_total else None


def _join(parts: list[InboundPart]) -> InboundMessage | None:
    """The whole text as one inbound message, under the first part's id; it arrived with the last."""
    parts.sort(key=lambda part: part.part)
    first = parts[0]
    sms = InboundSms(
        message_id=first.provider_message_id,
        sender=first.sender,
        recipient=first.recipient,
        text="".join(part.text for part in parts),
    )
    arrived = max(part.received_at for part in parts)
    inbound = apply_inbound(first.account, first.organization, sms, received_at=arrived)
    InboundPart.objects.filter(pk__in=[part.pk for part in parts]).delete()
    return inbound


def join_forgotten_parts() -> None:
    """A text of which a part never comes is kept as far as it came."""
    until = timezone.now() - PARTS_WAIT
    late = InboundPart.objects.filter(received_at__lt=until)
    for identity, key in list(late.order_by().values_list("provider_identity", "key").distinct()):
        with tallies.counted():
            parts = late.filter(provider_identity=identity, key=key).order_by("pk").select_for_update(of=("self",))
            found = list(parts.select_related("account", "organization"))
            if found:
                _join(found)
