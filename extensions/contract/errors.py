"""What an answer or a callback can mean besides success."""

from __future__ import annotations

import enum
from typing import ClassVar

from django.utils.functional import Promise

from extensions.contract.lengths import reason_of, words
from extensions.contract.vocabulary import Category
from intake.sentences import said_lazy as _


class ProviderError(Exception):
    """Anything a provider's answer can mean besides success."""


class Refused(ProviderError):
    """The provider will not send this message, now or later.

    `category` says why in the words all providers share, `detail` in the provider's own, or in a sentence of ours that
    is worded when it is shown (intake/sentences.py). `blocked` marks an
    OPTED_OUT that is the carrier's or provider's block, not the person's wish: it is shown, but opts nobody out.
    """

    def __init__(self, category: Category, detail: str | Promise = "", *, blocked: bool = False) -> None:
        self.detail = words(detail)
        super().__init__(f"{category}: {self.detail}")
        self.category = category
        self.blocked = blocked


class NotTaken(ProviderError):
    """The provider has certainly not taken the message: it may be sent again.

    `retry_after` is in seconds, None where the provider names no time. `blameless` says that nothing is wrong with this
    message or the account, such as where only another message of the same request was at fault: it goes again at once.
    """

    def __init__(
        self,
        detail: str | Promise = "",
        *,
        retry_after: float | None = None,
        category: Category = Category.TRANSIENT,
        blameless: bool = False,
    ) -> None:
        self.detail = words(detail)
        super().__init__(self.detail)
        self.retry_after = retry_after
        self.category = category
        self.blameless = blameless


class Unclear(ProviderError):
    """The provider may have taken the message: it is never sent again blindly."""

    def __init__(self, detail: str | Promise = "") -> None:
        self.detail = words(detail)
        super().__init__(self.detail)


class Fault(enum.StrEnum):
    """Why a callback is refused, in the words all providers share."""

    UNSIGNED = "unsigned"  # it carries no proof at all
    SECRET = "secret"  # noqa: S105 (a kind of fault)
    ADDRESS = "address"
    CLOCK = "clock"
    CONTENT = "content"  # not what was signed
    OTHER_ACCOUNT = "other_account"
    METHOD = "method"  # signed in another way than the account is set up for
    INCOMPLETE = "incomplete"  # the account lacks what it would be checked with
    NO_ACCOUNT = "no_account"
    FORMAT = "format"  # authentic, but not readable
    UNKNOWN = "unknown"


class InvalidSignature(ProviderError):
    """A callback that does not prove where it comes from.

    `fault` decides what the administrator is advised to do; `reason` is shown beside it (never to the caller): missing
    header, wrong signature, outside the time window. It is a sentence that is worded when it is shown
    (intake/sentences.py), and must not contain any part of the payload.
    """

    def __init__(self, fault: Fault = Fault.SECRET, reason: str | Promise = "") -> None:
        reason = reason_of(reason or _("wrong signature"))
        super().__init__(reason)
        self.fault = Fault(fault)
        self.reason = reason


class Unreadable(ProviderError):
    """An authentic callback whose body cannot be read; `reason` names the field and what would be right.

    It is worded when it is shown; the provider is told in English.
    """

    fault: ClassVar[Fault] = Fault.FORMAT

    def __init__(self, reason: str | Promise) -> None:
        reason = reason_of(reason)
        super().__init__(reason)
        self.reason = reason
