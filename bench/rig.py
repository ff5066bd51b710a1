"""The rig: PostgreSQL that really syncs, Valkey, the simulator, and the CPU time of whole process trees."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def start_services() -> None:
    """Start PostgreSQL and Valkey for this run and point the environment at them; before Django is set up."""
    from tests import services

    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        services.SPEED[name] = "on"  # durability is part of what is measured
    services.services.start("postgresql")


def set_up_django() -> None:
    """Create the database and its tables."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["LOG_LEVEL"] = "WARNING"
    import psycopg

    folder = os.environ["DATABASE_URL"].removeprefix("postgres://app@/").rsplit("/", 1)[0]
    with psycopg.connect(f"host={folder} user=app dbname=postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE switchboard")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def cpu_of(pid: int) -> float:
    """CPU seconds that a process, its living descendants and its ended ones have used."""
    total = 0.0
    for member in [pid, *_descendants(pid)]:
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # ended in this moment: its parent counts it
        total += sum(int(field) for field in fields[11:15]) / TICKS
    return total


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def service_pids() -> list[int]:
    """PostgreSQL and Valkey."""
    from tests import services

    return [process.pid for process, _signal in services.services.processes]


@dataclass
class Measured:
    """`count` things in `wall` seconds for `cpu` seconds of work."""

    count: int
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.count / self.wall

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU for one."""
        return 1000 * self.cpu / self.count


@contextmanager
def measure(count: int, pids: list[int]) -> Iterator[Measured]:
    """Measure the wall time of the block and the CPU time of these process trees meanwhile."""
    measured = Measured(count)
    before, began = sum(map(cpu_of, pids)), time.monotonic()
    yield measured
    measured.wall = time.monotonic() - began
    measured.cpu = sum(map(cpu_of, pids)) - before


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises RuntimeError if the condition does not become true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def row(name: str, *cells: str) -> None:
    print(f"  {name:<58}" + "".join(f"{cell:>14}" for cell in cells))


@dataclass
class Verdict:
    """What was measured, what it must be, and what would be better still."""

    name: str
    value: float
    bound: float
    at_most: bool
    aim: float | None

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def word(self) -> str:
        return "quick" if is_quick else "met" if self.met else "MISSED"

    def told(self, bound: float | None) -> str:
        return "" if bound is None else f"{'≤' if self.at_most else '≥'} {bound:,g}"


is_quick = False  # a look at less than what the targets are about: they are shown, and not judged by
verdicts: list[Verdict] = []


def verdict(name: str, value: float, bound: float, *, at_most: bool = False, aim: float | None = None) -> bool:
    """Print a target and whether it was met; a quick run misses none."""
    one = Verdict(name, value, bound, at_most, aim)
    verdicts.append(one)
    print(f"  {one.word:<6}  {name}: {value:.3g} (must: {one.told(bound)})")
    return is_quick or one.met


def summary() -> None:
    """All targets in one table, as this run has measured them."""
    print("\nEverything beside its target" + (" (quick: smaller than what the targets are about)" if is_quick else ""))
    row("", "measured", "must", "aim", "")
    for one in verdicts:
        row(one.name, f"{one.value:,.3g}", one.told(one.bound), one.told(one.aim), one.word)
    print("  What faults and kills cost, and that nothing is lost or doubled, is asked by `make chaos`.")
