"""How long the rest takes, and through whom it goes: what the page of a distribution says while it is being sent."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from distributions.engine import outbox
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.planning import leaving, starting
from distributions.planning.remaining import remaining
from distributions.states import Status
from extensions.models import AccountState
from organizations.models import Licence
from tests import factories

pytestmark = pytest.mark.django_db
State = Distribution.State
BASE = "/admin/distributions/distribution"


@pytest.fixture
def account(clinic):
    made = factories.account(clinic, name="Main line", sender="447700900000")
    AccountState.objects.filter(account=made).update(messages_per_second=10)
    return made


@pytest.fixture
def sending(clinic, account):
    return under_way(clinic, account)


@pytest.fixture
def site(clinic):
    client = Client()
    client.force_login(factories.administrator(clinic))
    return client


def under_way(clinic, account, people=10):
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, people),
        message_text="Hello ${m://FirstName}",
        account=account,
        state=State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return Distribution.objects.get(pk=made.pk)


def left(distribution, **counts):
    """What `remaining` says with these counters."""
    Tally.objects.filter(pk=distribution.pk).update(**counts)
    return remaining(Distribution.objects.get(pk=distribution.pk))


def said(site, distribution):
    """The sentence about it on the page."""
    page = site.get(f"{BASE}/{distribution.pk}/progress/?phase=x").text
    found = re.search(r'<p[^>]*id="remaining">(.*?)</p>', page, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


@pytest.mark.parametrize(
    ("segments", "rate", "words"),
    [
        (1, 10, "about a minute at 10/s"),
        (600, 10, "about a minute at 10/s"),
        (601, 10, "about 2 min at 10/s"),
        (9_000, 10, "about 15 min at 10/s"),
        (9_000, 2.5, "about 60 min at 2.50/s"),
        (54_000, 10, "about 90 min at 10/s"),
        (54_001, 10, "about 2 hours at 10/s"),
        (1_000_000, 1, "about 12 days at 1/s"),
        (1_000_000, 0.01, "about 1,158 days at 0.01/s"),
        (1_000_000, 250, "about 67 min at 250/s"),
    ],
)
def test_how_long_it_takes_at_the_pace_of_the_account(site, sending, account, segments, rate, words):
    AccountState.objects.filter(account=account).update(messages_per_second=rate)
    Tally.objects.filter(pk=sending.pk).update(segments=segments, segments_waiting=segments)

    assert said(site, sending) == f"Time left: {words}, counted in segments."


def test_in_german(clinic, sending):
    Tally.objects.filter(pk=sending.pk).update(segments=9_000, segments_waiting=9_000)
    client = Client()
    client.force_login(factories.administrator(clinic, language="de"))

    assert said(client, sending) == "Noch etwa 15 Min. bei 10/s, gezählt in Segmenten."


def test_what_the_provider_takes_at_present_is_the_pace(sending, account):
    AccountState.objects.filter(account=account).update(throttled_rate=2)

    assert left(sending, segments=120, segments_waiting=120).seconds == 60


def test_each_account_has_a_pace_of_its_own(sending):
    other = factories.organization()
    busy = under_way(other, factories.account(other))
    Tally.objects.filter(pk=busy.pk).update(segments=10**6, segments_waiting=10**6)

    assert left(sending, segments=100, segments_waiting=100).seconds == 10


def test_what_was_begun_before_on_the_same_account_goes_first(clinic, account, sending):
    later = under_way(clinic, account)
    Tally.objects.filter(pk=sending.pk).update(segments=500, segments_waiting=500)

    assert left(later, segments=100, segments_waiting=100).seconds == 60
    assert left(sending).seconds == 50
    Distribution.objects.filter(pk=sending.pk).update(paused_at=timezone.now())
    assert left(later).seconds == 10, "what is paused holds nobody up"


@pytest.mark.parametrize(
    "fields", [{"paused_at": timezone.now()}, {"state": "finished"}, {"state": "cancelled"}, {"state": "launching"}]
)
def test_nothing_is_said_of_what_is_not_being_sent(site, sending, fields):
    Distribution.objects.filter(pk=sending.pk).update(**fields)

    assert said(site, sending) == ""


def test_nothing_is_said_when_nothing_is_left(site, sending):
    for counts in ({"segments_waiting": 0}, {"segments_waiting": -1}):
        assert left(sending, **counts) is None
    Chunk.objects.update(state=Chunk.State.DONE)
    assert left(sending, segments_waiting=5) is None
    Tally.objects.all().delete()
    assert remaining(Distribution.objects.get(pk=sending.pk)) is None


def test_it_rests_at_night(clinic, sending, site):
    now = timezone.now()
    quiet_from, quiet_until = now - timedelta(hours=1), now + timedelta(hours=2)
    clinic.quiet_from, clinic.quiet_until = (
        time(quiet_from.hour, quiet_from.minute),
        time(quiet_until.hour, quiet_until.minute),
    )
    clinic.save()

    found = left(sending, segments=9_000, segments_waiting=9_000)

    morning = quiet_until.replace(second=0, microsecond=0)
    assert (found.begins_at, found.ends_at) == (morning, morning + timedelta(minutes=15))
    assert said(site, sending).startswith("Nothing is sent before")
    assert "about 15 min at 10/s" in said(site, sending)
    assert "Expected to end at about" in said(site, sending)


def test_a_pause_that_the_provider_asked_for(sending, account, site):
    until = timezone.now() + timedelta(minutes=5)
    AccountState.objects.filter(account=account).update(open_until=until)

    assert left(sending).begins_at == until
    assert said(site, sending).startswith("Nothing is sent before")


@pytest.mark.parametrize("obstacle", ["stopped", "grant", "licence"])
def test_while_the_account_cannot_send_it_waits(clinic, sending, account, site, obstacle):
    if obstacle == "stopped":
        AccountState.objects.filter(account=account).update(stopped_at=timezone.now())
    elif obstacle == "grant":
        type(account).objects.filter(pk=account.pk).update(granted_at=None)
    else:
        Licence.objects.filter(organization=clinic).update(sms=False)

    assert said(site, sending) == "The remaining texts are waiting: “Main line” cannot send at present."


def test_without_a_limit_nothing_is_promised(sending, account, site):
    AccountState.objects.filter(account=account).update(messages_per_second=10_000)

    assert said(site, sending) == ""


# --- through whom -----------------------------------------------------------------------------------------------------


def carriers(site, distribution):
    page = site.get(f"{BASE}/{distribution.pk}/carriers/")
    assert page.status_code == 200
    return [(carrier.sender, left, waiting) for carrier, left, waiting in page.context["rows"]]


def test_texts_are_told_apart_by_account_and_sender(clinic, account, site):
    sending = under_way(clinic, account)
    ids = sorted(sending.messages.values_list("pk", flat=True))
    outbox.apply([outbox.Change(row.id, Status.ACCEPTED) for row in outbox.mark(ids[:3], account.pk)])
    assert carriers(site, sending) == [], "one account: there is nothing to tell apart"

    spare = factories.account(clinic, name="Spare line", sender="447700900777")
    Chunk.objects.all().delete()
    Distribution.objects.filter(pk=sending.pk).update(had_other_accounts=True)
    for first, last, carrier in ((0, 4, account), (5, 9, spare)):
        Chunk.objects.create(distribution=sending, account=carrier, first_id=ids[first], last_id=ids[last])
    assert carriers(site, sending) == [("447700900000", 3, 2), ("447700900777", 0, 5)]

    leaving.hand_over(sending, Chunk.objects.filter(distribution=sending), spare)
    outbox.mark(ids[3:4], spare.pk)
    outbox.apply([outbox.Change(row.id, Status.FAILED) for row in outbox.mark(ids[4:6], spare.pk)])
    assert carriers(site, sending) == [("447700900000", 3, 0), ("447700900777", 2, 5)]
    tally = Tally.objects.get(pk=sending.pk)
    assert (tally.accepted + tally.failed, tally.waiting) == (5, 5), "the sums of the page"
    page = site.get(f"{BASE}/{sending.pk}/carriers/").text
    assert "Spare line" in page
    assert Message.objects.filter(status="sending").count() == 1


def test_the_page_still_asks_the_database_a_few_times(clinic, account, sending, site):
    """With quiet hours, others in line and several accounts: as many as a page may ask (tests/test_page_queries.py)."""
    under_way(clinic, account)
    Chunk.objects.filter(distribution=sending).update(account=factories.account(clinic))
    for part in ("change", "progress", "carriers"):
        with CaptureQueriesContext(connection) as captured:
            assert site.get(f"{BASE}/{sending.pk}/{part}/").status_code == 200
        assert len(captured) < 15, (part, len(captured))
