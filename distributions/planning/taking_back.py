"""Taking back what has not left of a cancelled distribution: by portions, each a short transaction.

Cancelling itself is one row (services.cancel): from its commit on no pump marks any of its texts. What follows only
says so of each text, and takes as long as it takes; nobody else's texts wait for it.
"""

from __future__ import annotations

import time
from functools import reduce
from operator import or_

from django.db.models import Exists, OuterRef, Q

from distributions.engine import outbox, tallies
from distributions.engine.outbox import Claim
from distributions.engine.wake import TAKE_BACK, wake
from distributions.models import Chunk, Distribution, Message
from distributions.replies import conversations
from organizations import clock

CHUNKS = 5  # of 500 texts, in one transaction
AT_ONCE = 0.3  # seconds of whoever cancels: most distributions are done by then
TURN = 0.5  # seconds of a task before others have theirs

State = Distribution.State


def take_back(distribution_id: int, seconds: float | None = None) -> None:
    """Take back what can be in this time (None: AT_ONCE), and have a worker do the rest."""
    ends_at = time.monotonic() + (AT_ONCE if seconds is None else seconds)
    while step(distribution_id):
        if time.monotonic() > ends_at:
            wake(TAKE_BACK, distribution_id)
            return


def step(distribution_id: int) -> bool:
    """Take back the next portion; True if there is more. Whatever a pump has in its hands is left to it.

    A cancelled distribution is not begun again, so what two do at once they do once.
    """
    if conversations.end(distribution_id):
        return True
    free = Q(lease_until=None) | Q(lease_until__lt=clock.now())
    opened = Chunk.objects.filter(
        free, distribution=distribution_id, distribution__state=State.CANCELLED, state=Chunk.State.OPEN
    )
    chunks = list(opened.order_by("pk")[: CHUNKS + 1])
    portion = chunks[:CHUNKS]
    if not portion:
        return False
    for chunk in portion:
        if chunk.lease_until is not None:  # its worker is gone: what it had marked may have left
            outbox.read(Claim(chunk.pk, distribution_id, chunk.first_id, chunk.last_id, chunk.tries, "", 0))
    ranges = reduce(or_, (Q(pk__range=(chunk.first_id, chunk.last_id)) for chunk in portion))
    with tallies.counted():
        outbox.take_back(Message.objects.filter(ranges, distribution_id=distribution_id))
        taken = Chunk.objects.filter(free, pk__in=[chunk.pk for chunk in portion])
        outbox.lock_chunks(taken).update(state=Chunk.State.DONE, lease_until=None)
    return len(chunks) > CHUNKS


def resume() -> None:
    """Have a worker go on where a task was lost; what came back from a pump since is another portion."""
    free = Q(lease_until=None) | Q(lease_until__lt=clock.now())
    left = Chunk.objects.filter(free, distribution=OuterRef("pk"), state=Chunk.State.OPEN)
    waiting = Q(tally__waiting__gt=0) | Q(tally__segments_waiting__gt=0)  # the second: in conversations
    for pk in Distribution.objects.filter(waiting, Exists(left), state=State.CANCELLED).values_list("pk", flat=True):
        wake(TAKE_BACK, pk)
