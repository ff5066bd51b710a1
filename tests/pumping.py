"""Sending in the test's own process, one account at a time, without a worker."""

from __future__ import annotations

from distributions.engine import worker_process
from distributions.engine.pump import Pump


def run(account_id: int) -> bool:
    """Pump one account for a bounded time. True if there may be more to do."""
    here = worker_process.current()
    return here.runner.run(Pump(account_id, here).run())
