"""Sending in the test's own process, without a worker."""

from __future__ import annotations

import time

from distributions.engine import crew, worker_process
from distributions.engine.pump import Pump
from distributions.models import Chunk


def run(account_id: int) -> bool:
    """Pump one account for a bounded time. True if there may be more to do."""
    here = worker_process.current()
    return here.runner.run(Pump(account_id, here).run())


def to_the_end(account_id: int, *, within: float = 60.0) -> None:
    """Send through the account, and beside it through others that are due, until it has nothing left to send.

    One run of a crew is bounded, and may give back a text that it was told to send later or that it had no time for: a
    worker is woken again for those. `within` is in seconds.
    """
    ends_at = time.monotonic() + within
    while time.monotonic() < ends_at:
        if crew.serve(account_id):
            continue
        if not Chunk.objects.filter(account=account_id, state=Chunk.State.OPEN).exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"account {account_id} still has something to send after {within} s")
