"""Applying what providers report: delivery reports in bulk, inbound messages one by one."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions import conversations, keywords, outbox, tallies
from distributions.models import InboundMessage, InboundPart, Message, MessageEvent
from distributions.outbox import Change
from distributions.references import message_id_of_reference
from distributions.states import FINAL, RANK, REPORTED, Status
from extensions.contract import Category, DeliveryReport, InboundSms
from extensions.models import ProviderAccount
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
        MessageEvent.objects.bulk_create(events)
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
    lost = {report.message_id for report, pk in zip(reports, ids, strict=True) if report.message_id and pk not in by_id}
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


def apply_inbound(account: ProviderAccount, organization: Organization, sms: InboundSms) -> InboundMessage | None:
    """Keep an inbound message and act on its stop, start or help word.

    None if it was kept before, or is a part of a longer text whose other parts have not come yet. `organization` is the
    one in the callback's address: the account's own or, for the installation's account, the one the address names.
    """
    if sms.concat_total > 1:
        return _keep_part(account, organization, sms)
    sender = international(sms.sender)
    meaning = _meaning(organization, sender, sms)
    first = conversations.first_text(account, organization, sender) if meaning == keywords.Meaning.REPLY else None
    message = first or _latest(organization, sender)
    contacts = Contact.objects.filter(organization=organization)
    contact = contacts.filter(pk=message.contact_id).first() if message and message.contact_id else None
    contact = contact or contacts.filter(phone=sender).order_by("-pk").first()
    with tallies.counted():
        inbound, created = InboundMessage.objects.get_or_create(
            account=account,
            provider_message_id=sms.message_id,
            defaults={
                "organization": organization,
                "sender": sender[:40],
                "recipient": sms.recipient,
                "text": sms.text,
                "meaning": meaning,
                "contact": contact,
                "message": message,
            },
        )
        if not created:
            return None
        if meaning == keywords.Meaning.OPT_OUT:
            opt_out(organization, sender, OptOut.Source.KEYWORD, f"inbound {inbound.pk}")
            conversations.stop(organization, sender)
        elif meaning == keywords.Meaning.OPT_IN:
            opt_in(organization, sender)
        elif first is not None:
            conversations.take(account, first, inbound)
    return inbound


def _latest(organization: Organization, phone: str) -> Message | None:
    """The distribution's text that this person was sent last; what a conversation went on with is not one."""
    texts = Message.objects.filter(organization=organization, to=phone, conversation=None)
    found: Message | None = texts.order_by("-pk").first()
    return found


def international(number: str) -> str:
    """A number as contacts hold it: E.164 with a plus. Short codes and names stay as they are."""
    return f"+{number}" if number.isdigit() and len(number) >= 7 else number


def _meaning(organization: Organization, sender: str, sms: InboundSms) -> InboundMessage.Meaning:
    if sms.opt_out is not None:
        return keywords.Meaning.OPT_OUT if sms.opt_out else keywords.Meaning.OPT_IN
    opted_out = bool(OptOut.objects.numbers(organization.pk, [sender]))
    return keywords.meaning(sms.text, opted_out=opted_out, more_stop_words=organization.stop_words)


def _keep_part(account: ProviderAccount, organization: Organization, sms: InboundSms) -> InboundMessage | None:
    """Keep one part; the last to come completes the text."""
    key = f"{sms.sender}/{sms.recipient}/{sms.concat_ref}"[:120]
    with tallies.counted():
        InboundPart.objects.get_or_create(
            account=account,
            provider_message_id=sms.message_id,
            defaults={
                "organization": organization,
                "key": key,
                "part": sms.concat_part,
                "total": sms.concat_total,
                "sender": sms.sender,
                "recipient": sms.recipient,
                "text": sms.text,
            },
        )
        since = timezone.now() - PARTS_WAIT  # the provider's number is small and used again
        parts = InboundPart.objects.filter(account=account, key=key, received_at__gte=since)
        parts = parts.order_by("pk").select_for_update()
        found = {part.part: part for part in parts}
        return _join(list(found.values())) if len(found) >= sms.concat_total else None


def _join(parts: list[InboundPart]) -> InboundMessage | None:
    """The whole text as one inbound message, under the first part's id."""
    parts.sort(key=lambda part: part.part)
    first = parts[0]
    sms = InboundSms(
        message_id=first.provider_message_id,
        sender=first.sender,
        recipient=first.recipient,
        text="".join(part.text for part in parts),
    )
    inbound = apply_inbound(first.account, first.organization, sms)
    InboundPart.objects.filter(pk__in=[part.pk for part in parts]).delete()
    return inbound


def join_forgotten_parts() -> None:
    """A text of which a part never comes is kept as far as it came."""
    until = timezone.now() - PARTS_WAIT
    late = InboundPart.objects.filter(received_at__lt=until)
    for account_id, key in list(late.order_by().values_list("account_id", "key").distinct()):
        with tallies.counted():
            parts = late.filter(account_id=account_id, key=key).order_by("pk").select_for_update(of=("self",))
            found = list(parts.select_related("account", "organization"))
            if found:
                _join(found)
