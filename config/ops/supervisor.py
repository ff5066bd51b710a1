"""Runs web, worker, beat and broker under one command, and ends them in the order that loses nothing."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

LONGEST_BACK_OFF = 30.0  # seconds between two starts of a process that keeps ending
STEADY = 60.0  # seconds; who lived this long is started again at once
SILENT = 3.0  # seconds of a stop that nobody minds
SAME_REQUEST = 0.5  # seconds; a terminal, a shell and a platform may each pass on the same request to stop
COLOURS = (36, 33, 32, 35, 34)


class AlreadyRunning(Exception):
    """Another supervisor works in this folder."""


class NotReady(Exception):
    """A process did not start; the message has the end of its output."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C or sent SIGTERM."""


@dataclass
class Program:
    """One thing to run. `stage` orders the stop: stage 0 ends first; `grace` is in seconds, then it is killed."""

    name: str
    command: Sequence[str]
    stage: int
    grace: float
    ready: Callable[[], bool] | None = None  # None: no need to wait for it


@dataclass
class _Child:
    program: Program
    colour: int
    process: subprocess.Popen[str]
    started_at: float = field(default_factory=time.monotonic)
    restart_at: float | None = None
    back_off: float = 1.0
    last_lines: list[str] = field(default_factory=list)


class Supervisor:
    """A context: inside it the programs run, at its end none of them, nor anything they have started.

    Output goes to `output` line by line with the program's name before it. Use it from the main thread only: the
    operating system ends the children when the thread that started them is gone, `kill -9` included (Linux).
    """

    def __init__(self, *, environment: dict[str, str], folder: Path, output: IO[str] | None = None) -> None:
        self._environment, self._folder, self._output = environment, folder, output or sys.stdout
        self._children: list[_Child] = []
        self._write = threading.Lock()
        self._asked_at = 0.0  # when the stop was asked for
        self._hurry = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop everything. Ctrl-C is the normal end, not an error; a second one ends at once what is not done."""
        self._asked_at = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupted_again)
        for stage in sorted({child.program.stage for child in self._children}):
            self._stop([child for child in self._children if child.program.stage == stage])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        return kind is Stopped

    def start(self, program: Program, *, within: float = 60.0) -> None:
        """Start a program and wait until it is ready. Raises NotReady after `within` seconds, or when it ends."""
        colour = COLOURS[len(self._children) % len(COLOURS)]
        child = _Child(program, colour, self._spawn(program))
        self._children.append(child)
        self._follow(child)
        deadline = time.monotonic() + within
        while program.ready and not program.ready():
            if child.process.poll() is not None or time.monotonic() > deadline:
                time.sleep(0.1)  # its last words
                raise NotReady(f"{program.name} did not start:\n" + "".join(child.last_lines))
            time.sleep(0.05)

    def watch(self, seconds: float = 0.5) -> None:
        """Wait this long, starting again what has ended, later each time it ends early."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for child in self._children:
                self._look_after(child)
            time.sleep(min(left, 0.2))

    def say(self, line: str, name: str = "switchboard", colour: int = 1) -> None:
        with self._write:
            before = f"{name:<11} | "
            if self._output.isatty():
                before = f"\x1b[{colour}m{before}\x1b[0m"
            self._output.write(f"{before}{line.rstrip()}\n")
            self._output.flush()

    def _spawn(self, program: Program) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 — our own programs
            program.command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which then stops them in order
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
        )

    def _follow(self, child: _Child) -> None:
        threading.Thread(target=self._copy_output, args=(child, child.process), daemon=True).start()

    def _copy_output(self, child: _Child, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                child.last_lines = [*child.last_lines[-19:], line]
                self.say(line, child.program.name, child.colour)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            status = child.process.poll()
            if status is None:
                return
            _kill_group(child.process)
            lived = now - child.started_at
            child.back_off = 1.0 if lived > STEADY else min(child.back_off * 2, LONGEST_BACK_OFF)
            child.restart_at = now + child.back_off
            self.say(f"{child.program.name} ended with status {status}, starts again in {child.back_off:.0f} s")
        elif now >= child.restart_at:
            child.process, child.started_at, child.restart_at = self._spawn(child.program), now, None
            self._follow(child)

    def _stop(self, children: list[_Child]) -> None:
        for child in children:
            if child.process.poll() is None:
                self.say(f"stopping {child.program.name}")
                child.process.terminate()  # the main process only: it ends its own children when they are done
        began = time.monotonic()
        for child in children:
            name, grace = child.program.name, child.program.grace
            announced = grace <= SILENT
            while child.process.poll() is None and not self._hurry and time.monotonic() < began + grace:
                if not announced and time.monotonic() > began + SILENT:
                    announced = True
                    self.say(f"{name} finishes what is under way, for {grace:.0f} s at most; Ctrl-C again ends it now")
                time.sleep(0.05)
            if child.process.poll() is None:
                why = "is ended at once" if self._hurry else f"is not done after {grace:.0f} s and is killed"
                self.say(f"{name} {why}")
            _kill_group(child.process)
            child.process.wait()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        raise Stopped

    def _interrupted_again(self, number: int, frame: FrameType | None) -> None:
        """A second Ctrl-C; what comes within a moment of the first is the same one, by another way."""
        self._hurry |= time.monotonic() > self._asked_at + SAME_REQUEST


def take_lock(folder: Path) -> IO[str]:
    """So that one folder is run by one supervisor, until the file is closed. Raises AlreadyRunning."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AlreadyRunning(f"Switchboard is running already in {folder}: stop it first.") from None
    return lock


def die_with_parent(with_signal: signal.Signals) -> None:
    """For a child, before it becomes another program: end when its parent is killed (Linux only)."""
    pr_set_pdeathsig = 1
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(pr_set_pdeathsig, with_signal)


def _kill_group(process: subprocess.Popen[str]) -> None:
    """What is left of a program: children that have outlived their main process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
