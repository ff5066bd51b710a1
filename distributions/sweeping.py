"""What is due although nobody rang: each function is harmless if it runs twice, or twice at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from distributions import leaving, outbox, starting, tallies
from distributions.models import Chunk, Conversation, Distribution, Message, Tally
from distributions.states import Status
from extensions.models import ProviderAccount

State = Distribution.State


def start_scheduled() -> None:
    """Launch what was scheduled for a time that has come, by the route of this moment, if all is as it was."""
    starting.start_due()


def look_ahead() -> None:
    """Say of what is planned for later what would be in its way, while there is time to act."""
    starting.look_ahead()


def reroute() -> None:
    """Where texts go on whose account has left, or may not send (R23)."""
    leaving.follow()
    leaving.retire()


def close_finished() -> None:
    """Finish distributions of which nothing is left to send; make the tallies of the finished ones exact."""
    open_chunks = Chunk.objects.filter(distribution=OuterRef("pk"), state=Chunk.State.OPEN)
    running = Distribution.objects.filter(state__in=(State.SENDING, State.CANCELLED), finished_at=None)
    ended = running.filter(~Exists(open_chunks))
    for pk in list(ended.values_list("pk", flat=True)):
        outbox.recount(pk)
        Distribution.objects.filter(pk=pk, state=State.SENDING).update(state=State.FINISHED, finished_at=timezone.now())
    left_over = Q(tally__waiting__gt=0) | Q(tally__segments_waiting__gt=0)  # the second: in conversations
    forgotten = Distribution.objects.filter(left_over, state=State.CANCELLED)
    for pk in list(forgotten.values_list("pk", flat=True)):
        take_back_forgotten(pk)


def take_back_forgotten(distribution_id: int) -> None:
    """A message that came back "not taken" after its distribution was cancelled is cancelled too."""
    with tallies.counted():
        outbox.take_back(Message.objects.filter(distribution_id=distribution_id))
        free = Chunk.objects.filter(distribution_id=distribution_id, lease_until=None)
        outbox.lock_chunks(free).update(state=Chunk.State.DONE)
    outbox.recount(distribution_id)


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
