"""An account that several share serves them in turns: organisations, then their distributions; replies before all."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine import outbox, worker_process
from distributions.engine.pump import Pump
from distributions.engine.turns import Line, Turns
from distributions.models import Chunk, Distribution
from distributions.planning import starting
from distributions.states import Status
from extensions.models import AccountState
from tests import factories
from tests.simulated import statuses

lines = st.lists(
    st.builds(Line, st.integers(1, 30), st.sampled_from(["north", "south", "west"]), st.booleans()),
    unique_by=lambda line: line.distribution_id,
    max_size=12,
)


@given(lines, st.integers(0, 8))
def test_no_organisation_is_chosen_twice_before_every_other_was_once(waiting, room):
    chosen = Turns().choose(waiting, room)

    assert len(chosen) == min(room, len(waiting))
    assert len({line.distribution_id for line in chosen}) == len(chosen)
    has = Counter(line.organization for line in waiting)
    had = Counter(line.organization for line in chosen)
    for organization, number in had.items():
        for other in has:
            assert had[other] >= min(number - 1, has[other]), (organization, other)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_whoever_has_more_distributions_has_no_more_turns(numbers):
    """An organisation's turns do not depend on how many distributions it runs."""
    waiting = [
        Line(10 * org + number, f"org{org}", False) for org, most in enumerate(numbers) for number in range(most)
    ]
    turns, had = Turns(), Counter()

    for _turn in range(60):
        line = turns.next(waiting)
        turns.served(line)
        had[line.organization] += 1
        had[line.distribution_id] += 1

    assert {had[f"org{org}"] for org in range(len(numbers))} == {60 // len(numbers)}
    for org, most in enumerate(numbers):
        shares = [had[10 * org + number] for number in range(most)]
        assert max(shares) - min(shares) <= 1


# --- at a shared account ---------------------------------------------------------------------------------------------


@pytest.fixture
def shared(db):
    """The installation's own account."""
    made = factories.account(None)
    AccountState.objects.filter(pk=made.pk).update(messages_per_second=40, max_in_flight=8)
    return made


def launched(account, recipients, organization=None, **fields):
    organization = organization or factories.organization()
    made = factories.distribution(
        organization,
        contact_list=factories.contact_list(organization, recipients),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
        **fields,
    )
    while starting.expand(made.pk):
        pass
    return made


def waiting(account):
    return {line.distribution_id: (line.organization, line.has_replies) for line in outbox.lines(account.pk)}


def test_who_waits_at_an_account_is_whoever_could_be_claimed_now(shared):
    clinic = factories.organization()
    first, second = launched(shared, 3, clinic), launched(shared, 3, clinic)
    paused, done, leased, later, elsewhere, answered = (launched(shared, 3) for _one in range(6))
    Distribution.objects.filter(pk=paused.pk).update(paused_at=timezone.now())
    Chunk.objects.filter(distribution=done).update(state=Chunk.State.DONE)
    Chunk.objects.filter(distribution=leased).update(lease_until=timezone.now() + timedelta(minutes=1))
    Chunk.objects.filter(distribution=later).update(not_before=timezone.now() + timedelta(minutes=1))
    Chunk.objects.filter(distribution=elsewhere).update(account=factories.account(elsewhere.organization))
    Distribution.objects.filter(pk=answered.pk).update(state=Distribution.State.FINISHED)
    Chunk.objects.filter(distribution=answered).update(priority=Chunk.Priority.REPLY)

    assert waiting(shared) == {
        first.pk: (clinic.public_id, False),
        second.pk: (clinic.public_id, False),
        answered.pk: (answered.organization.public_id, True),
    }


def test_a_claim_may_be_of_one_distribution_or_of_replies_alone(shared):
    first, second = launched(shared, 3), launched(shared, 3)
    reply = Chunk.objects.create(
        distribution=first, account=shared, first_id=1, last_id=1, priority=Chunk.Priority.REPLY
    )

    assert [one.chunk_id for one in outbox.claim(shared.pk, "me", 9, replies=True)] == [reply.pk]
    assert [one.distribution_id for one in outbox.claim(shared.pk, "me", 9, distribution_id=second.pk)] == [second.pk]
    assert [one.distribution_id for one in outbox.claim(shared.pk, "me", 9)] == [first.pk]


def pump_for_a_moment(account):
    here = worker_process.current()
    here.runner.run(Pump(account.pk, here, ends_at=time.monotonic() + 4).run())


@pytest.mark.django_db(transaction=True)
def test_ten_texts_do_not_wait_behind_a_thousand_of_another_organisation(sink):
    """Both share the installation's account: the crowd came first, and with several distributions."""
    account = factories.account(None)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=40, max_in_flight=8)
    crowd = factories.organization()
    large = [launched(account, 400, crowd) for _number in range(3)]
    small = launched(account, 10)

    pump_for_a_moment(account)

    assert statuses(small) == {Status.ACCEPTED: 10}
    assert all(0 < statuses(one)[Status.ACCEPTED] < 400 for one in large), "they are sent in turns"


@pytest.mark.django_db(transaction=True)
def test_a_reply_that_comes_while_a_crowd_is_being_sent_does_not_wait_for_it(sink, monkeypatch):
    account = factories.account(None)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=40, max_in_flight=8)
    large, asked = launched(account, 400), launched(account, 1)
    Chunk.objects.filter(distribution=asked).update(priority=Chunk.Priority.REPLY, not_before="2100-01-01T00:00:00Z")
    lines_of = outbox.lines
    looks = []

    def then_somebody_writes(account_id):
        looks.append(account_id)
        if len(looks) == 2:  # in the middle of the crowd
            Chunk.objects.filter(distribution=asked).update(not_before=timezone.now())
        return lines_of(account_id)

    monkeypatch.setattr(outbox, "lines", then_somebody_writes)
    pump_for_a_moment(account)

    assert statuses(asked) == {Status.ACCEPTED: 1}
    assert statuses(large)[Status.QUEUED] > 0
