"""Results and reports as they are written: what may follow what, whichever comes first, however odd its words are."""

from __future__ import annotations

import pytest
from django.db import transaction

from distributions.engine import outbox, tallies
from distributions.engine.outbox import Change
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.states import Status
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def sending():
    account = factories.account(factories.organization())
    made = factories.distribution(account.organization, recipients=4, account=account, state=Distribution.State.SENDING)
    outbox.recount(made.pk)
    return made


def keys(made):
    return sorted(made.messages.values_list("pk", flat=True))


def mark(made, number=4):
    marked = outbox.mark(keys(made)[:number], made.account_id)
    assert len(marked) == number
    return [message.id for message in marked]


def assert_tally_is_exact(made):
    columns = (*Tally.COLUMNS, *Tally.SEGMENTS)
    written = Tally.objects.filter(pk=made.pk).values(*columns).get()
    outbox.recount(made.pk)
    assert written == Tally.objects.filter(pk=made.pk).values(*columns).get()


LATE = {  # what a report said first, the answer to the send that comes after it, and what holds in the end
    "delivered, then accepted": (Status.DELIVERED, Status.ACCEPTED, Status.DELIVERED),
    "delivered, then unclear": (Status.DELIVERED, Status.UNCERTAIN, Status.DELIVERED),
    "delivered, then not taken": (Status.DELIVERED, Status.QUEUED, Status.DELIVERED),
    "delivered, then refused": (Status.DELIVERED, Status.FAILED, Status.DELIVERED),
    "sent, then accepted": (Status.SENT, Status.ACCEPTED, Status.SENT),
    "sent, then unclear": (Status.SENT, Status.UNCERTAIN, Status.SENT),
    "sent, then not taken": (Status.SENT, Status.QUEUED, Status.SENT),
    "undelivered, then accepted": (Status.UNDELIVERED, Status.ACCEPTED, Status.UNDELIVERED),
    "undelivered, then not taken": (Status.UNDELIVERED, Status.QUEUED, Status.UNDELIVERED),
    "unclear, then accepted": (Status.UNCERTAIN, Status.ACCEPTED, Status.ACCEPTED),
    "unclear, then not taken": (Status.UNCERTAIN, Status.QUEUED, Status.UNCERTAIN),
}


@pytest.mark.parametrize("name", LATE)
def test_a_slow_answer_after_a_faster_report_takes_nothing_back(sending, name):
    report, answer, end = LATE[name]
    pk, *_others = mark(sending)

    outbox.apply([Change(pk, report)])
    outbox.apply([Change(pk, answer, attempt=1, message_id="SM1", segments=2)])

    message = Message.objects.get(pk=pk)
    assert (message.status, message.provider_message_id, message.segments) == (end, "SM1", 2)
    assert set(Message.objects.exclude(pk=pk).values_list("status", flat=True)) == {Status.SENDING}
    assert_tally_is_exact(sending)


@pytest.mark.parametrize(("attempt", "moves"), [(0, False), (1, True), (2, False), (None, True)])
def test_an_answer_counts_for_the_attempt_that_it_belongs_to(sending, attempt, moves):
    pk, *_others = mark(sending)

    moved = outbox.apply([Change(pk, Status.ACCEPTED, attempt=attempt, message_id="SM1")])

    assert [(one.id, one.was, one.now) for one in moved] == ([(pk, "sending", "accepted")] if moves else [])
    assert (Message.objects.get(pk=pk).provider_message_id == "SM1") is moves


def test_when_it_was_taken_and_when_it_ended_is_written_once_and_only_then(sending):
    pk, other, *_rest = mark(sending)

    outbox.apply([Change(pk, Status.UNCERTAIN, attempt=1)])
    message = Message.objects.get(pk=pk)
    assert (message.accepted_at, message.settled_at) == (None, None)

    outbox.apply([Change(pk, Status.ACCEPTED, attempt=1, message_id="SM1")])
    taken = Message.objects.get(pk=pk).accepted_at
    assert taken is not None
    assert Message.objects.get(pk=pk).settled_at is None

    outbox.apply([Change(pk, Status.DELIVERED)])
    message = Message.objects.get(pk=pk)
    assert (message.accepted_at, message.settled_at is not None) == (taken, True)
    assert Message.objects.get(pk=other).accepted_at is None


