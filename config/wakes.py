"""At most one wake-up of each kind waits in the broker, however often it is sent: one is enough to look at the rows.

Whoever sends one sets a key; whoever begins to work removes it before looking at anything. So what was committed before
a wake-up was left out is seen by the one that waits. A key that nobody removes lives for some seconds only, since its
wake-up may be lost; the longer none is taken, the longer. Then another is sent, unless the queue is so long that nobody
can be emptying it: the first still stands in it, and next to nothing piles up.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from kombu.utils.uuid import uuid

logger = logging.getLogger(__name__)

LIFE, LONGEST = 10, 120  # seconds: after one that was not taken, and after many
SHORT = 200  # wake-ups in a queue, up to which one more of a kind does no harm
SURELY = 40  # times that one is left out since its queue is long: more than an hour; then it is sent all the same
PREFIX, COUNTED = "wake:", "wakes:"


def name_of(name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> str:
    """What two wake-ups have in common of which one is enough."""
    return json.dumps([name, list(args or ()), dict(kwargs or {})], sort_keys=True, default=str)


class WakeUps(Celery):
    """Leaves out what is waiting already."""

    def send_task(  # type: ignore[override]  # the stubs name all options
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult[Any]:
        at_once = not options.get("countdown") and not options.get("eta")
        if at_once and self._waits(name_of(name, args, kwargs), self._queue_of(name, options)):
            return self.AsyncResult(options.get("task_id") or uuid())
        return super().send_task(name, args, kwargs, **options)

    def begins(self, name: str, args: Any, kwargs: Any) -> None:
        """From now on another one may wait."""
        what = name_of(name, args, kwargs)
        try:
            self.client().delete(PREFIX + what, COUNTED + what)
        except self._errors() as error:
            self._forget_client()
            logger.warning("The broker is away (%s): a wake-up may come some seconds late.", type(error).__name__)

    def _queue_of(self, name: str, options: Mapping[str, Any]) -> str:
        queue = options.get("queue") or self.amqp.router.route({}, name).get("queue") or self.conf.task_default_queue
        return str(getattr(queue, "name", queue))

    def _waits(self, what: str, queue: str) -> bool:
        try:
            client = self.client()
            if not client.set(PREFIX + what, 1, nx=True, ex=LIFE):
                return True
            asked = client.incr(COUNTED + what)  # since one was taken
            client.expire(COUNTED + what, 3600)
            if asked > 1:
                client.expire(PREFIX + what, min(LONGEST, LIFE * 2 ** min(asked - 1, 10)))
                return bool(asked % SURELY and client.llen(queue) >= SHORT)
        except self._errors():
            self._forget_client()  # sending it says what is wrong
        return False

    def client(self) -> Any:
        """The broker's own client, of this process; many threads may use it."""
        with _lock:
            channel: Any = _channels.get(os.getpid())
            if channel is None:
                _channels.clear()  # those of the process that made this one
                channel = _channels[os.getpid()] = self.connection_for_write().channel()
            return channel.client

    def _forget_client(self) -> None:
        with _lock:
            _channels.clear()

    def _errors(self) -> tuple[type[BaseException], ...]:
        connection = self.connection_for_write()
        return (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)


_lock = threading.Lock()
_channels: dict[int, Any] = {}  # by process
