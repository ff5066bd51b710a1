"""A time in people's night is remarked on as soon as it is chosen and in the review, and never forbidden."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distributions.planning.review import review
from organizations.models import Organization
from tests import factories
from tests.reviewing import BASE

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


# --- while it is being written: the same words ------------------------------------------------------------------------


NIGHT = reverse("admin:distributions_distribution_night")


@pytest.fixture
def clinic():
    return factories.organization(time_zone="Europe/Berlin")


@pytest.fixture
def site(client, clinic):
    factories.account(clinic)
    factories.survey(clinic)
    client.force_login(factories.user(clinic, use_sms_distributions="enabled"))
    return client


def remarks(page):
    """The warnings of a page, as they are read."""
    return [unescape(said) for said in re.findall(r'<p class="sb-notice is-warning">(.*?)</p>', page.text, re.DOTALL)]


def times_in(page):
    return [said for said in remarks(page) if "night" in said or "hold the texts back" in said]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    clock=st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    numbers=st.lists(
        st.sampled_from(
            [
                *people(GERMAN, 3),
                *people(AMERICAN, 3),
                *people(BRITISH, 3),
                "+12125550001",
                "+13105550001",
                "+6591234567",
            ]
        ),
        min_size=1,
        max_size=9,
        unique=True,
    ),
    quiet=st.sampled_from([(None, None), (time(20), time(8)), (time(21), time(9)), (time(1), time(2))]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Tokyo"]),
)
@example(time(0), ["+4915112340002"], (time(20), time(8)), "Europe/Berlin")  # everybody has opted out
def test_whoever_chooses_a_time_reads_what_the_review_says(site, clinic, clock, numbers, quiet, zone):
    Organization.objects.filter(pk=clinic.pk).update(quiet_from=quiet[0], quiet_until=quiet[1], time_zone=zone)
    contact_list = factories.contact_list(clinic, phones=numbers)
    contact_list.contacts.filter(phone__endswith="2").update(opted_out_at=datetime(2026, 1, 1, tzinfo=UTC))
    send_at = datetime.combine(datetime(2035, 7, 2), clock, tzinfo=ZoneInfo(zone))
    draft = factories.distribution(clinic, contact_list=contact_list, send_at=send_at)

    chosen = site.post(
        NIGHT, {"contact_list": contact_list.pk, "when": "later", "send_at": f"2035-07-02T{clock:%H:%M}"}
    )

    review = times_in(site.get(f"{BASE}/{draft.pk}/review/"))
    assert remarks(chosen) == review
    assert times_in(site.get(f"{BASE}/{draft.pk}/edit/")) == review


def test_it_stands_beside_the_time_when_the_form_comes_back(site, clinic):
    contact_list = factories.contact_list(clinic, phones=people(GERMAN, 3))
    written = {"contact_list": contact_list.pk, "when": "later", "send_at": "2035-07-02T23:30"}

    page = site.post(f"{BASE}/add/", written)

    assert page.status_code == 422
    assert "it is night for 3 people" in page.text.partition('id="night"')[2]
    assert "23:30 in Europe/Berlin" in page.text


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"when": "now"},
        {"when": "later", "send_at": ""},
        {"send_at": "tonight"},
        {"send_at": "2020-01-01T23:00"},
        {"send_at": "9999-12-31T23:59"},
        {"send_at": "0001-01-01T00:00"},
        {"send_at": "2035-10-28T02:30"},
        {"send_at": "2035-07-02T12:00"},
        {"contact_list": ""},
        {"contact_list": "x"},
        {"contact_list": "9" * 30},
    ],
)
def test_nothing_is_said_where_there_is_nothing_to_say(site, clinic, written):
    contact_list = factories.contact_list(clinic, phones=people(GERMAN, 3))
    times = {"contact_list": contact_list.pk, "when": "later", "send_at": "2035-07-02T23:00"}
    assert remarks(site.post(NIGHT, times))

    answer = site.post(NIGHT, (times | written) if written else {})

    assert (answer.status_code, remarks(answer)) == (200, [])


def test_nobody_learns_where_the_people_of_others_are(site):
    theirs = factories.contact_list(factories.organization(), phones=people(GERMAN, 3))

    assert remarks(site.post(NIGHT, {"contact_list": theirs.pk, "send_at": "2035-07-02T23:00"})) == []


# --- the review -------------------------------------------------------------------------------------------------------


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
