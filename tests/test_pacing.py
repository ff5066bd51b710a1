"""An account's own rate, under a made-up clock: evenly, and no more than it allows in any second."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine import pacing
from distributions.engine.pacing import BLOCK, LATE, UNPACED, Pace, reserve
from extensions.models import AccountState
from tests import factories


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pacing.time, "monotonic", made.monotonic)
    return made


class Row:
    """The account's row, of which the pump reserves its places."""

    def __init__(self, clock, rate):
        self.clock, self.rate, self.next_slot_at = clock, rate, 0.0

    def reserve(self, segments):
        """In how many seconds the first of so many places begins."""
        begins_at = max(self.next_slot_at, self.clock.now)
        self.next_slot_at = begins_at + segments / self.rate
        return begins_at - self.clock.now

    def leave(self, pace, segments=1):
        """When a message leaves that is asked for now."""
        if needed := pace.needs(segments):
            pace.grant(needed, self.reserve(needed))
        self.clock.now += pace.take(segments)
        return self.clock.now


def departures(pace, clock, count):
    """When so many messages leave, one asked for as soon as the one before has left."""
    row = Row(clock, pace.rate)
    return [row.leave(pace) for _number in range(count)]


# --- one pump --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "block"), [(0.5, 1), (1, 1), (3, 1), (10, 5), (100, 50), (1_000, 500), (5_000, 500)])
def test_half_a_second_is_reserved_at_once(rate, block):
    assert Pace(rate).block == block
    assert Pace(rate).needs(1) == max(block, 1)
    assert BLOCK == 0.5


def test_a_long_message_is_reserved_whole():
    assert Pace(2.0).needs(7) == 7


@pytest.mark.parametrize("rate", [0.5, 1.0, 10.0, 80.0])
def test_messages_leave_evenly(clock, rate):
    times = departures(Pace(rate), clock, 20)

    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) >= 1 / rate - LATE - 1e-9
    assert (times[-1] - times[0]) >= 19 / rate - LATE - 1e-9


def test_a_message_of_three_segments_takes_three_places(clock):
    pace = Pace(10.0)
    pace.grant(10, 0.0)

    waits = [pace.take(3), pace.take(1)]

    assert waits == pytest.approx([0.0, 0.3])


def test_a_reservation_that_begins_later_is_waited_for(clock):
    pace = Pace(10.0)
    pace.grant(5, 2.0)

    assert pace.take(1) == pytest.approx(2.0)
    assert pace.take(1) == pytest.approx(2.1)


def test_after_an_idle_hour_the_old_places_are_not_used_in_a_burst(clock):
    pace = Pace(10.0)
    pace.grant(5, 0.0)
    pace.take(1)
    clock.now += 3_600

    assert pace.needs(1) == pace.block
    assert departures(pace, clock, 5)[-1] - 4_600 == pytest.approx(0.4)


def test_who_is_late_goes_on_at_the_rate_and_makes_up_for_a_moment_only(clock):
    pace = Pace(10.0)
    pace.grant(5, 0.0)
    clock.now += 0.4  # four places have gone by

    first, second, third = pace.take(1), pace.take(1), pace.take(1)

    assert first == 0.0
    assert second == pytest.approx(0.1 - LATE)
    assert third == pytest.approx(0.2 - LATE)


@pytest.mark.parametrize("rate", [UNPACED, UNPACED + 1, 10**9])
def test_a_rate_that_is_no_limit_is_not_kept(clock, rate):
    pace = Pace(rate)

    assert pace.needs(1_000) == 0
    assert [pace.take(1) for _number in range(100)] == [0.0] * 100


@given(
    st.floats(0.5, 500),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4)), min_size=1, max_size=60),
)
def test_in_no_second_more_leaves_than_the_rate_allows(rate, asked):
    """Whatever pauses there are between messages, and however long those are."""
    clock, pace, left = Clock(), Pace(rate), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing.time, "monotonic", clock.monotonic)
        row = Row(clock, rate)
        for passes, segments in asked:
            clock.now += passes
            left.append((row.leave(pace, segments), segments))
    for start, _segments in left:
        within = [segments for at, segments in left if start <= at < start + 1]
        # The last message may be longer than the second is, and a moment may be made up for at both ends.
        assert sum(within[:-1]) <= rate * (1 + 2 * LATE) + 1


@given(st.floats(2, 500), st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=9), min_size=5, max_size=40))
def test_every_place_that_was_reserved_is_used(rate, groups):
    """Messages are marked in groups of any size and length, each as soon as the group before it has left."""
    clock, pace = Clock(), Pace(rate)
    began = clock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing.time, "monotonic", clock.monotonic)
        row = Row(clock, rate)
        for group in groups:
            if needed := pace.needs(sum(group)):
                pace.grant(needed, row.reserve(needed))
            leaves_in = [pace.take(segments) for segments in group]
            clock.now += leaves_in[-1]
    before_the_last = sum(map(sum, groups)) - groups[-1][-1]
    assert clock.now - began <= before_the_last / rate + 1e-6
    assert row.next_slot_at - began <= (before_the_last + groups[-1][-1] + pace.block) / rate + 1e-6


