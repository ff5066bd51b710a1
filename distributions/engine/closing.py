"""The end of a distribution: when nothing of it is left to send, it is finished and its tally made exact."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from distributions.engine import outbox, tallies
from distributions.models import Chunk, Distribution, Message
from organizations import steps

State = Distribution.State
FEW = 20  # open chunks, of 500 texts each, that are taken back in one go


def close_finished() -> None:
    """Finish distributions of which nothing is left to send; make the tallies of the finished ones exact.

    Where much is still to be taken back of a cancelled one, that is left to planning/taking_back.py.
    """
    steps.run(_finish_ended, _take_back_rest)


def _finish_ended() -> None:
    open_chunks = Chunk.objects.filter(distribution=OuterRef("pk"), state=Chunk.State.OPEN)
    running = Distribution.objects.filter(state__in=(State.SENDING, State.CANCELLED), finished_at=None)
    ended = running.filter(~Exists(open_chunks))
    steps.for_each(ended.values_list("pk", flat=True), _finish, "finish distribution")


def _finish(distribution_id: int) -> None:
    outbox.recount(distribution_id)
    running = Distribution.objects.filter(pk=distribution_id, state=State.SENDING)
    running.update(state=State.FINISHED, finished_at=timezone.now())


def _take_back_rest() -> None:
    left_over = Q(tally__waiting__gt=0) | Q(tally__segments_waiting__gt=0)  # the second: in conversations
    forgotten = Distribution.objects.filter(left_over, state=State.CANCELLED)
    keys = list(forgotten.values_list("pk", flat=True))
    few = [pk for pk in keys if not Chunk.objects.filter(distribution=pk, state=Chunk.State.OPEN)[FEW:].exists()]
    steps.for_each(few, take_back_forgotten, "take back what is left of distribution")


def take_back_forgotten(distribution_id: int) -> None:
    """A message that came back "not taken" after its distribution was cancelled is cancelled too."""
    with tallies.counted():
        outbox.take_back(Message.objects.filter(distribution_id=distribution_id))
        free = Chunk.objects.filter(distribution_id=distribution_id, lease_until=None)
        outbox.lock_chunks(free).update(state=Chunk.State.DONE)
    outbox.recount(distribution_id)
