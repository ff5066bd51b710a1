"""Counts the database statements of worker processes: imported by them with `-I bench.counting`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created

FOLDER = os.environ.get("BENCH_STATEMENTS", "")


class Counter:
    """One file per process; rewritten with each statement, so that it is right whenever it is read."""

    def __init__(self) -> None:
        self.count = 0
        self.pid = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.pid != os.getpid():
            self.pid, self.count = os.getpid(), 0
        self.count += 1
        Path(FOLDER, str(self.pid)).write_text(str(self.count))
        return execute(sql, params, many, context)


_counter = Counter()


def _watch(connection: Any, **_kwargs: Any) -> None:
    if _counter not in connection.execute_wrappers:  # a connection that is opened again keeps its wrappers
        connection.execute_wrappers.append(_counter)


def total(folder: Path) -> int:
    """All statements that the processes writing into this folder have made."""
    return sum(int(path.read_text() or 0) for path in folder.iterdir())


if FOLDER:
    connection_created.connect(_watch)
