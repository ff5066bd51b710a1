"""The crew: the pumps of one process, which send for many accounts side by side on one event loop."""

from __future__ import annotations

import asyncio
import logging
import time

from django.db import InterfaceError, OperationalError

from distributions.engine import due, outbox, worker_process
from distributions.engine.pump import LONGEST, LOOK_EVERY, Pump
from distributions.engine.worker_process import LANES, WorkerProcess, stopping

logger = logging.getLogger(__name__)

RENEW_EVERY = outbox.SLOT_LEASE / 4
RETRY_AFTER = 1.0  # seconds before an account is tried again that two processes were pumping already


def serve(account_id: int) -> list[int]:
    """Pump an account, and beside it whichever others are due or become so; returns those that may have more to do.

    Raises what the first account's pump raised, once the others have ended.
    """
    here = worker_process.current()
    return here.runner.run(Crew(here).run(account_id))


class Crew:
    """The pumps of one process. Each has its own pace, window and breaker, and ends by itself."""

    def __init__(self, here: WorkerProcess) -> None:
        self.process = here
        self.ends_at = time.monotonic() + LONGEST
        self.lanes: dict[int, asyncio.Task[bool]] = {}
        self.pumps: dict[int, Pump] = {}  # of the lanes
        self.renew_at = time.monotonic() + RENEW_EVERY
        self.more: set[int] = set()
        self.not_before: dict[int, float] = {}  # monotonic seconds

    async def run(self, account_id: int) -> list[int]:
        self.start(account_id)
        first = self.lanes[account_id]
        pause = LOOK_EVERY / 2  # whoever was rung for at the same time waits behind this task
        while self.lanes:
            await asyncio.wait(self.lanes.values(), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            self.collect()
            worker_process.turn()
            await self.renew()
            if self.lanes and len(self.lanes) < LANES and time.monotonic() < self.ends_at and not stopping.value:
                await self.look()
            # One account alone mostly sends as fast as it can, and every statement is counted there.
            pause = LOOK_EVERY if len(self.lanes) > 1 else 2 * LOOK_EVERY
        if error := first.exception():
            raise error
        return sorted(self.more)

    def start(self, account_id: int) -> None:
        self.more.discard(account_id)
        pump = Pump(account_id, self.process, company=self.lanes.keys(), ends_at=self.ends_at)
        self.pumps[account_id] = pump
        self.lanes[account_id] = asyncio.create_task(pump.run())

    def collect(self) -> None:
        """Note what the pumps that have ended said."""
        for account_id, lane in [(key, lane) for key, lane in self.lanes.items() if lane.done()]:
            del self.lanes[account_id], self.pumps[account_id]
            self.not_before[account_id] = time.monotonic() + RETRY_AFTER
            if error := lane.exception():
                logger.error("The pump of account %s broke.", account_id, exc_info=error)
            elif lane.result():
                self.more.add(account_id)

    async def renew(self) -> None:
        """Keep the worker slots of all lanes; a pump that has lost its own, having stood still, ends."""
        open_ones = {pump.holder: pump for pump in self.pumps.values() if pump.has_slot}
        if not open_ones or time.monotonic() < self.renew_at:
            return
        self.renew_at = time.monotonic() + RENEW_EVERY
        loop = asyncio.get_running_loop()
        try:
            kept = await loop.run_in_executor(self.process.threads[-1], outbox.renew_slots, list(open_ones))
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away: %s", error)
            return
        for holder, pump in open_ones.items():
            pump.has_slot = holder in kept

    async def look(self) -> None:
        """Start pumps for accounts that have become due."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self.process.threads[-1], due.accounts_due)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away: %s", error)  # the pumps have more patience
            return
        now = time.monotonic()
        for account_id in found:
            if len(self.lanes) < LANES and account_id not in self.lanes and self.not_before.get(account_id, 0) <= now:
                self.start(account_id)
