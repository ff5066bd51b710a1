"""What an HTTP status means by itself, the same for every provider.

One whose documentation says otherwise has a table of its own, which goes first. The rule behind it: nothing is sent
again unless certainly nothing was taken, so whatever may come from a machine on the way (a time-out, a redirect, a
server error) is unclear.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from extensions.contract.vocabulary import Category

LONGEST_WAIT = 86_400.0  # seconds; a provider that asks for more is asked again after a day


def bounded(wait: float) -> float:
    """Seconds to wait as a provider says, neither in the past nor for longer than anybody waits."""
    return min(max(0.0, wait), LONGEST_WAIT)


class Again(enum.Enum):
    """Whether a message is sent again after an answer that does not accept it."""

    LATER = "later"  # certainly nothing was taken
    NEVER = "never"  # refused for good
    UNCLEAR = "unclear"  # it may have been taken: never blindly


@dataclass(frozen=True, slots=True)
class Rung:
    """What an answer means for the message, and why."""

    again: Again
    category: Category = Category.UNKNOWN


HTTP_LADDER: Mapping[int, Rung] = {
    401: Rung(Again.NEVER, Category.AUTH_FAILED),
    402: Rung(Again.NEVER, Category.INSUFFICIENT_BALANCE),
    403: Rung(Again.NEVER, Category.AUTH_FAILED),
    408: Rung(Again.UNCLEAR),
    429: Rung(Again.LATER, Category.RATE_LIMITED),
}
OTHER_REFUSAL = Rung(Again.NEVER)  # any other 4xx
OTHER_ANSWER = Rung(Again.UNCLEAR)  # whatever is neither 2xx nor 4xx
CLOSED_FOR_NOW = Rung(Again.LATER, Category.TRANSIENT)  # 503 that says when to come back
