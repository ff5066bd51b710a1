"""An account's messages per second, shared by all workers through one row: safe when the broker is away."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from extensions.models import AccountState

BLOCK = 0.5  # seconds of traffic reserved at once
UNPACED = 10_000  # segments per second; a rate as high as this is not a limit, and is not kept
FAR = 1e9  # seconds; further ahead than any slot
LATE = 0.05  # seconds by which a slot may be used late before the rest of its block is given up


class Reservation(NamedTuple):
    """In how many seconds the first slot begins, and how fast the account's row says that the provider takes texts.

    Where it is not `made`, nothing was reserved: the next slot begins too late.
    """

    begins_in: float
    learned: float | None
    made: bool = True


def reserve(
    account_id: int,
    segments: int,
    rate: float,
    *,
    within: float = math.inf,
    known: float | None = None,
    learned: float | None = None,
) -> Reservation:
    """Reserve `segments` slots of 1/rate seconds each, if the first of them begins `within` this many seconds.

    The pumps of an account tell each other on this occasion what they learn: `learned` is written down if the row still
    says `known`, else another pump was first, and its word comes back.
    """
    length = segments / rate
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE extensions_accountstate
                SET next_slot_at = GREATEST(next_slot_at, clock_timestamp()) + %s * interval '1 second',
                    throttled_rate = CASE WHEN throttled_rate IS NOT DISTINCT FROM %s::float8 THEN %s::float8
                        ELSE throttled_rate END
                WHERE account_id = %s AND next_slot_at <= clock_timestamp() + %s * interval '1 second'
                RETURNING EXTRACT(EPOCH FROM next_slot_at - clock_timestamp()), throttled_rate
                """,
                [length, known, learned, account_id, min(within, FAR)],
            )
            row = cursor.fetchone()
        return Reservation(float(row[0]) - length, row[1]) if row else _not_made(account_id, learned)
    return _reserve_optimistically(account_id, length, within, known, learned)


def _not_made(account_id: int, learned: float | None) -> Reservation:
    """When it is worth asking again; at once, where the account has no row to keep its rate in."""
    state = AccountState.objects.filter(pk=account_id).annotate(now=Now())
    row = state.values_list("next_slot_at", "now").first()
    if row is None:
        return Reservation(0.0, learned)
    return Reservation(max(0.0, (row[0] - row[1]).total_seconds()), learned, made=False)


def _reserve_optimistically(
    account_id: int, length: float, within: float, known: float | None, learned: float | None
) -> Reservation:
    state = AccountState.objects.filter(pk=account_id)
    while True:
        now = timezone.now()
        row: tuple[datetime, float | None] | None = state.values_list("next_slot_at", "throttled_rate").first()
        if row is None:
            return Reservation(0.0, learned)
        start = max(row[0], now)
        if (start - now).total_seconds() > within:
            return Reservation((start - now).total_seconds(), learned, made=False)
        said = learned if row[1] == known else row[1]
        taken = state.filter(next_slot_at=row[0]).update(
            next_slot_at=start + timedelta(seconds=length), throttled_rate=said
        )
        if taken:
            return Reservation((start - now).total_seconds(), said)


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
