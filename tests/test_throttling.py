"""How fast a provider takes texts is found out from its answers. The clock and the provider are made up."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine.throttling import FALL, LEAST, MANY, Throttle

STEP = 0.005  # seconds of the made-up clock
LATENCY = 0.1
RETRY_AFTER = 1.0


@dataclass
class Bucket:
    """Takes so many a second, and a second's worth of what was not used before."""

    limit: Callable[[float], float]
    tokens: float = 1.0
    filled_at: float = 0.0

    def takes(self, now: float) -> bool:
        limit = self.limit(now)
        self.tokens = min(max(limit, 1.0), self.tokens + (now - self.filled_at) * limit)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class EachSecond:
    """Takes so many in each second of its clock, and refuses the rest of them."""

    limit: Callable[[float], float]
    second: int = -1
    taken: int = 0

    def takes(self, now: float) -> bool:
        if int(now) != self.second:
            self.second, self.taken = int(now), 0
        self.taken += 1
        return self.taken <= self.limit(now)


@dataclass
class Chance:
    """Refuses one in so many, whatever the rate."""

    share: float
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def takes(self, now: float) -> bool:
        return self.random.random() >= self.share


@dataclass
class Run:
    """What became of `texts` that are sent as the pump does: paced, held by themselves, paused together."""

    provider: Bucket | EachSecond | Chance
    ceiling: float
    texts: int
    within: float = 600.0
    taken_at: list[float] = field(default_factory=list)
    refused: int = 0
    rates: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        throttle = Throttle(self.ceiling, None, 0.0)
        now, slot_at, paused_until, waiting = 0.0, 0.0, 0.0, self.texts
        held: list[float] = []
        under_way: list[tuple[float, bool]] = []
        while len(self.taken_at) < self.texts and now < self.within:
            while held and held[0] <= now:
                heapq.heappop(held)
                waiting += 1
            while under_way and under_way[0][0] <= now:
                _at, taken = heapq.heappop(under_way)
                if taken:
                    self.taken_at.append(now)
                else:
                    self.refused += 1
                    heapq.heappush(held, now + RETRY_AFTER)
                if throttle.answered(now, 1, too_many=not taken):
                    slot_at = paused_until = now + RETRY_AFTER
                    throttle.paused(paused_until)
            throttle.rise(now)
            while waiting and now >= max(slot_at, paused_until) and len(under_way) < 64:
                heapq.heappush(under_way, (now + LATENCY, self.provider.takes(now)))
                waiting -= 1
                slot_at = max(slot_at, now - 0.05) + 1 / throttle.rate
            self.rates.append((now, throttle.rate))
            now += STEP

    @property
    def seconds(self) -> float:
        return self.taken_at[-1]

    def taken_between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.taken_at)


@pytest.mark.parametrize("ceiling", [100.0, 10_000.0])
@pytest.mark.parametrize("kind", [Bucket, EachSecond])
def test_of_what_a_provider_takes_at_least_eight_tenths_are_sent(kind, ceiling):
    """1,500 texts to a provider that takes 50 a second; they once went at 5.5 a second."""
    run = Run(kind(lambda _now: 50), ceiling, texts=1_500)

    assert len(run.taken_at) == 1_500
    assert 1_500 / run.seconds >= 0.8 * 50


@pytest.mark.parametrize("limit", [2, 5, 20, 100, 400])
def test_whatever_the_limit_is_it_is_found(limit):
    run = Run(Bucket(lambda _now: limit), 1_000.0, texts=limit * 40)

    assert len(run.taken_at) / run.seconds >= 0.75 * limit
    assert run.refused <= 0.3 * len(run.taken_at) + 100  # and it is not found by hammering


def test_refusals_by_chance_cost_little():
    """Two in a hundred: no reason to go slower."""
    undisturbed, disturbed = Run(Chance(0.0), 10_000.0, texts=2_000), Run(Chance(0.02), 10_000.0, texts=2_000)

    assert disturbed.seconds <= 3 * undisturbed.seconds
    assert all(rate == 10_000 for _at, rate in disturbed.rates)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("ceiling", [10.0, 50.0, 200.0])
def test_chance_is_no_limit_however_few_answers_a_second_there_are(ceiling, share):
    run = Run(Chance(share), ceiling, texts=int(ceiling * 60))

    assert len(run.taken_at) / run.seconds >= 0.8 * ceiling * (1 - share)


