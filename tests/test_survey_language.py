"""A survey has a language: automatic texts follow it, can be worded otherwise, and stays once it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from distributions.models import InboundMessage, Message
from distributions.planning import fingerprint
from organizations.models import Organization, User
from surveys import conversation, trying
from surveys.models import Survey
from surveys.question_types import TYPES, Kind, word_problems
from tests import factories

NPS, YES_NO = "How likely are you to recommend us?", "Would you come again?"
QUESTIONS = ({"kind": "nps", "text": NPS}, {"kind": "yes_no", "text": YES_NO})


def question(kind: Any, text: str = "?", **fields: Any) -> conversation.Question:
    return conversation.Question(kind, text, **fields)


# --- pure -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["en", "de"])
def test_what_is_said_by_itself_follows_the_survey_and_not_whoever_looks(reader: str) -> None:
    yes_no, nps = question(Kind.YES_NO, language="de"), question(Kind.NPS, NPS, language="de")
    script = conversation.Script((nps, yes_no), language="de", retries=0)

    with override(reader):
        assert conversation.ask(yes_no) == "?\n\n1 - Ja\n2 - Nein"
        assert conversation.hint(nps) == "Bitte antworten Sie mit einer Zahl von 0 bis 10."
        assert conversation.step(script, 0, "??").reply.startswith("Wir konnten Ihre Antwort nicht lesen.")
        assert conversation.over(script).startswith("Diese Umfrage ist beendet.")


@pytest.mark.parametrize(
    ("text", "scale", "language", "said"),
    [
        (NPS, "", "en", "0 = not at all likely, 10 = extremely likely"),
        (NPS, "0: never, 10: gladly", "en", "0: never, 10: gladly"),
        ("From 0 to 10, how likely are you?", "", "en", ""),
        ("From 1 to 10?", "", "en", "0 = not at all likely, 10 = extremely likely"),
        (NPS, "", "", ""),  # a survey from before there was a choice stays as it was
    ],
)
def test_a_recommendation_states_its_scale(text: str, scale: str, language: str, said: str) -> None:
    asked = conversation.ask(question(Kind.NPS, text, scale=scale, language=language))

    assert asked == (f"{text}\n\n{said}" if said else text)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Gerne", "1"),
        ("gerne!", "1"),
        ("Lieber nicht", "2"),
        ("1", "1"),
        ("2", "2"),
        ("ja", "1"),
        ("yes", "1"),
        ("?", ""),
    ],
)
def test_own_words_for_yes_and_no_are_understood_beside_the_usual_ones(reply: str, answer: str) -> None:
    asked = question(Kind.YES_NO, language="de", yes="Gerne", no="Lieber nicht")

    if answer:
        assert conversation.read(asked, reply) == answer
    else:
        with pytest.raises(conversation.NotUnderstood, match="1 für „Gerne“ oder 2 für „Lieber nicht“"):
            conversation.read(asked, reply)
    assert conversation.is_exactly_an_answer(asked, "lieber nicht")


@given(st.text(max_size=12), st.text(max_size=12))
def test_own_words_that_are_accepted_are_read_as_what_they_stand_for(yes: str, no: str) -> None:
    yes, no = yes.strip(), no.strip()
    if not yes or not no or list(word_problems(yes, no, "")):
        return
    asked = question(Kind.YES_NO, yes=yes, no=no)

    assert (conversation.read(asked, yes), conversation.read(asked, no)) == ("1", "2")


@pytest.mark.parametrize(
    ("yes", "no", "field", "complaint"),
    [
        ("STOP", "", "yes", "cannot be used"),
        ("", "help", "no", "cannot be used"),
        ("nein", "", "yes", "the opposite"),
        ("", "Yes", "no", "the opposite"),
        ("Prima", "prima!", "no", "the same"),
        ("2", "", "yes", "letters"),
        ("…", "", "yes", "letters"),
        ("basta", "", "yes", "cannot be used"),
    ],
)
def test_words_that_could_not_be_told_apart_are_refused(yes: str, no: str, field: str, complaint: str) -> None:
    ((found, sentence),) = word_problems(yes, no, "Basta")

    assert found == field
    assert complaint in sentence


# --- the form ---------------------------------------------------------------------------------------------------------

ADD = "/admin/surveys/survey/add/"


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization("Klinik", language="de")


@pytest.fixture
def ada(clinic: Organization) -> User:
    return factories.administrator(clinic, language="en")


@pytest.fixture
def portal(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def written(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "Spring",
        "url": "",
        "reference_parameter": "ref",
        "language": "en",
        "thank_you": "",
        "retries": 2,
        "wait_hours": 72,
        **dict.fromkeys(("yes_word", "no_word", "scale_text", "unreadable_text", "over_text"), ""),
        "questions-TOTAL_FORMS": 1,
        "questions-INITIAL_FORMS": 0,
        "questions-0-kind": "yes_no",
        "questions-0-text": YES_NO,
        "questions-0-required": "on",
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


def test_a_new_survey_begins_with_the_organisations_language(portal: Client) -> None:
    form = portal.get(ADD).context["adminform"].form

    assert form["language"].value() == "de"
    assert "" not in dict(form.fields["language"].choices)
    assert form.fields["yes_word"].widget.attrs["placeholder"] == "Ja"


@pytest.mark.parametrize(("chosen", "stored"), [("en", "en"), ("de", "de"), (None, "de"), ("", "de")])
def test_the_language_is_chosen_for_each_survey(portal: Client, chosen: str | None, stored: str) -> None:
    assert portal.post(ADD, written(language=chosen)).status_code == 302

    assert Survey.objects.get().language == stored


def test_an_unknown_language_and_a_stop_word_are_refused_at_their_fields(portal: Client) -> None:
    errors = portal.post(ADD, written(language="tlh", yes_word="Stop")).context["adminform"].form.errors

    assert set(errors) == {"language", "yes_word"}
    assert not Survey.objects.exists()


def test_language_and_sentences_are_locked_with_the_questions(clinic: Organization, portal: Client) -> None:
    survey = factories.survey(clinic, questions=QUESTIONS, language="de", yes_word="Gerne")
    Survey.objects.filter(pk=survey.pk).update(questions_locked_at=timezone.now())

    kept = {"questions-TOTAL_FORMS": 0, "questions-INITIAL_FORMS": 0, "url": "https://forms.example.org/s/1"}
    data = written(name="Renamed", yes_word="Ja!", **kept)
    answer = portal.post(f"/admin/surveys/survey/{survey.pk}/change/", data)

    survey.refresh_from_db()
    assert answer.status_code == 302, answer.context["errors"]
    assert (survey.name, survey.language, survey.yes_word) == ("Renamed", "de", "Gerne")


def test_a_copy_speaks_as_its_original(clinic: Organization, portal: Client) -> None:
    survey = factories.survey(clinic, questions=QUESTIONS, language="en", yes_word="Sure", scale_text="0 bad, 10 good")

    portal.post(f"/admin/surveys/survey/{survey.pk}/copy/")

    copied = Survey.objects.exclude(pk=survey.pk).get()
    assert (copied.language, copied.yes_word, copied.scale_text) == ("en", "Sure", "0 bad, 10 good")


def test_the_review_shows_what_is_said_by_itself(clinic: Organization, portal: Client) -> None:
    factories.account(clinic)
    survey = factories.survey(clinic, questions=QUESTIONS, language="de", over_text="Zu spät, leider.")
    draft = factories.interactive(clinic, survey=survey)

    page = portal.get(f"/admin/distributions/distribution/{draft.pk}/review/").content.decode()

    assert "Bitte antworten Sie mit 1 für Ja oder 2 für Nein." in page
    assert "0 = " in page
    assert "Wir konnten Ihre Antwort nicht lesen." in page
    assert "Zu spät, leider." in page


# --- what was reviewed ------------------------------------------------------------------------------------------------


def test_a_review_holds_whoever_looks_and_sees_another_language(clinic: Organization) -> None:
    survey = factories.survey(clinic, questions=QUESTIONS[1:], language="de")
    draft = factories.interactive(clinic, survey=survey)

    with override("en"):
        before = fingerprint.of(draft)
    with override("de"):
        assert fingerprint.of(draft) == before
    Survey.objects.filter(pk=survey.pk).update(language="en")
    draft.survey.refresh_from_db()
    assert fingerprint.of(draft).survey_version != before.survey_version


def test_a_survey_without_them_has_the_version_it_had_before_there_were_any(clinic: Organization) -> None:
    """What was planned before an update is not held by it."""
    said = fingerprint._spoken(factories.survey(clinic, questions=QUESTIONS).script())

    assert set(said) == {"questions", "thank_you", "retries"}
    assert set(said["questions"][0]) == {"kind", "text", "choices", "required", "minimum", "maximum", "error_text"}


# --- trying it --------------------------------------------------------------------------------------------------------


def test_a_conversation_is_played_as_it_would_be_held() -> None:
    script = conversation.Script((question(Kind.NPS), question(Kind.YES_NO)), thank_you="Thank you!")

    played = trying.play(script, ["dunno", "9", "HELP", "yes please", "more"])

    assert [line.text for line in played.lines if not line.is_ours] == ["dunno", "9", "HELP", "yes please"]
    assert [line.note for line in played.lines if line.note][:2] == ["No answer", "Answer: 9"]
    assert (played.lines[-1].text, played.is_over) == ("Thank you!", True)


@pytest.mark.parametrize(
    ("reply", "note"),
    [("Stop. Thank you", "Opted out"), ("don't text me again", "until somebody decides"), ("Basta", "Opted")],
)
def test_who_wants_no_more_texts_ends_it(reply: str, note: str) -> None:
    played = trying.play(conversation.Script((question(Kind.TEXT),)), [reply], stop_words="Basta")

    assert note in str(played.lines[-1].note)
    assert played.is_over


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_is_replied_the_play_goes_on_or_ends(replies: list[str]) -> None:
    script = conversation.Script(tuple(question(kind, choices=("A", "B")) for kind in TYPES.values()))

    played = trying.play(script, replies)

    assert played.lines[0].is_ours
    assert sum(not line.is_ours for line in played.lines) <= len(replies)


def test_what_is_written_is_played_before_it_is_saved(portal: Client, clinic: Organization) -> None:
    data = written(language="de", said=["vielleicht"], my_reply="ja")
    data["said"] = ["vielleicht"]

    page = portal.post("/admin/surveys/survey/try/", data, headers={"hx-request": "true"}).content.decode()

    assert "Bitte antworten Sie mit 1 für Ja oder 2 für Nein." in page
    assert "Answer: Yes" in page
    assert "The conversation is over." in page
    assert not Survey.objects.exists()
    assert not Message.objects.exists()
    assert not InboundMessage.objects.exists()


def test_what_is_changed_in_the_form_is_played_and_not_saved(portal: Client, clinic: Organization) -> None:
    survey = factories.survey(clinic, questions=QUESTIONS[1:], language="de")
    row = survey.questions.get()
    data = written(
        **{"questions-INITIAL_FORMS": 1, "questions-0-id": row.pk, "questions-0-survey": survey.pk, "yes_word": "Klaro"}
    )
    data["questions-0-text"] = "Anders?"

    page = portal.post(f"/admin/surveys/survey/{survey.pk}/try/", data).content.decode()

    assert "Anders?\n\n1 - Klaro" in page
    row.refresh_from_db()
    survey.refresh_from_db()
    assert (row.text, survey.yes_word) == (YES_NO, "")


def test_what_cannot_be_asked_is_said_instead(portal: Client, clinic: Organization) -> None:
    nothing = portal.post("/admin/surveys/survey/try/", written(**{"questions-0-text": ""})).content.decode()
    stops = portal.post(
        "/admin/surveys/survey/try/",
        written(**{"questions-0-kind": "choice", "questions-0-choices": "Stop\nGo"}),
    ).content.decode()
    empty = factories.survey(clinic)

    assert "This is required: fill it in." in nothing
    assert "“Stop” can" in stops
    assert (
        "no question that can be answered by text"
        in portal.get(f"/admin/surveys/survey/{empty.pk}/try/").content.decode()
    )


def test_the_surveys_of_others_cannot_be_tried(portal: Client) -> None:
    other = factories.survey(factories.organization(), questions=QUESTIONS)

    assert portal.get(f"/admin/surveys/survey/{other.pk}/try/").status_code == 404
    assert portal.post(f"/admin/surveys/survey/{other.pk}/try/", {"my_reply": "9"}).status_code == 404
