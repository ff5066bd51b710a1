"""When an account may send: its breaker, its stop, and what each of them leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from extensions import health
from extensions.models import AccountState
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return factories.account(factories.organization())


@pytest.fixture
def other():
    """Another organisation's, which nothing here may touch."""
    return factories.account(factories.organization())


def state_of(account):
    return AccountState.objects.get(pk=account.pk)


def untouched(account):
    state = state_of(account)
    return (state.open_until, state.failures, state.stopped_at, state.stopped_reason, state.throttled_rate) == (
        (None, 0, None, "", None)
    )


@pytest.mark.parametrize("failures", [0, 1, 2, 5, 6, 10, 11, 1_000])
def test_the_wait_doubles_up_to_a_minute(failures):
    longest = min(60.0, 2.0 ** min(failures, 10))

    waits = [health.backoff(failures) for _time in range(200)]

    assert longest / 2 <= min(waits)
    assert max(waits) <= longest
    assert max(waits) - min(waits) > longest / 10  # so that workers do not come together


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        ({}, True),
        ({"open_until": timedelta(seconds=-1)}, True),
        ({"open_until": timedelta(seconds=5)}, False),
        ({"stopped_at": timedelta(seconds=-5)}, False),
        ({"stopped_at": timedelta(seconds=-5), "open_until": timedelta(seconds=-1)}, False),
        ({"failures": 7}, True),
    ],
)
def test_an_account_may_send_unless_it_pauses_or_has_stopped(account, fields, may):
    now = timezone.now()
    AccountState.objects.filter(pk=account.pk).update(
        **{name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    )
    account.refresh_from_db()

    assert health.may_send(account) is may


def test_each_failure_is_counted_and_only_the_account_itself_pauses(account, other):
    until = timezone.now() + timedelta(seconds=9)

    health.trip(account, until)
    health.trip(account, until + timedelta(seconds=1))

    assert state_of(account).failures == 2
    assert state_of(account).open_until == until + timedelta(seconds=1)
    assert untouched(other)


def test_when_it_works_again_the_next_wait_is_a_short_one(account, other):
    health.trip(other, timezone.now())
    health.trip(account, timezone.now() + timedelta(minutes=1))

    health.recover(account)

    assert untouched(account)
    assert state_of(other).failures == 1


def test_the_first_reason_for_a_stop_stays(account, other):
    health.stop(account, "auth_failed: " + "x" * 1_000)
    stopped_at = state_of(account).stopped_at
    health.stop(account, "insufficient_balance")

    state = state_of(account)
    assert (state.stopped_at, state.stopped_reason) == (stopped_at, ("auth_failed: " + "x" * 1_000)[:500])
    assert untouched(other)


def test_recovering_does_not_lift_a_stop_and_verifying_does(account, other):
    health.stop(account, "auth_failed")
    health.stop(other, "auth_failed")

    health.recover(account)
    assert state_of(account).stopped_at is not None
    health.resume(account)

    assert untouched(account)
    assert state_of(other).stopped_at is not None


def test_verifying_ends_a_pause_too_and_begins_the_count_of_failures_anew(account, other):
    for one in (account, other):
        health.trip(one, timezone.now() + timedelta(minutes=1))
        health.stop(one, "auth_failed")

    health.resume(account)

    assert untouched(account)
    theirs = state_of(other)
    assert (theirs.failures, theirs.stopped_reason, theirs.open_until is None) == (1, "auth_failed", False)


def test_a_slower_pace_never_brings_forward_what_is_reserved(account, other):
    later = timezone.now() + timedelta(seconds=30)
    AccountState.objects.filter(pk=account.pk).update(next_slot_at=later)

    health.slow_down(account, 48.0, timezone.now() + timedelta(seconds=1))
    assert (state_of(account).throttled_rate, state_of(account).next_slot_at) == (48.0, later)
    health.slow_down(account, None, later + timedelta(seconds=5))

    assert (state_of(account).throttled_rate, state_of(account).next_slot_at) == (None, later + timedelta(seconds=5))
    assert untouched(other)
