"""What the simulator knows: accounts, the texts it accepted, and what is due to happen to them."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator import people, segments
from simulator.callbacks import Callbacks
from simulator.faults import Faults
from simulator.ledger import Ledger
from simulator.numbers import Ending, Fate, ending
from simulator.options import REPORT_ORDERS, Options
from simulator.wire import Draft

if TYPE_CHECKING:
    from simulator.providers.base import Provider


@dataclass(slots=True)
class Reporting:
    """How delivery reports are sent; times in seconds."""

    enabled: bool = True
    delay: float = 0.2
    copies: int = 1
    order: str = "right"

    def updated(self, values: dict[str, Any]) -> Reporting:
        """A copy with what the caller named. Raises ValueError for an unknown order."""
        order = values.get("order", self.order)
        if order not in REPORT_ORDERS:
            raise ValueError(f'"order" must be one of {", ".join(REPORT_ORDERS)}.')
        return Reporting(
            bool(values.get("enabled", self.enabled)),
            float(values.get("delay_ms", self.delay * 1000)) / 1000,
            int(values.get("copies", self.copies)),
            order,
        )


@dataclass(slots=True)
class Message:
    """A text the provider has accepted; `number` is its line in the ledger, `time` is Unix time."""

    number: int
    provider: str
    account: Account
    id: str
    to: str
    sender: str
    text: str
    reference: str
    segments: int
    time: float
    ending: Ending
    status_url: str = ""
    fate: Fate | None = None  # None = accepted, nothing more yet
    extra: dict[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "provider": self.provider,
            "account": self.account.id,
            "to": self.to,
            "sender": self.sender,
            "text": self.text,
            "reference": self.reference,
            "id": self.id,
            "segments": self.segments,
            "time": round(self.time, 6),
        }


@dataclass(frozen=True, slots=True)
class Heard:
    """A text that a person has written to a number of ours; `time` is Unix time."""

    number: str
    ours: str
    text: str
    time: float


MOST_HEARD = 5_000  # of one account: what people have written is told on their phones and nowhere else


@dataclass(slots=True)
class Account:
    """A customer's account at a provider. `credentials` hold whatever that provider asks for."""

    provider: str
    id: str
    credentials: dict[str, str] = field(default_factory=dict)
    registered: bool = False  # through the admin endpoint; else remembered from its first call
    reports_url: str = ""
    inbound_url: str = ""
    balance: float = 100.0
    suspended: bool = False
    rate: float | None = None  # messages per second, None = unlimited
    burst: float = 0.0  # messages at once; 0 = as many as a second's worth
    reporting: Reporting | None = None  # None = as the whole simulator
    settings: dict[str, Any] = field(default_factory=dict)  # what only one provider knows
    opted_out: set[str] = field(default_factory=set)  # by the provider's own stop-word handling
    messages: list[Message] = field(default_factory=list)
    sent_to: dict[str, list[Message]] = field(default_factory=dict)
    heard: deque[Heard] = field(default_factory=lambda: deque(maxlen=MOST_HEARD))
    stats: Stats = field(default_factory=lambda: Stats())
    _tokens: float = 0.0
    _filled_at: float = 0.0

    def take(self, count: int) -> float:
        """Take `count` messages from the allowance: 0, or the seconds to wait if there is none left."""
        if self.rate is None:
            return 0.0
        now = time.monotonic()
        full = self.burst or max(self.rate, 1.0)
        self._tokens = min(full, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._tokens < min(count, full):
            return (min(count, full) - self._tokens) / self.rate
        self._tokens -= count
        return 0.0

    def keep(self, message: Message) -> None:
        self.messages.append(message)
        self.sent_to.setdefault(message.to, []).append(message)

    def last_to(self, number: str) -> Message | None:
        """The newest text sent to this number."""
        messages = self.sent_to.get(number)
        return messages[-1] if messages else None

    def saved(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "id": self.id,
            "credentials": self.credentials,
            "registered": self.registered,
            "reports_url": self.reports_url,
            "inbound_url": self.inbound_url,
            "balance": self.balance,
            "suspended": self.suspended,
            "rate": self.rate,
            "burst": self.burst,
            "settings": self.settings,
            "opted_out": sorted(self.opted_out),
        }


class Stats:
    """Counts of one account or of everything."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget counts and peaks, not what is in flight."""
        self.counts.clear()
        self.in_flight = getattr(self, "in_flight", 0)
        self.in_flight_peak = self.in_flight
        self.per_second_peak = 0
        self._recent: deque[float] = deque()

    def enter(self) -> None:
        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def accept(self, count: int, now: float) -> None:
        self.counts["accepted"] += count
        self._recent.extend([now] * count)
        while self._recent[0] <= now - 1.0:
            self._recent.popleft()
        self.per_second_peak = max(self.per_second_peak, len(self._recent))

    def describe(self) -> dict[str, Any]:
        return {
            **dict(sorted(self.counts.items())),
            "accepted": self.counts["accepted"],
            "in_flight": self.in_flight,
            "in_flight_peak": self.in_flight_peak,
            "accepted_per_second_peak": self.per_second_peak,
        }


class World:
    """The state all providers share. Everything runs on one event loop, so nothing needs a lock."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.state_dir = options.state_dir or Path(tempfile.mkdtemp(prefix="simulator-"))
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(self.state_dir / "ledger.jsonl")
        # A restart must not hand out the ids of the run before, so the ledger's length is part of the seed.
        self.random = random.Random(f"{options.seed}/{len(self.ledger)}")  # noqa: S311
        self.faults = Faults()
        self.stats = Stats()
        self.callbacks = Callbacks(options)
        self.reporting = Reporting(
            options.reports, options.report_delay_ms / 1000, options.report_copies, options.report_order
        )
        self.accounts: dict[tuple[str, str], Account] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self._due = 0  # events arranged that have not happened
        self._load()

    # --- what survives a restart ----------------------------------------------------------------------------------

    def _load(self) -> None:
        path = self.state_dir / "accounts.json"
        for values in json.loads(path.read_text()) if path.exists() else []:
            account = Account(**{**values, "opted_out": set(values["opted_out"])})
            self.accounts[account.provider, account.id] = account
        for entry in self.ledger.entries():
            key = (entry["provider"], entry["account"])
            found = ending(entry["to"])
            message = Message(
                **{**entry, "account": self.accounts.setdefault(key, Account(*key))},
                ending=found,
                fate=found.fate if found.final_report else Fate.SENT,
            )
            self.messages[message.provider, message.id] = message
            message.account.keep(message)

    def save_accounts(self) -> None:
        path = self.state_dir / "accounts.json"
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps([account.saved() for account in self.accounts.values()]))
        draft.replace(path)

    # --- accounts -------------------------------------------------------------------------------------------------

    def account(self, provider: str, id: str) -> Account | None:
        return self.accounts.get((provider, id))

    def accounts_of(self, provider: str) -> list[Account]:
        return [account for account in self.accounts.values() if account.provider == provider]

    def add_account(self, account: Account) -> Account:
        self.accounts[account.provider, account.id] = account
        self.save_accounts()
        return account

    # --- texts ----------------------------------------------------------------------------------------------------

    def accept(self, provider: Provider, account: Account, drafts: list[Draft]) -> list[Message]:
        """Make the drafts messages: in the ledger, and their future arranged, before this returns."""
        if not drafts:
            return []
        now, number = time.time(), len(self.ledger)
        messages = []
        for draft in drafts:
            number += 1
            message = Message(
                number,
                provider.key,
                account,
                draft.id or provider.new_id(),
                draft.to,
                draft.sender,
                draft.text,
                draft.reference,
                draft.segments or segments.count(draft.text),
                now,
                draft.ending,
                draft.status_url,
                None,
                draft.extra,
            )
            messages.append(message)
        self.ledger.append([message.entry() for message in messages])
        for message in messages:
            self.messages[provider.key, message.id] = message
            account.keep(message)
        clock = time.monotonic()
        self.stats.accept(len(messages), clock)
        account.stats.accept(len(messages), clock)
        for message in messages:
            self._arrange(provider, message)
        return messages

    def _arrange(self, provider: Provider, message: Message) -> None:
        """Schedule the message's reports and the person's reply."""
        reporting = message.account.reporting or self.reporting
        if not reporting.enabled:
            return
        fates = provider.course(message)
        delays = [reporting.delay * (step + 1) for step in range(len(fates))]
        if message.ending.early:
            return
        if reporting.order == "reversed" or message.ending.reversed:
            delays.reverse()
        elif reporting.order == "shuffled":
            delays = [self.random.uniform(0, reporting.delay * (len(fates) + 1)) for _fate in fates]
        copies = max(reporting.copies, message.ending.copies)
        for fate, delay in zip(fates, delays, strict=True):
            self._later(delay, self.report, provider, message, fate, copies)
        if text := self._reply(message):
            delay, recipient = reporting.delay * (len(fates) + 1), provider.reply_address(message)
            self._later(delay, self.inbound, provider, message.account, message.to, recipient, text)

    @staticmethod
    def _reply(message: Message) -> str:
        """What the person writes back; "" for nothing."""
        if not message.ending.answers:
            return message.ending.reply
        is_first = len(message.account.sent_to[message.to]) == 1
        return people.NO_ANSWER if is_first and message.ending.hesitates else people.answer(message.text)

    def _later(self, delay: float, event: Callable[..., object], *arguments: object) -> None:
        self._due += 1
        asyncio.get_running_loop().call_later(delay, self._happen, event, arguments)

    def _happen(self, event: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self._due -= 1
        event(*arguments)

    @property
    def pending(self) -> int:
        """Events that are still to come and callbacks that are under way: at 0, nothing more will be said."""
        return self._due + self.callbacks.pending

    def report_early(self, provider: Provider, messages: list[Message]) -> list[asyncio.Task[None]]:
        """Report now, before the answer, what asked for it; the callbacks under way."""
        early = [message for message in messages if message.ending.early]
        return [
            task
            for message in early
            if (message.account.reporting or self.reporting).enabled
            for fate in provider.course(message)
            for task in self.report(provider, message, fate)
        ]

    def report(self, provider: Provider, message: Message, fate: Fate, copies: int = 1) -> list[asyncio.Task[None]]:
        """Let this happen to the message now, and tell the product; the callbacks under way."""
        if message.fate in (None, Fate.QUEUED, Fate.SENT):  # what is final stays, whatever comes late
            message.fate = fate
        return [
            self.callbacks.send(provider, message.account, outgoing)
            for outgoing in provider.reports(message, fate)
            for _copy in range(copies)
        ]

    def inbound(self, provider: Provider, account: Account, sender: str, recipient: str, text: str) -> list[str]:
        """A person writes to the account; the ids of the texts, [] where no URL is known to tell the product."""
        provider.hear(account, sender, text)
        account.heard.append(Heard(sender, recipient, text, time.time()))
        outgoing = provider.inbound(account, sender, recipient, text)
        if not outgoing:
            account.stats.counts["inbound_without_url"] += 1
        for _id, request in outgoing:
            self.callbacks.send(provider, account, request)
        return [id for id, _request in outgoing]

    def close(self) -> None:
        self.save_accounts()
        self.ledger.close()
