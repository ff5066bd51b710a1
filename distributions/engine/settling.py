"""Settling uncertain messages by evidence: a look-up at the provider, or a repeat where it refuses duplicates.

The third kind of evidence, a delivery report that carries our reference, arrives by itself
(distributions/engine/reports.py).
Where a provider offers none of these, the message stays uncertain until a person decides.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from distributions.engine import due, identity, outbox, worker_process
from distributions.engine.outbox import Change
from distributions.engine.references import reference
from distributions.engine.worker_process import WorkerProcess, stopping
from distributions.models import Message, MessageEvent
from distributions.states import REPORTED, RESTORED, Status
from extensions import health, tokens
from extensions.contract import LookUp, NotTaken, OutboundSms, Provider, ProviderError, Unclear
from extensions.models import ProviderAccount
from organizations import clock

logger = logging.getLogger(__name__)

AT_ONCE = 8  # look-ups in flight
BATCH = 200  # messages a run
MAX_REPEATS = 12  # attempts of one message, where the provider refuses duplicates; halving a batch of 100 takes seven


def settle(account_id: int) -> bool:
    """Settle what can be settled of one account's uncertain messages. True if some went back into the queue."""
    account = ProviderAccount.objects.select_related("organization", "state").filter(pk=account_id).first()
    if account is None or not health.may_send(account) or identity.says_held():
        return False
    since = clock.now() - timedelta(seconds=settings.LOOKUP_AFTER)
    messages = [
        message
        for uncertain in due.uncertain(since)
        for message in uncertain.filter(account=account).order_by("attempted_at")[:BATCH]
        if _due(message)
    ]
    if not messages:
        return False
    try:
        provider = account.open(tokens.token_for(account))
    except ProviderError as error:  # no token, or no key that opens the credentials: they stay uncertain until later
        logger.warning("%s: uncertain texts cannot be settled now: %s", account.public_id, type(error).__name__)
        return False
    requeued = 0
    if provider.refuses_repeats:
        # The same id is never sent twice: repeating it is the surest question, and its answer the surest evidence. But
        # what a backup brought back may be older than the provider's memory of ids.
        repeatable = [message for message in messages if message.reason != RESTORED]
        requeued = outbox.requeue(message.pk for message in repeatable if message.attempt <= MAX_REPEATS)
        messages = [message for message in messages if message.reason == RESTORED]
    return _look_up(provider, messages) or bool(requeued)


def _due(message: Message) -> bool:
    """Whether to ask about it this time: always at first, ever more rarely the older it is."""
    age = (timezone.now() - message.attempted_at).total_seconds() if message.attempted_at else 0.0
    return age < 2 * settings.LOOKUP_AFTER or random.random() < settings.LOOKUP_AFTER / age  # noqa: S311 (no secret)


def _look_up(provider: Provider, messages: list[Message]) -> bool:
    if not messages:
        return False
    here = worker_process.current()
    questions = [
        OutboundSms(
            to=message.to,
            text=message.text,
            reference=reference(message.pk),
            sender=provider.sender,
            attempted_at=message.attempted_at,
        )
        for message in messages
    ]
    answers = here.runner.run(_ask(here, provider, messages, questions))
    changes, events, gone = [], [], []
    for message, answer in zip(messages, answers, strict=True):
        if answer is None:
            continue
        if not answer.found and message.reason == RESTORED:
            continue  # it may have left later than the backup knows: only a person sends it again
        if not answer.found:
            gone.append(message.pk)
            events.append(_event(message, Status.QUEUED))
            continue
        to = REPORTED.get(answer.status, Status.ACCEPTED)
        changes.append(
            Change(id=message.pk, to=to, message_id=answer.message_id, reason=answer.category, error=answer.error)
        )
        events.append(_event(message, to, answer.category, answer.error))
    outbox.apply(changes)
    requeued = outbox.requeue(gone)
    MessageEvent.objects.bulk_create(events)
    return bool(requeued)


def _event(message: Message, status: str, category: str = "", error: str = "") -> MessageEvent:
    return MessageEvent(
        message=message,
        source=MessageEvent.Source.LOOKUP,
        status=status,
        category=category,
        error=error,
    )


async def _ask(
    here: WorkerProcess, provider: Provider, messages: list[Message], questions: list[OutboundSms]
) -> list[LookUp | None]:
    """One look-up per message; None where the provider offers none or did not answer clearly this time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(message: Message, sms: OutboundSms) -> LookUp | None:
        request = provider.build_lookup(sms, attempted_at=message.attempted_at or timezone.now())
        if request is None:
            return None
        async with turn:
            if stopping.value:
                return None
            try:
                return provider.parse_lookup(await here.wire.send(provider.key, provider.host_patterns, request), sms)
            except (NotTaken, Unclear) as error:
                logger.info("%s: a look-up did not work: %s", provider.key, type(error).__name__)
            except ProviderError as error:
                logger.warning("%s: a look-up was refused: %s", provider.key, type(error).__name__)
        return None

    return list(await asyncio.gather(*map(ask, messages, questions)))
