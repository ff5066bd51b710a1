"""A program reviews as a person does: it looks first, and what it launches is what it has looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from distributions.models import Distribution, Message
from tests import factories, test_fingerprint
from tests.test_api import Api, error, result

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="First line")


@pytest.fixture
def api(clinic):
    return Api(factories.user(clinic, use_sms_distributions="enabled"))


@pytest.fixture
def body(clinic):
    return {
        "surveyId": factories.survey(clinic).public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": factories.contact_list(clinic, 4).public_id},
        "message": {"messageText": test_fingerprint.TEXT},
    }


def looked_at(api, body):
    return result(api.post({**body, "reviewOnly": True}))


def the_draft(clinic, body):
    """The list and the survey of the request, for the changes of the other tests."""
    return Distribution(
        organization=clinic,
        survey=clinic.survey_set.get(public_id=body["surveyId"]),
        contact_list=clinic.contactlist_set.get(public_id=body["recipients"]["mailingListId"]),
    )


def test_a_review_says_what_would_go_and_launches_nothing(api, body, account):
    seen = looked_at(api, body)

    assert (seen["people"], seen["account"], seen["sender"]) == (4, "First line (Twilio)", account.sender)
    assert not Distribution.objects.exists()
    assert set(result(api.post({**body, "fingerprint": seen["fingerprint"]}))) == {"id"}
    assert Distribution.objects.get().state == "launching"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (test_fingerprint.somebody_more, "4 → 5"),
        (test_fingerprint.ten_thousand_more, "4 → 10,004"),
        (test_fingerprint.another_number, "Contact list"),
        (test_fingerprint.another_city, "Contact list"),
        (test_fingerprint.somebody_stops, "4 → 3"),
        (test_fingerprint.another_account, "First line (Twilio) → Second line (Infobip)"),
        (test_fingerprint.another_address, "elsewhere.example.org"),
    ],
)
def test_what_has_changed_since_is_not_launched(api, clinic, body, account, change, words):
    seen = looked_at(api, body)["fingerprint"]
    change(the_draft(clinic, body))

    refusal = error(api.post({**body, "fingerprint": seen}, key="spring-1"), 409)

    assert "Nothing has been sent" in refusal
    assert words in refusal
    assert not Distribution.objects.exists()
    assert not Message.objects.exists()
    assert result(api.post(body, key="spring-1"))["id"]  # its own review


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"message": {"messageText": "Other ${l://SurveyURL}"}}, "Text"),
        ({"sendDate": (timezone.now() + timedelta(days=3)).isoformat()}, "at once →"),
        ({"surveyLinkExpirationDate": "2035-01-01T00:00:00Z"}, "no end date →"),
    ],
)
def test_a_request_that_differs_from_the_reviewed_one_is_not_launched(api, body, account, changes, words):
    seen = looked_at(api, body)["fingerprint"]

    assert words in error(api.post({**body, **changes, "fingerprint": seen}), 409)
    assert not Distribution.objects.exists()


def test_the_present_time_may_be_a_later_one(api, body, account):
    seen = looked_at(api, body)["fingerprint"]
    body["sendDate"] = timezone.now().isoformat()

    assert result(api.post({**body, "name": "Another title", "fingerprint": seen}))["id"]


@pytest.mark.parametrize("fingerprint", ["", "x", "a:b:c", "é" * 50])
def test_a_fingerprint_that_is_none_launches_nothing(api, body, account, fingerprint):
    answer = api.post({**body, "fingerprint": fingerprint})

    assert answer.status_code == (409 if fingerprint else 400)
    assert "fingerprint" in answer.json()["meta"]["error"]["errorMessage"]
    assert not Distribution.objects.exists()


def test_null_counts_as_left_out(api, body, account):
    assert result(api.post({**body, "fingerprint": None}))["id"]


def test_the_same_key_gives_the_same_distribution_whatever_has_changed_since(api, clinic, body, account):
    """A repeated request after a time-out is no new launch."""
    body["fingerprint"] = looked_at(api, body)["fingerprint"]
    first = result(api.post(body, key="spring-1"))["id"]
    test_fingerprint.somebody_more(the_draft(clinic, body))

    assert result(api.post(body, key="spring-1"))["id"] == first


def test_who_may_not_launch_may_not_review_either(clinic, body, account):
    assert "Use SMS distributions" in error(Api(factories.user(clinic)).post({**body, "reviewOnly": True}), 403)


def test_a_review_is_refused_where_a_launch_would_be(api, body):
    assert "No SMS account" in error(api.post({**body, "reviewOnly": True}), 409)
