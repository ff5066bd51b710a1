"""What happens to one account in a process is a matter of that account alone."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from django.db import DataError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine import outbox, places, worker_process
from distributions.engine.places import Places
from distributions.engine.work import clock
from distributions.models import Chunk, Message
from distributions.states import Status
from extensions.models import AccountState
from tests import pumping
from tests.simulated import launched, statuses

# --- places ----------------------------------------------------------------------------------------------------------


def in_use(total, lanes, wanted):
    """How many requests of each lane are under way, where none is ever answered."""

    async def run():
        made, used = Places(total, lanes), Counter()

        async def ask(lane):
            async with made.one(lane):
                used[lane] += 1
                await asyncio.Event().wait()

        asked = [asyncio.create_task(ask(lane)) for lane, number in enumerate(wanted) for _request in range(number)]
        await asyncio.sleep(0.01)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        return used

    return asyncio.run(run())


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(16, 64))
def test_whatever_the_others_ask_for_each_lane_has_places_of_its_own_and_the_cap_holds(wanted, total):
    made = Places(total, 8)

    used = in_use(total, 8, wanted)

    assert sum(used.values()) <= total
    for lane, number in enumerate(wanted):
        assert min(number, made.own) <= used[lane] <= min(number, made.most)


def test_a_provider_that_hangs_takes_three_quarters_at_the_most():
    used = in_use(64, 8, [1_000, 10, 4])

    assert used == {0: 20, 1: 10, 2: 4}


def test_whoever_waits_for_a_place_is_called_when_one_is_free():
    async def run():
        made, order = Places(4, 2), []

        async def ask(lane, number):
            async with made.one(lane):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(ask(number % 2, number) for number in range(50)))
        return order

    assert sorted(asyncio.run(run())) == list(range(50))


def test_a_process_that_may_open_few_files_has_few_places(monkeypatch):
    monkeypatch.setattr(places.resource, "getrlimit", lambda _what: (128, 4096))
    assert places.allowed() == 32
    monkeypatch.setattr(places.resource, "getrlimit", lambda _what: (1_048_576, 1_048_576))
    assert places.allowed() == places.MOST


@pytest.mark.django_db(transaction=True)
def test_a_pump_never_has_more_requests_under_way_than_its_process_allows(sink, monkeypatch):
    made = launched(recipients=40)
    AccountState.objects.update(max_in_flight=64)
    here = worker_process.current()
    monkeypatch.setattr(here, "places", Places(8, 4))
    most = []
    send = here.wire.send

    async def counted(*arguments):
        most.append(sum(here.places._used.values()))
        return await send(*arguments)

    monkeypatch.setattr(here.wire, "send", counted)
    while pumping.run(made.account_id):
        pass

    assert statuses(made) == {Status.ACCEPTED: 40}
    assert max(most) == Places(8, 4).most


# --- faults of one account -------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_one_result_that_cannot_be_written_is_uncertain_and_all_others_are_written(sink, monkeypatch):
    """Data of a kind that nobody thought of: it stops neither its neighbours nor another account."""
    bad, good = launched(recipients=30), launched(recipients=30)
    poisoned = bad.messages.order_by("pk")[7].pk
    apply = outbox.apply

    def spoilt(changes):
        if any(change.id == poisoned and change.to is Status.ACCEPTED for change in changes):
            raise DataError("integer out of range")
        return apply(changes)

    monkeypatch.setattr(outbox, "apply", spoilt)
    AccountState.objects.filter(pk=good.account_id).update(messages_per_second=20)  # there is time for the other
    pumping.to_the_end(good.account_id)
    while pumping.run(bad.account_id):
        pass

    assert statuses(bad) == {Status.ACCEPTED: 29, Status.UNCERTAIN: 1}
    assert Message.objects.get(pk=poisoned).status == Status.UNCERTAIN
    assert statuses(good) == {Status.ACCEPTED: 30}
    assert len(sink.ledger) == 60


@pytest.mark.django_db(transaction=True)
def test_an_account_whose_sending_breaks_pauses_and_the_others_send(sink, monkeypatch):
    bad, good = launched(recipients=5), launched(recipients=30)
    mark = outbox.mark

    def broken(ids, account_id, **options):
        if account_id == bad.account_id:
            raise DataError("invalid byte sequence")
        return mark(ids, account_id, **options)

    monkeypatch.setattr(outbox, "mark", broken)
    AccountState.objects.filter(pk=good.account_id).update(messages_per_second=20)  # there is time for the other
    pumping.to_the_end(good.account_id)

    assert statuses(good) == {Status.ACCEPTED: 30}
    assert statuses(bad) == {Status.QUEUED: 5}
    paused = AccountState.objects.get(pk=bad.account_id)
    assert paused.open_until is not None, "it was tried"
    assert paused.stopped_at is None
    assert AccountState.objects.get(pk=good.account_id).open_until is None


@pytest.mark.django_db(transaction=True)
def test_a_provider_file_that_reads_too_few_answers_loses_nothing(sink, monkeypatch):
    made = launched("infobip", recipients=5)
    monkeypatch.setattr("extensions.providers.infobip.Infobip.parse_batch", lambda *_arguments: [])

    pumping.run(made.account_id)

    assert statuses(made) == {Status.UNCERTAIN: 5}


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_texts_that_another_connection_holds_keep_only_themselves_waiting(sink):
    """As a cancel of very many does, for as long as it takes."""
    held, other = launched(recipients=20), launched(recipients=30)
    locked, release = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                list(Message.objects.select_for_update().filter(distribution=held).values_list("pk"))
                locked.set()
                release.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(10)
        AccountState.objects.filter(pk=other.account_id).update(
            messages_per_second=20
        )  # there is time for the held one
        pumping.to_the_end(other.account_id)
        assert statuses(other) == {Status.ACCEPTED: 30}
        assert statuses(held) == {Status.QUEUED: 20}
        assert Chunk.objects.get(distribution=held).lease_until is None, "it comes as soon as they are free"
    finally:
        release.set()
        holder.join()
    Chunk.objects.update(not_before="2020-01-01T00:00:00Z")
    while pumping.run(held.account_id):
        pass

    assert statuses(held) == {Status.ACCEPTED: 20}


# --- leases ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_job_that_comes_to_its_turn_after_its_lease_does_not_leave(sink, monkeypatch):
    """Its process stood still: another one may have sent it by now."""
    made = launched(recipients=5)
    monkeypatch.setattr("distributions.engine.pump.clock", lambda: clock() + stood_still[0])
    stood_still = [0.0]
    mark = outbox.mark

    def then_stand_still(*arguments, **options):
        marked = mark(*arguments, **options)
        stood_still[0] = 3_600.0
        return marked

    monkeypatch.setattr(outbox, "mark", then_stand_still)
    pumping.run(made.account_id)

    assert sink.ledger == []
    assert statuses(made) == {Status.QUEUED: 5}


@pytest.mark.django_db(transaction=True)
def test_nothing_is_marked_by_whoever_has_lost_the_chunk():
    made = launched(recipients=5)
    ids = sorted(made.messages.values_list("pk", flat=True))
    [claim] = outbox.claim(made.account_id, "first", 1)
    Chunk.objects.update(lease_until="2020-01-01T00:00:00Z")

    assert outbox.mark(ids, made.account_id, chunk_id=claim.chunk_id, holder="first") == []
    [_again] = outbox.claim(made.account_id, "second", 1)
    assert outbox.mark(ids, made.account_id, chunk_id=claim.chunk_id, holder="first") == []
    assert len(outbox.mark(ids, made.account_id, chunk_id=claim.chunk_id, holder="second")) == 5


@pytest.mark.django_db(transaction=True)
def test_a_pump_that_has_lost_its_worker_slot_ends():
    made = launched(recipients=5)
    assert outbox.take_slot(made.account_id, "mine")

    assert outbox.renew_slots(["mine", "somebody's"]) == {"mine"}


@pytest.mark.django_db(transaction=True)
def test_where_the_provider_takes_less_than_the_account_s_rate_there_is_one_pump():
    made = launched(recipients=5)

    assert outbox.take_slot(made.account_id, "one", first=True)
    assert not outbox.take_slot(made.account_id, "two", first=True)
    assert outbox.take_slot(made.account_id, "two")
    assert (outbox.has_first_slot(made.account_id, "one"), outbox.has_first_slot(made.account_id, "two")) == (
        True,
        False,
    )