def test_what_is_left_of_a_reservation_is_used_before_the_next(clock):
    pace = Pace(10.0)
    pace.grant(5, 0.0)
    first = [pace.take(1) for _number in range(4)]

    assert pace.needs(4) == pace.block  # one is in hand
    pace.grant(5, 0.5)

    assert pace.starts_in() == pytest.approx(0.4)
    assert first + [pace.take(1) for _number in range(6)] == pytest.approx([number / 10 for number in range(10)])


def test_a_reservation_is_good_to_its_last_place_and_a_moment_longer(clock):
    pace = Pace(10.0)
    pace.grant(5, 0.0)

    clock.now += 0.5 + LATE - 0.01
    assert pace.needs(1) == 0
    clock.now += 0.02

    assert pace.needs(1) == pace.block


def test_no_more_is_reserved_than_is_missing(clock):
    pace = Pace(10.0)
    pace.grant(5, 0.0)

    assert pace.needs(5) == 0
    assert pace.needs(6) == pace.block
    assert pace.needs(5 + pace.block + 3) == pace.block + 3


def test_where_nothing_is_reserved_nothing_is_waited_for(clock):
    pace = Pace(10.0)
    assert pace.starts_in() == 0.0
    pace.grant(5, 2.0)
    assert pace.starts_in() == pytest.approx(2.0)
    clock.now += 3.0

    assert pace.starts_in() == 0.0


@pytest.mark.parametrize(("rate", "waits"), [(UNPACED - 1, 2.0), (UNPACED, 0.0), (UNPACED + 1, 0.0)])
def test_a_rate_that_is_no_limit_waits_for_no_reservation_of_before(clock, rate, waits):
    """The rate rises while places are in hand."""
    pace = Pace(rate)
    pace.grant(5, 2.0)

    assert pace.starts_in() == pytest.approx(waits)
    assert pace.needs(10) == (0 if waits == 0.0 else pace.block)
    assert pace.take(1) == pytest.approx(waits)


# --- all pumps of an account -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_two_pumps_reserve_one_after_the_other():
    account = factories.account(factories.organization())
    other = factories.account(factories.organization())

    begins = [reserve(account.pk, 50, 100.0).begins_in for _pump in range(4)]

    assert begins[0] == pytest.approx(0.0, abs=0.05)
    for number, begin in enumerate(begins):
        assert begin == pytest.approx(number * 0.5, abs=0.3)
    assert AccountState.objects.get(pk=other.pk).next_slot_at <= timezone.now()


@pytest.mark.django_db
def test_places_that_went_by_unused_are_gone():
    account = factories.account(factories.organization())
    AccountState.objects.update(next_slot_at=timezone.now() - timedelta(hours=1))

    first, second = [reserve(account.pk, 10, 10.0).begins_in for _pump in range(2)]

    assert first == pytest.approx(0.0, abs=0.05)
    assert second == pytest.approx(1.0, abs=0.3)


@pytest.mark.django_db
def test_what_is_reserved_far_ahead_is_waited_for():
    account = factories.account(factories.organization())
    AccountState.objects.update(next_slot_at=timezone.now() + timedelta(seconds=30))

    assert reserve(account.pk, 1, 10.0).begins_in == pytest.approx(30.0, abs=0.5)


@pytest.mark.django_db
def test_what_begins_too_late_is_not_taken_and_stays_for_whoever_can_wait_for_it():
    account = factories.account(factories.organization())
    reserve(account.pk, 30, 1.0, within=5.0)

    asked = [reserve(account.pk, 1, 1.0, within=5.0, learned=0.5) for _pump in range(3)]

    assert {one.made for one in asked} == {False}
    assert all(one.begins_in == pytest.approx(30.0, abs=0.5) for one in asked)
    assert AccountState.objects.get(pk=account.pk).throttled_rate is None
    assert reserve(account.pk, 1, 1.0, within=31.0) == (pytest.approx(30.0, abs=0.5), None, True)


@pytest.mark.django_db
def test_two_pumps_agree_on_what_the_first_of_them_has_learned():
    """Each knows the 5 a second that the row says; the one that comes first says what holds from then on."""
    account = factories.account(factories.organization())
    AccountState.objects.update(throttled_rate=5.0)

    first = reserve(account.pk, 1, 7.5, known=5.0, learned=7.5)
    second = reserve(account.pk, 1, 5.0, known=5.0, learned=5.5)
    third = reserve(account.pk, 1, 7.5, known=7.5, learned=None)

    assert (first.learned, second.learned, third.learned) == (7.5, 7.5, None)
    assert AccountState.objects.get(pk=account.pk).throttled_rate is None


@pytest.mark.django_db
def test_what_nobody_has_learned_is_not_written():
    account = factories.account(factories.organization())

    assert reserve(account.pk, 1, 10.0).learned is None
    assert AccountState.objects.get(pk=account.pk).throttled_rate is None
