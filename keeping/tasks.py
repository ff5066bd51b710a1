"""What is done by itself about keeping and forgetting."""

from __future__ import annotations

import time

from celery import shared_task

from keeping import forgetting, retention

LONGEST = 60.0  # seconds a task goes on before others have their turn


@shared_task(acks_late=True, ignore_result=True)
def forget() -> None:
    """Go on with whoever is being forgotten."""
    forgetting.go_on_with_all(until=time.monotonic() + LONGEST)


@shared_task(acks_late=True, ignore_result=True)
def keep() -> None:
    """Go on with today's walk through what was kept long enough."""
    retention.run(until=time.monotonic() + LONGEST)
