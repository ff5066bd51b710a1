"""Quiet hours on an account: what is held, until when, and whose texts go on."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from distributions.engine import due, outbox, quiet
from distributions.models import Chunk, Distribution
from tests import factories
from tests.travelling import travel

# To come and long ago by either clock: PostgreSQL claims by its own, which no test moves.
NIGHT = datetime(2126, 11, 22, 22, 30, tzinfo=UTC)  # half past eleven in Berlin
MORNING = datetime(2126, 11, 23, 7, 0, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = {"quiet_from": time(20), "quiet_until": time(8), "time_zone": "Europe/Berlin"}


@pytest.fixture
def clock():
    with travel(NIGHT, tick=False) as traveller:
        yield traveller


def waiting(account, organization=None, **fields):
    """A chunk of one text that is due."""
    made = factories.distribution(
        organization or account.organization, recipients=1, account=account, state=Distribution.State.SENDING
    )
    first = made.messages.get().pk
    fields = {"not_before": LONG_AGO, **fields}
    return Chunk.objects.create(distribution=made, account=account, first_id=first, last_id=first, **fields)


def due_at(chunk):
    return Chunk.objects.get(pk=chunk.pk).not_before


@pytest.mark.django_db
def test_what_is_due_at_night_is_held_until_morning_and_neither_claimed_nor_looked_for(clock):
    account = factories.account(factories.organization(**QUIET))
    chunk = waiting(account)
    assert due.accounts_due() == [account.pk], "it would go"

    quiet.postpone(account)

    assert due_at(chunk) == MORNING
    assert outbox.claim(account.pk, "night", 5) == []
    assert due.accounts_due() == []
    Chunk.objects.filter(pk=chunk.pk).update(not_before=LONG_AGO)  # long ago, for either clock
    assert [claim.chunk_id for claim in outbox.claim(account.pk, "day", 5)] == [chunk.pk]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields", [{}, {"quiet_from": time(20)}, {"quiet_until": time(8)}, {**QUIET, "quiet_from": time(23, 45)}]
)
def test_by_day_and_without_quiet_hours_nothing_is_held(clock, fields):
    account = factories.account(factories.organization(**{"time_zone": "Europe/Berlin", **fields}))
    chunk = waiting(account)
    before = due_at(chunk)

    quiet.postpone(account)

    assert due_at(chunk) == before
    assert len(outbox.claim(account.pk, "night", 5)) == 1


@pytest.mark.django_db
def test_on_a_shared_account_one_organisations_night_holds_its_own_texts_alone(clock):
    """In Vancouver it is afternoon, and a third has no quiet hours."""
    shared = factories.account(None)
    berlin = waiting(shared, factories.organization(**QUIET))
    vancouver = waiting(shared, factories.organization(**{**QUIET, "time_zone": "America/Vancouver"}))
    anywhere = waiting(shared, factories.organization())
    before = due_at(vancouver), due_at(anywhere)

    quiet.postpone(shared)

    assert due_at(berlin) == MORNING
    assert (due_at(vancouver), due_at(anywhere)) == before
    assert {claim.chunk_id for claim in outbox.claim(shared.pk, "night", 5)} == {vancouver.pk, anywhere.pk}


@pytest.mark.django_db
def test_an_organisations_account_holds_no_other_account_of_it_and_nobody_elses(clock):
    mine, second = (factories.account(organization) for organization in [factories.organization(**QUIET)] * 2)
    theirs = factories.account(factories.organization(**QUIET))
    held, others = waiting(mine), [waiting(second), waiting(theirs)]
    before = [due_at(chunk) for chunk in others]

    quiet.postpone(mine)

    assert due_at(held) == MORNING
    assert [due_at(chunk) for chunk in others] == before


@pytest.mark.django_db
def test_what_is_at_work_done_later_or_a_reply_is_left_as_it_is(clock):
    """Who writes at night is answered at night; a pump that is at work finds out by itself."""
    account = factories.account(factories.organization(**QUIET))
    later = NIGHT + timedelta(days=9)
    left = [
        waiting(account, priority=Chunk.Priority.REPLY),
        waiting(account, state=Chunk.State.DONE),
        waiting(account, lease_until=NIGHT + timedelta(minutes=1), holder="somebody"),
        waiting(account, not_before=later),
    ]
    before = [due_at(chunk) for chunk in left]

    quiet.postpone(account)

    assert [due_at(chunk) for chunk in left] == before


@pytest.mark.parametrize(
    ("now", "quiet_from", "quiet_until", "ends"),
    [
        ("2026-11-22T19:59:59", time(21), time(8), None),
        ("2026-11-22T20:00:00", time(21), time(8), "2026-11-23T07:00"),  # 21:00 in Berlin is quiet already
        ("2026-11-23T06:59:59", time(21), time(8), "2026-11-23T07:00"),
        ("2026-11-23T07:00:00", time(21), time(8), None),  # 8:00 is not quiet any more
        ("2026-11-23T11:59:59", time(13), time(14), None),
        ("2026-11-23T12:00:00", time(13), time(14), "2026-11-23T13:00"),
        ("2026-11-23T13:00:00", time(13), time(14), None),
        ("2026-11-23T12:00:00", time(13), time(13), None),  # from one to one is never
        ("2026-11-23T12:00:00", time(13), None, None),
        ("2026-11-23T12:00:00", None, time(14), None),
        ("2026-12-31T23:30:00", time(0), time(8), "2027-01-01T07:00"),
    ],
)
def test_quiet_begins_with_its_first_minute_and_ends_with_its_last(now, quiet_from, quiet_until, ends):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)

    found = quiet.ends_at(moment, quiet_from, quiet_until, "Europe/Berlin")

    assert found == (datetime.fromisoformat(ends).replace(tzinfo=UTC) if ends else None)


@pytest.mark.parametrize(
    ("clock_there", "night"),
    [
        (time(20, 59), False),
        (time(21), True),
        (time(0), True),
        (time(7, 59), True),
        (time(8), False),
        (time(12), False),
    ],
)
def test_most_people_sleep_or_want_to_be_left_alone_from_nine_to_eight(clock_there, night):
    moment = datetime.combine(datetime(2026, 11, 22), clock_there, tzinfo=UTC) + timedelta(hours=5)  # in New York

    assert quiet.is_night(moment, "America/New_York") is night
