"""What a pump has in its hands: claimed chunks, requests to be made, answers to be written down."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from distributions.engine.outbox import Claim, Marked
from distributions.engine.outcomes import Outcome


def clock() -> float:
    """Seconds that also pass while the machine is suspended: a lease ends there too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass
class Work:
    """A claimed chunk while it is being sent."""

    claim: Claim
    queued: deque[tuple[int, int]]  # (message id, segments) not yet marked
    held: list[tuple[float, int, int]] = field(default_factory=list)  # (monotonic seconds when due, id, segments)
    in_flight: int = 0
    unfinished: bool = False  # some of its messages go back into the queue
    delay: float = 0.0  # seconds, after a failure
    wait: float = 0.0  # seconds, since the provider takes no more at present: no failure
    stop_marking_at: float = 0.0  # monotonic seconds
    leave_before: float = float("inf")  # by `clock`: no request of it leaves later, or it could outlast the lease
    batch_limit: int = 0  # how many of its messages may share a request from now on; 0: as the provider says
    abandoned: bool = False  # the database did not say whether a mark was written: the lease must run out

    @property
    def organization(self) -> str:
        return self.claim.organization

    @property
    def distribution_id(self) -> int:
        return self.claim.distribution_id

    @property
    def done(self) -> bool:
        return not self.queued and not self.in_flight and not self.held

    def leave_rest(self) -> None:
        """Mark nothing more of it; what is left goes back with the chunk, for as long as its longest wait."""
        self.unfinished |= bool(self.queued or self.held)
        for due_at, _message_id, _segments in self.held:
            self.postpone(due_at)
        self.queued.clear()
        self.held.clear()

    def postpone(self, due_at: float) -> None:
        """Have the chunk wait until then (monotonic seconds) once it is given back."""
        self.wait = max(self.wait, due_at - time.monotonic())

    def take_up_held(self) -> None:
        """Put what has waited long enough back in line."""
        now = time.monotonic()
        self.queued.extend((message_id, count) for due_at, message_id, count in self.held if due_at <= now)
        self.held = [waiting for waiting in self.held if waiting[0] > now]


@dataclass
class Job:
    """One request: a message, or a batch of them."""

    work: Work
    messages: list[Marked]
    leave_at: float


@dataclass
class Result:
    work: Work
    message: Marked
    outcome: Outcome
    segments: int = 1
    due_at: float = 0.0  # monotonic seconds: not before then again, after "too many requests"


@dataclass
class Halt:
    """Why this pump takes nothing new.

    `withdrawn`: people have ended the account's right to send, so nothing is to be said of its health.
    """

    reason: str = ""
    until: float = 0.0  # monotonic seconds; 0 = for good
    withdrawn: bool = False
