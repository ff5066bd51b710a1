"""A survey by text is running as long as somebody may still answer, wherever its state is shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.models import OptOut
from distributions.models import Conversation, Distribution
from tests import factories
from tests.talks import held
from tests.test_api import Api

pytestmark = pytest.mark.django_db
State = Distribution.State
BASE = "/admin/distributions/distribution"


@pytest.fixture
def asked(clinic):
    """Sent to two people an hour ago; replies are awaited for three days."""
    return sent(clinic)


def sent(clinic, **fields):
    return factories.interactive(
        clinic,
        factories.account(clinic),
        recipients=2,
        **{"finished_at": timezone.now() - timedelta(hours=1), **fields},
    )


def again(distribution):
    return Distribution.objects.get(pk=distribution.pk)


def expire(distribution, **fields):
    Distribution.objects.filter(pk=distribution.pk).update(finished_at=timezone.now() - timedelta(hours=73), **fields)


def test_it_is_running_until_the_last_may_no_longer_answer(asked):
    assert asked.state == State.FINISHED, "stored as ever"
    assert again(asked).standing == "running"
    assert again(asked).answers_until == asked.finished_at + timedelta(hours=72)

    expire(asked)

    assert (again(asked).standing, again(asked).answers_until) == ("finished", None)


def test_a_reply_extends_the_wait(asked):
    conversation = held(asked, asked.messages.first())
    until = timezone.now() + timedelta(hours=90)
    Conversation.objects.filter(pk=conversation.pk).update(expires_at=until)
    assert again(asked).answers_until == until

    expire(asked)
    assert again(asked).answers_until == until, "the one who has replied may go on"

    Conversation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert again(asked).standing == "finished"


@pytest.mark.parametrize("end", [state for state in Conversation.State.values if state != "open"])
def test_it_has_finished_when_everybody_has(asked, end):
    first, second = asked.messages.all()
    held(asked, first, state=end)
    assert again(asked).standing == "running", "the other has not replied so far"

    OptOut.objects.create(organization=asked.organization, phone=second.to, source="keyword")

    assert again(asked).standing == "finished"


@pytest.mark.parametrize("status", ["failed", "undelivered", "expired", "skipped", "cancelled"])
def test_whom_no_text_reached_is_not_waited_for(asked, status):
    asked.messages.update(status=status)

    assert again(asked).standing == "finished"


@pytest.mark.parametrize("state", [state for state in State.values if state != "finished"])
def test_while_it_is_sent_or_after_it_was_cancelled_its_state_says_so(asked, state):
    Distribution.objects.filter(pk=asked.pk).update(state=state)

    assert again(asked).standing == State(state).label


def test_a_link_is_finished_when_it_is_sent(clinic):
    made = factories.distribution(clinic, recipients=2, state="finished", finished_at=timezone.now())
    made.messages.update(status="delivered")

    assert again(made).standing == "finished"


def test_home_list_page_and_api_say_the_same(clinic, administrator, asked):
    client, api = Client(), Api(administrator)
    client.force_login(administrator)
    until = asked.finished_at + timedelta(hours=72)

    for address in ("/admin/", f"{BASE}/", f"{BASE}/{asked.pk}/change/", f"{BASE}/{asked.pk}/progress/?phase=x"):
        page = client.get(address).text
        assert "running" in page, address
        assert "answer until" in page or "answers until" in page, address
    row = api.get(f"distributions/sms/{asked.public_id}").json()["result"]
    assert (row["state"], row["requestStatus"]) == ("finished", "Done"), "what scripts know"
    assert row["answersUntil"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert api.get("distributions/sms").json()["result"]["elements"] == [row]

    expire(asked)
    for address in ("/admin/", f"{BASE}/", f"{BASE}/{asked.pk}/change/"):
        assert "running" not in client.get(address).text, address


def test_the_lists_ask_once_for_all_rows(clinic, administrator):
    client, api = Client(), Api(administrator)
    client.force_login(administrator)

    def queries():
        counts = []
        for get in (
            lambda: client.get("/admin/"),
            lambda: client.get(f"{BASE}/"),
            lambda: api.get("distributions/sms"),
        ):
            with CaptureQueriesContext(connection) as captured:
                assert get().status_code == 200
            counts.append(len(captured))
        return counts

    sent(clinic)
    queries()
    one = queries()
    for _number in range(5):
        sent(clinic)
    assert queries() == one
