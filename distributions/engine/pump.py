"""The pump: sends what is due through one account; crew.py has those of several accounts work side by side.

The rows are the queue. A pump takes a worker slot, claims chunks, marks messages in small groups, keeps the account's
number of requests in flight on kept-alive connections and writes the results in groups from its own database thread. If
its process dies, what was marked becomes uncertain and everything else is sent by the next pump.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError

from contacts.models import OptOut
from contacts.opt_outs import opt_out
from distributions.engine import due, identity, outbox, outcomes, quiet
from distributions.engine.outbox import Change, Claim, Marked
from distributions.engine.outcomes import Kind, Outcome
from distributions.engine.pacing import Pace, reserve
from distributions.engine.throttling import NO_TIME_NAMED, Throttle
from distributions.engine.turns import Turns
from distributions.engine.work import Halt, Job, Result, Work, clock
from distributions.engine.worker_process import WorkerProcess, stopping
from distributions.models import MessageEvent
from distributions.states import REPEATED, Status
from extensions import categories, health, tokens
from extensions.contract import (
    Category,
    NotTaken,
    OutboundSms,
    Provider,
    ProviderError,
    Refused,
    SenderKind,
    SendResult,
    Unclear,
)
from extensions.models import WORKER_SLOTS, ProviderAccount, UnreadableCredentials
from extensions.webhook_urls import webhook_url
from intake.sentences import said as _
from organizations.clock import later
from organizations.models import Organization

logger = logging.getLogger(__name__)
T = TypeVar("T")

TICK = 0.005  # seconds between looks at the window
LEAD = 0.15  # seconds before they may leave that messages are marked: the database must not make them late
WRITE_EVERY = 0.15  # seconds a result waits for company at the most
LONGEST = 60.0  # seconds a process goes on pumping before other tasks have their turn
LOOK_EVERY = 0.5  # seconds between looks for accounts that have become due
LOOK_IN_EVERY = 1.0  # seconds between looks for replies and newcomers while there is enough in hand
IN_HAND = 8  # distributions that are sent in turns
REPLIES = 16  # chunks that are claimed at once: each is one text
LOCKED_FOR = 0.5  # seconds before a chunk is looked at again of which somebody else holds all messages
MARGIN = 5.0  # seconds between the last request of a chunk and the end of its lease, beside the request's own
SENDER_REFUSALS = 10  # in a row: then it is the account's sender, not one message
HOLD = 5.0  # seconds that a text waits here for its turn after "too many requests"; longer ones go back to the database
PATIENCE = 45.0  # seconds to hold results while the database is away; the lease outlasts it

TO_STATUS = {
    Kind.ACCEPTED: Status.ACCEPTED,
    Kind.REFUSED: Status.FAILED,
    Kind.NOT_TAKEN: Status.QUEUED,
    Kind.ACCOUNT: Status.QUEUED,
    Kind.UNCLEAR: Status.UNCERTAIN,
}


def markable_for() -> float:
    """Seconds after its claim in which a chunk's messages may be marked: their requests end before its lease does."""
    return float(max(settings.SEND_SLICE, settings.SEND_LEASE - settings.SEND_TIMEOUT - MARGIN))


def ahead() -> float:
    """Seconds ahead for which places in the rate are reserved.

    A long text of a slow account takes minutes of its rate: who had reserved them all would be over, or have lost the
    chunk, before they begin.
    """
    return max(2 * LEAD, markable_for() / 5)


