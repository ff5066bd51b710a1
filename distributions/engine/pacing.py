"""An account's messages per second, shared by all workers through one row: safe when the broker is away."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from extensions.models import AccountState

BLOCK = 0.5  # seconds of traffic reserved at once
UNPACED = 10_000  # segments per second; a rate as high as this is no limit, and is not kept
LATE = 0.05  # seconds by which a slot may be used late before the rest of its block is given up


def reserve(account_id: int, segments: int, rate: float) -> float:
    """Reserve `segments` slots of 1/rate seconds each; returns in how many seconds the first of them begins."""
    length = segments / rate
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE extensions_accountstate
                SET next_slot_at = GREATEST(next_slot_at, clock_timestamp()) + %s * interval '1 second'
                WHERE account_id = %s
                RETURNING EXTRACT(EPOCH FROM next_slot_at - clock_timestamp())
                """,
                [length, account_id],
            )
            row = cursor.fetchone()
        return float(row[0]) - length if row else 0.0
    return _reserve_optimistically(account_id, length)


def _reserve_optimistically(account_id: int, length: float) -> float:
    while True:
        now = timezone.now()
        current: datetime | None = (
            AccountState.objects.filter(pk=account_id).values_list("next_slot_at", flat=True).first()
        )
        if current is None:
            return 0.0
        start = max(current, now)
        taken = AccountState.objects.filter(pk=account_id, next_slot_at=current).update(
            next_slot_at=start + timedelta(seconds=length)
        )
        if taken:
            return (start - now).total_seconds()


@dataclass
class Block:
    """Slots that were reserved together: how many are left, and when the first of them begins (monotonic seconds)."""

    left: int
    begins_at: float


class Pace:
    """One pump's share of the rate: blocks of slots reserved ahead, used evenly and to the last.

    `reserve` is called with a number of segments and returns the seconds until their first slot.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._blocks: deque[Block] = deque()
        self._free_at = 0.0  # the end of the slot that was used last

    @property
    def block(self) -> int:
        """How many segments to reserve at once."""
        return max(1, min(500, int(self.rate * BLOCK)))

    def needs(self, segments: int) -> int:
        """How many more segments must be reserved before this many can be sent; 0 if enough are in hand."""
        if self.rate >= UNPACED:
            return 0
        now = time.monotonic()
        while self._blocks and now > self._blocks[0].begins_at + LATE + self._blocks[0].left / self.rate:
            self._blocks.popleft()  # it is in the past: using it now would be a burst
        missing = segments - sum(block.left for block in self._blocks)
        return max(self.block, missing) if missing > 0 else 0

    def grant(self, segments: int, begins_in: float) -> None:
        """A reservation was made."""
        self._blocks.append(Block(segments, time.monotonic() + begins_in))

    def starts_in(self) -> float:
        """Seconds until the next message may leave, as far as slots are in hand."""
        if self.rate >= UNPACED or not self._blocks:
            return 0.0
        return max(0.0, max(self._blocks[0].begins_at, self._free_at) - time.monotonic())

    def take(self, segments: int) -> float:
        """Use slots for one message; returns the seconds to wait before it may leave."""
        if self.rate >= UNPACED:
            return 0.0
        now = time.monotonic()
        leaves_in = self.starts_in()
        while segments > 0 and self._blocks:
            block = self._blocks[0]
            used = min(segments, block.left)
            # A pump that is late goes on from now at the same rate instead of catching up all at once.
            block.begins_at = self._free_at = max(block.begins_at, self._free_at, now - LATE) + used / self.rate
            block.left -= used
            segments -= used
            if not block.left:
                self._blocks.popleft()
        return leaves_in
