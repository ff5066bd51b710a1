"""Wake-ups: telling the workers that there is something to do. One that is lost is made up for by the periodic check.

Tasks are named and not imported, because they import whoever wakes them.
"""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

logger = logging.getLogger(__name__)

EXPAND = "distributions.tasks.expand"
PUMP = "distributions.tasks.pump"
SETTLE = "distributions.tasks.settle"
REVIEW = "distributions.tasks.review"
TAKE_BACK = "distributions.tasks.take_back"

EVERY = 0.2  # seconds between two wake-ups of one kind that come by themselves, however often they are asked for

_lock = threading.Lock()
_last: dict[str, float] = {}  # when each task was last woken by `wake_soon`, in monotonic seconds
_timers: dict[str, threading.Timer] = {}


def wake(task: str, *args: int) -> None:
    """Have a worker run `task`, once what this transaction writes is committed; at once where there is none."""
    transaction.on_commit(lambda: _send(task, *args))


def wake_soon(task: str) -> None:
    """Have a worker run `task` now, or EVERY after the last time; what is asked for in between is one wake-up."""
    with _lock:
        if task in _timers:
            return
        wait = _last.get(task, float("-inf")) + EVERY - time.monotonic()
        if wait > 0:
            timer = threading.Timer(wait, _send_late, [task])
            timer.daemon = True
            _timers[task] = timer
            timer.start()
            return
        _last[task] = time.monotonic()
    _send(task)


def _send_late(task: str) -> None:
    with _lock:
        del _timers[task]
        _last[task] = time.monotonic()
    _send(task)


def _send(task: str, *args: int) -> None:
    try:
        current_app.send_task(task, args, ignore_result=True)
    except (BrokerError, OSError) as error:
        logger.warning("The broker is away (%s); the periodic check will find it.", type(error).__name__)
