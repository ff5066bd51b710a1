"""Faults on demand: each has a rate, a seed of its own, and says whether the text is accepted first."""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Kind(enum.StrEnum):
    ACCEPT_DROP = "accept_drop"  # accepted, then the connection is reset without an answer
    ACCEPT_CUT = "accept_cut"  # accepted, then the connection is reset in the middle of the answer
    ACCEPT_HANG = "accept_hang"  # accepted, then no answer until the caller gives up
    ACCEPT_500 = "accept_500"
    ACCEPT_GARBAGE = "accept_garbage"  # the right status with bytes that are not JSON
    ACCEPT_HTML = "accept_html"
    ACCEPT_EMPTY = "accept_empty"
    ACCEPT_CUT_JSON = "accept_cut_json"  # the right answer's first half, properly framed
    ACCEPT_WRONG_TYPES = "accept_wrong_types"  # JSON, but not the promised one
    ACCEPT_HUGE = "accept_huge"  # 50 MB
    ACCEPT_DRIP = "accept_drip"  # the right answer, one byte a second
    ACCEPT_429 = "accept_429"  # no provider should; a careless proxy does
    HTTP_500 = "500"  # before accepting
    HTTP_503 = "503"
    HTTP_429 = "429"
    HTTP_401 = "401"
    HTTP_400 = "400"  # nothing is taken, and nothing is said of which text was at fault
    DROP = "drop"  # before accepting
    HANG = "hang"

    @property
    def accepts(self) -> bool:
        return self.value.startswith("accept_")


@dataclass(slots=True)
class Fault:
    """`rate` is the share of send requests it hits; `limit` how often at most (None = always)."""

    kind: Kind
    rate: float = 1.0
    provider: str = ""
    account: str = ""
    to: str = ""  # only requests with a recipient whose number ends so
    seed: int = 1
    limit: int | None = None
    retry_after: float | None = None  # seconds, for 429 and 503; None = no header
    scope: str = "send"  # or "all": look-ups and checks too (only kinds that accept nothing)
    hits: int = 0
    id: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (repeatable by design)

    def strikes(self, provider: str, account: str, *, sending: bool, recipients: Sequence[str] = ()) -> bool:
        """Whether it hits this request; each call draws once, so a seed gives the same run again."""
        if self.to and not any(number.endswith(self.to) for number in recipients):
            return False
        if (self.provider and self.provider != provider) or (self.account and self.account != account):
            return False
        if not sending and (self.scope != "all" or self.kind.accepts):
            return False
        if self.limit is not None and self.hits >= self.limit:
            return False
        if self._random.random() >= self.rate:
            return False
        self.hits += 1
        return True

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "rate": self.rate,
            "provider": self.provider,
            "account": self.account,
            "to": self.to,
            "seed": self.seed,
            "limit": self.limit,
            "retry_after": self.retry_after,
            "scope": self.scope,
            "hits": self.hits,
        }


class Faults:
    """All faults in force, in the order they were asked for; the first that strikes wins."""

    def __init__(self) -> None:
        self.all: list[Fault] = []
        self._next_id = 1

    def add(self, fault: Fault) -> Fault:
        fault.id = self._next_id
        self._next_id += 1
        self.all.append(fault)
        return fault

    def remove(self, id: int | None = None) -> None:
        """Without an id: all."""
        self.all = [fault for fault in self.all if id is not None and fault.id != id]

    def strike(self, provider: str, account: str, *, sending: bool, recipients: Sequence[str] = ()) -> Fault | None:
        for fault in self.all:
            if fault.strikes(provider, account, sending=sending, recipients=recipients):
                return fault
        return None
