"""Callbacks to the product: signed, and repeated as each provider repeats them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.caller import Caller, NoAnswer, NotConnected
from simulator.options import Options
from simulator.wire import Outgoing

if TYPE_CHECKING:
    from simulator.providers.base import Provider
    from simulator.world import Account


@dataclass(frozen=True, slots=True)
class Plan:
    """When a provider repeats a callback that was not taken.

    `pauses` are in seconds, one per repeat; `on` names what is repeated: "ct" (no connection), "rt" (no answer in
    time, or a broken connection), "3xx", "4xx", "429", "5xx", "unacknowledged" (2xx, but not what the provider wants).
    """

    pauses: tuple[float, ...]
    on: Set[str] = frozenset({"ct", "rt", "3xx", "4xx", "429", "5xx", "unacknowledged"})
    read_timeout: float = 15.0
    connect_timeout: float = 5.0


def doubling(first: float, last: float, total: float) -> tuple[float, ...]:
    """Pauses that double from `first` up to `last` until they add up to `total`; seconds."""
    pauses, pause, elapsed = [], first, 0.0
    while elapsed < total:
        pauses.append(pause)
        elapsed += pause
        pause = min(pause * 2, last)
    return tuple(pauses)


MINIMUM_PAUSE = 0.05  # seconds, after scaling
PATIENT_PAUSE = 1.0  # seconds between repeats beyond the provider's plan (--retry-for-s)


class Callbacks:
    """Sends callbacks in the background and counts what becomes of them."""

    def __init__(self, options: Options) -> None:
        self.scale = options.retry_scale
        self.patience = options.retry_for_s
        self.counts: Counter[str] = Counter()
        self._caller = Caller(options.callback_connections)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._caller.close()

    def send(self, provider: Provider, account: Account, outgoing: Outgoing) -> asyncio.Task[None]:
        """Deliver in the background, with repeats."""
        task = asyncio.get_running_loop().create_task(self._deliver(provider, account, outgoing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, provider: Provider, account: Account, outgoing: Outgoing) -> None:
        plan = provider.plan(account, outgoing.url)
        pauses = [max(pause * self.scale, MINIMUM_PAUSE) for pause in plan.pauses]
        deadline = time.monotonic() + self.patience
        attempt = 0
        while True:
            outcome, status, body = await self.attempt(provider.sign(account, outgoing, attempt), plan)
            if outcome == "2xx" and not provider.taken(account, status, body):
                outcome = "unacknowledged"
            self.counts[outcome] += 1
            account.stats.counts[f"callbacks_{outcome}"] += 1
            if outcome == "2xx":
                return
            if outcome in plan.on and attempt < len(pauses):
                pause = pauses[attempt]
            elif time.monotonic() < deadline:
                pause = PATIENT_PAUSE
            else:
                self.counts["given_up"] += 1
                account.stats.counts["callbacks_given_up"] += 1
                return
            self.counts["repeated"] += 1
            attempt += 1
            await asyncio.sleep(pause)

    async def attempt(self, outgoing: Outgoing, plan: Plan) -> tuple[str, int, bytes]:
        """One request as it is: its outcome in the words of `Plan.on` (or "2xx"), the status and the answer's body."""
        try:
            response = await self._caller.call(
                outgoing, connect_timeout=plan.connect_timeout, total_timeout=plan.read_timeout
            )
        except NotConnected:
            return "ct", 0, b""
        except NoAnswer:
            return "rt", 0, b""
        outcome = "429" if response.status == 429 else f"{response.status // 100}xx"
        return outcome, response.status, response.body
