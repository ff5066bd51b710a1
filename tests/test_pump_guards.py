"""The pump off the happy path: accounts that may not send, what an answer does to the account, what is given back."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from datetime import time as clock

import pytest
from django.utils import timezone

from contacts.opt_outs import opt_out
from distributions.engine import outbox, worker_process
from distributions.engine.outbox import Marked
from distributions.engine.outcomes import Kind, Outcome
from distributions.engine.pump import SENDER_REFUSALS, Pump
from distributions.engine.work import Halt, Result, Work
from distributions.models import Chunk, Distribution, Message, MessageEvent
from distributions.states import REPEATED, Status
from extensions import health
from extensions.contract import Category
from extensions.models import AccessToken, AccountState, EnabledExtension, ProviderAccount, WorkerSlot
from tests import factories, pumping
from tests.simulated import launched, statuses
from tests.travelling import travel

pytestmark = pytest.mark.django_db(transaction=True)


def state_of(distribution):
    return AccountState.objects.get(pk=distribution.account_id)


# --- accounts that may not send --------------------------------------------------------------------------------------


def account_of(made):
    return ProviderAccount.objects.filter(pk=made.account_id)


CLOSED = {
    "deleted": lambda made: account_of(made).update(deleted_at=timezone.now()),
    "not granted": lambda made: account_of(made).update(granted_at=None),
    "refused": lambda made: account_of(made).update(check_ok=False),
    "switched off": lambda made: EnabledExtension.objects.filter(organization=made.organization).delete(),
    "stopped": lambda made: AccountState.objects.filter(pk=made.account_id).update(stopped_at=timezone.now()),
    "pausing": lambda made: health.trip(made.account, timezone.now() + timedelta(minutes=1)),
}


@pytest.mark.parametrize("why", CLOSED)
def test_a_pump_that_is_rung_for_an_account_that_may_not_send_does_nothing(sink, why):
    made = launched(recipients=3)
    CLOSED[why](made)
    before = state_of(made)

    assert pumping.run(made.account_id) is False

    assert sink.ledger == []
    assert statuses(made) == {Status.QUEUED: 3}
    assert not WorkerSlot.objects.exclude(holder="").exists(), "it takes no slot"
    after = state_of(made)
    assert (after.stopped_at, after.open_until, after.failures) == (
        before.stopped_at,
        before.open_until,
        before.failures,
    )


def test_a_pump_of_an_account_that_never_was_ends():
    assert pumping.run(999_999) is False


def test_a_worker_that_is_asked_to_stop_begins_nothing(sink, monkeypatch):
    made = launched(recipients=3)
    monkeypatch.setattr(worker_process.stopping, "value", True)

    assert pumping.run(made.account_id) is False

    assert sink.ledger == []
    assert statuses(made) == {Status.QUEUED: 3}
    assert not WorkerSlot.objects.exclude(holder="").exists()


def test_a_pump_that_is_rung_at_night_sends_nothing_before_the_morning(sink):
    made = launched(recipients=3)
    made.organization.quiet_from, made.organization.quiet_until = clock(20), clock(8)
    made.organization.save()
    at_night = datetime(2035, 11, 22, 22, 30, tzinfo=UTC)
    Chunk.objects.update(not_before=at_night - timedelta(minutes=5))

    with travel(at_night, tick=True):
        assert pumping.run(made.account_id) is False

    assert sink.ledger == []
    assert statuses(made) == {Status.QUEUED: 3}
    assert Chunk.objects.get().not_before > at_night + timedelta(hours=8)


def test_a_pump_leaves_its_slot_to_the_next(sink):
    made = launched(recipients=3)

    pumping.run(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 3}
    assert set(WorkerSlot.objects.values_list("holder", "lease_until")) == {("", None)}


def test_a_pump_whose_credentials_cannot_be_opened_stops_the_account_and_leaves_its_seat(sink):
    """The token is refused: Sinch is asked for one before anything else."""
    made = launched("sinch", recipients=3)
    sink.fail("401", "sinch", scope="all")

    assert pumping.run(made.account_id) is False

    assert "auth_failed" in state_of(made).stopped_reason
    assert statuses(made) == {Status.QUEUED: 3}
    assert not WorkerSlot.objects.exclude(holder="").exists()


def test_a_pump_that_gets_no_token_now_pauses_the_account_and_leaves_its_seat(sink, settings):
    made = launched("sinch", recipients=3)
    settings.PROVIDER_BASE_URLS = {"sinch": "http://127.0.0.1:9"}  # nobody listens there

    assert pumping.run(made.account_id) is False

    state = state_of(made)
    assert (state.stopped_at, state.failures) == (None, 1)
    assert state.open_until > timezone.now()
    assert not WorkerSlot.objects.exclude(holder="").exists()


# --- what ends a text's turn -----------------------------------------------------------------------------------------


def test_a_pause_that_comes_while_one_group_is_the_whole_chunk_gives_the_chunk_back(sink):
    """It is claimed, then paused: nothing of it can be marked, and nothing of it may be forgotten."""
    made = launched(recipients=2)

    class Paused(Pump):
        def claim_more(self):
            works = super().claim_more()
            Distribution.objects.filter(pk=made.pk).update(paused_at=timezone.now())
            return works

    here = worker_process.current()
    here.runner.run(Paused(made.account_id, here).run())

    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.lease_until, chunk.holder, chunk.tries) == (Chunk.State.OPEN, None, "", 0)
    assert statuses(made) == {Status.QUEUED: 2}
    assert sink.ledger == []
    assert state_of(made).stopped_at is None


def test_who_opts_out_after_the_chunk_was_claimed_is_skipped_and_the_chunk_is_finished(sink):
    made = launched(recipients=3)
    stopped = made.messages.order_by("pk")[1]
    opt_out(made.organization, stopped.to, "link")

    while pumping.run(made.account_id):
        pass

    assert statuses(made) == {Status.ACCEPTED: 2, Status.SKIPPED: 1}
    assert Message.objects.get(pk=stopped.pk).reason == Message.Skip.OPTED_OUT
    assert Chunk.objects.get().state == Chunk.State.DONE


# --- what an answer does to the account ------------------------------------------------------------------------------


@pytest.fixture
def pump():
    """An open pump that is not running: answers are handed to it one by one."""
    made = launched(recipients=20)
    opened = Pump(made.account_id, worker_process.current())
    assert opened.open()
    opened.made = made
    yield opened
    worker_process.close()


def hear(pump, outcome, number=1):
    for _answer in range(number):
        message = Marked(pump.made.messages.first().pk, 1, "+447700900001", "Hi", False, "r")
        work = Work(outbox.Claim(1, pump.made.pk, 1, 2, 0, pump.made.organization.public_id, 0), deque())
        pump.take_in(Result(work, message, outcome))
    return pump.halt


ACCEPTED = Outcome(Kind.ACCEPTED, message_id="SM1")
AWAY = Outcome(Kind.NOT_TAKEN, error="HTTP 503", category=Category.TRANSIENT)
SENDER = Outcome(Kind.REFUSED, category=Category.INVALID_SENDER, error="21606")


def test_ten_refusals_of_the_sender_in_a_row_stop_the_account_and_nine_do_not(pump):
    assert hear(pump, SENDER, SENDER_REFUSALS - 1) == Halt()
    hear(pump, ACCEPTED)
    assert hear(pump, SENDER, SENDER_REFUSALS - 1) == Halt(), "one that was taken begins the row anew"

    assert hear(pump, SENDER) == Halt("invalid_sender: 21606")
    pump.close()
    assert state_of(pump.made).stopped_reason == "invalid_sender: 21606"


def test_other_refusals_are_the_messages_matter(pump):
    refused = Outcome(Kind.REFUSED, category=Category.INVALID_RECIPIENT, error="21211")

    assert hear(pump, refused, 2 * SENDER_REFUSALS) == Halt()
    pump.close()

    assert (state_of(pump.made).stopped_at, state_of(pump.made).open_until) == (None, None)


def test_five_in_a_row_that_were_not_taken_pause_the_account_and_four_do_not(pump):
    assert hear(pump, AWAY, health.PATIENCE - 1) == Halt()
    hear(pump, ACCEPTED)
    assert hear(pump, AWAY, health.PATIENCE - 1) == Halt()

    halted = hear(pump, AWAY)

    assert halted.reason == "HTTP 503"
    assert 0 < halted.until - time.monotonic() <= health.LONGEST_PAUSE
    pump.close()
    state = state_of(pump.made)
    assert (state.stopped_at, state.failures) == (None, 1)
    assert state.open_until > timezone.now()


def test_the_account_pauses_as_long_as_the_provider_asks_for(pump):
    halted = hear(pump, Outcome(Kind.NOT_TAKEN, error="busy", category=Category.TRANSIENT, retry_after=77.0), 5)

    assert halted.until - time.monotonic() == pytest.approx(77, abs=2)
    pump.close()
    assert (state_of(pump.made).open_until - timezone.now()).total_seconds() == pytest.approx(77, abs=3)


def test_what_was_not_taken_because_of_a_neighbour_says_nothing_of_the_account(pump):
    blameless = Outcome(Kind.NOT_TAKEN, category=Category.UNKNOWN, error="one of them", blameless=True)

    assert hear(pump, blameless, 3 * health.PATIENCE) == Halt()

    assert (pump.failures, pump.again) == (0, True)


def test_an_unclear_answer_neither_pauses_nor_stops_the_account(pump):
    assert hear(pump, Outcome(Kind.UNCLEAR, error="timeout"), 3 * health.PATIENCE) == Halt()


@pytest.mark.parametrize("category", [Category.AUTH_FAILED, Category.INSUFFICIENT_BALANCE])
def test_the_first_answer_that_blames_the_account_stops_it(pump, category):
    halted = hear(pump, Outcome(Kind.ACCOUNT, category=category, error="20003"))
    hear(pump, Outcome(Kind.ACCOUNT, category=category, error="something else"))

    assert halted == pump.halt == Halt(f"{category}: 20003")
    pump.close()
    assert state_of(pump.made).stopped_reason == f"{category}: 20003"


def test_a_stop_outweighs_a_pause_and_no_pause_a_stop(pump):
    hear(pump, AWAY, health.PATIENCE)
    hear(pump, Outcome(Kind.ACCOUNT, category=Category.AUTH_FAILED, error="20003"))
    hear(pump, AWAY, health.PATIENCE)

    pump.close()

    assert state_of(pump.made).stopped_reason == "auth_failed: 20003"
    assert state_of(pump.made).open_until is None


def test_where_people_have_ended_the_right_nothing_is_said_of_its_health(pump):
    pump.withdraw()
    hear(pump, Outcome(Kind.ACCOUNT, category=Category.AUTH_FAILED, error="20003"))
    hear(pump, AWAY, health.PATIENCE)

    pump.close()

    state = state_of(pump.made)
    assert (state.stopped_at, state.open_until, state.failures) == (None, None, 0)


def test_withdrawing_does_not_hide_why_the_account_stopped_before(pump):
    hear(pump, Outcome(Kind.ACCOUNT, category=Category.AUTH_FAILED, error="20003"))

    pump.withdraw()
    pump.close()

    assert state_of(pump.made).stopped_reason == "auth_failed: 20003"


@pytest.mark.parametrize(("failures", "left"), [(0, 3), (1, 3)])
def test_an_account_recovers_once_something_was_taken_and_not_while_something_fails(pump, failures, left):
    AccountState.objects.filter(pk=pump.account_id).update(failures=3)
    pump.account.state.failures = 3
    hear(pump, ACCEPTED)
    hear(pump, AWAY, failures)

    pump.close()

    assert state_of(pump.made).failures == (0 if failures == 0 else left)


# --- the token -------------------------------------------------------------------------------------------------------


def sinch(failures):
    made = launched("sinch", recipients=2)
    AccountState.objects.filter(pk=made.account_id).update(failures=failures)
    token = AccessToken(account=made.account, expires_at=timezone.now() + timedelta(hours=1))
    token.value = {"account": made.account.public_id, "token": "withdrawn early"}
    token.save()
    opened = Pump(made.account_id, worker_process.current())
    assert opened.open()
    opened.made = made
    return opened


@pytest.mark.parametrize(("failures", "renews"), [(0, True), (1, False)])
def test_a_token_that_is_refused_is_renewed_once(sink, failures, renews):
    """It may have been withdrawn early; if a new one is refused, too, it is the account."""
    pump = sinch(failures)

    hear(pump, Outcome(Kind.ACCOUNT, category=Category.AUTH_FAILED, error="401"))
    pump.close()

    state = state_of(pump.made)
    assert (state.stopped_at is None) is renews
    assert (AccessToken.objects.get().value is None) is renews
    assert state.failures == 1, "which tells the next pump that it was tried"


def test_an_empty_purse_is_no_matter_of_the_token(sink):
    pump = sinch(0)

    hear(pump, Outcome(Kind.ACCOUNT, category=Category.INSUFFICIENT_BALANCE, error="402"))
    pump.close()

    assert state_of(pump.made).stopped_at is not None
    assert AccessToken.objects.get().value is not None


# --- what is written -------------------------------------------------------------------------------------------------


def test_what_comes_back_stays_known_as_repeated_and_what_has_failed_says_why(pump):
    message = pump.made.messages.first()
    outbox.mark([message.pk], pump.account_id)
    work = Work(outbox.Claim(1, pump.made.pk, 1, 2, 0, pump.made.organization.public_id, 0), deque())
    marked = Marked(message.pk, 1, message.to, message.text, True, "r")

    pump.write([Result(work, marked, AWAY)])
    message.refresh_from_db()
    assert (message.status, message.reason) == (Status.QUEUED, REPEATED)

    assert [one.repeated for one in outbox.mark([message.pk], pump.account_id)] == [True]
    refused = Outcome(Kind.REFUSED, category=Category.INVALID_RECIPIENT, error="21211 " + "x" * 300)
    pump.write([Result(work, Marked(message.pk, 2, message.to, message.text, True, "r"), refused)])
    message.refresh_from_db()
    assert (message.status, message.reason, len(message.error)) == (Status.FAILED, "invalid_recipient", 255)
    assert [len(event.error) for event in MessageEvent.objects.order_by("pk")] == [len("HTTP 503"), 255]


def test_only_what_the_provider_says_of_the_person_opts_them_out_here_and_nowhere_else(pump):
    message = pump.made.messages.first()
    other = factories.contact_list(factories.organization(), phones=[message.to]).contacts.get()
    work = Work(outbox.Claim(1, pump.made.pk, 1, 2, 0, pump.made.organization.public_id, 0), deque())
    marked = Marked(message.pk, 1, message.to, message.text, False, "r")
    blocked = Outcome(Kind.REFUSED, category=Category.OPTED_OUT, error="blocked")
    outbox.mark([message.pk], pump.account_id)

    pump.write([Result(work, marked, blocked)])
    message.contact.refresh_from_db()
    assert message.contact.opted_out_at is None

    pump.write([Result(work, marked, Outcome(Kind.REFUSED, category=Category.OPTED_OUT, error="21610", opts_out=True))])
    message.contact.refresh_from_db()
    other.refresh_from_db()
    assert message.contact.opted_out_at is not None
    assert other.opted_out_at is None


def work_of(pump, **fields):
    chunk = pump.made.chunks.get()
    Chunk.objects.update(lease_until=timezone.now() + timedelta(minutes=1), holder=pump.holder)
    claim = outbox.Claim(chunk.pk, pump.made.pk, chunk.first_id, chunk.last_id, chunk.tries, "", 0)
    return Work(claim, deque(), **fields)


@pytest.mark.parametrize(
    ("fields", "failures", "open_", "tries", "waits"),
    [
        ({}, 0, False, 0, (0, 1)),
        ({"unfinished": True}, 0, True, 0, (-1, 1)),
        ({"unfinished": True, "wait": 30.0}, 0, True, 0, (25, 31)),
        ({"unfinished": True, "delay": 30.0}, 0, True, 1, (25, 31)),
        ({"unfinished": True, "delay": 0.1}, 1, True, 1, (0.05, 2)),
        ({"unfinished": True}, 3, True, 1, (0.05, 2)),
        ({"unfinished": True, "wait": 50.0, "delay": 20.0}, 0, True, 1, (45, 51)),
    ],
)
def test_a_chunk_is_finished_or_waits_for_as_long_as_it_must(pump, fields, failures, open_, tries, waits):
    pump.failures = failures
    before = timezone.now()

    pump.give_back([work_of(pump, **fields)])

    chunk = pump.made.chunks.get()
    assert ((chunk.state == Chunk.State.OPEN), chunk.tries, chunk.lease_until) == (open_, tries, None)
    if open_:
        assert waits[0] <= (chunk.not_before - before).total_seconds() <= waits[1]
    assert pump.again is (open_ and fields == {"unfinished": True} and not failures)


def test_a_chunk_of_which_nobody_knows_whether_it_was_marked_keeps_its_lease(pump):
    pump.give_back([work_of(pump, unfinished=True, abandoned=True)])

    chunk = pump.made.chunks.get()
    assert chunk.lease_until is not None
    assert chunk.holder == pump.holder


# --- a rate so slow that a text waits for longer than a pump runs -----------------------------------------------------


def test_long_texts_of_a_slow_account_leave_one_after_the_other(sink, settings, monkeypatch):
    """Ten segments at 0.1 a second take a hundred seconds; a place that a pump cannot wait for is not taken."""
    settings.SEND_LEASE, settings.SEND_TIMEOUT, settings.SEND_SLICE = 4, 1, 0.2
    monkeypatch.setattr("distributions.engine.crew.LONGEST", 2.0)
    made = launched(recipients=3)
    made.messages.update(segments=6)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=1.0)

    began = time.monotonic()
    pumping.to_the_end(made.account_id, within=25.0)

    assert statuses(made) == {Status.ACCEPTED: 3}
    assert time.monotonic() - began > 11.5, "no faster than the account's rate"