def test_a_limit_that_falls_and_comes_back_is_followed_within_ten_seconds():
    run = Run(Bucket(lambda now: 5 if 10 <= now < 40 else 100), 1_000.0, texts=10_000, within=60.0)

    assert run.taken_between(20, 40) >= 0.75 * 5 * 20
    assert max(rate for at, rate in run.rates if 20 <= at < 40) <= 4 * 5
    assert run.taken_between(50, 60) >= 0.75 * 100 * 10


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3), st.booleans()), max_size=200),
    st.floats(1, 10_000),
    st.none() | st.floats(0.5, 20_000),
)
def test_the_rate_is_never_above_the_accounts_own_and_never_nothing(answers, ceiling, learned):
    throttle, now = Throttle(ceiling, learned, 0.0, pumps=2), 0.0

    for passed, segments, too_many in answers:
        now += passed
        before = throttle.rate
        fell = throttle.answered(now, segments, too_many=too_many)
        assert throttle.rate < before or not fell or before == LEAST
        if fell:
            throttle.paused(now + 1)
        throttle.rise(now)
        assert min(LEAST, ceiling) <= throttle.rate <= ceiling


def test_a_few_refusals_among_many_answers_change_nothing():
    throttle = Throttle(100.0, None, 0.0)

    said = [throttle.answered(number / 100, 1, too_many=number % 20 == 0) for number in range(100)]

    assert not any(said)
    assert MANY > 1 / 20
    assert throttle.rate == 100


def test_what_had_left_before_the_rate_fell_does_not_let_it_fall_again():
    throttle = Throttle(100.0, None, 0.0)
    for number in range(20):
        throttle.answered(number / 100, 1, too_many=number % 2 == 0)
    throttle.paused(1.2)
    fallen = throttle.rate

    for number in range(20):
        throttle.answered(0.2 + number / 100, 1, too_many=True)

    assert throttle.rate == fallen


def test_another_pump_begins_with_what_was_learned():
    assert Throttle(100.0, 48.0, 0.0).rate == 48
    assert Throttle(20.0, 48.0, 0.0).rate == 20  # the account's own rate has been set lower since
    assert not Throttle(20.0, 48.0, 0.0).is_held_down


def test_a_provider_that_has_taken_something_is_no_provider_that_takes_nothing():
    """The pump ends only where not a single text was taken: what comes in between is a pause."""
    throttle = Throttle(100.0, None, 0.0)

    for number in range(5):
        throttle.answered(number / 10, 1, too_many=True)
    assert throttle.takes_nothing
    throttle.answered(0.6, 1, too_many=False)
    throttle.paused(1.6)
    for number in range(5):
        throttle.answered(2 + number / 10, 1, too_many=True)

    assert not throttle.takes_nothing


# --- step by step ----------------------------------------------------------------------------------------------------


def after(throttle, taken, refused, *, begins=0.0, ends=0.5):
    """So many answers, evenly between these times, the refused ones last; what was said to each of those."""
    number = taken + refused
    times = [begins + (ends - begins) * place / (number - 1) for place in range(number)]
    for at in times[:taken]:
        assert throttle.answered(at, 1, too_many=False) is False
    return [throttle.answered(at, 1, too_many=True) for at in times[taken:]]


def test_two_refusals_may_be_chance_whatever_their_share_and_three_are_not():
    assert after(Throttle(100.0, None, 0.0), 0, 3) == [False, False, True]


def test_clearly_more_than_a_tenth_is_a_limit():
    """Of a hundred answers fourteen may be chance, fifteen are not."""
    assert after(Throttle(100.0, None, 0.0), 85, 15) == [False] * 14 + [True]


def test_only_the_answers_of_the_last_second_are_looked_at():
    for third, falls in ((1.0, True), (1.01, False)):
        throttle = Throttle(100.0, None, 0.0)
        said = [throttle.answered(at, 1, too_many=True) for at in (0.0, 0.5, third)]
        assert said == [False, False, falls]


def test_the_rate_falls_to_seven_tenths_of_what_was_taken():
    throttle = Throttle(100.0, None, 0.0)

    after(throttle, 85, 15)

    assert throttle.good == pytest.approx(85.0)
    assert throttle.rate == pytest.approx(59.5)
    assert throttle.is_held_down


def test_what_all_pumps_together_asked_for_is_what_counts():
    """A hundred answers in half a second, and as many at the other pump: 400 a second, of which 85 % were taken."""
    throttle = Throttle(1_000.0, None, 0.0, pumps=2)

    after(throttle, 85, 15)

    assert throttle.good == pytest.approx(340.0)
    assert throttle.rate == pytest.approx(238.0)


def test_the_first_answers_say_that_there_is_a_limit_and_not_where():
    throttle = Throttle(100.0, None, 0.0)

    after(throttle, 17, 15, ends=0.2)

    assert throttle.good == throttle.rate


