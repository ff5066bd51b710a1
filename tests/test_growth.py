"""How many more people than planned, and how much later, are too many and too late: the bounds themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from distributions import services
from distributions.models import Distribution
from distributions.planning import starting
from tests import factories
from tests.travelling import travel


@pytest.mark.parametrize(
    ("planned", "people", "grown"),
    [
        (100, 90, False),
        (100, 110, False),  # ten more are no mistake
        (100, 111, True),
        (200, 210, False),
        (200, 211, True),
        (1_000, 1_050, False),  # nor is one in twenty
        (1_000, 1_051, True),
        (0, 10, False),
        (0, 11, True),
        (100_000, 105_000, False),
        (100_000, 105_001, True),
    ],
)
def test_more_people_than_ten_and_than_one_in_twenty_are_too_many(planned, people, grown):
    assert starting.has_grown(planned, people) is grown


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("late", "state"),
    [
        (timedelta(seconds=-1), Distribution.State.SCHEDULED),
        (timedelta(0), Distribution.State.LAUNCHING),
        (timedelta(hours=12), Distribution.State.LAUNCHING),
        (timedelta(hours=12, seconds=1), Distribution.State.SCHEDULED),
    ],
)
def test_what_is_planned_begins_at_its_time_and_up_to_twelve_hours_later(late, state):
    """And another organisation's, planned for much later, does not."""
    made, other = planned(), planned(days=9)

    with travel(made.send_at + late, tick=False):
        starting.start_due()

    made.refresh_from_db()
    other.refresh_from_db()
    assert (made.state, other.state) == (state, Distribution.State.SCHEDULED)
    assert (made.held_at is not None) is (late > timedelta(hours=12))
    assert bool(made.problem) is (late > timedelta(hours=12))
    assert (other.held_at, other.problem) == (None, "")


def planned(**later):
    clinic = factories.organization()
    factories.account(clinic)
    at = (timezone.now() + timedelta(**(later or {"days": 1}))).replace(microsecond=0)
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2), send_at=at)
    services.launch(made, factories.user(clinic, use_sms_distributions="enabled"))
    made.refresh_from_db()
    assert made.state == Distribution.State.SCHEDULED
    return made


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{"paused_at": timezone.now()}, {"held_at": timezone.now()}])
def test_what_is_paused_or_held_does_not_begin_by_itself(fields):
    made = planned()
    Distribution.objects.filter(pk=made.pk).update(**fields)

    with travel(made.send_at + timedelta(minutes=1), tick=False):
        starting.start_due()

    made.refresh_from_db()
    assert made.state == Distribution.State.SCHEDULED


@pytest.mark.django_db
def test_what_a_person_confirmed_later_is_late_from_then_on():
    made = planned()
    confirmed_at = made.send_at + timedelta(hours=20)
    Distribution.objects.filter(pk=made.pk).update(confirmed_at=confirmed_at)

    with travel(confirmed_at + timedelta(hours=11), tick=False):
        starting.start_due()

    made.refresh_from_db()
    assert made.state == Distribution.State.LAUNCHING
