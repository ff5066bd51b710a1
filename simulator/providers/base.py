"""What every simulated provider has in common."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from simulator.callbacks import Plan, doubling
from simulator.numbers import Ending, Fate, ending, ending_with
from simulator.wire import Answer, Call, Outgoing, Submission
from simulator.world import Account, Message, World

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "REVOKE", "OPTOUT", "CANCEL"})
START_WORDS = frozenset({"START", "UNSTOP"})

_OPTED_OUT = ending_with(Fate.OPTED_OUT)
_NO_CREDIT = ending_with(Fate.NO_CREDIT)


class Provider:
    """One provider's side of the wire; subclasses hold its words and shapes, `world` holds its memory."""

    key: ClassVar[str]
    success_status: ClassVar[int] = 200  # of an accepted send
    tells_wait: ClassVar[bool] = False  # its 429 carries Retry-After
    handles_stop: ClassVar[bool] = False  # a STOP makes it refuse further texts to the person
    credential_fields: ClassVar[Sequence[str]] = ()  # what POST /_/accounts must name
    example: ClassVar[Mapping[str, str]] = {}  # an account form's values that are served here, the sender among them
    settings: ClassVar[Mapping[str, str]] = {}  # what an account's `settings` may change here, and how

    def __init__(self, world: World) -> None:
        self.world = world

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        """The answer to a call, or a valid send that is not accepted yet. Raises BadRequest."""
        raise NotImplementedError

    def unreadable(self, detail: str) -> Answer:
        """The answer to a body that cannot be read."""
        raise NotImplementedError

    def unauthorised(self) -> Answer:
        raise NotImplementedError

    def throttled(self, wait: float | None) -> Answer:
        """HTTP 429; `wait` is in seconds, None = without Retry-After."""
        raise NotImplementedError

    def over_rate(self, submission: Submission, wait: float) -> Answer:
        """The answer to a send above the account's rate."""
        return self.throttled(math.ceil(wait) if self.tells_wait else None)

    def broken(self, status: int) -> Answer:
        """HTTP 5xx."""
        raise NotImplementedError

    # --- accounts -------------------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        """What names the account in ledger and stats; never a secret."""
        raise NotImplementedError

    def published(self) -> dict[str, str]:
        """What the provider shows a customer for the product's form, such as a public key."""
        return {}

    def known(self, call: Call, id: str, **credentials: str) -> Account | None:
        """The account with this id; without --strict, one that calls for the first time is remembered.

        None where there is none, or where the call names no id or leaves a credential out.
        """
        if not id or not all(credentials.values()):
            return None
        account = self.world.account(self.key, id)
        if account is None and not self.world.options.strict:
            account = self.world.add_account(Account(self.key, id, credentials))
        elif account and not account.credentials:  # known from the ledger of an earlier run only
            account.credentials.update(credentials)
        call.account = account
        return account

    def numbers(self, account: Account) -> list[str]:
        """The numbers that the account owns, in E.164: those of its setting "numbers", else that of the example."""
        owned = account.settings.get("numbers")
        return [plus(digits(str(number))) for number in owned or [self.example["sender"]]]

    # --- ids ------------------------------------------------------------------------------------------------------

    def hex(self, digits: int) -> str:
        return f"{self.world.random.getrandbits(digits * 4):0{digits}x}"

    def uuid(self) -> str:
        digits = self.hex(32)
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def new_id(self) -> str:
        raise NotImplementedError

    # --- what happens to a text -----------------------------------------------------------------------------------

    def course(self, message: Message) -> list[Fate]:
        """What happens to an accepted text, in order."""
        ending = message.ending
        fates = [Fate.SENT] if ending.sent_report else []
        return [*fates, ending.fate] if ending.final_report else fates

    def reports(self, message: Message, fate: Fate) -> Iterable[Outgoing]:
        """The delivery reports of one event, unsigned; none where the product gave no URL."""
        raise NotImplementedError

    def reply_address(self, message: Message) -> str:
        """Where a person's reply to this message goes."""
        return message.sender

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        """A person's text as (id, unsigned callback); several where it arrives in parts, [] without a URL."""
        raise NotImplementedError

    def hear(self, account: Account, sender: str, text: str) -> None:
        """The provider's own stop-word handling."""
        word = text.strip().upper()
        if self.handles_stop and word in STOP_WORDS:
            account.opted_out.add(sender)
        elif self.handles_stop and word in START_WORDS:
            account.opted_out.discard(sender)

    def ending(self, account: Account, to: str) -> Ending:
        """What a text to this number meets: the account's own state comes before the magic digits."""
        if account.balance <= 0:
            return _NO_CREDIT
        if to in account.opted_out:
            return _OPTED_OUT
        return ending(to)

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """When callbacks to this URL are repeated."""
        return Plan(doubling(60, 3600, 24 * 3600))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """The callback as it is sent now; every attempt is signed anew. `attempt` counts from 0."""
        raise NotImplementedError

    def taken(self, account: Account, status: int, body: bytes) -> bool:
        """Whether the product's answer ends the repeats."""
        return 200 <= status < 300

    def forger(self, account: Account) -> Account:
        """The account as a forger knows it: everything but the secrets."""
        return dataclasses.replace(
            account, credentials={name: f"{value}-forged" for name, value in account.credentials.items()}
        )


def fingerprint(secret: str) -> str:
    """A name for an account whose only name is its key."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def plus(digits: str) -> str:
    """E.164 with a plus, from digits with or without it."""
    return digits if digits.startswith("+") else f"+{digits}"


def digits(number: str) -> str:
    return number.removeprefix("+")


def jwt(secret: str, claims: dict[str, object]) -> str:
    """A JSON Web Token, HS256."""

    def encoded(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = b".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return (signed + b"." + encoded(hmac.digest(secret.encode(), signed, "sha256"))).decode()


def basic(user: str, password: str) -> str:
    """The value of a Basic Authorization header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def stamp(moment: float, pattern: str) -> str:
    """UTC, with strftime's pattern."""
    return time.strftime(pattern, time.gmtime(moment))


def iso_ms(moment: float, suffix: str) -> str:
    """ISO 8601 in milliseconds, UTC; the suffix is the provider's way to say so."""
    return f"{stamp(moment, '%Y-%m-%dT%H:%M:%S')}.{int(moment * 1000) % 1000:03d}{suffix}"
