"""The form of a survey: an address, questions that are asked by text, or both; and questions that are in use."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from organizations.models import AuditEvent
from surveys.models import Question, Survey
from tests import factories

pytestmark = pytest.mark.django_db
LIST = "/admin/surveys/survey/"
ADD = f"{LIST}add/"


@pytest.fixture
def clinic():
    return factories.organization(language="en", stop_words="Basta")


@pytest.fixture(params=["administrator", "member"])
def editor(request, clinic):
    return factories.user(clinic, request.param)


@pytest.fixture
def client(editor):
    client = Client()
    client.force_login(editor)
    return client


@pytest.fixture
def by_text(clinic):
    return factories.survey(clinic, name="After the visit", questions=factories.THREE_QUESTIONS, thank_you="Thank you!")


@pytest.fixture
def locked(by_text):
    Survey.objects.filter(pk=by_text.pk).update(questions_locked_at=timezone.now())
    by_text.refresh_from_db()
    return by_text


def change(survey):
    return f"{LIST}{survey.pk}/change/"


def filled_in(*questions, survey=None, **fields):
    """What the form sends: stored questions first, each with its id."""
    stored = list(survey.questions.all()) if survey else []
    data = {
        "name": "Wards",
        "url": "",
        "reference_parameter": "ref",
        "thank_you": "",
        "retries": "2",
        "wait_hours": "72",
        "questions-TOTAL_FORMS": str(len(questions)),
        "questions-INITIAL_FORMS": str(len(stored)),
        **fields,
    }
    for index, question in enumerate(questions):
        question = {"kind": "nps", "text": f"Question {index}?", "required": "on", **question}
        if index < len(stored):
            question |= {"id": str(stored[index].pk), "survey": str(survey.pk)}
        data |= {f"questions-{index}-{name}": value for name, value in question.items()}
    return data


def as_stored(survey, **changed):
    """The questions as the form of this survey shows them; `changed` are for the first."""
    rows = [
        {"kind": row.kind, "text": row.text, "choices": row.choices, "place": str(place)}
        for place, row in enumerate(survey.questions.all(), 1)
    ]
    rows[0] |= changed
    return rows


def errors_of(response):
    """Every error in the page: those of the survey, then those of each question."""
    assert response.status_code == 200
    formset = response.context["inline_admin_formsets"][0].formset
    found = dict(response.context["adminform"].form.errors)
    for index, errors in enumerate(formset.errors):
        found |= {f"{index}.{name}": sentences for name, sentences in errors.items()}
    if formset.non_form_errors():
        found["questions"] = formset.non_form_errors()
    return {name: " ".join(sentences) for name, sentences in found.items()}


def texts(survey):
    return list(survey.questions.values_list("text", flat=True))


# --- An address, questions, or both -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "questions"),
    [("https://forms.example.org/s/1", []), ("", [{}]), ("https://forms.example.org/s/1", [{}, {}])],
    ids=["address", "questions", "both"],
)
def test_a_survey_has_an_address_or_questions_or_both(client, clinic, editor, url, questions):
    response = client.post(ADD, filled_in(*questions, url=url))

    assert response.status_code == 302
    made = Survey.objects.get()
    assert (made.organization, made.created_by, made.url) == (clinic, editor, url)
    assert made.questions.count() == len(questions)
    assert AuditEvent.objects.get(object_type="survey").action == "added"


@pytest.mark.parametrize("fields", [{}, {"questions-0-DELETE": "on"}], ids=["none", "deleted"])
def test_a_survey_with_neither_is_refused(client, fields):
    questions = [{}] if fields else []

    errors = errors_of(client.post(ADD, filled_in(*questions, **fields)))

    assert errors == {
        "questions": "Give the survey an address, or add a question that is asked by text: people need one of them."
    }
    assert not Survey.objects.exists()


def test_the_last_question_of_a_survey_without_an_address_stays(client, clinic):
    survey = factories.survey(clinic, questions=[{"kind": "nps", "text": "0 to 10?"}])

    errors = errors_of(client.post(change(survey), filled_in({"DELETE": "on"}, survey=survey)))

    assert "Give the survey an address" in errors["questions"]
    assert survey.questions.exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://forms.example.org/s/1", "must begin with https://, for example https://forms.example.org/s/1"),
        ("https://forms.example.org/?o=${l://OptOutLink}", "Placeholders such as"),
        ("https://ada:secret@forms.example.org/", "user name or a password"),
    ],
)
def test_an_address_is_checked_as_before_and_said_once(client, url, words):
    errors = errors_of(client.post(ADD, filled_in(url=url)))

    assert words in errors.pop("url")
    assert errors == {}


# --- Questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "field", "words"),
    [
        ({"kind": "choice"}, "choices", "at least two choices"),
        ({"kind": "choices", "choices": "Seats\nSEATS!"}, "choices", "the same"),
        ({"kind": "nps", "choices": "A\nB"}, "choices", "Only questions with choices"),
        ({"kind": "number", "minimum": "5", "maximum": "2"}, "maximum", "larger than the largest"),
        ({"kind": "text", "minimum": "5"}, "minimum", "Only questions for a number"),
        (
            {"kind": "choice", "choices": "Go on\nStop"},
            "choices",
            "“Stop” cannot be a choice: whoever replies with it opts",
        ),
        ({"kind": "choice", "choices": "Weiter\nbasta!"}, "choices", "“basta!” cannot be a choice"),
        ({"kind": "choice", "choices": "2\n1"}, "choices", "“2” is choice 1"),
        ({"kind": "sermon"}, "kind", "sermon"),
        ({"kind": "text", "text": " "}, "text", "required"),
    ],
)
def test_what_would_confuse_people_is_said_at_the_field(client, question, field, words):
    errors = errors_of(client.post(ADD, filled_in({}, question)))

    assert words in errors.pop(f"1.{field}")
    assert errors == {}
    assert not Survey.objects.exists()


def test_choices_are_kept_one_on_a_line_and_texts_with_the_line_ends_of_messages(client):
    choice = {
        "kind": "choice",
        "text": "Hello!\r\nWhich?",
        "choices": " Short \r\n\r\nLong\r\n",
        "error_text": "A\r\nB",
    }

    client.post(ADD, filled_in(choice, thank_you="Thank you!\r\nRiverside"))

    stored = Question.objects.get()
    assert (stored.text, stored.choices, stored.error_text) == ("Hello!\nWhich?", "Short\nLong", "A\nB")
    assert stored.survey.thank_you == "Thank you!\nRiverside"


def test_fields_that_the_browser_has_switched_off_become_empty(client, clinic):
    """static/switchboard/surveys.js does not send what the chosen type does not have."""
    survey = factories.survey(clinic, questions=[{"kind": "choice", "text": "Which?", "choices": "A\nB"}])

    response = client.post(change(survey), filled_in({"kind": "number", "text": "How many?"}, survey=survey))

    assert response.status_code == 302
    assert survey.questions.values_list("kind", "choices", "minimum").get() == ("number", "", None)


@pytest.mark.parametrize(
    ("places", "order"),
    [
        (("", "", ""), "abc"),
        (("3", "1", "2"), "bca"),
        (("", "1", ""), "bac"),
        (("7", "7", "0"), "cab"),
    ],
)
def test_new_questions_are_asked_in_the_order_of_their_positions(client, places, order):
    client.post(ADD, filled_in(*({"text": text, "place": place} for text, place in zip("abc", places, strict=True))))

    survey = Survey.objects.get()
    assert "".join(texts(survey)) == order
    assert list(survey.questions.values_list("position", flat=True)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("places", "order"),
    [
        (("1", "2", "3", ""), "abcd"),
        (("1", "2", "3", "1"), "dabc"),  # who takes the place of another goes before it …
        (("1", "2", "1", ""), "cabd"),
        (("3", "2", "3", ""), "bcad"),  # … or behind it, coming from above
        (("2", "2", "3", ""), "bacd"),
        (("", "2", "3", ""), "bcad"),
        (("2", "0", "1", ""), "bcad"),  # as dragging numbers them
    ],
)
def test_questions_move_to_the_position_they_are_given(client, clinic, places, order):
    stored = [{"kind": "text", "text": text} for text in "abc"]
    survey = factories.survey(clinic, questions=stored)
    rows = [{**row, "place": place} for row, place in zip([*stored, {"text": "d"}], places, strict=True)]

    client.post(change(survey), filled_in(*rows, survey=survey))

    assert "".join(texts(survey)) == order
    assert list(survey.questions.values_list("position", flat=True)) == [0, 1, 2, 3]


def test_changed_questions_are_in_the_audit_trail_without_their_texts(client, by_text):
    rows = [*as_stored(by_text, text="A private matter?"), {"text": "Anything else?"}]
    rows[1]["DELETE"] = "on"

    client.post(change(by_text), filled_in(*rows, survey=by_text, name=by_text.name, thank_you=by_text.thank_you))

    event = AuditEvent.objects.get(object_type="survey")
    assert (event.action, event.object_id) == ("changed the questions", by_text.public_id)
    assert event.detail == {"added": 1, "changed": 1, "deleted": 1}
    assert texts(by_text) == ["A private matter?", "What should we do better?", "Anything else?"]


def test_a_question_of_another_survey_cannot_be_taken_over(client, clinic, by_text):
    other = factories.survey(clinic, questions=[{"kind": "nps", "text": "Ours?"}])
    data = filled_in({"text": "Theirs?"}, survey=other)
    data["questions-0-id"] = str(by_text.questions.first().pk)

    client.post(change(other), data)

    assert texts(by_text)[0] == factories.THREE_QUESTIONS[0]["text"]


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_the_form_shows_how_the_conversation_begins_in_the_language_of_the_organization(client, clinic):
    clinic.language = "de"
    clinic.save()
    questions = [{"kind": "statement", "text": "Hello!"}, {"kind": "yes_no", "text": "Well?"}]
    survey = factories.survey(clinic, questions=questions)
    in_use = factories.survey(clinic, questions=questions, questions_locked_at=timezone.now())

    for address, shown in ((change(survey), "Hello!\n\nWell?"), (change(in_use), "Well?")):
        page = client.get(address, headers={"accept-language": "en"}).content.decode()
        assert f'<p class="snd-bubble">{shown}\n\n1 - Ja\n2 - Nein</p>' in page


def test_the_form_says_what_works_best_where_questions_are_written(client, by_text):
    for page in (client.get(ADD), client.get(change(by_text))):
        assert "Two or three questions work best by text." in page.content.decode()
        assert "takes more than one segment" in page.content.decode()


def test_the_list_says_how_each_survey_can_be_sent_and_how_many_questions_it_has(client, clinic):
    asked = [{"kind": "statement", "text": "Hello!"}, {"kind": "nps", "text": "0 to 10?"}]
    factories.survey(clinic, name="c")
    factories.survey(clinic, name="b", questions=asked)
    factories.survey(clinic, name="a", questions=asked, url="https://forms.example.org/s/1")
    factories.survey(clinic, name="d", questions=asked[:1])

    response = client.get(LIST, {"o": "1"})

    model_admin, rows = response.context["cl"].model_admin, response.context["cl"].result_list
    ways = {row.name: ("as a link" in model_admin.sent_as(row), "by text" in model_admin.sent_as(row)) for row in rows}
    assert ways == {"a": (True, True), "b": (False, True), "c": (True, False), "d": (False, False)}
    assert [model_admin.number_of_questions(row) for row in rows] == [1, 1, 0, 0]


def test_the_list_asks_as_often_for_many_surveys_as_for_few(client, clinic):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(LIST)
        return len(captured)

    factories.survey(clinic, questions=factories.THREE_QUESTIONS)
    few = queries()
    for _index in range(10):
        factories.survey(clinic, questions=factories.THREE_QUESTIONS)

    assert queries() == few


# --- Questions in use -------------------------------------------------------------------------------------------------


def test_questions_in_use_are_shown_with_the_reason_and_a_way_on(client, locked):
    page = client.get(change(locked)).content.decode()

    assert "so its questions stay as they are" in page
    assert f'action="{LIST}{locked.pk}/copy/"' in page
    assert "1 - Short\n2 - Fine\n3 - Too long" in page
    for field in ("kind", "text", "choices", "place", "DELETE"):
        assert f'name="questions-0-{field}"' not in page
    assert "Two or three questions" not in page


def test_no_crafted_request_changes_questions_in_use(client, locked):
    before = list(locked.questions.values())
    rows = [*as_stored(locked, text="Taken over?", place="9"), {"text": "One more?"}]
    rows[1]["DELETE"] = "on"

    response = client.post(change(locked), filled_in(*rows, survey=locked, name="New name"), follow=True)

    locked.refresh_from_db()
    assert list(locked.questions.values()) == before
    assert (locked.name, locked.questions_locked_at is not None) == ("New name", True)
    assert "The questions stay as they were" in response.content.decode()
    assert not AuditEvent.objects.filter(action="changed the questions").exists()


def test_what_is_not_a_question_can_be_edited_while_they_are_in_use(client, locked):
    data = filled_in(survey=locked, thank_you="Thanks!", name=locked.name)
    data["questions-TOTAL_FORMS"] = "3"
    for index, question in enumerate(locked.questions.all()):
        data |= {f"questions-{index}-id": str(question.pk), f"questions-{index}-survey": str(locked.pk)}

    response = client.post(change(locked), data, follow=True)

    locked.refresh_from_db()
    assert locked.thank_you == "Thanks!"
    assert "The questions stay as they were" not in response.content.decode()


def test_a_copy_has_the_same_content_and_questions_that_can_be_edited(client, editor, locked):
    Survey.objects.filter(pk=locked.pk).update(retries=4, wait_hours=5, url="https://forms.example.org/s/7")
    locked.refresh_from_db()

    response = client.post(f"{LIST}{locked.pk}/copy/")

    copied = Survey.objects.exclude(pk=locked.pk).get()
    assert response.headers["Location"] == change(copied)
    assert (copied.name, copied.created_by, copied.organization) == (
        f"Copy of {locked.name}",
        editor,
        locked.organization,
    )
    assert (copied.questions_locked_at, copied.public_id == locked.public_id) == (None, False)
    for field in ("url", "reference_parameter", "thank_you", "retries", "wait_hours"):
        assert getattr(copied, field) == getattr(locked, field), field
    assert copied.script() == locked.script()
    assert locked.questions.count() == 3
    assert AuditEvent.objects.filter(action="copied", object_id=locked.public_id, actor=editor).exists()
    assert 'name="questions-0-text"' in client.get(change(copied)).content.decode()


def test_a_copy_is_made_by_post_only_and_never_of_a_survey_of_others(client, locked):
    theirs = factories.survey(factories.organization(), questions=factories.THREE_QUESTIONS)

    assert client.get(f"{LIST}{locked.pk}/copy/").status_code == 405
    assert client.post(f"{LIST}{theirs.pk}/copy/").status_code == 404
    assert client.post(f"{LIST}999999/copy/").status_code == 404
    assert Survey.objects.count() == 2


@pytest.mark.parametrize("length", [1, 100])
def test_the_name_of_a_copy_fits(client, clinic, length):
    survey = factories.survey(clinic, name="x" * length)

    client.post(f"{LIST}{survey.pk}/copy/")

    assert len(Survey.objects.latest("pk").name) <= 100
