"""One class for each type of question: everything goes by it, and a new one costs no more than CONTRIBUTING says."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import count

import pytest
from django.test import Client
from django.utils import timezone, translation
from django.utils.html import escape

from distributions.models import Conversation, Distribution
from distributions.replies import inbound
from extensions.contract import InboundSms
from surveys import conversation
from surveys.conversation import NotUnderstood
from surveys.models import Answer, Survey
from surveys.question_types import TYPES, Kind, Question, QuestionType, Sample
from tests import factories
from tests.scratch import ROOT
from tests.talks import arrive
from tests.test_api import SMS, Api, result
from tests.test_surveys_admin import ADD, errors_of, filled_in

STAR = "★"
_ids = count(1)


class Stars(QuestionType):
    """Stored as how many of five."""

    label = "one to five stars"
    fields = ("maximum",)
    sample = Sample("How many stars do we get?", STAR * 4)

    def answer(self, question, text):
        most = question.maximum or 5
        stars = text.count(STAR) if set(text) == {STAR} else int(text) if text.isdecimal() and len(text) < 3 else 0
        return str(stars) if 1 <= stars <= most else None

    def hint(self, question):
        return "Please reply with one to five stars."

    def shown(self, question, value):
        return STAR * int(value)

    def problems(self, question, stop_words):
        yield from super().problems(question, stop_words)
        if question.maximum is not None and question.maximum < 2:
            yield "maximum", "One star is no choice."


@pytest.fixture
def stars(monkeypatch):
    made = Stars("stars")
    monkeypatch.setitem(TYPES, "stars", made)
    return made


@pytest.fixture
def client(clinic):
    client = Client()
    client.force_login(factories.administrator(clinic))
    return client


def sample_of(kind):
    return Question(kind, kind.sample.text, kind.sample.choices)


# --- those there are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in TYPES.values() if kind.is_asked], ids=str)
def test_each_type_reads_and_shows_the_answer_of_its_own_sample(kind):
    question = sample_of(kind)

    value = conversation.read(question, kind.sample.answer)

    assert conversation.question_flaws(question) == []
    assert kind.shown(question, value)
    assert conversation.read(question, kind.shown(question, value)) == value
    with pytest.raises(NotUnderstood, match=re.escape(kind.hint(question))):
        conversation.read(question, " ")


@pytest.mark.parametrize("kind", TYPES.values(), ids=str)
def test_each_type_can_be_stored_and_has_a_label_in_both_languages(kind):
    column = Survey._meta.get_field("questions").related_model._meta.get_field("kind")

    assert TYPES[kind] is kind
    assert len(kind) <= column.max_length
    with translation.override("en"):
        english = str(kind.label)
    with translation.override("de"):
        assert str(kind.label) != english
    assert set(kind.fields) <= {"choices", "minimum", "maximum"}


def test_what_was_reviewed_before_an_upgrade_is_the_same_after_it():
    """Fingerprints are made of the script as Python writes it, the type with the name it has in `Kind`."""
    assert repr(asdict(conversation.Script((Question(Kind.YES_NO, "Again?"),)))).startswith(
        "{'questions': ({'kind': Kind.YES_NO, 'text': 'Again?', 'choices': (), "
    )
    assert [f"Kind.{name}" for name in vars(Kind) if name.isupper()] == list(map(repr, TYPES.values()))


def test_types_are_told_apart_by_their_classes_alone():
    """Nothing in surveys/ and its pages asks which type it is: whoever adds one has nowhere else to look."""
    named = re.compile(r"Kind\.[A-Z]|\b(?:nps|yes_no|statement)\b")
    files = [path for path in (ROOT / "surveys").glob("*.py") if path.name != "question_types.py"]
    pages = [ROOT / "static/switchboard/surveys.js", *(ROOT / "templates/admin/surveys").rglob("*.html")]

    found = [
        f"{path.name}: {line.strip()}"
        for path in (*files, *pages)
        for line in path.read_text().splitlines()
        if named.search(line)
    ]

    assert len(found) == 1, found
    assert "default=str(Kind.NPS)" in found[0]  # of a new question in the form


# --- a new one --------------------------------------------------------------------------------------------------------


def test_a_new_type_is_offered_checked_and_shown_by_the_form(client, clinic, stars):
    page = client.get(ADD).text
    asked = {"kind": "stars", "text": stars.sample.text, "maximum": "1"}

    assert '<option value="stars">one to five stars</option>' in page
    assert escape(json.dumps({"stars": ["maximum", "required", "error_text"]})[1:-1]) in page
    assert errors_of(client.post(ADD, filled_in(asked))) == {"0.maximum": "One star is no choice."}
    assert errors_of(client.post(ADD, filled_in({**asked, "minimum": "1"})))["0.minimum"]
    assert client.post(ADD, filled_in({**asked, "maximum": "4"})).status_code == 302
    survey = Survey.objects.get()
    Survey.objects.update(questions_locked_at=timezone.now())
    assert "one to five stars, at most 4" in client.get(f"/admin/surveys/survey/{survey.pk}/change/").text


def test_a_new_type_is_held_by_text(clinic, stars):
    script = conversation.Script((sample_of(stars), Question(Kind.YES_NO, "Again?")))

    missed = conversation.step(script, 0, "many")
    assert missed.reply == "Please reply with one to five stars.\n\nHow many stars do we get?"
    assert conversation.step(script, 0, stars.sample.answer).answer == "4"
    assert conversation.step(script, 0, "5").answer == "5"


def test_a_program_launches_a_survey_with_a_new_type_and_gets_its_answers(clinic, client, stars):
    account = factories.account(clinic, sender="447700900000")
    api = Api(factories.administrator(clinic))
    survey = factories.survey(
        clinic, questions=[{"kind": "stars", "text": stars.sample.text}, {"kind": "text", "text": "Why?"}]
    )
    body = {
        "surveyId": survey.public_id,
        "name": "Ward 7",
        "sendDate": timezone.now().isoformat(),
        "method": "Interactive",
        "recipients": {"mailingListId": factories.contact_list(clinic, 1).public_id},
    }

    launched = result(api.post(body))
    held = factories.interactive(clinic, account, survey=survey)
    for text in ("no idea", STAR * 3, "Short queue"):
        arrive()
        sender = held.messages.filter(conversation=None).get().to
        sms = InboundSms(message_id=f"SM{next(_ids)}", sender=sender, recipient=f"+{account.sender}", text=text)
        inbound.apply_inbound(account, clinic, sms)

    assert Distribution.objects.filter(public_id=launched["id"]).exists()
    assert Conversation.objects.get(distribution=held).state == "completed"
    assert list(Answer.objects.order_by("pk").values_list("value", "text")) == [
        ("3", STAR * 3),
        ("Short queue", "Short queue"),
    ]
    (person,) = result(api.get(f"{SMS}/{held.public_id}/history", surveyId=survey.public_id))["elements"]
    assert [answer["value"] for answer in person["answers"]] == ["3", "Short queue"]
    file = client.get(f"/admin/distributions/distribution/{held.pk}/answers.csv").getvalue().decode()
    assert "Q1,Q2" in file.splitlines()[0]
    assert f"{STAR * 3},Short queue" in file
    message = held.messages.get(conversation=None)
    page = client.get(f"/admin/distributions/distribution/{held.pk}/messages/{message.pk}/").text
    assert STAR * 3 in page
