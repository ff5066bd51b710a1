"""Compares what the simulated provider accepted with what the database says."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from config.ops import demo_verdict
from distributions.models import Chunk, Distribution
from distributions.states import Status
from simulator.process import SimulatorProcess


@dataclass
class Verdict:
    """`lost`: shown as sent, but never accepted. `duplicated`: accepted twice. `false_failed`: failed, yet accepted."""

    lost: list[int] = field(default_factory=list)
    duplicated: list[int | None] = field(default_factory=list)
    false_failed: list[int] = field(default_factory=list)
    uncertain: int = 0
    stranded: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{len(self.lost)} lost, {len(self.duplicated)} duplicated, {len(self.false_failed)} false failed, "
            f"{self.uncertain} uncertain, {self.stranded} stranded; {dict(self.statuses)}"
        )


def call(simulator: SimulatorProcess, method: str, path: str, data: Any = None) -> Any:
    """One of the simulator's own endpoints."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(f"{simulator.url}/_/{path}", body, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def judge(simulator: SimulatorProcess, distribution: Distribution) -> Verdict:
    """The ledger against the rows of one distribution, as the demo judges (config/ops/demo_verdict.py)."""
    statuses = dict(distribution.messages.values_list("pk", "status"))
    found = demo_verdict.compare(statuses, call(simulator, "GET", "ledger")["entries"])
    verdict = Verdict(
        lost=found.missing, duplicated=found.repeated, false_failed=found.refused, statuses=Counter(statuses.values())
    )
    verdict.uncertain = verdict.statuses[Status.UNCERTAIN]
    waiting = verdict.statuses[Status.QUEUED] + verdict.statuses[Status.SENDING]
    open_chunks = Chunk.objects.filter(distribution=distribution, state=Chunk.State.OPEN).exists()
    verdict.stranded = 0 if open_chunks else waiting
    return verdict


BUSY = 3  # times as long as on a machine of one's own


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Raises AssertionError if the condition does not become true in time, or `BUSY` times that on a busy machine."""
    deadline = time.monotonic() + BUSY * seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {BUSY * seconds:.0f} s"
        time.sleep(0.1)