@pytest.mark.parametrize(
    "words",
    ["x" * 300, "nul \0 inside", "\ud83d half of a pair", "\0" * 300, "ü" * 300, "tab\tand\nline", "{0} %s ${x} '\"\\"],
)
def test_odd_and_long_words_of_a_provider_spoil_no_neighbour(sending, words):
    """One of a group has them; all are written."""
    first, second, third, fourth = mark(sending)

    outbox.apply(
        [
            Change(first, Status.ACCEPTED, attempt=1, message_id="SM1"),
            Change(second, Status.FAILED, attempt=1, message_id=words, reason="unknown", error=words),
            Change(third, Status.UNCERTAIN, attempt=1, error=words),
            Change(fourth, Status.ACCEPTED, attempt=1, message_id="SM4"),
        ]
    )

    states = list(Message.objects.order_by("pk").values_list("status", flat=True))
    assert states == [Status.ACCEPTED, Status.FAILED, Status.UNCERTAIN, Status.ACCEPTED]
    failed = Message.objects.get(pk=second)
    assert len(failed.error) <= 255
    assert len(failed.provider_message_id) <= 80
    assert failed.reason == "unknown"
    assert "\0" not in failed.error + failed.provider_message_id
    assert_tally_is_exact(sending)


def test_two_long_ids_that_differ_at_their_end_stay_two(sending):
    first, second, *_rest = mark(sending)

    outbox.apply(
        [Change(pk, Status.ACCEPTED, attempt=1, message_id="x" * 90 + end) for pk, end in ((first, "1"), (second, "2"))]
    )

    assert len(set(Message.objects.filter(pk__in=[first, second]).values_list("provider_message_id", flat=True))) == 2


def test_nothing_to_write_is_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert outbox.apply([]) == []


def test_a_result_about_a_message_that_is_gone_changes_nothing(sending):
    pk, *_rest = mark(sending)

    assert outbox.apply([Change(pk + 10_000, Status.ACCEPTED), Change(pk, Status.ACCEPTED, attempt=1)])[0].id == pk


def test_a_recount_puts_every_counter_right_for_this_distribution_alone(sending):
    """What tests compare the counters with: it has to count by itself."""
    other = factories.distribution(factories.organization(), recipients=1)
    wrong = dict.fromkeys((*Tally.COLUMNS, *Tally.SEGMENTS), 99)
    Tally.objects.update(**wrong)
    for pk, status, segments in zip(
        keys(sending), ["queued", "uncertain", "delivered", "skipped"], (1, 2, 3, 4), strict=True
    ):
        Message.objects.filter(pk=pk).update(status=status, segments=segments)

    outbox.recount(sending.pk)

    right = Tally.objects.filter(pk=sending.pk).values(*wrong).get()
    assert {name: number for name, number in right.items() if number} == {
        "waiting": 1,
        "uncertain": 1,
        "delivered": 1,
        "skipped": 1,
        "segments": 6,  # what was skipped is no traffic
        "segments_waiting": 1,
        "segments_uncertain": 2,
        "segments_skipped": 4,
    }
    assert set(Tally.objects.filter(pk=other.pk).values(*wrong).get().values()) == {99}


# --- put back, taken back, given back --------------------------------------------------------------------------------


def chunk_of(made, first, last, **fields):
    return Chunk.objects.create(distribution=made, account_id=made.account_id, first_id=first, last_id=last, **fields)


def test_only_the_chunk_that_holds_it_is_opened_again(sending):
    first, second, third, fourth = mark(sending)
    done = {"state": Chunk.State.DONE}
    before, its, after = (
        chunk_of(sending, *span, **done) for span in ((first, first), (second, third), (fourth, fourth))
    )
    outbox.apply([Change(pk, Status.UNCERTAIN) for pk in (first, second, third, fourth)])

    assert outbox.requeue([third]) == 1

    states = {chunk.pk: (chunk.state, chunk.tries) for chunk in Chunk.objects.all()}
    assert states == {before.pk: ("done", 0), its.pk: ("open", 1), after.pk: ("done", 0)}
    message = Message.objects.get(pk=third)
    assert (message.status, message.reason, message.error) == (Status.QUEUED, "repeated", "")
    assert Message.objects.filter(status=Status.UNCERTAIN).count() == 3


@pytest.mark.parametrize("state", [Status.QUEUED, Status.SENDING, Status.ACCEPTED, Status.FAILED, Status.DELIVERED])
def test_only_what_is_uncertain_is_put_back(sending, state):
    sending.messages.update(status=state)

    assert outbox.requeue(keys(sending)) == 0
    assert set(sending.messages.values_list("status", flat=True)) == {state}


