"""What the API tells of an account, and what an account can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extensions.contract.calls import ApiRequest, ApiResponse
from extensions.contract.lengths import ID_LENGTHS, SHORT_WORDS, words
from extensions.senders import Text
from intake.text import fitted


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of a credential check: `detail` is a sentence for the administrator, `warnings` are more of them.

    `is_open` says of one that is not ok that the answer does not tell: the credentials may be good all the same.
    """

    ok: bool
    detail: Text
    warnings: Sequence[Text] = ()
    is_open: bool = False

    def __post_init__(self) -> None:
        kept = words(str(self.detail))
        if kept != str(self.detail):  # else it stays the sentence that it is, and is worded where it is shown
            object.__setattr__(self, "detail", kept)


def failed_check(response: ApiResponse, sentences: Mapping[int, Text], otherwise: Text, detail: str = "") -> Check:
    """A check that was not answered as hoped: the sentence of the answer's status, with `detail` in it."""
    sentence = sentences.get(response.status, otherwise)
    return Check(False, sentence % {"detail": detail} if detail else sentence)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and its life in seconds."""

    value: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an account with this sender can do; shown before it is saved."""

    two_way: bool
    stop_words_reach_us: bool
    delivery_reports: bool = True


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """A sender that the account has at the provider, as `clean_sender` takes it; `about` is a name or a country."""

    sender: str
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sender", fitted(self.sender, ID_LENGTHS["sender"]))
        object.__setattr__(self, "about", fitted(self.about, SHORT_WORDS))


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on the account, and in which currency or unit; "" where the provider does not say."""

    amount: float
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", fitted(self.unit, SHORT_WORDS))


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """A webhook that would be written at the provider: a sentence that says what changes, and the call that does it."""

    what: Text
    request: ApiRequest
