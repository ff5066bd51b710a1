"""Times that people give and times at which nobody is texted: every zone, every change of the clocks."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distributions import services
from distributions.engine import quiet
from distributions.engine.references import link_token, opt_out_token
from distributions.models import Distribution
from tests import factories
from tests.test_api import Api, error, result

ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
ZONES_OF_THE_EDGES = (
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "America/New_York",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "UTC",
)


# --- quiet hours ------------------------------------------------------------------------------------------------------


def transitions(name, since, until):
    """The moments at which a zone's clocks are changed, and by how much; to the second."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(moment):
        return moment.astimezone(zone).utcoffset()

    at = since
    while at < until:
        following = at + timedelta(days=7)
        if offset(at) != offset(following):
            early, late = at, following
            while late - early > timedelta(seconds=1):
                middle = early + (late - early) // 2
                early, late = (middle, late) if offset(middle) == offset(early) else (early, middle)
            yield late.replace(microsecond=0), offset(late) - offset(early)
        at = following


CHANGES = [
    (name, moment, shift)
    for name in ZONES
    for moment, shift in transitions(name, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
] + [
    (name, moment, shift)
    for name in ("Pacific/Apia", "America/Caracas", "Asia/Pyongyang", "Australia/Lord_Howe", "Africa/Casablanca")
    for moment, shift in transitions(name, datetime(2005, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
]
CLOCKS = st.integers(0, 24 * 60 - 1).map(lambda minutes: time(minutes // 60, minutes % 60))


def is_quiet(clock, begins, ends):
    """By the wall clock, written anew."""
    return begins <= clock < ends if begins < ends else clock >= begins or clock < ends


def length(begins, ends):
    minutes = (ends.hour - begins.hour) * 60 + ends.minute - begins.minute
    return timedelta(minutes=minutes % (24 * 60))


@settings(max_examples=1500, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    away=st.integers(-1600, 1600).map(lambda minutes: timedelta(minutes=minutes)),
    begins=CLOCKS,
    ends=CLOCKS,
)
@example(
    change=("Europe/Berlin", datetime(2026, 10, 25, 1, 0, tzinfo=UTC), timedelta(hours=-1)),
    away=timedelta(minutes=5),
    begins=time(22),
    ends=time(2, 30),
)
@example(
    change=("Antarctica/Troll", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), timedelta(hours=2)),
    away=timedelta(minutes=-121),
    begins=time(3),
    ends=time(1),
)
def test_nothing_is_sent_between_the_quiet_times_of_the_wall_clock_nor_held_longer(change, away, begins, ends):
    name, moment, shift = change
    now = moment + away

    until = quiet.ends_at(now, begins, ends, name)

    zone = zoneinfo.ZoneInfo(name)
    if begins == ends or not is_quiet(now.astimezone(zone).time(), begins, ends):
        assert until is None
        return
    assert until > now
    assert not is_quiet(until.astimezone(zone).time(), begins, ends)
    # Where the clock is put forward over all that is not quiet, there is a day without it.
    swallowed = timedelta(days=1) if length(ends, begins) <= abs(shift) else timedelta()
    assert until - now <= length(begins, ends) + abs(shift) + swallowed


# --- what may be given ------------------------------------------------------------------------------------------------


@pytest.fixture
def sender(clinic):
    factories.account(clinic)
    return factories.user(clinic, use_sms_distributions="enabled")


def compose(user, **times):
    """The status of the form that is posted, and what it says."""
    client = Client()
    client.force_login(user)
    clinic = user.organization
    answer = client.post(
        reverse("admin:distributions_distribution_add"),
        {
            "method": "invite",
            "name": "Spring",
            "contact_list": factories.contact_list(clinic, 1).pk,
            "survey": factories.survey(clinic).pk,
            "message_text": "Hello ${l://SurveyURL}",
            "when": "later" if "send_at" in times else "now",
            **times,
        },
    )
    return answer.status_code, answer.content.decode()


FAR = ["9999-12-31T23:59", "9999-12-31T00:00", "9000-01-01T00:00", "2100-01-01T00:00"]


@pytest.mark.parametrize("zone", ZONES_OF_THE_EDGES)
@pytest.mark.parametrize("moment", [*FAR, "0001-01-01T00:00", "1969-12-31T23:59"])
@pytest.mark.parametrize("field", ["send_at", "link_expires_at"])
def test_a_time_that_cannot_be_meant_is_refused_in_the_form(clinic, sender, zone, moment, field):
    clinic.time_zone = zone
    clinic.save()

    status, page = compose(sender, **{field: moment})

    assert status == 422
    assert "ahead" in page or "passed" in page or "expired" in page
    assert not Distribution.objects.exists()


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("Europe/Berlin", "2035-03-25T02:30"),  # does not come
        ("Europe/Berlin", "2035-10-28T02:30"),  # comes twice
        ("America/New_York", "2035-03-11T02:30"),
        ("Australia/Lord_Howe", "2035-04-01T01:45"),
    ],
)
@pytest.mark.parametrize("field", ["send_at", "link_expires_at"])
def test_a_time_at_which_the_clocks_are_changed_is_refused_in_our_words(clinic, sender, zone, moment, field):
    clinic.time_zone = zone
    clinic.save()

    status, page = compose(sender, **{field: moment})

    assert status == 422
    assert "The clocks are changed" in page


def test_an_honest_time_is_taken_in_every_zone(clinic, sender):
    for zone in ZONES_OF_THE_EDGES:
        clinic.time_zone = zone
        clinic.save()
        soon = timezone.now().astimezone(zoneinfo.ZoneInfo(zone)) + timedelta(days=40)

        status, _page = compose(
            sender,
            send_at=f"{soon:%Y-%m-%dT12:00}",
            link_expires_at=f"{soon + timedelta(days=90):%Y-%m-%dT12:00}",
        )

        assert status == 302


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "2100-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("field", ["sendDate", "surveyLinkExpirationDate"])
def test_the_api_has_the_same_limits(clinic, sender, moment, field):
    body = {
        "surveyId": factories.survey(clinic).public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": factories.contact_list(clinic, 1).public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
        field: moment,
    }

    assert error(Api(sender).post(body), 400).startswith(f"{field}: ")


def test_a_draft_with_a_time_that_cannot_be_meant_is_not_launched(clinic, sender):
    draft = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, 1),
        send_at=timezone.now() + timedelta(days=20_000),
    )

    with pytest.raises(services.LaunchRefused, match="ten years"):
        services.launch(draft, sender)


