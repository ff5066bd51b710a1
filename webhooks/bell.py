"""Rings for the apply task: at most a few times a second, however many callbacks come."""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

logger = logging.getLogger(__name__)

EVERY = 0.2  # seconds

_lock = threading.Lock()
_last_rung = 0.0
_timer: threading.Timer | None = None


def ring() -> None:
    """Ring now, or once the last ring is EVERY seconds ago. A ring that fails is made up for by the sweeper."""
    global _last_rung, _timer
    with _lock:
        if _timer is not None:
            return
        wait = _last_rung + EVERY - time.monotonic()
        if wait > 0:
            _timer = threading.Timer(wait, _ring_late)
            _timer.daemon = True
            _timer.start()
            return
        _last_rung = time.monotonic()
    _send()


def _ring_late() -> None:
    global _last_rung, _timer
    with _lock:
        _timer = None
        _last_rung = time.monotonic()
    _send()


def _send() -> None:
    try:
        current_app.send_task("webhooks.tasks.apply", ignore_result=True)
    except (BrokerError, OSError) as error:
        logger.warning("The broker is away (%s); the sweeper will apply the callbacks.", type(error).__name__)
