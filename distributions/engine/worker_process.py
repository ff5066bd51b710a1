"""What a worker process keeps between wake-ups: an event loop, connections to providers, threads for the database."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.sharedctypes import RawValue

from django.db import connections

from distributions.engine.places import Places, allowed
from distributions.engine.wire import Wire

LANES = 32  # accounts that one process pumps at once: a slow number, or a provider that hangs, holds up no other
THREADS = 3  # for the database: a lane whose statement waits for a lock holds up one in three

# Set when the worker is asked to stop: shared with its pool processes, which no signal reaches.
stopping = RawValue(ctypes.c_bool, False)
turned_at = 0.0  # when the event loop of this process turned last, in monotonic seconds (watching/signs.py)


def turn() -> None:
    """Say that the event loop turns, also while it only waits for answers."""
    global turned_at
    turned_at = time.monotonic()


class WorkerProcess:
    """What pumps and look-ups of one process share."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.places = Places(allowed(), LANES)
        self.wire = Wire(limit=self.places.total)
        self.threads = [ThreadPoolExecutor(1, thread_name_prefix=f"pump-database-{n}") for n in range(THREADS)]
        self.pid = os.getpid()

    def thread_for(self, account_id: int) -> ThreadPoolExecutor:
        """One thread for all that a pump does, so that its statements keep their order."""
        return self.threads[account_id % THREADS]

    def close(self) -> None:
        self.runner.run(self.wire.close())
        self.runner.close()
        for thread in self.threads:
            thread.submit(connections.close_all).result()
            thread.shutdown()


_current: WorkerProcess | None = None


def current() -> WorkerProcess:
    """This process's own; a forked child makes another."""
    global _current
    if _current is None or _current.pid != os.getpid():
        _current = WorkerProcess()
    return _current


def close() -> None:
    """Close this process's own, if it has one."""
    global _current
    if _current is not None and _current.pid == os.getpid():
        _current.close()
    _current = None
