"""How fast a provider takes texts at present, learned from its answers.

A text that is answered "too many requests" is held by itself; what it says about the account is worked out here. The
rate falls when clearly more than a tenth of the latest answers were such, to seven tenths of what was taken. It returns
by even steps to where it was, then carefully beyond, as TCP does (RFC 5681), and never above the account's own rate.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW = 1.0  # seconds of answers that are looked at
BRIEF = 0.25  # seconds of answers that say that there is a limit, but not where
FEW = 3  # refusals that may be chance, whatever their share
MANY = 0.10  # of the answers: more is a limit that has been reached
CHANCE = 1.5  # standard deviations by which more may be chance, where few answers have come
SOME = 0.03  # of the answers: with more than these the rate rises by small steps only
FALL = 0.7
STEPS = 5  # seconds in which the rate returns to where it was
PROBE = 0.05  # of the rate: the first step beyond; each further one is twice as large
LARGEST_PROBE = 1.0
LEAST = 0.5  # segments per second
NO_TIME_NAMED = 1.0  # seconds to pause where the provider names none


class Throttle:
    """The rate of one account as one pump sees it. Times are seconds of any steady clock, rates segments per second.

    `ceiling` is the account's own rate; `learned` what another pump has found before, None if nothing. `pumps` is how
    many may be at work for the account: their answers are not seen here.
    """

    def __init__(self, ceiling: float, learned: float | None, now: float, *, pumps: int = 1) -> None:
        self.ceiling = ceiling
        self.rate = min(ceiling, learned) if learned else ceiling
        self.good = self.rate  # what was taken when the limit was last met: beyond it, carefully
        self._pumps = pumps
        self._answers: deque[tuple[float, int, bool]] = deque()  # when, segments, whether it was too many
        self.takes_nothing = True  # nothing but "too many" has been answered so far
        self._deaf_until = 0.0  # answers to what had left before the rate fell say nothing of the new one
        self._rises_at = now + WINDOW
        self._probe = PROBE

    @property
    def is_held_down(self) -> bool:
        return self.rate < self.ceiling

    def answered(self, now: float, segments: int, *, too_many: bool) -> bool:
        """Take in an answer. True if the limit has been reached, so that the account must pause for a moment."""
        self._forget(now)
        self._answers.append((now, segments, too_many))
        self.takes_nothing &= too_many
        if not too_many or now < self._deaf_until:
            return False
        refused = sum(is_refusal for _at, _segments, is_refusal in self._answers)
        count = len(self._answers)
        if refused < FEW or refused <= MANY * count + CHANCE * math.sqrt(count * MANY * (1 - MANY)):
            return False
        self._fall(now)
        return True

    def paused(self, until: float) -> None:
        """The account pauses: the rate is not looked at before some answers have come afterwards."""
        self._deaf_until = until + WINDOW / 2
        self._rises_at = until + WINDOW
        self._answers.clear()

    def adopt(self, rate: float | None, now: float) -> None:
        """Another pump of the account has found this rate (None: as fast as the account may go)."""
        found = min(self.ceiling, rate) if rate else self.ceiling
        if found < self.rate:
            self.good = min(self.good, found / FALL)
            self._probe = PROBE
            self._deaf_until = now + WINDOW
            self._answers.clear()
        self.rate = found
        self._rises_at = now + WINDOW

    @property
    def learned(self) -> float | None:
        """For the account's row; None if nothing holds the rate down."""
        return self.rate if self.is_held_down else None

    def rise(self, now: float) -> None:
        """Give back a step of the rate, if a second has passed without a reason not to."""
        if not self.is_held_down or now < self._rises_at:
            return
        self._forget(now)
        self._rises_at = now + WINDOW
        refused = sum(too_many for _at, _segments, too_many in self._answers)
        if refused > SOME * len(self._answers):
            self._probe = PROBE
        if not self._answers or refused > MANY * len(self._answers):
            return
        if self.rate < self.good:
            self.rate = min(self.good, self.rate + self.good * (1 - FALL) / STEPS)
        else:
            self.rate *= 1 + self._probe
            self._probe = min(LARGEST_PROBE, 2 * self._probe)
        self.rate = min(self.ceiling, self.rate)

    def _fall(self, now: float) -> None:
        answered = sum(segments for _at, segments, _too_many in self._answers)
        taken = sum(segments for _at, segments, too_many in self._answers if not too_many)
        since = now - self._answers[0][0]
        pace = min(self.rate, self._pumps * answered / max(since, 0.1))  # what all pumps together asked for
        self.good = max(LEAST, min(self.ceiling, pace * taken / answered))
        self.rate = max(LEAST, FALL * self.good)
        self._probe = PROBE
        if since < BRIEF:  # the first answers tell little: look for the limit in large steps, from below
            self.good, self._probe = self.rate, LARGEST_PROBE

    def _forget(self, now: float) -> None:
        while self._answers and self._answers[0][0] < now - WINDOW:
            self._answers.popleft()
