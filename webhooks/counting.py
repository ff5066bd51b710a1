"""Refused calls are counted in memory and written down once a second: forging many costs the right ones nothing.

So is their line in the log, which many of them would fill. A process that is killed loses what it has counted in its
last second: how often, never whether a call was refused.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import DatabaseError, IntegrityError, InterfaceError, connection
from django.db.models import F
from django.utils import timezone

from intake.sentences import worded
from webhooks.models import RefusedCallback

logger = logging.getLogger(__name__)

EVERY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Refused:
    """What is one row: calls that were refused for one reason on one day."""

    organization_id: int
    slug: str
    kind: str
    reason: str  # as it is stored, so that it is one reason in whatever language
    day: date


@dataclass(slots=True)
class Count:
    fault: str
    times: int = 0
    first_at: datetime = field(default_factory=timezone.now)
    last_at: datetime = field(default_factory=timezone.now)


class Counter:
    """Counts, and writes what it has counted from a thread of its own, which ends when there is nothing to write."""

    def __init__(self) -> None:
        self._counts: dict[Refused, Count] = {}
        self._written: dict[Refused, float] = {}  # when one was last written at once, in monotonic seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, refused: Refused, fault: str) -> None:
        """Count one more call. The first in a while is written at once: who tries the webhooks looks for it at once.

        So is one in a transaction of the caller's, as part of it.
        """
        if connection.in_atomic_block or self._is_first(refused):
            write(refused, Count(fault, 1))
            return
        with self._lock:
            count = self._counts.setdefault(refused, Count(fault))
            count.times, count.fault, count.last_at = count.times + 1, fault, timezone.now()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
                self._thread.start()

    def _is_first(self, refused: Refused) -> bool:
        with self._lock:
            if len(self._written) > 10_000:
                self._written.clear()
            now = time.monotonic()
            before = self._written.get(refused, float("-inf"))
            if refused in self._counts or now < before + EVERY:
                return False
            self._written[refused] = now
            return True

    def flush(self) -> None:
        """Write what was counted. What the database does not take now is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, {}
        for refused, count in counts.items():
            try:
                write(refused, count)
            except IntegrityError:
                logger.info("Organisation %d is gone: nobody reads how often it was called.", refused.organization_id)
            except (DatabaseError, InterfaceError) as error:
                connection.close()
                logger.warning("%d refused callbacks are written down later (%s)", count.times, type(error).__name__)
                with self._lock:
                    later = self._counts.setdefault(refused, Count(count.fault, first_at=count.first_at))
                    later.times += count.times
                    later.first_at = min(later.first_at, count.first_at)

    def _run(self) -> None:
        try:
            while True:
                threading.Event().wait(EVERY)
                self.flush()
                with self._lock:
                    if not self._counts:
                        self._thread = None
                        return
        finally:
            connection.close()


def write(refused: Refused, count: Count) -> None:
    """Add the count to its row, and say so in the log."""
    place = (refused.kind, refused.slug, refused.organization_id)
    logger.warning(
        "Refused callbacks: %d (%s), %s of %s, organisation %d", count.times, count.fault or "unknown", *place
    )
    same = {name: getattr(refused, name) for name in ("organization_id", "slug", "kind", "day")}
    same["reason"] = worded(refused.reason)
    today = RefusedCallback.objects.filter(**same)
    more = {"count": F("count") + count.times, "last_at": count.last_at, "fault": count.fault}
    if today.update(**more):
        return
    first = {"fault": count.fault, "count": count.times, "first_at": count.first_at, "last_at": count.last_at}
    _row, created = RefusedCallback.objects.get_or_create(**same, defaults=first)
    if not created:
        today.update(**more)


counter = Counter()
atexit.register(counter.flush)
