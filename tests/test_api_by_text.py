"""Surveys by text in the API: launching one, its figures, and what people answered."""

from __future__ import annotations

from datetime import timedelta

import jsonschema
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from distributions.models import Conversation, Distribution, InboundMessage, Tally
from distributions.planning import starting
from extensions.contract import SenderKind
from organizations.models import Licence
from tests import factories, talks
from tests.test_api import SMS, TEXT, Api, as_json_schema, error, result, the_only_distribution

pytestmark = pytest.mark.django_db
ANSWER = InboundMessage.Meaning.ANSWER


@pytest.fixture
def clinic():
    return factories.organization("Riverside Clinic", default_region="GB")


@pytest.fixture
def api(clinic):
    return Api(factories.user(clinic, use_sms_distributions="enabled"))


@pytest.fixture
def survey(clinic):
    return factories.survey(clinic, questions=factories.THREE_QUESTIONS)


@pytest.fixture
def body(clinic, survey):
    return {
        "surveyId": survey.public_id,
        "name": "Ward 7",
        "sendDate": timezone.now().isoformat(),
        "method": "Interactive",
        "recipients": {"mailingListId": factories.contact_list(clinic, 3).public_id},
    }


@pytest.fixture
def asked(clinic, account):
    """A survey by text whose first question has left to three people."""
    return factories.interactive(clinic, account, recipients=3)


def history(api, distribution):
    return result(api.get(f"distributions/sms/{distribution.public_id}/history"))["elements"]


# --- launching -------------------------------------------------------------------------------------------------------


def test_a_survey_by_text_is_launched(api, body, account, survey):
    made_id = result(api.post(body))["id"]

    made = the_only_distribution()
    assert (made.public_id, made.method, made.survey) == (made_id, "interactive", survey)
    assert (made.message_text, made.link_expires_at) == ("", None)
    starting.expand(made.pk)
    assert set(made.messages.values_list("text", flat=True)) == {"How likely are you to recommend us, 0 to 10?"}
    element = result(api.get(f"distributions/sms/{made_id}"))
    assert (element["requestType"], element["message"]["messageText"]) == ("Interactive", "")


@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"message": {"messageText": TEXT}}, "message", "Leave it out"),
        ({"message": {"messageText": ""}}, "message.messageText", "not empty"),
        ({"surveyLinkExpirationDate": "2035-01-01T00:00:00Z"}, "surveyLinkExpirationDate", "there is no link"),
        ({"method": "Invite"}, "message", "messageText"),
        ({"method": "Invite", "message": {"messageText": TEXT}}, "surveyId", "has no address"),
        ({"method": "Reminder"}, "method", "Only “Invite” and “Interactive”"),
        ({"method": "Thankyou"}, "method", "Only “Invite” and “Interactive”"),
    ],
)
def test_a_field_that_does_not_fit_the_method_is_named(api, body, account, change, field, hint):
    sentence = error(api.post({**body, **change}), 400)

    assert f"{field}: " in sentence
    assert hint in sentence
    assert not Distribution.objects.exists()


def test_what_is_null_counts_as_left_out(api, body, account):
    assert result(api.post({**body, "message": None, "surveyLinkExpirationDate": None}))


@pytest.mark.parametrize(
    ("questions", "hint"),
    [
        ([], "no question"),
        ([{"kind": "statement", "text": "Hello"}], "no question"),
        ([{"kind": "choice", "text": "How?", "choices": "Fine"}], "Question 1"),
    ],
)
def test_a_survey_that_cannot_be_asked_is_refused(api, clinic, body, account, questions, hint):
    body["surveyId"] = factories.survey(clinic, questions=questions, url="https://forms.example.org/s/42").public_id

    sentence = error(api.post(body), 400)

    assert sentence.startswith("surveyId: ")
    assert hint in sentence
    assert not Distribution.objects.exists()


def name_as_sender(clinic):
    factories.account(clinic, sender="CLINIC", sender_kind=SenderKind.ALPHANUMERIC)


def no_two_way(clinic):
    factories.account(clinic)
    Licence.objects.filter(organization=clinic).update(two_way=False)


def no_account(clinic):
    """Nothing could carry it."""


