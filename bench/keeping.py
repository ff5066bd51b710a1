"""Keeping: the daily walk through what was kept long enough, beside sending; how long one through 10^7 texts takes.

The worker's own walk runs in this process: once where no row is due, as on most days most are not, and once where all
are, as on the day on which a shorter period was chosen. What sending keeps of its rate beside the second is measured in
turns, with the walk and without.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

from django.conf import settings
from django.db import connection
from django.utils import timezone

from bench.growth import NUMBER, copies
from bench.rig import row, verdict, wait_for
from bench.sending import launched, start_worker
from distributions import tasks
from distributions.models import Chunk, Distribution, Message, MessageEvent
from distributions.states import Status
from keeping import retention
from keeping import tasks as keeping_tasks
from keeping.models import Walk
from organizations import clock
from simulator import process
from tests import factories
from webhooks.models import Callback

TEXTS = 1_000_000
SENT = 8_000  # texts of one turn
TURNS = 2
LONG_AGO = timedelta(days=5_000)
PROMISED = 10_000_000  # texts
# Rows that a walk deals with for each text: its wording, its number, two events and two callbacks of its own.
PER_TEXT = {"texts": 1, "numbers": 1, "events": 2, "callbacks": 2}


def run(texts: int = TEXTS, sent: int = SENT) -> bool:
    print(f"\nKeeping: {texts:,} texts that were kept long enough, beside sending")
    _fill(texts)
    with mock.patch.object(clock, "read", return_value=timezone.now() - LONG_AGO):
        idle = Walking().to_the_end()
    share = keeping_tasks.LONGEST / settings.CELERY_BEAT_SCHEDULE["keep"]["schedule"]
    with (
        tempfile.TemporaryDirectory() as folder,
        process.start(reports=False, latency_ms=100, state_dir=Path(folder) / "simulator") as simulator,
    ):
        settings.PROVIDER_BASE_URLS = simulator.base_urls()
        sender = start_worker("keeping", Path(folder), 2, "distributions.tasks")
        try:
            walk = Walking()
            alone, beside = [], []
            for _turn in range(TURNS):
                alone.append(_send(sent))
                with walk.beside():
                    beside.append(_send(sent))
        finally:
            sender.stop()
    due = walk.to_the_end()
    row("", "texts/s", "rows/s", "longest, s")
    row("sending alone", f"{max(alone):,.0f}", "", "")
    row("sending beside the walk", f"{max(beside):,.0f}", "", "")
    for name in PER_TEXT:
        row(f"the walk, of which all are due: {name}", "", f"{due.rate(name):,.0f}", f"{due.longest(name):.3f}")
        row(f"the walk, of which none are due: {name}", "", f"{idle.rate(name):,.0f}", f"{idle.longest(name):.3f}")
    hours = {walk: _hours(walk, share) for walk in (due, idle)}
    return all(
        [
            verdict("share of its rate that sending keeps beside the walk", max(beside) / max(alone), 0.5, aim=0.8),
            verdict("hours of a walk through 10^7 texts, all due", hours[due], 20, at_most=True, aim=10),
            verdict("hours of a walk through 10^7 texts, none due", hours[idle], 3, at_most=True, aim=1),
        ]
    )


class Walking:
    """The walk, whose windows are counted and timed, with the rests between them."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._window = retention._window
        Walk.objects.all().delete()  # another day

    def rate(self, name: str) -> float:
        """Rows looked at in a second, with the rest that a window earns."""
        spent = sum(seconds + min(retention.LONGEST_REST, seconds) for seconds in self.seconds[name])
        return self.rows[name] / spent

    def longest(self, name: str) -> float:
        return max(self.seconds[name])

    def to_the_end(self) -> Walking:
        self._walk(None)
        return self

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Walk in a thread of its own, as long as the block lasts."""
        ended = threading.Event()
        thread = threading.Thread(target=self._until, args=[ended])
        thread.start()
        yield
        if not thread.is_alive():
            raise RuntimeError("The walk was over too soon: more texts are needed to walk through.")
        ended.set()
        thread.join()

    def _until(self, ended: threading.Event) -> None:
        try:
            while not ended.is_set() and self._walk(time.monotonic() + 1):
                pass
        finally:
            connection.close()

    def _walk(self, until: float | None) -> bool:
        with mock.patch.object(retention, "_window", self._timed):
            return any(retention.run(until=until).values())

    def _timed(self, rule: retention.Rule, *values: object) -> int | None:
        place = Walk.objects.filter(name=rule.name).values_list("place", flat=True).first() or 0
        began = time.monotonic()
        changed = self._window(rule, *values)  # type: ignore[arg-type]
        took = time.monotonic() - began
        after = Walk.objects.get(name=rule.name).place
        if after > place:
            self.seconds[rule.name].append(took)
            self.rows[rule.name] += min(after - place, retention.WINDOW)
        return changed


def _hours(walk: Walking, share: float) -> float:
    """Of a whole walk, by a worker that walks this share of the time."""
    seconds = sum(PROMISED * number / walk.rate(name) for name, number in PER_TEXT.items())
    return seconds / share / 3600


def _fill(texts: int) -> None:
    """Texts of long ago, each with an event and a callback of its own."""
    began, clinic = time.monotonic(), factories.organization()
    account = factories.account(clinic, "infobip")
    old = timezone.now() - LONG_AGO
    made = factories.distribution(
        clinic, account=account, recipients=1, state=Distribution.State.FINISHED, finished_at=old
    )
    made.messages.update(status=Status.DELIVERED, text=f"Hello {'there ' * 15}", to="+447700900001")
    text = made.messages.get()
    event = MessageEvent.objects.create(message=text, source="report", status=Status.DELIVERED)
    called = {"kind": "status", "method": "POST", "url": "/", "body": b"a=b" * 150, "dedupe_key": "kept"}
    callback = Callback.objects.create(account=account, state=Callback.State.APPLIED, **called)
    copies(text, f"SELECT i FROM generate_series(1, {texts - 1}) i", to=NUMBER.format("r.i"), contact_id="NULL")
    MessageEvent.objects.update(at=old)
    Callback.objects.update(received_at=old)
    event.refresh_from_db()
    callback.refresh_from_db()
    copies(event, f"SELECT id FROM {Message._meta.db_table} WHERE id <> {text.pk}", message_id="r.id")
    copies(callback, f"SELECT i FROM generate_series(2, {texts}) i", dedupe_key="'kept-' || r.i")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"  {time.monotonic() - began:.0f} s to fill")


def _send(texts: int) -> float:
    """Texts a second of one account without a limit of its own."""
    made = launched(texts)
    left = Chunk.objects.filter(distribution=made, state=Chunk.State.OPEN)
    began = time.monotonic()
    for _pump in range(2):
        tasks.pump.delay(made.account_id or 0)
    wait_for(lambda: not left.exists(), 300, "sending")
    return texts / (time.monotonic() - began)
