"""Beat goes on when the machine's clock is put back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from config.beat import Scheduler
from config.celery import app


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """What beat has sent, by name; `sent.run(times)` is so many turns of its loop."""

    class Sent(list):
        def run(self, times):
            for _turn in range(times):
                scheduler.tick()

    names = Sent()
    monkeypatch.setattr(Scheduler, "apply_async", lambda _self, entry, **_options: names.append(entry.name))
    scheduler = Scheduler(app, schedule_filename=str(tmp_path / "beat"))
    yield names
    scheduler.close()


@pytest.mark.parametrize("jump", [-timedelta(hours=1), timedelta(hours=1)], ids=["put back", "put forward"])
def test_everything_goes_on_within_its_time_when_the_clock_is_changed(sent, jump):
    every = len(app.conf.beat_schedule)
    moment = timezone.now()
    with time_machine.travel(moment, tick=False) as clock:
        sent.run(3)
        clock.shift(jump)
        sent.run(3)
        sent.clear()

        for _second in range(130):
            clock.shift(1)
            sent.run(every)

    assert {"sweep", "apply", "keep", "watch", "forget"} <= set(sent)
    assert sent.count("sweep") >= 130 // app.conf.beat_schedule["sweep"]["schedule"] - 1
