"""The end of a distribution: when nothing of it is left to send, it is finished and its tally made exact."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from distributions.engine import outbox, tallies
from distributions.models import Chunk, Distribution, Message

State = Distribution.State


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
