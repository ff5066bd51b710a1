"""The words that all providers share: what became of a text, why not, and how a callback proves where it comes from."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

T = TypeVar("T")

Kind = Literal["status", "message"]  # the route of a callback: delivery reports or inbound messages


class Delivery(enum.StrEnum):
    """What became of a message, in the words all providers share."""

    QUEUED = "queued"  # the provider has it
    SENT = "sent"  # handed to the carrier
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # the carrier gave up
    FAILED = "failed"  # the provider refused it after accepting the call
    EXPIRED = "expired"
    READ = "read"
    UNKNOWN = "unknown"  # a word we do not know: kept, changes nothing


FAILURES = frozenset({Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED})
GOOD = frozenset({Delivery.QUEUED, Delivery.SENT, Delivery.DELIVERED, Delivery.READ})


class Category(enum.StrEnum):
    """Why something went wrong, in the words all providers share; docs/providers/ has their own errors beside them."""

    NONE = ""
    AUTH_FAILED = "auth_failed"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INVALID_RECIPIENT = "invalid_recipient"
    OPTED_OUT = "opted_out"
    INVALID_SENDER = "invalid_sender"
    RATE_LIMITED = "rate_limited"
    REJECTED_CONTENT = "rejected_content"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


def by_code(codes: Mapping[Category, Iterable[T]]) -> dict[T, Category]:
    """A table of error codes, from the codes of each category."""
    return {code: category for category, those in codes.items() for code in those}


class WebhookCheck(enum.StrEnum):
    """How a callback proves where it comes from, strongest first."""

    SIGNATURE = "signature"
    BASIC = "basic"
    SECRET_URL = "secret_url"  # noqa: S105 (a kind of check, not a secret)
