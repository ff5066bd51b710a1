"""One text on its way: ours, what its provider says of it, and a person's to us."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from extensions.contract.lengths import MOST_PARTS, MOST_SEGMENTS, fit
from extensions.contract.vocabulary import Category, Delivery
from intake.text import storable


@dataclass(frozen=True, slots=True)
class OutboundSms:
    """One message to send.

    `to` is E.164 with a plus; `text` is what the person reads; `reference` is our own id, always unique, at most 20
    characters of [A-Za-z0-9]; `status_url` is the public URL for this provider's delivery reports, without query;
    `validity` is how long the provider may keep trying. `repeated` means that an earlier attempt may have been taken:
    only then is "duplicate" proof that it was. `attempted_at` is when the attempt began that is being looked up.
    """

    to: str
    text: str
    reference: str = ""
    status_url: str = ""
    sender: str = ""
    validity: timedelta = timedelta(hours=48)
    repeated: bool = False
    attempted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendResult:
    """The provider has the message. `segments` is None where the provider does not say."""

    message_id: str
    segments: int | None = None
    status: Delivery = Delivery.QUEUED

    def __post_init__(self) -> None:
        fit(self, "message_id")
        if self.segments is not None and not 0 <= self.segments <= MOST_SEGMENTS:
            object.__setattr__(self, "segments", None)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What the provider says happened to a message.

    `reference` is our id, as the provider echoes it: a report without it finds a test message, but no text. Where a
    provider reports every part of a long text on its own, `part` names the part ("" = the whole message) and `parts`
    says how many there are, if the provider does.
    `blocked` is as in `Refused`.
    """

    message_id: str
    reference: str = ""
    status: Delivery = Delivery.UNKNOWN
    category: Category = Category.NONE
    error: str = ""
    part: str = ""
    parts: int | None = None
    blocked: bool = False

    def __post_init__(self) -> None:
        fit(self, "message_id", "reference", "error", "part")


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the provider knows of one message of ours: not found means that it was never accepted."""

    found: bool
    message_id: str = ""
    status: Delivery = Delivery.QUEUED
    category: Category = Category.NONE
    error: str = ""

    def __post_init__(self) -> None:
        fit(self, "message_id", "error")


@dataclass(frozen=True, slots=True)
class InboundSms:
    """An SMS from a person to us.

    `message_id` is the provider's id and never comes twice for two texts; "" where the provider gives none, so that
    the callback's own key has to stand in. `sender` and `recipient` are E.164 with a plus if they are numbers
    (`senders.e164`); short codes and names are as the provider writes them. `in_reply_to` is the provider's id of our
    message where it says which one was answered. `opt_out` is True or False where the provider says that the text was
    an opt-out or an opt-in keyword, None where it leaves that to us. A long text that arrives in parts carries
    `concat_ref`, `concat_part`
    (from 1) and `concat_total`; 0 means it is whole.
    """

    message_id: str
    sender: str
    recipient: str
    text: str
    in_reply_to: str = ""
    opt_out: bool | None = None
    concat_ref: str = ""
    concat_part: int = 0
    concat_total: int = 0

    def __post_init__(self) -> None:
        fit(self, "message_id", "sender", "recipient", "in_reply_to", "concat_ref")
        text = storable(self.text)
        if text != self.text:
            object.__setattr__(self, "text", text)
        if self.concat_total and not 1 <= self.concat_part <= self.concat_total <= MOST_PARTS:
            for name, whole in (("concat_ref", ""), ("concat_part", 0), ("concat_total", 0)):
                object.__setattr__(self, name, whole)
