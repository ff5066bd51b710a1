"""The pages of a distribution that is a survey by text: composing, following it, one conversation, the answers."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from distributions.models import Conversation, Distribution, InboundMessage, Message, Tally
from distributions.states import Status
from extensions.contract import SenderKind
from organizations.models import AuditEvent, Licence
from tests import factories, talks
from tests.reviewing import form_of, press

BASE = "/admin/distributions/distribution"
State = Conversation.State
ANSWER, UNCLEAR = InboundMessage.Meaning.ANSWER, InboundMessage.Meaning.UNCLEAR

EVERY_KIND = (
    {"kind": "statement", "text": "Hello, this is the ward."},
    {"kind": "nps", "text": "How likely are you to recommend us?"},
    {"kind": "choices", "text": "What did you like?", "choices": "Food\nStaff\n=Rooms"},
    {"kind": "yes_no", "text": "Would you come again?"},
    {"kind": "number", "text": "How many nights?"},
    {"kind": "text", "text": "Anything else?"},
)


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE", time_zone="Europe/Berlin")


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="Main account")


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic, 3)


@pytest.fixture
def survey(clinic):
    return factories.survey(clinic, questions=factories.THREE_QUESTIONS, thank_you="Thank you!", name="Ward 7")


@pytest.fixture
def site(client, clinic):
    client.force_login(factories.user(clinic, use_sms_distributions="enabled"))
    return client


@pytest.fixture
def asked(clinic, account):
    """A survey by text whose first question has left to three people."""
    return factories.interactive(clinic, account, recipients=3, name="Asked")


def fields(patients, survey, /, **changes):
    return {
        "method": "interactive",
        "name": "Ward 7 by text",
        "contact_list": patients.pk,
        "survey": survey.pk,
        "message_text": "Hello ${m://FirstName|there}, three short questions. Reply STOP to opt out",
        "when": "now",
    } | changes


def rows_of(response):
    """The rows of a download, without the last one, which tells how many there are."""
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    if rows[-1][0].startswith("# "):
        assert int(rows.pop()[0].split()[1]) == len(rows) - 1
    return rows


def error_at(response, field):
    assert response.status_code == 422
    return str(response.context["form"].errors[field]).replace("&#x27;", "’")


# --- compose ---------------------------------------------------------------------------------------------------------


def test_a_survey_by_text_is_composed_reviewed_and_launched(site, patients, survey, account):
    written = site.post(f"{BASE}/add/", fields(patients, survey))

    draft = Distribution.objects.get()
    assert (draft.method, draft.message_text[:5]) == ("interactive", "Hello")
    reviewed = site.get(written.url)
    assert "Survey by text (two-way)" in reviewed.text
    assert "3 questions" in reviewed.text
    assert "no link to the survey" not in reviewed.text
    launched = press(site, draft.pk, form_of(reviewed), follow=True)
    assert launched.status_code == 200
    draft.refresh_from_db()
    assert draft.state in ("launching", "sending")


def test_both_methods_are_offered_and_a_link_is_chosen_until_somebody_decides(site, patients, survey, account):
    page = site.get(f"{BASE}/add/")

    assert page.context["form"]["method"].value() == "invite"
    assert "people answer by replying" in page.text
    assert "people answer in their browser" in page.text
    assert "Cannot be launched now" not in page.text
    assert 'value="interactive" id="id_method_1" aria-describedby="id_method_1_note" checked' in (
        site.get(f"{BASE}/add/?method=interactive").text
    )


def test_the_introduction_may_be_empty(site, patients, survey, account):
    site.post(f"{BASE}/add/", fields(patients, survey, message_text=""))

    assert Distribution.objects.get().message_text == ""


@pytest.mark.parametrize("value", ["2099-01-01T10:00", "2020-01-01T10:00", "soon"])
def test_a_survey_by_text_has_no_link_that_could_expire(site, patients, survey, account, value):
    site.post(f"{BASE}/add/", fields(patients, survey, link_expires_at=value))

    assert Distribution.objects.get().link_expires_at is None


def test_a_draft_that_becomes_a_survey_by_text_forgets_when_its_link_expires(site, clinic, patients, survey, account):
    draft = factories.distribution(
        clinic, contact_list=patients, link_expires_at=timezone.now() + timedelta(days=3), name="Draft"
    )

    site.post(f"{BASE}/{draft.pk}/edit/", fields(patients, survey))

    draft.refresh_from_db()
    assert (draft.method, draft.link_expires_at, draft.survey) == ("interactive", None, survey)


def test_each_method_says_which_survey_it_needs(site, clinic, patients, survey, account):
    at_an_address = factories.survey(clinic, name="Elsewhere")

    by_text = site.post(f"{BASE}/add/", fields(patients, at_an_address))
    by_link = site.post(f"{BASE}/add/", fields(patients, survey, method="invite"))

    assert "no question that can be answered by text" in error_at(by_text, "survey")
    assert "“Ward 7” has no address: send it by text" in error_at(by_link, "survey")
    assert "Elsewhere" in by_text.text  # offered all the same
    assert "Ward 7" in by_link.text
    assert not Distribution.objects.exists()


def test_an_introduction_has_no_link_to_a_survey_without_an_address(site, patients, survey, account):
    refused = site.post(f"{BASE}/add/", fields(patients, survey, message_text="Hello ${l://SurveyURL}"))

    assert "The survey has no address" in error_at(refused, "message_text")


def test_a_question_that_cannot_be_asked_is_named(site, clinic, patients, account):
    survey = factories.survey(clinic, questions=[{"kind": "choice", "text": "How?", "choices": "Fine"}])

    assert "Question 1" in error_at(site.post(f"{BASE}/add/", fields(patients, survey)), "survey")


def name_as_sender(clinic):
    factories.account(clinic, name="Named", sender="CLINIC", sender_kind=SenderKind.ALPHANUMERIC)


def no_two_way(clinic):
    factories.account(clinic)
    Licence.objects.filter(organization=clinic).update(two_way=False)


@pytest.mark.parametrize(
    ("arrange", "words"), [(name_as_sender, "nobody can reply to a name"), (no_two_way, "licence does not include it")]
)
def test_where_nobody_can_answer_the_second_method_says_so_and_stays(site, clinic, patients, survey, arrange, words):
    """(R69)"""
    arrange(clinic)

    page = site.get(f"{BASE}/add/")

    assert "Cannot be launched now" in page.text
    assert words in page.context["not_by_text"]
    written = site.post(f"{BASE}/add/", fields(patients, survey))  # it can be prepared
    draft = Distribution.objects.get()
    assert words in site.get(written.url).text
    assert words in site.post(f"{BASE}/{draft.pk}/launch/", follow=True).text
    draft.refresh_from_db()
    assert draft.state == "draft"


def test_the_installations_own_account_takes_no_survey_by_text(site, patients, survey, settings):
    settings.DEFAULT_PROVIDER = {
        "provider": "twilio",
        "sender": factories.SENDERS["twilio"],
        "credentials": factories.CREDENTIALS["twilio"],
    }

    assert "need a number of your own" in site.get(f"{BASE}/add/").context["not_by_text"]


def test_the_preview_shows_introduction_and_first_question_together(site, patients, survey, account):
    page = site.post(f"{BASE}/preview/", fields(patients, survey))

    assert "Hello Ada0, three short questions. Reply STOP to opt out\n\nHow likely are you" in page.text
    assert page.context["length"].segments == 1
    assert "no link to the survey" not in page.text
    assert "x’s stand for" not in page.text


def test_the_preview_says_what_a_survey_by_text_still_lacks(site, clinic, patients, account):
    nothing = site.post(f"{BASE}/preview/", {"method": "interactive", "survey": ""})
    unfit = site.post(f"{BASE}/preview/", fields(patients, factories.survey(clinic)))

    assert "Choose the survey to see its first question" in nothing.text
    assert "no question that can be answered by text" in unfit.text


def test_the_preview_shows_no_question_of_another_organisation(site, patients, account):
    theirs = factories.survey(factories.organization(), questions=[{"kind": "text", "text": "Their secret?"}])

    assert "Their secret?" not in site.post(f"{BASE}/preview/", fields(patients, theirs)).text


def test_only_the_introduction_is_replaced_by_plain_characters(site, clinic, patients, account):
    survey = factories.survey(clinic, questions=[{"kind": "text", "text": "“What” next?"}])

    only_theirs = site.post(f"{BASE}/preview/", fields(patients, survey, message_text="Hello"))
    ours = site.post(f"{BASE}/preview/", fields(patients, survey, message_text="“Hello”"))

    assert "data-replace-text" not in only_theirs.text
    assert 'data-replace-text="&quot;Hello&quot;"' in ours.text


def test_a_copy_keeps_the_method(site, asked):
    site.post(f"{BASE}/{asked.pk}/copy/")

    assert Distribution.objects.exclude(pk=asked.pk).get().method == "interactive"


# --- review ----------------------------------------------------------------------------------------------------------


def draft_of(clinic, questions, **extra):
    survey = factories.survey(clinic, questions=questions, thank_you="Goodbye!", **extra)
    return factories.interactive(clinic, survey=survey, recipients=2, state="draft")


def test_the_review_shows_the_whole_conversation_in_order(site, clinic, account):
    draft = draft_of(clinic, factories.THREE_QUESTIONS)

    page = site.get(f"{BASE}/{draft.pk}/review/")

    assert [question.text for question in page.context["asked"]] == [
        "How likely are you to recommend us, 0 to 10?",
        "How was the wait?\n\n1 - Short\n2 - Fine\n3 - Too long",
        "What should we do better?",
    ]
    assert "Goodbye!" in page.text
    assert "72 hours" in page.text
    assert "Link works until" not in page.text
    assert "questions are a lot" not in page.text


def test_the_review_warns_of_more_than_three_questions(site, clinic, account):
    draft = draft_of(clinic, EVERY_KIND)

    assert "5 questions are a lot for a survey by text" in site.get(f"{BASE}/{draft.pk}/review/").text


def test_the_review_of_a_link_has_no_conversation(site, clinic, account, patients):
    draft = factories.distribution(clinic, contact_list=patients)

    page = site.get(f"{BASE}/{draft.pk}/review/").text
    assert "The whole conversation" not in page
    assert "Link to the survey" in page
    assert "Link works until" in page


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_counts_who_began_and_who_finished(site, asked):
    Tally.objects.filter(pk=asked.pk).update(started=1_234, completed=987, clicked=5)

    page = site.get(f"{BASE}/{asked.pk}/change/").text

    assert "1,234" in page
    assert "began to answer" in page
    assert "answered to the end" in page
    assert "opened the link" not in page
    assert "How likely are you to recommend us" in page  # the first text


def test_the_answers_are_offered_once_there_are_any_and_never_for_a_link(site, client, clinic, account, asked):
    address = f"{BASE}/{asked.pk}/answers.csv"
    link = factories.distribution(clinic, recipients=1, state="sending", account=account)
    Tally.objects.filter(pk=link.pk).update(started=1)

    assert address not in site.get(f"{BASE}/{asked.pk}/change/").text
    Tally.objects.filter(pk=asked.pk).update(started=1)
    assert address in site.get(f"{BASE}/{asked.pk}/change/").text
    assert "answers.csv" not in site.get(f"{BASE}/{link.pk}/change/").text
    client.force_login(factories.user(clinic))  # may look, but not export
    assert address not in client.get(f"{BASE}/{asked.pk}/change/").text


def test_the_list_says_who_took_part(site, clinic, account, asked):
    Tally.objects.filter(pk=asked.pk).update(started=12, completed=8)
    link = factories.distribution(clinic, recipients=1, state="sending", account=account)
    Tally.objects.filter(pk=link.pk).update(clicked=7)

    page = site.get(f"{BASE}/").text

    assert "12 began to answer · 8 answered to the end" in page
    assert "7 opened the link" in page


def test_what_failed_later_in_a_conversation_is_told_apart(site, asked):
    first = asked.messages.first()
    Message.objects.filter(pk=first.pk).update(status=Status.FAILED, reason="rejected_content")
    talk = talks.held(asked, asked.messages.last())
    talks.turn(talk, "Next?", status=Status.FAILED, reason="rejected_content")

    page = site.get(f"{BASE}/{asked.pk}/reasons/")

    assert [(row["is_first"], row["number"]) for _state, _why, row in page.context["reasons"]] == [
        (True, 1),
        (False, 1),
    ]
    assert page.text.count("later in a conversation") == 1


# --- history ---------------------------------------------------------------------------------------------------------


def test_a_row_says_where_the_conversation_stands(site, asked):
    first, second, third = asked.messages.order_by("pk")
    talks.held(asked, first, replies=[("9", ANSWER)], values=["9"], state=State.COMPLETED)
    Message.objects.filter(pk=third.pk).update(status=Status.FAILED, reason="invalid_recipient")

    page = site.get(f"{BASE}/{asked.pk}/messages/")

    assert [row.conversation for row in page.context["rows"]] == ["completed", "no reply yet", ""]
    assert page.context["rows"][1].message.pk == second.pk


def test_somebody_who_replied_before_a_conversation_began_is_not_waited_for(site, asked):
    message = asked.messages.first()
    InboundMessage.objects.create(
        organization=asked.organization,
        account=message.account,
        provider_message_id="stop",
        sender=message.to,
        text="STOP",
        meaning="opt_out",
        message=message,
    )

    assert site.get(f"{BASE}/{asked.pk}/messages/").context["rows"][0].conversation == ""


def test_later_texts_are_no_rows_of_the_history(site, asked):
    talks.held(asked, asked.messages.first(), replies=[("9", ANSWER)], values=["9"])

    assert len(site.get(f"{BASE}/{asked.pk}/messages/").context["rows"]) == 3
    assert len(rows_of(site.get(f"{BASE}/{asked.pk}/messages.csv"))) == 4


def test_a_longer_history_takes_no_more_queries(site, clinic, account):
    numbers = []
    for recipients in (2, 40):
        made = factories.interactive(clinic, account, recipients=recipients)
        for message in made.messages.all():
            talks.held(made, message, replies=[("9", ANSWER)], values=["9"])
        with CaptureQueriesContext(connection) as queries:
            assert site.get(f"{BASE}/{made.pk}/messages/").status_code == 200
        numbers.append(len(queries))

    assert numbers[0] == numbers[1] < 15


def test_the_export_ends_with_the_state_of_the_conversation(site, asked):
    talks.held(asked, asked.messages.order_by("pk").first(), state=State.BROKEN_OFF)

    head, *rows = rows_of(site.get(f"{BASE}/{asked.pk}/messages.csv"))

    assert head[-1] == "Conversation"
    assert [row[-1] for row in rows] == ["broken_off", "", ""]


# --- one conversation ------------------------------------------------------------------------------------------------


@pytest.fixture
def talk(asked):
    message = asked.messages.order_by("pk").first()
    Message.objects.filter(pk=message.pk).update(
        text="How likely are you to recommend us, 0 to 10?", status="delivered"
    )
    message.refresh_from_db()
    return talks.held(
        asked,
        message,
        replies=[("very", UNCLEAR), ("9", ANSWER), ("<b>3</b>", ANSWER), ("STOP", "opt_out")],
        values=["9", "3"],
        state=State.OPTED_OUT,
    )


def page_of(site, talk):
    return site.get(f"{BASE}/{talk.distribution_id}/messages/{talk.message_id}/")


def test_a_conversation_is_read_in_the_order_of_time(site, talk):
    lines = page_of(site, talk).context["transcript"]

    assert [("we" if line.message else "they", line.text.split("\n")[0], line.read_as) for line in lines] == [
        ("we", "How likely are you to recommend us, 0 to 10?", "delivered"),
        ("they", "very", "not understood"),
        ("they", "9", "answer"),
        ("we", "How was the wait?", "delivered"),
        ("they", "<b>3</b>", "answer"),
        ("we", "What should we do better?", "delivered"),
        ("they", "STOP", "opt-out"),
    ]


def test_what_has_not_left_comes_last_and_says_why(site, talk):
    talks.turn(talk, "Never asked", status=Status.CANCELLED, attempt=0, attempted_at=None)

    page = page_of(site, talk)

    assert page.context["transcript"][-1].text == "Never asked"
    assert "Cancelled before it was sent." in page.text


def test_the_page_shows_answers_in_words_and_escapes_what_was_written(site, talk):
    page = page_of(site, talk)

    assert page.context["answers"] == [
        ("How likely are you to recommend us, 0 to 10?", "9"),
        ("How was the wait?", "Too long"),
    ]
    assert "&lt;b&gt;3&lt;/b&gt;" in page.text
    assert "opted out" in page.text
    story = [moment.what for moment in page.context["story"]]
    assert "The person replied for the first time." in story
    assert story[-1] == "The conversation ended: opted out."


def test_the_number_is_whole_only_for_those_who_may_text_it(client, clinic, talk, site):
    assert talk.phone in page_of(site, talk).text

    client.force_login(factories.user(clinic))
    page = page_of(client, talk)
    assert page.status_code == 200
    assert talk.phone not in page.text


def test_a_later_text_is_shown_in_its_conversation(site, asked, talk):
    later = talk.turns.first()

    answer = site.get(f"{BASE}/{asked.pk}/messages/{later.pk}/")

    assert answer.url == f"{BASE}/{asked.pk}/messages/{talk.message_id}/#text-{later.pk}"
    assert f'id="text-{later.pk}"' in page_of(site, talk).text


def test_an_uncertain_turn_can_be_sent_again_by_a_person(site, asked, talk):
    turn = talks.turn(talk, "Did it arrive?", status=Status.UNCERTAIN, attempted_at=timezone.now())
    address = f"{BASE}/{asked.pk}/messages/{turn.pk}/send-again/"

    assert address in page_of(site, talk).text
    assert "once more" in site.post(address, follow=True).text
    turn.refresh_from_db()
    assert turn.status == Status.QUEUED


def test_without_a_reply_the_first_text_stands_alone(site, asked):
    page = site.get(f"{BASE}/{asked.pk}/messages/{asked.messages.first().pk}/")

    assert len(page.context["transcript"]) == 1
    assert page.context["answers"] == []
    assert "no reply yet" in page.text


def test_a_long_conversation_takes_no_more_queries(site, asked):
    numbers = []
    for message, length in zip(asked.messages.all(), (2, 60), strict=False):
        made = talks.held(asked, message, replies=[("?", UNCLEAR)] * length, values=["9"])
        for _number in range(length):
            talks.turn(made, "Again", attempted_at=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            page_of(site, made)
        numbers.append(len(queries))

    assert numbers[0] == numbers[1] < 18


# --- answers as a file -----------------------------------------------------------------------------------------------


def test_the_answers_are_a_row_for_each_person_in_words(site, clinic, account):
    survey = factories.survey(clinic, questions=EVERY_KIND)
    made = factories.interactive(clinic, account, survey=survey, recipients=4)
    first, second, third, _silent = made.messages.order_by("pk")
    talks.held(made, first, values=["10", "1,3", "2", "-3", "@SUM(1)"], state=State.COMPLETED)
    talks.held(made, second, values=["0"])
    talks.held(made, third, state=State.EXPIRED, late=True)

    head, *rows = rows_of(site.get(f"{BASE}/{made.pk}/answers.csv"))

    assert head == [
        *("FirstName", "LastName", "ExternalDataReference", "Phone", "State", "Started", "Ended"),
        *("Q2", "Q3", "Q4", "Q5", "Q6"),  # as they are numbered in the survey; Q1 is a statement
    ]
    by_name = {row[0]: row for row in rows}
    assert by_name["Ada0"][7:] == ["10", "Food;' =Rooms", "No", "'-3", "'@SUM(1)"]
    assert by_name["Ada1"][7:] == ["0", "", "", "", ""]
    assert by_name["Ada2"][4:] == ["expired", by_name["Ada2"][5], "", "", "", "", "", ""]
    assert by_name["Ada0"][3].startswith("'+44")
    assert by_name["Ada0"][4] == "completed"
    assert by_name["Ada0"][5] < by_name["Ada0"][6]
    assert "Ada3" not in by_name
    assert AuditEvent.objects.filter(action="exported the answers", object_id=made.public_id).count() == 1


def test_answers_survive_the_deletion_of_contacts(site, asked):
    talks.held(asked, asked.messages.first(), values=["9"])
    asked.contact_list.delete()

    _head, row = rows_of(site.get(f"{BASE}/{asked.pk}/answers.csv"))
    assert (row[0], row[7]) == ("", "9")


def test_the_answers_come_in_batches(site, clinic, account, monkeypatch):
    monkeypatch.setattr("distributions.history.BATCH", 2)
    made = factories.interactive(clinic, account, recipients=5)
    for index, message in enumerate(made.messages.order_by("pk")):
        talks.held(made, message, values=[str(index)])

    _head, *rows = rows_of(site.get(f"{BASE}/{made.pk}/answers.csv"))

    assert [row[7] for row in rows] == ["0", "1", "2", "3", "4"]


def test_the_answers_are_not_for_everybody(client, clinic, asked):
    address = f"{BASE}/{asked.pk}/answers.csv"
    client.force_login(factories.user(clinic))
    assert client.get(address).status_code == 403
    client.force_login(factories.administrator())
    assert client.get(address).status_code == 404
    assert not AuditEvent.objects.filter(action="exported the answers").exists()
