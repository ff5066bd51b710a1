"""Whose turn it is at an account that several share: organisations first, then their distributions. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class HasOwner(Protocol):
    @property
    def organization(self) -> str: ...
    @property
    def distribution_id(self) -> int: ...


W = TypeVar("W", bound=HasOwner)


@dataclass(frozen=True, slots=True)
class Line:
    """A distribution that has chunks due at the account. `organization` is a public id."""

    distribution_id: int
    organization: str
    has_replies: bool  # what answers somebody who has just written


class Turns:
    """Remembers who was served last. Who never was is first; among several of those, chance decides."""

    def __init__(self) -> None:
        self._served: dict[str | int, int] = {}
        self._count = 0

    def served(self, one: HasOwner) -> None:
        """It has just had its turn."""
        self._count += 1
        self._served[one.organization] = self._served[one.distribution_id] = self._count

    def next(self, waiting: Sequence[W]) -> W:
        """Whose turn it is among these: the organisation's that has waited longest, then the distribution's."""
        return min(waiting, key=lambda one: (self._last(one.organization), self._last(one.distribution_id)))

    def choose(self, waiting: Collection[Line], room: int) -> list[Line]:
        """Up to `room` of them in the order of their turns, one of each organisation before a second one of any."""
        left = list(waiting)
        random.shuffle(left)
        chosen: list[Line] = []
        while left and len(chosen) < room:
            taken = [one.organization for one in chosen]
            line = min(
                left,
                key=lambda one: (
                    taken.count(one.organization),
                    self._last(one.organization),
                    self._last(one.distribution_id),
                ),
            )
            left.remove(line)
            chosen.append(line)
        return chosen

    def _last(self, key: str | int) -> int:
        return self._served.get(key, 0)