@pytest.mark.parametrize(
    ("arrange", "hint"),
    [(name_as_sender, "reply to a name"), (no_two_way, "two-way"), (no_account, "No SMS account")],
)
def test_where_nobody_can_answer_it_is_a_conflict(api, clinic, body, arrange, hint):
    """(R69)"""
    arrange(clinic)

    assert hint in error(api.post(body, key="ward-7"), 409)
    assert not Distribution.objects.exists()  # and the key stays free


def test_the_same_key_with_another_method_is_a_conflict(api, clinic, body, account, survey):
    survey.url = "https://forms.example.org/s/42"
    survey.save()
    first = result(api.post(body, key="ward-7"))

    assert result(api.post(body, key="ward-7")) == first
    sentence = error(api.post({**body, "method": "Invite", "message": {"messageText": TEXT}}, key="ward-7"), 409)
    assert "method" in sentence
    assert Distribution.objects.count() == 1


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_figures_are_of_those_who_answered(api, clinic, asked):
    Tally.objects.filter(pk=asked.pk).update(started=2, completed=1, clicked=7)
    invited = factories.distribution(clinic, recipients=1)
    Tally.objects.filter(pk=invited.pk).update(started=2, completed=1, clicked=7)

    by_text, by_link = (result(api.get(f"distributions/sms/{row.public_id}"))["stats"] for row in (asked, invited))

    assert (by_text["started"], by_text["finished"]) == (2, 1)
    assert (by_link["started"], by_link["finished"]) == (7, 0)


# --- history ---------------------------------------------------------------------------------------------------------


def test_history_holds_what_was_answered(api, asked):
    first, second, _silent = asked.messages.order_by("pk")
    talks.held(
        asked, first, replies=[("9", ANSWER), ("too long", ANSWER)], values=["9", "3"], state=Conversation.State.OPEN
    )
    talks.held(asked, second, state=Conversation.State.EXPIRED, late=True)

    rows = history(api, asked)

    assert [row["conversation"] for row in rows] == ["open", "expired", None]
    assert rows[0]["answers"] == [
        {"question": "How likely are you to recommend us, 0 to 10?", "value": "9", "text": "“9”"},
        {"question": "How was the wait?", "value": "3", "text": "“3”"},
    ]
    assert rows[1]["answers"] == rows[2]["answers"] == []


def test_history_has_a_row_for_each_person_although_more_was_said(api, asked):
    talks.held(asked, asked.messages.first(), replies=[("9", ANSWER)], values=["9"])

    assert len(history(api, asked)) == 3
    address, seen = f"{SMS}/{asked.public_id}/history?pageSize=2", 0
    while address:
        answer = result(api.get(address))
        seen, address = seen + len(answer["elements"]), answer["nextPage"]
    assert seen == 3


def test_an_invitation_has_no_conversation(api, clinic, account):
    invited = factories.distribution(clinic, recipients=1, account=account)

    (row,) = history(api, invited)
    assert (row["conversation"], row["answers"]) == (None, [])


def test_a_longer_history_takes_no_more_queries(api, clinic, account):
    api.get("whoami")  # writes down that the token was seen
    numbers = []
    for recipients in (2, 40):
        made = factories.interactive(clinic, account, recipients=recipients)
        for message in made.messages.all():
            talks.held(made, message, replies=[("9", ANSWER), ("3", ANSWER)], values=["9", "3"])
        with CaptureQueriesContext(connection) as queries:
            assert len(history(api, made)) == recipients
        numbers.append(len(queries))

    assert numbers[0] == numbers[1] < 15


def test_answers_are_as_they_are_described(api, body, account, asked):
    talks.held(asked, asked.messages.first(), values=["9", "3"], state=Conversation.State.COMPLETED)
    body["sendDate"] = (timezone.now() + timedelta(days=1)).isoformat()
    schema = as_json_schema(SchemaGenerator().get_schema(public=True))

    for method, path, response in (
        ("get", f"{SMS}", api.get("distributions/sms")),
        ("post", f"{SMS}", api.post(body)),
        ("get", f"{SMS}/{{public_id}}/history", api.get(f"distributions/sms/{asked.public_id}/history")),
    ):
        answer = schema["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(response.json(), {**answer, "components": schema["components"]})