def test_the_rate_returns_in_five_steps_and_then_goes_carefully_beyond():
    throttle = Throttle(100.0, None, 0.0)
    after(throttle, 85, 15)
    throttle.paused(1.0)
    rates = []
    for second in range(2, 13):
        throttle.answered(second - 0.1, 1, too_many=False)
        throttle.rise(second - 0.01)
        rates.append(throttle.rate)  # not yet: a second has to pass
        throttle.rise(second)
        rates.append(throttle.rate)

    good, low = 85.0, 59.5
    steps = [low + number * good * 0.3 / 5 for number in range(6)]
    assert rates[1:11:2] == pytest.approx(steps[1:])
    assert rates[0:10:2] == pytest.approx(steps[:5])
    beyond = [rate for rate in rates[11::2] if rate > good + 1e-6]
    assert beyond[:4] == pytest.approx([good * 1.05, good * 1.05 * 1.1, 100.0, 100.0])


def test_the_rate_that_was_learned_is_kept_for_a_second():
    throttle = Throttle(100.0, 50.0, 10.0)
    throttle.answered(10.4, 1, too_many=False)

    throttle.rise(10.99)
    assert throttle.rate == 50.0
    throttle.rise(11.0)

    assert throttle.rate > 50.0


@pytest.mark.parametrize(
    ("taken", "refused", "rises"),
    [(0, 0, False), (1, 0, True), (90, 9, True), (9, 1, True), (8, 1, False), (0, 1, False)],
)
def test_the_rate_rises_where_texts_are_taken_and_hardly_any_refused(taken, refused, rises):
    throttle = Throttle(100.0, 50.0, 0.0)
    for _answer in range(taken):
        throttle.answered(0.9, 1, too_many=False)
    for _answer in range(refused):
        throttle.answered(0.9, 1, too_many=True)

    throttle.rise(1.0)

    assert (throttle.rate > 50.0) is rises


def test_with_more_than_a_few_refusals_the_steps_beyond_begin_small_again():
    throttle = Throttle(1_000.0, 50.0, 0.0)
    for second in (1, 2, 3):
        throttle.answered(second - 0.1, 1, too_many=False)
        throttle.rise(second)
    assert throttle.rate == pytest.approx(50 * 1.05 * 1.1 * 1.2)
    before = throttle.rate

    for _answer in range(24):
        throttle.answered(3.9, 1, too_many=False)
    throttle.answered(3.9, 1, too_many=True)  # one in 26: more than three in a hundred
    throttle.rise(4.0)

    assert throttle.rate == pytest.approx(before * 1.05)


def test_a_pause_ends_half_a_second_after_it_and_what_was_said_before_is_forgotten():
    throttle = Throttle(100.0, None, 0.0)
    after(throttle, 0, 2)
    throttle.paused(2.0)

    assert [throttle.answered(2.1 + number / 100, 1, too_many=True) for number in range(5)] == [False] * 5
    throttle.paused(2.0)
    assert [throttle.answered(2.5 + number / 100, 1, too_many=True) for number in range(3)] == [False, False, True]


# --- two pumps of one account ----------------------------------------------------------------------------------------


def test_what_another_pump_has_found_is_taken_over_and_the_next_step_waits_its_turn():
    throttle = Throttle(100.0, 5.0, 0.0)

    throttle.adopt(40.0, 10.0)
    assert throttle.rate == throttle.learned == 40.0
    throttle.answered(10.5, 1, too_many=False)
    throttle.rise(10.9)
    assert throttle.rate == 40.0
    throttle.rise(11.1)
    assert throttle.rate > 40.0

    throttle.adopt(None, 12.0)
    assert (throttle.rate, throttle.learned) == (100.0, None)


def test_a_fall_that_another_pump_has_met_is_returned_from_as_from_ones_own():
    throttle = Throttle(100.0, None, 0.0)

    throttle.adopt(7.0, 1.0)

    assert throttle.good == pytest.approx(7.0 / FALL)
    for _text in range(20):  # which had left before
        assert not throttle.answered(1.5, 1, too_many=True)
    assert throttle.rate == 7.0


@given(st.lists(st.floats(0.001, 1_000) | st.none(), max_size=10), st.floats(1, 500))
def test_whatever_others_find_the_rate_is_never_above_the_accounts_own(found, ceiling):
    throttle = Throttle(ceiling, None, 0.0)
    for number, rate in enumerate(found):
        throttle.adopt(rate, float(number))
        assert 0 < throttle.rate <= ceiling
