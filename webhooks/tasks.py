"""Tasks for the inbox."""

from __future__ import annotations

import time

from celery import shared_task

from distributions.engine.wake import wake
from organizations import attempts
from webhooks import applying
from webhooks.inbox import APPLY

LONGEST = 20.0  # seconds a task goes on before it lets others have their turn


@shared_task(acks_late=True, ignore_result=True)
def apply() -> None:
    """Apply stored callbacks until none are due, or for LONGEST; then others have their turn."""
    stop_at = time.monotonic() + LONGEST
    while applying.apply_due(until=stop_at):
        if time.monotonic() > stop_at:
            wake(APPLY)
            return


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Forget counted attempts whose time is over; of callbacks, keeping/retention.py does."""
    attempts.store().forget()
