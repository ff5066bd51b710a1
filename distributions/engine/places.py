"""Bulkheads: how many requests of one process may be under way, and how many of them for one account."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST = 256  # requests under way in one process; fewer where it may open few files


def allowed() -> int:
    """A quarter of the files that this process may open: each request has a socket, and some idle ones are kept."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(8, min(MOST, soft // 4))


class Places:
    """Half of the places belong to the lanes, each its own; the other half is common, and one lane has half of it at
    the most. So a provider that answers nothing never takes what the others need.
    """

    def __init__(self, total: int, lanes: int) -> None:
        self.total = total
        self.own = max(1, total // (2 * lanes))  # of each lane, whatever the others do
        self.common = max(0, total - self.own * lanes)
        self.most = self.own + self.common // 2  # of one lane
        self._used: Counter[int] = Counter()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def one(self, lane: int) -> AsyncIterator[None]:
        """Wait for a place, and hold it for as long as the request is under way."""
        while not self._is_free(lane):
            entry = lane, asyncio.get_running_loop().create_future()
            self._waiting.append(entry)
            try:
                await entry[1]
            finally:
                self._waiting.remove(entry)
        self._used[lane] += 1
        try:
            yield
        finally:
            self._used[lane] -= 1
            if not self._used[lane]:
                del self._used[lane]
            self._call_next()

    def _is_free(self, lane: int) -> bool:
        used = self._used[lane]
        if used < self.own:
            return True
        return used < self.most and sum(max(0, each - self.own) for each in self._used.values()) < self.common

    def _call_next(self) -> None:
        for lane, called in self._waiting:
            if not called.done() and self._is_free(lane):
                called.set_result(None)
                return