@pytest.mark.parametrize("state", [Distribution.State.CANCELLED, Distribution.State.SENDING])
def test_only_what_has_finished_is_on_its_way_again(sending, state):
    pk, *_rest = mark(sending)
    outbox.apply([Change(pk, Status.UNCERTAIN)])
    Distribution.objects.filter(pk=sending.pk).update(state=state)

    outbox.requeue([pk])

    sending.refresh_from_db()
    assert sending.state == state


def test_a_seat_is_the_holders_and_the_accounts_own(sending):
    other = factories.account(factories.organization())
    assert outbox.take_slot(sending.account_id, "a")
    assert outbox.take_slot(other.pk, "a")

    outbox.leave_slot(other.pk, "a")
    outbox.leave_slot(sending.account_id, "nobody")

    assert [outbox.take_slot(sending.account_id, holder) for holder in "bc"] == [True, False]
    assert [outbox.take_slot(other.pk, holder) for holder in "bcd"] == [True, True, False]


def test_a_chunk_is_given_back_or_finished_by_its_holder_alone(sending):
    first, *_rest, last = keys(sending)
    chunk_of(sending, first, last)
    [claim] = outbox.claim(sending.account_id, "mine", 1)

    outbox.release(claim.chunk_id, "somebody else", delay=99, failed=True, batch_limit=5)
    outbox.finish(claim, "somebody else")
    chunk = Chunk.objects.get()
    assert (chunk.holder, chunk.state, chunk.tries, chunk.batch_limit) == ("mine", Chunk.State.OPEN, 0, 0)

    outbox.release(claim.chunk_id, "mine", failed=True, batch_limit=5)
    [claim] = outbox.claim(sending.account_id, "again", 1)
    assert (claim.tries, claim.batch_limit) == (1, 5)
    outbox.release(claim.chunk_id, "again")
    [claim] = outbox.claim(sending.account_id, "once more", 1)
    assert (claim.tries, claim.batch_limit) == (1, 5), "kept where nothing else is said"


# --- the counters ----------------------------------------------------------------------------------------------------


def test_what_is_counted_in_a_block_is_written_at_the_end_of_the_outermost(sending):
    other = factories.distribution(factories.organization())
    with tallies.counted():
        tallies.add(sending.pk, clicked=1)
        with tallies.counted():
            tallies.add(sending.pk, clicked=1)
            tallies.add(other.pk, clicked=5)
        assert Tally.objects.get(pk=sending.pk).clicked == 0
        assert tallies.is_open()

    assert not tallies.is_open()
    assert (Tally.objects.get(pk=sending.pk).clicked, Tally.objects.get(pk=other.pk).clicked) == (2, 5)
    tallies.add(sending.pk, clicked=-1)
    assert Tally.objects.get(pk=sending.pk).clicked == 1, "outside of a block at once"


def spoilt(made, number):
    with tallies.counted():
        tallies.add(made.pk, clicked=number)
        raise ValueError("in the middle")


def test_what_was_rolled_back_is_not_counted(sending):
    with pytest.raises(ValueError, match="in the middle"):
        spoilt(sending, 1)
    assert not tallies.is_open()

    with tallies.counted():
        tallies.add(sending.pk, clicked=1)
        with pytest.raises(ValueError, match="in the middle"):
            spoilt(sending, 10)

    assert Tally.objects.get(pk=sending.pk).clicked == 1


def test_in_a_transaction_that_is_rolled_back_nothing_is_counted(sending):
    with transaction.atomic():
        with tallies.counted():
            tallies.add(sending.pk, clicked=1)
        transaction.set_rollback(True)

    assert Tally.objects.get(pk=sending.pk).clicked == 0


@pytest.mark.parametrize(
    ("status", "column"),
    [
        ("queued", "waiting"),
        ("sending", "waiting"),
        ("uncertain", "uncertain"),
        ("delivered", "delivered"),
        ("skipped", "skipped"),
    ],
)
def test_each_state_has_its_column(sending, status, column):
    before = Tally.objects.filter(pk=sending.pk).values().get()

    tallies.count(sending.pk, status, 3, texts=2)
    counted = Tally.objects.filter(pk=sending.pk).values().get()
    assert counted[column] - before[column] == 2
    tallies.count(sending.pk, status, 3, texts=2, off=True)

    assert Tally.objects.filter(pk=sending.pk).values().get() == before
