"""What people write to us: kept for whom it is meant, read for stop, start and help words, and given to its survey."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Case, F, When

from contacts import forgotten
from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions.engine import tallies
from distributions.models import InboundMessage, InboundPart, Message
from distributions.replies import conversations, doubts, keywords, lines
from extensions import senders
from extensions.contract import InboundSms
from extensions.models import ProviderAccount
from intake.text import fitted_id
from organizations import clock, steps
from organizations.models import Organization

logger = logging.getLogger(__name__)

PARTS_WAIT = timedelta(minutes=10)  # how long the parts of one text may be apart
FORMER_MEXICAN = re.compile(r"\+521[0-9]{10}")


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
    text whose other parts have not come yet, came on a shared number from somebody whom nobody has texted there, or is
    of somebody who was forgotten: of them nothing is stored anew.
    """
    at = received_at or clock.read()
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
    if forgotten.known(route.organization.pk, [sender]):
        logger.info("%s: a reply of somebody who was forgotten is not kept", account.public_id)
        _obey(route, None, sms)
        return None
    if sms.concat_total > 1:
        return _keep_part(account, route.organization, sms, at)
    meaning = _meaning(route.organization, sender, sms)
    is_reply = meaning == keywords.Meaning.REPLY and senders.is_number(sender)
    first = conversations.first_text(route.account, route.organization, sender, at) if is_reply else None
    message = first or _latest(line, route.organization, sender, at)
    question = conversations.open_question(message) if is_reply and message else None
    if is_reply and conversations.is_reaction(sms.text, message, question):
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
        logger.info("Reply %s to message %s is kept.", f"{inbound.pk:_}", f"{message.pk:_}" if message else "–")
        is_doubtful = is_reply and doubts.keep_back(route.account, first, question if first else None, inbound)
        if first is not None and not is_doubtful:
            conversations.receive(route.account, first, inbound)
        elif senders.is_number(sender):
            _obey(route, inbound, sms)
    return inbound


def _obey(route: lines.Route, inbound: InboundMessage | None, sms: InboundSms) -> None:
    """Act on a stop or start word, for everybody who texts this person on the line.

    Each organisation reads it with its own stop words. A start word lets back in the others only where it was the stop
    word on this line that had ended it. Without `inbound` nothing of it is kept: its person was forgotten.
    """
    phone, shared = sms.sender, f"shared line {sms.recipient}"
    for organization in (route.organization, *route.others):
        is_theirs = organization.pk == route.organization.pk
        meaning = inbound.meaning if inbound and is_theirs else _meaning(organization, phone, sms)
        if meaning == keywords.Meaning.OPT_OUT:
            evidence = f"inbound {inbound.pk}" if inbound and is_theirs else shared
            opt_out(organization, phone, OptOut.Source.KEYWORD, evidence)
            conversations.stop(organization, phone)
            doubts.close(organization, phone)
        elif meaning == keywords.Meaning.OPT_IN and (is_theirs or _was_stopped(organization, phone, shared)):
            was_stopped = opt_in(organization, phone)
            doubts.close(organization, phone)
            if inbound and is_theirs and not was_stopped:
                conversations.remind(route.account, inbound)
        elif meaning == keywords.Meaning.HELP and inbound and is_theirs:
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
    """A person's number as contacts hold it: E.164 with a plus. Short codes and names stay as they are.

    In Mexico some carriers go on writing the 1 that stood before mobile numbers until 2019; no contact has it.
    """
    found = senders.e164(number, shortest=7)
    return f"+52{found[4:]}" if FORMER_MEXICAN.fullmatch(found) else found


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
        since = clock.now() - PARTS_WAIT  # the provider's number is small and used again
        parts = InboundPart.objects.filter(provider_identity=identity, key=key, received_at__gte=since)
        parts = parts.filter(total=sms.concat_total)  # of another length it is another text
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
    until = clock.now() - PARTS_WAIT
    late = InboundPart.objects.filter(received_at__lt=until)

    def join(text: tuple[str, str, int]) -> None:
        identity, key, total = text
        with tallies.counted():
            parts = late.filter(provider_identity=identity, key=key, total=total).order_by("pk")
            found = list(parts.select_for_update(of=("self",)).select_related("account", "organization"))
            if found:
                _join(found)

    waiting = late.order_by().values_list("provider_identity", "key", "total").distinct()
    steps.for_each(waiting, join, "join the parts of the text")
