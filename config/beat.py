"""Celery's beat, which a clock that is put back does not silence."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """What was last run in the future is taken for run just now.

    Celery's own waits until the clock has come there again: an hour without a periodic check, if it was an hour fast.
    """

    def tick(self, *arguments: Any, **options: Any) -> Any:
        entries = list(self.schedule.values())
        if any(entry.last_run_at and entry.last_run_at > entry.default_now() for entry in entries):
            for entry in entries:
                entry.last_run_at = entry.default_now()
            self._heap = None  # it is ordered by times of the former clock
        return super().tick(*arguments, **options)
