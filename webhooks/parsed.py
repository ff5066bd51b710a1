"""One callback while it is being applied: what it says, and what of that is still to be done."""

from __future__ import annotations

from dataclasses import dataclass, field

from extensions.contract import DeliveryReport, InboundSms
from webhooks.models import Callback


@dataclass
class Parsed:
    """A callback and what it says, or why it cannot be read.

    `waiting` are the positions of its reports that have not found their message, `strange` is the number of those that
    are about no text of ours. `unread` are the positions of its replies that have not been applied yet. Both are kept
    in the callback's row, positions of replies counted on from its reports.
    """

    callback: Callback
    reports: list[DeliveryReport] = field(default_factory=list)
    inbound: list[InboundSms] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    strange: int = 0
    unread: list[int] = field(default_factory=list)
    problem: str = ""

    @property
    def goes_together(self) -> bool:
        """Whether it shares a transaction with others: reports that have not failed before."""
        return not self.inbound and (self.callback.state == Callback.State.PARKED or not self.callback.tries)

    @property
    def is_one_reply(self) -> bool:
        """Whether it shares a transaction with a few others: one reply that has not failed before."""
        return len(self.inbound) == 1 and not self.reports and not self.callback.tries

    @property
    def people(self) -> set[str]:
        return {sms.sender for sms in self.inbound}

    def begin(self) -> None:
        """As it was read, however far an attempt has come that was rolled back."""
        count = len(self.reports)
        positions = range(count + len(self.inbound)) if self.callback.pending is None else self.callback.pending
        self.waiting = [position for position in positions if position < count]
        self.unread = [position - count for position in positions if count <= position < count + len(self.inbound)]
        self.strange = 0

    @property
    def pending(self) -> list[int]:
        """The positions of what is still to be done."""
        return [*self.waiting, *(len(self.reports) + position for position in self.unread)]
