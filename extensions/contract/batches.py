"""What the answer to several texts in one request means for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from extensions.contract.errors import NotTaken, ProviderError, Refused, Unclear
from extensions.contract.messages import OutboundSms, SendResult
from intake.sentences import said as _

T = TypeVar("T")


def one_by_one(
    messages: Sequence[OutboundSms], read: Callable[[OutboundSms], SendResult]
) -> list[SendResult | ProviderError]:
    """The outcome of each message of a batch that was answered: what `read` returns for it, or raises."""
    outcomes: list[SendResult | ProviderError] = []
    for sms in messages:
        try:
            outcomes.append(read(sms))
        except ProviderError as error:
            outcomes.append(error)
    return outcomes


def by_reference(
    messages: Sequence[OutboundSms], answers: Mapping[str, T], read: Callable[[T], SendResult]
) -> list[SendResult | ProviderError]:
    """The same where each message's part of the answer is found by our reference, in whatever order they come."""

    def found(sms: OutboundSms) -> SendResult:
        if not sms.reference or sms.reference not in answers:
            raise Unclear(_("the answer does not name this message"))
        return read(answers[sms.reference])

    return one_by_one(messages, found)


def refused_together(faults: Mapping[int, Refused], count: int) -> list[SendResult | ProviderError]:
    """The outcome of a request of `count` messages of which none was taken, for the fault of some: their places."""
    return [
        faults.get(place) or NotTaken(_("refused together with another message"), blameless=True)
        for place in range(count)
    ]
