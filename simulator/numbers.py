"""Magic numbers: the last four digits of a recipient decide what becomes of the text, the same for all providers.

`README.md` shows the table; a test checks that it is this one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Fate(enum.StrEnum):
    """What happens to a text, before a provider puts it into its own words."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # the handset was absent
    FAILED = "failed"
    EXPIRED = "expired"
    INVALID_NUMBER = "invalid number"
    OPTED_OUT = "opted out"
    LANDLINE = "landline"
    NO_CREDIT = "no credit"
    SENDER_REFUSED = "sender refused"
    CONTENT_REFUSED = "content refused"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a recipient number asks for."""

    digits: str
    meaning: str
    fate: Fate = Fate.DELIVERED
    sent_report: bool = True
    final_report: bool = True
    early: bool = False  # the reports come before the answer
    copies: int = 1  # of each report
    reversed: bool = False  # the final report comes first
    reply: str = ""
    answers: bool = False  # replies to every question (simulator/people.py)
    hesitates: bool = False  # the first reply is not an answer
    slow: bool = False
    fault: str = ""  # a kind of simulator.faults, on every attempt


DELIVERED = Ending("", "delivered", Fate.DELIVERED)

ENDINGS = {
    ending.digits: ending
    for ending in (
        Ending("9900", "delivered"),
        Ending("9901", "undelivered: the handset is absent", Fate.UNDELIVERED),
        Ending("9902", "accepted, failed later", Fate.FAILED),
        Ending("9903", "expired", Fate.EXPIRED),
        Ending("9904", "refused: invalid number", Fate.INVALID_NUMBER),
        Ending("9905", "refused: the person opted out at the provider", Fate.OPTED_OUT),
        Ending("9906", "unreachable: a landline", Fate.LANDLINE),
        Ending("9907", "sent, but no final report", final_report=False),
        Ending("9908", "delivered; the reports come before the answer", early=True),
        Ending("9909", "delivered; every report comes three times", copies=3),
        Ending("9910", 'delivered; the person replies "Yes"', reply="Yes"),
        Ending("9911", 'delivered; the person replies "STOP"', reply="STOP"),
        Ending("9912", "delivered; the answer is slow", slow=True),
        Ending("9913", "delivered; the final report comes first", reversed=True),
        Ending("9914", "accepted, but no report at all", sent_report=False, final_report=False),
        Ending("9915", "refused: the account has no credit", Fate.NO_CREDIT),
        Ending("9916", "refused: the sender is not allowed", Fate.SENDER_REFUSED),
        Ending("9917", 'delivered; the person replies "9"', reply="9"),
        Ending("9918", "refused: the text is not allowed", Fate.CONTENT_REFUSED),
        Ending("9920", "accepted, then the connection drops", fault="accept_drop"),
        Ending("9921", "accepted, then HTTP 500", fault="accept_500"),
        Ending("9922", "accepted, then an unreadable answer", fault="accept_garbage"),
        Ending("9923", "accepted, then no answer at all", fault="accept_hang"),
        Ending("9930", "delivered; the person answers every question", answers=True),
        Ending("9931", "delivered; the first reply is not an answer, then as 9930", answers=True, hesitates=True),
    )
}


def ending(number: str) -> Ending:
    """What this recipient asks for: delivered unless its last four digits are in the table."""
    return ENDINGS.get(number[-4:], DELIVERED)


def ending_with(fate: Fate) -> Ending:
    """The first ending in the table with this fate: for what a provider finds out by itself."""
    return next(found for found in ENDINGS.values() if found.fate is fate)
