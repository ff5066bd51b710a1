"""A time in people's night is remarked on in the review, and never forbidden."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from distributions.review import review
from tests import factories

pytestmark = pytest.mark.django_db

GERMAN, AMERICAN, BRITISH = "+491511234{:04d}", "+1212555{:04d}", "+4477009{:05d}"


def reviewed(clock, phones, **fields):
    clinic = factories.organization(time_zone="Europe/Berlin", **fields)
    factories.account(clinic)
    people = factories.contact_list(clinic, phones=phones)
    send_at = datetime.combine(datetime(2035, 7, 2), clock, tzinfo=ZoneInfo("Europe/Berlin"))
    found = review(factories.distribution(clinic, contact_list=people, send_at=send_at))
    assert found.can_launch
    return " ".join(found.warnings)


def people(form, number):
    return [form.format(index) for index in range(number)]


@pytest.mark.parametrize("clock", [time(21), time(23, 30), time(3), time(7, 59)])
def test_the_night_of_the_recipients_is_remarked_on(clock):
    said = reviewed(clock, people(GERMAN, 3))

    assert "it is night for 3 people" in said
    assert f"{clock:%H:%M} in Europe/Berlin" in said


@pytest.mark.parametrize("clock", [time(8), time(9, 30), time(20, 59)])
def test_the_day_is_not(clock):
    assert "night" not in reviewed(clock, people(GERMAN, 3))


def test_who_is_in_another_country_has_another_night():
    said = reviewed(time(9, 30), [*people(GERMAN, 3), *people(AMERICAN, 2)])

    assert "it is night for 2 people: 03:30 in America/New_York" in said
    assert "night" not in reviewed(time(16), [*people(GERMAN, 3), *people(AMERICAN, 2)])


def test_one_person_is_counted_too():
    assert "it is night for 1 person" in reviewed(time(22), people(BRITISH, 1))


def test_where_quiet_hours_hold_the_texts_back_it_says_when_they_go():
    said = reviewed(time(23, 30), people(GERMAN, 3), quiet_from=time(20), quiet_until=time(8))

    assert "it is night" not in said
    assert "hold the texts back" in said
    assert "3 Jul 2035" in said


def test_quiet_hours_that_end_in_somebodys_night_do_not_silence_the_remark():
    said = reviewed(time(23), people(AMERICAN, 2), quiet_from=time(21), quiet_until=time(9))

    assert "it is night for 2 people: 03:00 in America/New_York" in said