@pytest.mark.parametrize("zone", ZONES_OF_THE_EDGES)
@pytest.mark.parametrize("stored", ["9999-12-31 23:59:59", "0001-01-01 00:00:00", "10000-01-01 05:59:00"])
def test_times_that_an_older_version_let_in_break_no_page(clinic, sender, zone, stored):
    """PostgreSQL even keeps the year 10000, which no Python can hold."""
    if connection.vendor == "sqlite" and stored.startswith("10000"):
        stored = "9999-12-31 23:59:59.999999"
    clinic.time_zone = zone
    clinic.save()
    old = factories.distribution(clinic, state="scheduled", name="Far away")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE distributions_distribution SET send_at = %s, link_expires_at = %s WHERE id = %s",
            [f"{stored}+00" if connection.vendor == "postgresql" else stored] * 2 + [old.pk],
        )
    client = Client()
    client.force_login(sender)
    name = "admin:distributions_distribution"

    for address in (
        reverse("admin:index"),
        reverse(f"{name}_changelist"),
        reverse(f"{name}_change", args=[old.pk]),
        reverse(f"{name}_messages", args=[old.pk]),
    ):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "Far away" in answer.content.decode()
    assert result(Api(sender).get("distributions/sms"))["elements"][0]["name"] == "Far away"
    assert Distribution.objects.values_list("send_at", flat=True).get().year in (1000, 9000)
    Distribution.objects.update(state="draft")
    assert client.get(reverse(f"{name}_edit", args=[old.pk])).status_code == 200
    assert client.get(reverse(f"{name}_review", args=[old.pk])).status_code == 200


def test_other_times_are_read_as_they_are(clinic):
    moment = datetime(2031, 5, 31, 9, 30, 15, 123456, tzinfo=UTC)
    made = factories.distribution(clinic, send_at=moment)

    made.refresh_from_db()

    assert (made.send_at, made.link_expires_at) == (moment, None)
    assert Distribution.objects.filter(send_at=moment, link_expires_at=None).order_by("send_at").exists()


# --- links ------------------------------------------------------------------------------------------------------------

BEHIND = [
    *""".)"”“'’»/>,!?…;:]}*_~|%-#。）\n \u200b\u00a0😀""",
    "//",
    "%20",
    "%2E",
    " Thanks",
    ".Thanks",
    "/.",
    ").",
    "%e2%80",
]
JOINED = st.lists(st.characters(exclude_categories=["Cs", "L", "N"]), min_size=1, max_size=6).map("".join)


@pytest.fixture
def message(clinic):
    return factories.distribution(clinic, recipients=1).messages.get()


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("encode", [True, False])
def test_a_link_lives_with_what_stands_behind_it(message, behind, encode):
    """As phones make an address of it: percent-encoded or not. One answer, no redirect to another address of ours."""
    works(message, quote(behind, safe="") if encode else quote(behind, safe="%/.,;:!?()'\"*_~|-"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(behind=JOINED)
def test_a_link_lives_with_anything_that_is_no_letter_or_digit_behind_it(message, behind):
    works(message, quote(behind, safe=""))


def works(message, tail):
    person = Client(headers={"user-agent": "Mozilla/5.0 (iPhone)"})

    survey = person.get(f"/s/{link_token(message.pk)}{tail}")
    stop = person.get(f"/o/{opt_out_token(message.pk)}{tail}")

    assert (survey.status_code, stop.status_code) == (302, 200)
    assert survey["Location"].startswith("https://forms.example.org/")
    assert survey["Cache-Control"] == "no-store, private"


def test_another_link_is_no_more_alive_for_it(message):
    token = link_token(message.pk)

    for wrong in (token.swapcase(), token[:-1], f"{token}x", token[1:], "", ".", "/"):
        assert Client().get(f"/s/{wrong}").status_code == 404
    assert Client().get(f"/o/{token}.").status_code == 404
    assert Client().post(f"/o/{opt_out_token(message.pk)}).").status_code == 200
