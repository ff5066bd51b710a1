"""What a provider's answer to a send means for the message."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from extensions.contract import Category, NotTaken, ProviderError, Refused, SendResult, Unclear


class Kind(enum.Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"  # for good
    NOT_TAKEN = "not taken"  # certainly nothing was sent: again later
    UNCLEAR = "unclear"  # it may be on its way: never again on its own
    ACCOUNT = "account"  # not taken, and no other message of this account will be until somebody mends it


# The account's fault, not the message's: the message waits, the account stops, the administrator is told.
ACCOUNT_FAULTS = frozenset({Category.AUTH_FAILED, Category.INSUFFICIENT_BALANCE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`retry_after` is in seconds; `error` are the provider's words."""

    kind: Kind
    message_id: str = ""
    segments: int | None = None
    category: Category = Category.NONE
    error: str = ""
    retry_after: float | None = None
    blameless: bool = False  # not taken, but neither this message nor the account is at fault: it may go at once
    opts_out: bool = False  # the provider says that the person does not want our texts

    @property
    def too_many(self) -> bool:
        """Not taken, for the rate alone."""
        return self.kind is Kind.NOT_TAKEN and self.category == Category.RATE_LIMITED and not self.blameless


def of(answer: SendResult | ProviderError) -> Outcome:
    """Accepted, refused, not taken (try later), unclear (never on its own) or the account's fault."""
    match answer:
        case SendResult():
            return Outcome(Kind.ACCEPTED, message_id=answer.message_id, segments=answer.segments)
        case Refused() if answer.category in ACCOUNT_FAULTS:
            return Outcome(Kind.ACCOUNT, category=answer.category, error=answer.detail)
        case Refused():
            opts_out = answer.category == Category.OPTED_OUT and not answer.blocked
            return Outcome(Kind.REFUSED, category=answer.category, error=answer.detail, opts_out=opts_out)
        case NotTaken():
            return Outcome(
                Kind.NOT_TAKEN,
                category=answer.category,
                error=answer.detail,
                retry_after=answer.retry_after,
                blameless=answer.blameless,
            )
        case Unclear():
            return Outcome(Kind.UNCLEAR, category=Category.TRANSIENT, error=answer.detail)
    raise TypeError(f"{type(answer).__name__} is not an answer to a send")
