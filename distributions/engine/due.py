"""What is due: which distributions are to be written out, which accounts have texts to send or to settle."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, Min, Q, QuerySet

from distributions.engine.turns import Line
from distributions.models import Chunk, Distribution, Message, UncertainText
from distributions.states import Status
from extensions.models import ProviderAccount
from organizations import clock

State = Distribution.State


def launching() -> list[int]:
    """Distributions whose messages are still being written."""
    return [line.distribution_id for line in launches()]


def launches() -> list[Line]:
    """The same, with whose they are."""
    found = Distribution.objects.filter(state=State.LAUNCHING, paused_at=None).order_by("pk")
    return [Line(pk, owner, has_replies=False) for pk, owner in found.values_list("pk", "organization__public_id")]


def chunks_due() -> QuerySet[Chunk]:
    """Chunks that some pump may claim now, of accounts that may send."""
    now = clock.now()
    return Chunk.objects.filter(
        Q(lease_until=None) | Q(lease_until__lt=now),
        Q(account__state__open_until=None) | Q(account__state__open_until__lte=now),
        Q(distribution__state__in=(State.LAUNCHING, State.SENDING))
        | Q(distribution__state=State.FINISHED, priority=Chunk.Priority.REPLY),
        state=Chunk.State.OPEN,
        not_before__lte=now,
        distribution__paused_at=None,
        account__in=ProviderAccount.objects.usable(),
        account__state__stopped_at=None,
        distribution__organization__licence__sms=True,
    ).order_by()


def accounts_due(distribution_id: int | None = None) -> list[int]:
    """Accounts that have something to send now and may send it."""
    due = chunks_due()
    if distribution_id is not None:
        due = due.filter(distribution_id=distribution_id)
    return list(due.values_list("account_id", flat=True).distinct())


def waiting_since() -> datetime | None:
    """Since when the account that waits longest has had something to send, and nobody has sent for it; None: nobody.

    Sending reserves places in the account's rate, which `next_slot_at` tells: a long list that is being sent waits for
    nobody, however old its chunks are.
    """
    waiting = (
        chunks_due()
        .values("account_id")
        .annotate(
            since=Min("not_before"),
            held=Max("lease_until"),
            reserved=Max("account__state__next_slot_at"),
            paused=Max("account__state__open_until"),
        )
    )
    moments = waiting.values_list("since", "held", "reserved", "paused")
    return min((max(filter(None, row)) for row in moments), default=None)


def accounts_uncertain() -> list[int]:
    """Accounts with uncertain messages that are old enough to be looked up."""
    since = clock.now() - timedelta(seconds=settings.LOOKUP_AFTER)
    found: set[int] = set()
    for messages in uncertain(since):
        found.update(messages.exclude(account=None).values_list("account_id", flat=True).distinct())
    return sorted(found)


def uncertain(since: Any) -> tuple[QuerySet[Message], QuerySet[Message]]:
    """Messages whose attempt at `since` or before has remained uncertain: first texts, and what conversations said.

    Of what conversations said, those that still wait for a reply. Which texts are uncertain is written down apart, so
    that the others are not read (engine/uncertain.py).
    """
    known = UncertainText.objects.values("message")
    still = Message.objects.filter(pk__in=known, status=Status.UNCERTAIN, attempted_at__lte=since).order_by()
    return still.filter(conversation=None), still.filter(conversation__expires_at__gt=clock.now())
