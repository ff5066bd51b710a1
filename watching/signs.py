"""The signs of life that a worker's processes give, so that one that lives and takes nothing is noticed.

Each process of the pool has a thread that writes its row every EVERY seconds: who it is, which queues it serves, when
it last took a wake-up, and what is wrong. The worker's main process, which is the one that takes wake-ups from the
broker, moves a clock that they share; where that clock stands, they say so. A process that is stopped as a whole writes
nothing any more, and what reads the rows (watching/health.py) sees that. Work that goes on for long counts as moving
while it runs statements, turns its event loop or computes.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import signals
from django.db import Error, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.functions import Now

from distributions.engine import worker_process
from organizations.steps import SomeFailed
from watching.models import Mark, WorkerSign

logger = logging.getLogger(__name__)

EVERY = 4.0  # seconds between two signs
TICK = 1.0  # seconds between two moves of the main process's clock
MAIN_STANDS = 7.0  # seconds; a busy machine is late, too
TASK_STANDS = 20.0  # seconds
CLEAN_EVERY = 5  # signs between two looks for processes that are gone
COMPUTES = 0.2  # seconds of CPU between two signs: more than the signs themselves take
SWEEP = "distributions.tasks.sweep"

THREAD = "signs"  # what the names of threads begin with that are not work

beside: list[Callable[[], None]] = []  # what each process does after its sign; short, and on the same connection

_name = ""
_queues: list[str] = []
_main_pid = 0
_main_moved_at: Any = RawValue(ctypes.c_double, 0.0)  # monotonic seconds; shared with the processes of the pool


@dataclass
class Process:
    """What this process of the pool knows of itself; times are monotonic seconds."""

    began_at: float = field(default_factory=time.monotonic)
    took_at: float = field(default_factory=time.monotonic)
    moved_at: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)
    tasks: int = 0  # under way
    signs: int = 0  # given
    stopped: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def take(self) -> None:
        self.tasks += 1
        self.took_at = self.moved_at = time.monotonic()

    def finish(self) -> None:
        self.tasks = max(0, self.tasks - 1)
        self.moved_at = time.monotonic()

    def problem(self, now: float) -> str:
        """What is wrong here, as WorkerSign says it."""
        computed, self.cpu = time.process_time() - self.cpu, time.process_time()
        if computed > COMPUTES:
            self.moved_at = now
        moved_at = max(self.moved_at, worker_process.turned_at)
        if self.tasks and now - moved_at > TASK_STANDS:
            return WorkerSign.Problem.TASK
        is_alone = _main_pid == os.getpid()  # a pool of one process, which takes nothing while it works
        if _main_moved_at.value and now - _main_moved_at.value > MAIN_STANDS and not (is_alone and self.tasks):
            return WorkerSign.Problem.MAIN
        return WorkerSign.Problem.NONE

    def write(self) -> None:
        """Write the sign, and now and then remove those of processes of this worker that are gone."""
        now = time.monotonic()
        sign = WorkerSign(
            worker=_name,
            pid=os.getpid(),
            queues=_queues,
            problem=self.problem(now),
            is_busy=bool(self.tasks),
            idle_seconds=now - self.took_at,
            seen_at=Now(),
        )
        WorkerSign.objects.bulk_create(
            [sign],
            update_conflicts=True,
            unique_fields=["worker", "pid"],
            update_fields=["queues", "problem", "is_busy", "idle_seconds", "seen_at"],
        )
        self.signs += 1
        if self.signs % CLEAN_EVERY != 1:
            return
        others = WorkerSign.objects.filter(worker=_name).exclude(pid=os.getpid())
        gone = [pid for pid in others.values_list("pid", flat=True) if not _lives(pid)]
        if gone:
            others.filter(pid__in=gone).delete()

    def run(self) -> None:
        while True:
            try:
                self.write()
                for also in beside:
                    also()
            except Error as error:
                logger.warning("No sign of life could be written: %s", error)
            finally:
                connection.close()  # kept open, it would be one more for every process
            if self.stopped.wait(EVERY):
                return


_process: Process | None = None


def main_pid() -> int:
    """The process that takes wake-ups from the broker for this one; 0 outside workers."""
    return _main_pid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@signals.celeryd_after_setup.connect
def name_worker(sender: str = "", instance: Any = None, **_more: object) -> None:
    """Before the pool is made, whose processes inherit it."""
    global _name, _queues, _main_pid
    _name, _queues, _main_pid = sender, sorted(instance.app.amqp.queues.consume_from), os.getpid()


@signals.worker_ready.connect
def move_clock(sender: Any = None, **_more: object) -> None:
    """From now on the main process's loop moves the clock. It waits for wake-ups in that same loop."""

    def move() -> None:
        _main_moved_at.value = time.monotonic()

    move()
    sender.timer.call_repeatedly(TICK, move)


@signals.worker_process_init.connect
def begin(**_more: object) -> None:
    """Begin to give signs, in a process of the pool."""
    global _process
    if not _name:
        return
    _process = Process()
    connection_created.connect(_watch_statements, dispatch_uid="watching.signs")
    _process.thread = threading.Thread(target=_process.run, name=THREAD, daemon=True)
    _process.thread.start()


@signals.worker_process_shutdown.connect
def end(**_more: object) -> None:
    """A process that ends in order leaves no sign behind."""
    if _process is None:
        return
    _process.stopped.set()
    if _process.thread is not None:
        _process.thread.join(timeout=2)
    _forget(WorkerSign.objects.filter(worker=_name, pid=os.getpid()))


@signals.worker_shutdown.connect
def end_worker(**_more: object) -> None:
    """Nor does a worker, whatever became of its processes."""
    if _name:
        _forget(WorkerSign.objects.filter(worker=_name))


def _forget(signs: Any) -> None:
    try:
        signs.delete()
    except Error as error:
        logger.warning("The last sign of life stays: %s", error)
    finally:
        connection.close()


@signals.task_prerun.connect
def take(**_more: object) -> None:
    if _process is not None:
        _process.take()


@signals.task_postrun.connect
def finish(**_more: object) -> None:
    if _process is not None:
        _process.finish()


@signals.task_success.connect
@signals.task_failure.connect
def mark_periodic_check(sender: Any = None, exception: BaseException | None = None, **_more: object) -> None:
    """It has run also where some of its steps have failed: watching/failing.py tells which."""
    if sender is not None and sender.name == SWEEP and isinstance(exception, SomeFailed | None):
        Mark.objects.bulk_create(
            [Mark(name=Mark.PERIODIC_CHECK, at=Now())],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["at"],
        )


def _watch_statements(connection: BaseDatabaseWrapper, **_more: object) -> None:
    """Every statement that ends shows that the work moves; the signs' own do not."""
    if not threading.current_thread().name.startswith(THREAD) and _note_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note_statement)


def _note_statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    try:
        return execute(sql, params, many, context)
    finally:
        with suppress(AttributeError):  # no process of a pool
            _process.moved_at = time.monotonic()  # type: ignore[union-attr]
