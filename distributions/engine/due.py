"""What is due: which distributions are to be written out, which accounts have texts to send or to settle."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from distributions.models import Chunk, Conversation, Distribution, Message, Tally
from distributions.states import Status
from extensions.models import ProviderAccount

State = Distribution.State


def launching() -> list[int]:
    """Distributions whose messages are still being written."""
    return list(Distribution.objects.filter(state=State.LAUNCHING, paused_at=None).values_list("pk", flat=True))


def accounts_due(distribution_id: int | None = None) -> list[int]:
    """Accounts that have something to send now and may send it."""
    now = timezone.now()
    due = Chunk.objects.filter(
        Q(lease_until=None) | Q(lease_until__lt=now),
        state=Chunk.State.OPEN,
        not_before__lte=now,
        distribution__paused_at=None,
        account__in=ProviderAccount.objects.usable(),
        account__state__stopped_at=None,
        distribution__organization__licence__sms=True,
    ).filter(
        Q(account__state__open_until=None) | Q(account__state__open_until__lte=now),
        Q(distribution__state__in=(State.LAUNCHING, State.SENDING))
        | Q(distribution__state=State.FINISHED, priority=Chunk.Priority.REPLY),
    )
    if distribution_id is not None:
        due = due.filter(distribution_id=distribution_id)
    return list(due.order_by().values_list("account_id", flat=True).distinct())


def accounts_uncertain() -> list[int]:
    """Accounts with uncertain messages that are old enough to be looked up."""
    since = timezone.now() - timedelta(seconds=settings.LOOKUP_AFTER)
    found: set[int] = set()
    for messages in uncertain(since):
        found.update(messages.exclude(account=None).values_list("account_id", flat=True).distinct())
    return sorted(found)


def uncertain(since: datetime) -> tuple[QuerySet[Message], QuerySet[Message]]:
    """Messages whose attempt at `since` or before has remained uncertain: first texts, and what conversations said.

    Two queries, each with an index to go by: the first through the tallies, the second through the conversations that
    wait for a reply.
    """
    still = Message.objects.filter(status=Status.UNCERTAIN, attempted_at__lte=since).order_by()
    counted = Tally.objects.filter(uncertain__gt=0).values("pk")
    waiting = Conversation.objects.filter(expires_at__gt=timezone.now()).values("pk")
    return still.filter(distribution__in=counted, conversation=None), still.filter(conversation__in=waiting)
