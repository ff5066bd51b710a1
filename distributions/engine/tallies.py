"""The counters of distributions: written last in their transaction and in the order of their keys.

So no two transactions ever wait for each other's counters, whoever counts what: pumps, reports, replies, launches.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import F

from distributions.models import Tally
from distributions.states import STATES

Counts = defaultdict[int, Counter[str]]


class _Open(threading.local):
    """The `counted` blocks that this thread is in, the innermost last."""

    def __init__(self) -> None:
        self.blocks: list[Counts] = []


_open = _Open()


@contextmanager
def counted() -> Iterator[None]:
    """A transaction, or a savepoint in one; what is counted in it is written at the end of the outermost block."""
    counts: Counts = defaultdict(Counter)
    with transaction.atomic():
        _open.blocks.append(counts)
        try:
            yield
        finally:
            _open.blocks.pop()
        if not _open.blocks:
            _write(counts)
    if _open.blocks:
        for distribution_id, columns in counts.items():
            _open.blocks[-1][distribution_id].update(columns)


def is_open() -> bool:
    """Whether this thread is in a `counted` block."""
    return bool(_open.blocks)


def add(distribution_id: int, **columns: int) -> None:
    """Count up, or down: at the end of the `counted` block that this is in, else at once."""
    if _open.blocks:
        _open.blocks[-1][distribution_id].update(columns)
    else:
        _write({distribution_id: columns})


def column(status: str) -> str:
    """The tally's column that counts messages in this state."""
    return STATES[status].counted


def count(distribution_id: int, status: str, segments: int, *, texts: int = 0, off: bool = False) -> None:
    """Count people's first texts (`texts` of them) and segments that are in this state now; with `off`, were in it."""
    sign = -1 if off else 1
    columns = {name: sign * segments for name, states in Tally.SEGMENTS.items() if status in states}
    add(distribution_id, **columns, **{column(status): sign * texts})


def _write(counts: Counts | dict[int, dict[str, int]]) -> None:
    for distribution_id in sorted(counts):
        changes = {column: F(column) + number for column, number in counts[distribution_id].items() if number}
        if changes:
            Tally.objects.filter(pk=distribution_id).update(**changes)
