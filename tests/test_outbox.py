"""The queue is the table: claims, marks and guarded writes, on PostgreSQL and SQLite alike."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import OptOut
from distributions.engine import outbox
from distributions.engine.outbox import Change
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.states import RANK, TRANSITIONS, Status
from extensions.models import ProviderAccount
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> ProviderAccount:
    return factories.account(factories.organization())


@pytest.fixture
def sending(account):
    """A distribution of ten messages in one chunk, on its way."""
    made = factories.distribution(
        account.organization, recipients=10, account=account, state=Distribution.State.SENDING
    )
    ids = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=ids[0], last_id=ids[-1])
    return made


def ids_of(distribution):
    return sorted(distribution.messages.values_list("pk", flat=True))


def assert_tally_is_exact(distribution):
    written = Tally.objects.filter(pk=distribution.pk).values(*Tally.COLUMNS).get()
    outbox.recount(distribution.pk)
    assert written == Tally.objects.filter(pk=distribution.pk).values(*Tally.COLUMNS).get()


def test_a_chunk_is_claimed_by_one_pump_until_its_lease_ends(sending, account):
    first = outbox.claim(account.pk, "one", 5)
    second = outbox.claim(account.pk, "two", 5)

    assert [claim.distribution_id for claim in first] == [sending.pk]
    assert first[0].organization == account.organization.public_id
    assert second == []

    Chunk.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert len(outbox.claim(account.pk, "two", 5)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"paused_at": timezone.now()},
        {"state": Distribution.State.CANCELLED},
        {"state": Distribution.State.SCHEDULED},
        {"state": Distribution.State.FINISHED},
    ],
)
def test_a_distribution_that_is_not_running_is_neither_claimed_nor_marked(sending, account, fields):
    Distribution.objects.filter(pk=sending.pk).update(**fields)

    assert outbox.claim(account.pk, "one", 5) == []
    assert outbox.mark(ids_of(sending), account.pk) == []
    assert set(sending.messages.values_list("status", flat=True)) == {Status.QUEUED}


def test_a_chunk_is_not_claimed_before_its_time(sending, account):
    Chunk.objects.update(not_before=timezone.now() + timedelta(hours=1))

    assert outbox.claim(account.pk, "one", 5) == []


def test_a_reply_is_claimed_before_bulk(sending, account):
    ids = ids_of(sending)
    reply = Chunk.objects.create(distribution=sending, account=account, first_id=ids[0], last_id=ids[0], priority=0)

    assert [claim.chunk_id for claim in outbox.claim(account.pk, "one", 1)] == [reply.pk]


def test_a_message_is_marked_once_however_many_pumps_try(sending, account):
    first = outbox.mark(ids_of(sending), account.pk)
    second = outbox.mark(ids_of(sending), account.pk)

    assert [message.id for message in first] == ids_of(sending)
    assert {message.attempt for message in first} == {1}
    assert second == []


def test_who_has_opted_out_since_the_launch_is_skipped_at_the_moment_of_sending(sending, account):
    stopped = sending.messages.order_by("pk")[3]
    OptOut.objects.create(organization=account.organization, phone=stopped.to, source=OptOut.Source.KEYWORD)

    marked = outbox.mark(ids_of(sending), account.pk)

    stopped.refresh_from_db()
    assert stopped.pk not in [message.id for message in marked]
    assert (stopped.status, stopped.reason) == (Status.SKIPPED, "opted_out")
    assert_tally_is_exact(sending)


def test_an_opt_out_at_another_organization_stops_nothing(sending, account):
    other = factories.organization()
    OptOut.objects.create(organization=other, phone=sending.messages.first().to, source=OptOut.Source.KEYWORD)

    assert len(outbox.mark(ids_of(sending), account.pk)) == 10


def test_the_result_of_an_earlier_attempt_changes_nothing(sending, account):
    pk = ids_of(sending)[0]
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.QUEUED, attempt=1)])
    outbox.mark([pk], account.pk)

    outbox.apply([Change(pk, Status.FAILED, attempt=1, reason="invalid_recipient")])

    assert Message.objects.get(pk=pk).status == Status.SENDING


def test_what_a_dead_worker_had_marked_becomes_uncertain_and_the_rest_is_sent(sending, account):
    outbox.claim(account.pk, "dead", 5)
    marked = outbox.mark(ids_of(sending)[:4], account.pk)
    Chunk.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    [claim] = outbox.claim(account.pk, "alive", 5)
    queued = outbox.read(claim)

    assert [pk for pk, _segments in queued] == ids_of(sending)[4:]
    statuses = Message.objects.filter(pk__in=[message.id for message in marked]).values_list("status", flat=True)
    assert set(statuses) == {Status.UNCERTAIN}
    assert_tally_is_exact(sending)


def test_a_result_that_arrives_after_its_lease_still_settles_the_uncertain_message(sending, account):
    pk = ids_of(sending)[0]
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.UNCERTAIN, attempt=1)])

    outbox.apply([Change(pk, Status.ACCEPTED, attempt=1, message_id="SM1")])

    message = Message.objects.get(pk=pk)
    assert (message.status, message.provider_message_id) == (Status.ACCEPTED, "SM1")
    assert message.accepted_at is not None


def test_not_taken_leads_back_into_the_queue_only_from_the_attempt_under_way(sending, account):
    pk = ids_of(sending)[0]
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.UNCERTAIN, attempt=1)])

    outbox.apply([Change(pk, Status.QUEUED, attempt=1)])

    assert Message.objects.get(pk=pk).status == Status.UNCERTAIN


def test_an_id_that_comes_after_the_report_is_kept_and_the_state_too(sending, account):
    pk = ids_of(sending)[0]
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.DELIVERED)])

    outbox.apply([Change(pk, Status.ACCEPTED, attempt=1, message_id="SM1", segments=2)])

    message = Message.objects.get(pk=pk)
    assert (message.status, message.provider_message_id, message.segments) == (Status.DELIVERED, "SM1", 2)


def test_an_uncertain_message_that_goes_back_opens_its_chunk_and_its_distribution_again(sending, account):
    pk = ids_of(sending)[0]
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.UNCERTAIN, attempt=1)])
    Chunk.objects.update(state=Chunk.State.DONE)
    Distribution.objects.update(state=Distribution.State.FINISHED, finished_at=timezone.now())

    assert outbox.requeue([pk, pk]) == 1

    assert Message.objects.get(pk=pk).status == Status.QUEUED
    assert Chunk.objects.get().state == Chunk.State.OPEN
    assert Distribution.objects.get().state == Distribution.State.SENDING
    assert_tally_is_exact(sending)


def test_only_so_many_pumps_work_for_one_account(account):
    assert [outbox.take_slot(account.pk, holder) for holder in "abc"] == [True, True, False]
    assert outbox.take_slot(account.pk, "a"), "a slot is renewed by whoever has it"

    outbox.leave_slot(account.pk, "b")

    assert outbox.take_slot(account.pk, "c")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_written_the_state_only_moves_as_the_table_says_and_the_tally_counts_it(sending, data):
    ids = ids_of(sending)
    Message.objects.update(status=Status.QUEUED, attempt=0)
    outbox.recount(sending.pk)
    steps = data.draw(
        st.lists(
            st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(list(RANK))), unique_by=lambda step: step[0]),
            max_size=6,
        )
    )

    for step in steps:
        before = dict(Message.objects.values_list("pk", "status"))
        outbox.apply([Change(pk, Status(to)) for pk, to in step])
        after = dict(Message.objects.values_list("pk", "status"))
        for pk in ids:
            assert before[pk] == after[pk] or after[pk] in TRANSITIONS[before[pk]]

    assert_tally_is_exact(sending)


def test_what_is_put_back_into_a_chunk_while_a_pump_works_on_it_is_not_forgotten(sending, account):
    lost = ids_of(sending)[0]
    outbox.mark([lost], account.pk)
    outbox.apply([Change(lost, Status.UNCERTAIN, attempt=1)])
    [claim] = outbox.claim(account.pk, "one", 5)
    assert lost not in [pk for pk, _segments in outbox.read(claim)]

    outbox.requeue([lost])

    assert outbox.finish(claim, "one") is False
    [again] = outbox.claim(account.pk, "two", 5)
    assert lost in [pk for pk, _segments in outbox.read(again)]
    assert outbox.finish(again, "two") is True
    assert Chunk.objects.get().state == Chunk.State.DONE