@dataclass
class Pump:
    """One bounded run for one account."""

    account_id: int
    process: WorkerProcess
    company: Collection[int] = ()  # the accounts that are pumped in this process, this one included
    ends_at: float = 0.0  # monotonic seconds; 0 = after LONGEST
    holder: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(6)}")
    has_slot: bool = False
    is_first: bool = False  # known to have the account's first slot
    turns: Turns = field(default_factory=Turns)
    again: bool = False  # something was given back that may go at once
    works: list[Work] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    halt: Halt = field(default_factory=Halt)
    sender_refusals: int = 0
    failures: int = 0
    paused_until: float = 0.0  # monotonic seconds
    segments: dict[int, int] = field(default_factory=dict)  # of the messages in flight
    unmarked: set[int] = field(default_factory=set)  # chunks of which nothing could be marked the last time
    renew_token: bool = False
    met_a_limit: bool = False  # a text was answered "too many requests"
    rate_fell: bool = False  # and the other pumps have not been told yet
    draining: bool = False
    closing: bool = False
    urls: dict[str, str] = field(default_factory=dict)

    # --- the story ----------------------------------------------------------------------------------------------

    async def run(self) -> bool:
        if not await self.db(self.open):
            return False
        self.ready: asyncio.Queue[Job] = asyncio.Queue()
        senders = [asyncio.create_task(self.send_jobs()) for _number in range(self.width)]
        writer = asyncio.create_task(self.write_results())
        try:
            try:
                more = await self.feed()
            except (OperationalError, InterfaceError):
                logger.warning("The database is away; what is in flight is still written down.")
                more = True
            except Exception:  # a fault of ours, or one row's: this account pauses, what is in flight comes back
                logger.exception("Account %s: sending broke", self.account_id)
                self.halt = Halt(
                    _("an error in Switchboard"), until=time.monotonic() + health.backoff(self.account.state.failures)
                )
                more = False
            await self.drain()
        finally:
            for task in senders:
                task.cancel()
            self.closing = True  # the writer ends by itself: cut off, it could leave a chunk leased that is done
            await asyncio.gather(*senders, writer, return_exceptions=True)
            with contextlib.suppress(OperationalError, InterfaceError):  # the leases run out; nothing is sent twice
                await self.write_all()
                await self.db(self.close)
        return more or (self.again and not self.halt.reason)

    def open(self) -> bool:
        """Take a worker slot and open the account; False if there is nothing to do here now."""
        if stopping.value:
            return False
        usable = ProviderAccount.objects.usable().select_related("organization", "state")
        account = usable.filter(pk=self.account_id).first()
        if account is None or not health.may_send(account) or identity.says_held():
            return False
        if not outbox.take_slot(self.account_id, self.holder, first=account.state.throttled_rate is not None):
            return False
        self.has_slot = True
        quiet.postpone(account)
        self.account = account
        try:
            self.provider: Provider = account.open(tokens.token_for(account))
        except ProviderError as error:
            level = logging.ERROR if isinstance(error, UnreadableCredentials) else logging.WARNING
            logger.log(level, "%s cannot send now: %s", account.public_id, type(error).__name__)
            if isinstance(error, Refused):
                health.stop(account, categories.kept(error.category, error.detail))
            else:
                health.trip(account, later(health.backoff(account.state.failures)))
            outbox.leave_slot(self.account_id, self.holder)
            self.has_slot = False
            return False
        in_flight = account.state.max_in_flight or settings.SEND_CONCURRENCY or self.provider.max_in_flight
        self.width = max(1, in_flight // WORKER_SLOTS)
        rate = account.state.messages_per_second or self.provider.rate(SenderKind(account.sender_kind))
        learned = account.state.throttled_rate
        self.throttle = Throttle(rate, learned, time.monotonic(), pumps=WORKER_SLOTS)
        self.known_rate = learned  # what the account's row says
        self.pace = Pace(self.throttle.rate)
        # Small enough that a crash leaves at most twice the requests in flight uncertain, large enough that the
        # database hears of a message about 0.04 times.
        self.mark_group = max(self.provider.batch_size, min(64, max(4, self.width * 4 // 5)))
        self.write_group = min(128, max(4, self.width))
        self.ends_at = self.ends_at or time.monotonic() + LONGEST
        self.stop_at = time.monotonic() + settings.SEND_SLICE
        self.look_in_at = time.monotonic() + LOOK_IN_EVERY
        return True

    async def feed(self) -> bool:
        """Claim, mark and hand over until nothing is due, the time is up or the account must pause."""
        while not self.halt.reason and not await self.time_is_up():
            if (pause := self.paused_until - time.monotonic()) > 0:
                await self.wait(pause)
                continue
            self.throttle.rise(time.monotonic())
            self.pace.rate = self.throttle.rate
            for held in self.works:
                held.take_up_held()
            in_line = [work for work in self.works if work.queued]
            if in_line and time.monotonic() > self.look_in_at:
                self.works += await self.db(partial(self.claim_more, in_line))
                in_line = [work for work in self.works if work.queued]
            if not in_line:
                claimed = await self.db(self.claim_more)
                self.works += claimed
                await self.finish_works()
                if not claimed:
                    # What is given back in a moment is claimed again at once.
                    if not any(
                        work.held or (work.in_flight and (work.unfinished or self.met_a_limit)) for work in self.works
                    ):
                        return False
                    await self.wait(LOOK_EVERY / 4)
                continue
            first = min(work.claim.priority for work in in_line)
            work = self.turns.next([work for work in in_line if work.claim.priority == first])
            if time.monotonic() > work.stop_marking_at:
                work.leave_rest()  # given back when its last request is answered; claimed anew
                continue
            self.turns.served(work)
            await self.mark_next(work)
            while self.waiting * 2 >= self.mark_group and not self.halt.reason and not stopping.value:
                await asyncio.sleep(TICK)
        return not self.halt.reason

    async def time_is_up(self) -> bool:
        """Whether others must have their turn; while nobody waits, the window stays full."""
        if stopping.value or not self.has_slot:
            return True
        now = time.monotonic()
        if now < self.stop_at:
            return False
        if now > self.ends_at or await self.db(self.others_wait):
            return True
        self.stop_at = now + settings.SEND_SLICE
        return False

    def others_wait(self) -> bool:
        mine = {self.account_id, *self.company}
        return any(account_id not in mine for account_id in due.accounts_due())

    @property
    def waiting(self) -> int:
        """Messages marked and in line, whose request has not left yet."""
        return self.ready.qsize() * self.provider.batch_size

    async def mark_next(self, work: Work) -> None:
        """Mark the next group and put it in line, each message at its place in the account's rate."""
        size = self.mark_group if self.pace.rate >= self.mark_group else max(1, int(self.pace.rate))
        group = [work.queued.popleft() for _number in range(min(size, len(work.queued)))]
        work.in_flight += len(group)
        segments = {message_id: max(1, count) for message_id, count in group}
        self.segments.update(segments)
        try:
            needed = self.pace.needs(sum(segments.values()))
            if needed and (pause := await self.reserve(needed)):
                work.queued.extendleft(reversed(group))
                work.in_flight -= len(group)
                await self.wait(min(pause, ahead()))
                return
            if (early := self.pace.starts_in() - LEAD) > 0:
                await self.wait(early)  # marked only when they may leave: what waits is not at risk
            if stopping.value or clock() > work.leave_before:
                work.queued.extendleft(reversed(group))
                work.in_flight -= len(group)
                work.leave_rest()
                return
            ids, chunk_id = [message_id for message_id, _count in group], work.claim.chunk_id
            marked = await self.db(lambda: outbox.mark(ids, self.account_id, chunk_id=chunk_id, holder=self.holder))
        except Exception:
            work.abandoned = True
            work.leave_rest()
            work.in_flight -= len(group)
            raise
        work.in_flight -= len(group) - len(marked)
        if len(marked) < len(group):  # paused, cancelled, opted out or locked: the chunk is read again
            work.unfinished = True
            if not await self.db(self.is_usable):
                self.withdraw()
        if not marked:
            if chunk_id in self.unmarked:  # the second time: somebody else holds its messages
                work.postpone(time.monotonic() + LOCKED_FOR)
            self.unmarked.add(chunk_id)
            work.leave_rest()  # instead of trying message after message
            return
        self.unmarked.discard(chunk_id)
        batch = min(self.provider.batch_size, work.claim.batch_limit or self.provider.batch_size)
        for start in range(0, len(marked), batch):
            messages = marked[start : start + batch]
            wait = sum(self.pace.take(segments[message.id]) for message in messages[:1])
            for message in messages[1:]:
                self.pace.take(segments[message.id])
            self.ready.put_nowait(Job(work, messages, time.monotonic() + wait))

    async def reserve(self, segments: int) -> float:
        """Places in the account's rate; on the way its pumps agree on how fast it takes texts at present.

        In how many seconds to ask again, where they would begin too late; else 0. While it takes less than its own
        rate, one pump is enough, and learns more from the answers than two would.
        """
        known, learned = self.known_rate, self.throttle.learned
        granted = await self.db(
            lambda: reserve(self.account_id, segments, self.pace.rate, within=ahead(), known=known, learned=learned)
        )
        if not granted.made:
            return max(LEAD, granted.begins_in - ahead())
        self.pace.grant(segments, granted.begins_in)
        if self.known_rate == known and not self.rate_fell:  # else it was told, or fell, meanwhile
            self.known_rate = granted.learned
            if granted.learned != learned:
                self.throttle.adopt(granted.learned, time.monotonic())
        if granted.learned is not None and not self.is_first:
            self.is_first = await self.db(lambda: outbox.has_first_slot(self.account_id, self.holder))
            self.has_slot = self.is_first
        return 0.0

    def is_usable(self) -> bool:
        """Whether the account may still carry traffic: it can be deleted or switched off in mid-send."""
        return bool(ProviderAccount.objects.usable().filter(pk=self.account_id).exists())

    def withdraw(self) -> None:
        """What stands in line does not leave: it is answered "not taken" and waits."""
        if not self.halt.reason:
            self.halt = Halt(_("the account may not send any more"), withdrawn=True)

    def claim_more(self, in_line: Sequence[Work] = ()) -> list[Work]:
        """Take chunks in hand: replies first, then in turns; beside what is in line, only replies and newcomers."""
        self.look_in_at = time.monotonic() + LOOK_IN_EVERY
        known = {work.distribution_id for work in in_line}
        lines = outbox.lines(self.account_id)
        claims: list[Claim] = []
        began, leave_before = (
            time.monotonic(),
            clock() + max(settings.SEND_SLICE, settings.SEND_LEASE - settings.SEND_TIMEOUT),
        )
        if any(line.has_replies for line in lines):
            claims += outbox.claim(self.account_id, self.holder, REPLIES, replies=True)
        newcomers = [line for line in lines if line.distribution_id not in known]
        each = 1 if in_line or len(newcomers) > 1 else 2
        for line in self.turns.choose(newcomers, IN_HAND - len(known)):
            claims += outbox.claim(self.account_id, self.holder, each, distribution_id=line.distribution_id)
        works = []
        for claim in claims:
            if claim.organization not in self.urls:
                organization = Organization.objects.get(public_id=claim.organization)
                self.urls[claim.organization] = webhook_url("status", type(self.provider), organization)
            works.append(
                Work(
                    claim,
                    deque(outbox.read(claim)),
                    stop_marking_at=began + markable_for(),
                    leave_before=leave_before,
                )
            )
        return works

    # --- requests -----------------------------------------------------------------------------------------------

    async def send_jobs(self) -> None:
        while True:
            job = await self.ready.get()
            await self.wait(job.leave_at - time.monotonic())
            answers = await self.send(job)
            for message, answer in zip(job.messages, answers, strict=True):
                self.take_in(Result(job.work, message, outcomes.of(answer)))

    async def send(self, job: Job) -> Sequence[SendResult | ProviderError]:
        """The provider's answer for each message of the job; whatever goes wrong here becomes an answer too."""
        async with self.process.places.one(self.account_id):
            if reason := self.why_it_stays(job):
                return [reason] * len(job.messages)
            return await self.request(job)

    def why_it_stays(self, job: Job) -> NotTaken | None:
        """Asked in the moment in which its request would leave: nothing is awaited in between."""
        if clock() > job.work.leave_before:  # this process stood still: another one may have the chunk by now
            return NotTaken(_("the worker stood still for too long"), blameless=True)
        if self.halt.reason:
            return NotTaken(categories.worded(self.halt.reason))
        if stopping.value:
            return NotTaken(_("the worker is stopping"), blameless=True)
        if time.monotonic() < self.paused_until:
            return NotTaken(_("the provider is not accepting any more texts at present"), blameless=True)
        return None

    async def request(self, job: Job) -> Sequence[SendResult | ProviderError]:
        messages = [self.to_sms(job.work.claim, message) for message in job.messages]
        provider = self.provider
        try:
            batched = provider.batch_size > 1
            request = provider.build_batch(messages) if batched else provider.build_send(messages[0])
            response = await self.process.wire.send(provider.key, provider.host_patterns, request)
            answers = provider.parse_batch(response, messages) if batched else [provider.parse_send(response)]
            if len(answers) != len(messages) or not all(isinstance(one, SendResult | ProviderError) for one in answers):
                raise TypeError("the provider's file reads something else than one answer for each message")
            return answers
        except ProviderError as error:
            if isinstance(error, Refused) and len(messages) > 1 and error.category not in outcomes.ACCOUNT_FAULTS:
                return self.halve(job, error)
            return [error] * len(messages)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a fault of ours must not lose the mark: nobody knows how far the request came
            logger.exception("%s: a send broke", provider.key)
            return [Unclear(_("an error in Switchboard (%(name)s)") % {"name": type(error).__name__})] * len(messages)

    def halve(self, job: Job, refusal: Refused) -> Sequence[ProviderError]:
        """A request was refused as a whole, for something in one of its messages: they go again in smaller ones.

        The chunk remembers how small, so that the one at fault is found in few steps, and alone fails for good.
        """
        limit = (len(job.messages) + 1) // 2
        job.work.batch_limit = min(job.work.batch_limit or limit, limit)
        return [NotTaken(refusal.detail, category=refusal.category, blameless=True)] * len(job.messages)

    async def wait(self, seconds: float) -> None:
        """Sleep, unless the worker is asked to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stopping.value:
            await asyncio.sleep(min(left, 0.1))

    def to_sms(self, claim: Claim, message: Marked) -> OutboundSms:
        return OutboundSms(
            to=message.to,
            text=message.text,
            reference=message.reference,
            status_url=self.urls[claim.organization],
            sender=self.account.sender,
            repeated=message.repeated,
        )

    # --- answers ------------------------------------------------------------------------------------------------

    def take_in(self, result: Result) -> None:
        """Keep an answer for the next write, and draw the conclusions that cannot wait."""
        self.results.append(result)
        outcome = result.outcome
        self.hear(result)
        if outcome.kind is Kind.ACCEPTED:
            self.failures = self.sender_refusals = 0
        elif outcome.kind is Kind.ACCOUNT:
            self.stop_account(outcome)
        elif outcome.kind is Kind.REFUSED and outcome.category == Category.INVALID_SENDER:
            self.sender_refusals += 1
            if self.sender_refusals >= SENDER_REFUSALS:
                self.stop_account(outcome)
        elif outcome.kind is Kind.NOT_TAKEN and outcome.blameless:
            self.again = True
        elif outcome.kind is Kind.NOT_TAKEN and not outcome.too_many and not self.halt.reason:
            self.failures += 1
            result.work.delay = max(result.work.delay, outcome.retry_after or 0.0)
            if self.failures >= health.PATIENCE:
                pause = outcome.retry_after or health.backoff(self.account.state.failures)
                self.halt = Halt(outcome.error or _("not taken"), until=time.monotonic() + pause)

    def hear(self, result: Result) -> None:
        """Draw from an answer how fast the provider takes texts at present.

        "Too many requests" holds its own text for the time that is asked for. The account pauses only where there are
        many such answers, and its pump ends only where there are no others.
        """
        outcome = result.outcome
        result.segments = self.segments.pop(result.message.id, 1)
        now = time.monotonic()
        asked = outcome.retry_after or NO_TIME_NAMED
        if outcome.too_many:
            result.due_at, self.met_a_limit = now + asked, True
        if not self.throttle.answered(now, result.segments, too_many=outcome.too_many) or self.halt.reason:
            return
        self.rate_fell = True
        if self.throttle.takes_nothing or asked > HOLD:
            pause = outcome.retry_after or health.backoff(self.account.state.failures)
            self.halt = Halt(outcome.error or _("too many requests"), until=now + pause)
        else:
            self.paused_until = now + asked
            self.throttle.paused(self.paused_until)

    def stop_account(self, outcome: Outcome) -> None:
        """Bad credentials or no balance: nothing else will be taken until somebody mends it."""
        if self.halt.withdrawn or (self.halt.reason and not self.halt.until):
            return
        if self.provider.needs_token and outcome.category == Category.AUTH_FAILED and not self.account.state.failures:
            # The token may have been withdrawn early: the next pump tries a new one. If that fails too, it stops.
            self.renew_token = True
            self.halt = Halt(_("the access token is being renewed"), until=time.monotonic())
            return
        self.halt = Halt(categories.kept(outcome.category, outcome.error))

    async def write_results(self) -> None:
        """Write answers as they come: a group, or what there is after a moment."""
        last = time.monotonic()
        while not self.closing:
            await asyncio.sleep(TICK)
            full = len(self.results) >= self.write_group
            if full or (self.results and time.monotonic() - last > WRITE_EVERY):
                with contextlib.suppress(OperationalError, InterfaceError):  # kept, and tried again
                    await self.write_gathered()
                last = time.monotonic()

    async def write_all(self) -> None:
        while self.results:
            await self.write_gathered()

    async def write_gathered(self) -> None:
        """Write what has come so far; what comes meanwhile waits for company.

        What one result's data spoils is found by halving: its message stays "sending", and becomes uncertain.
        """
        groups, self.results = [self.results], []
        while groups:
            group = groups.pop()
            try:
                await self.db(partial(self.write, group), patience=PATIENCE)
            except (OperationalError, InterfaceError):
                self.results = [result for batch in [group, *groups] for result in batch] + self.results
                raise
            except Exception:
                if len(group) > 1:
                    middle = len(group) // 2
                    groups += [group[middle:], group[:middle]]
                    continue
                logger.exception("The result of message %s cannot be written", group[0].message.id)
                group[0].work.unfinished = True
                group[0].work.in_flight -= 1
                continue
            for result in group:
                result.work.in_flight -= 1
                self.keep(result)
        await self.finish_works()

    def keep(self, result: Result) -> None:
        """What goes back into the queue waits here if it is for a moment, else in the database."""
        work, outcome = result.work, result.outcome
        if outcome.kind not in (Kind.NOT_TAKEN, Kind.ACCOUNT):
            return
        wait = result.due_at - time.monotonic()
        stays = outcome.too_many and wait < HOLD and time.monotonic() + wait < work.stop_marking_at
        if stays and not self.draining:
            work.held.append((result.due_at, result.message.id, result.segments))
            return
        work.unfinished = True
        if outcome.too_many:
            work.postpone(result.due_at)

    def write(self, batch: list[Result]) -> None:
        """One statement for all; a few more for those that need telling about."""
        self.tell_rate()
        outbox.apply(
            [
                Change(
                    id=result.message.id,
                    to=TO_STATUS[result.outcome.kind],
                    attempt=result.message.attempt,
                    message_id=result.outcome.message_id,
                    segments=result.outcome.segments,
                    reason=self.reason(result),
                    error=result.outcome.error,
                )
                for result in batch
            ]
        )
        told = [result for result in batch if result.outcome.kind is not Kind.ACCEPTED]
        if told:
            MessageEvent.objects.bulk_create(
                MessageEvent(
                    message_id=result.message.id,
                    source=MessageEvent.Source.SEND,
                    status=TO_STATUS[result.outcome.kind],
                    category=result.outcome.category,
                    error=result.outcome.error,
                )
                for result in told
            )
        for result in told:
            if result.outcome.opts_out:
                organization = Organization.objects.get(public_id=result.work.claim.organization)
                opt_out(organization, result.message.to, OptOut.Source.PROVIDER, result.outcome.error)

    def reason(self, result: Result) -> str:
        """The outcome's category; a message that goes back into the queue stays known as repeated."""
        back = TO_STATUS[result.outcome.kind] is Status.QUEUED
        return REPEATED if back and result.message.repeated else result.outcome.category

    async def finish_works(self) -> None:
        """Finish or give back the chunks whose last request is answered."""
        done = [work for work in self.works if work.done]
        if done:
            self.works = [work for work in self.works if not work.done]
            await self.db(partial(self.give_back, done), patience=PATIENCE)

    def give_back(self, done: list[Work]) -> None:
        for work in done:
            if work.abandoned:
                continue
            if not work.unfinished:
                self.again |= not outbox.finish(work.claim, self.holder)
                continue
            failed = bool(work.delay or self.failures)
            delay = max(work.delay, work.wait, health.backoff(work.claim.tries) if failed else 0.0)
            outbox.release(work.claim.chunk_id, self.holder, delay=delay, failed=failed, batch_limit=work.batch_limit)
            self.again |= not delay

    async def drain(self) -> None:
        """Let what is in flight come back; what is still in line is answered "not taken" once the pump is halted."""
        self.draining = True
        for work in self.works:
            work.leave_rest()
        give_up_at = time.monotonic() + settings.SEND_TIMEOUT + PATIENCE
        while any(work.in_flight for work in self.works) and time.monotonic() < give_up_at:
            await asyncio.sleep(TICK)
        await self.finish_works()

    def close(self) -> None:
        """Leave the account's state behind, and the worker slot."""
        self.tell_rate()
        if self.renew_token:
            tokens.forget(self.account)
        if self.halt.withdrawn:
            pass
        elif self.halt.reason and not self.halt.until:
            health.stop(self.account, self.halt.reason)
        elif self.halt.until:
            wait = max(0.0, self.halt.until - time.monotonic())
            health.trip(self.account, later(wait))
        elif self.account.state.failures and not self.failures:
            health.recover(self.account)
        outbox.leave_slot(self.account_id, self.holder)

    def tell_rate(self) -> None:
        """Let the other pumps know, in the account's row, how fast the provider takes texts, and that it asks to wait.

        While the rate returns, `reserve` tells it.
        """
        rate = self.throttle.learned
        pause = max(0.0, self.paused_until - time.monotonic())
        if self.rate_fell or (self.draining and rate != self.known_rate):
            self.rate_fell = False
            health.slow_down(self.account, rate, later(pause))
            self.known_rate = rate

    # --- the database thread ------------------------------------------------------------------------------------

    async def db(self, work: Callable[[], T], *, patience: float = 5.0) -> T:
        """Run `work` on the pump's own database thread, so that sockets never wait for the database."""
        loop = asyncio.get_running_loop()
        thread = self.process.thread_for(self.account_id)
        return await loop.run_in_executor(thread, lambda: outbox.retrying(work, patience=patience))
