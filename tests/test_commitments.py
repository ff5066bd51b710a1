"""Who may not send does not decide what is texted, where it leads and whom it reaches, once it is planned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from contacts import importing
from contacts.models import Contact, ContactList
from distributions.models import Conversation, Distribution
from organizations.models import Organization
from organizations.permissions import MissingRight
from surveys.models import Survey
from tests import factories

State = Distribution.State
LAUNCHED = [state for state in State if state != State.DRAFT]
PLANNED = [State.SCHEDULED, State.LAUNCHING]


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization("Clinic")


@pytest.fixture(params=["member", "administrator"])
def onlooker(request: pytest.FixtureRequest, clinic: Organization) -> Client:
    """Somebody whose right to send is off."""
    client = Client()
    client.force_login(factories.user(clinic, request.param, use_sms_distributions="disabled"))
    return client


@pytest.fixture
def sender(clinic: Organization) -> Client:
    client = Client()
    client.force_login(factories.user(clinic, use_sms_distributions="enabled"))
    return client


def distribution(clinic: Organization, state: str, **fields: Any) -> Distribution:
    return factories.distribution(
        clinic,
        state=state,
        launched_at=timezone.now(),
        send_at=timezone.now() + timedelta(days=1),
        contact_list=factories.contact_list(clinic, 2),
        **fields,
    )


def survey_form(survey: Survey, **changed: Any) -> dict[str, Any]:
    return {
        "name": survey.name,
        "url": survey.url,
        "reference_parameter": survey.reference_parameter,
        "thank_you": survey.thank_you,
        "retries": survey.retries,
        "wait_hours": survey.wait_hours,
        "questions-TOTAL_FORMS": 0,
        "questions-INITIAL_FORMS": 0,
        **changed,
    }


CHANGES: list[dict[str, Any]] = [
    {"url": "https://evil.example.org/"},
    {"reference_parameter": "other"},
    {"thank_you": "Call us on a premium number"},
    {"retries": 0},
    {"wait_hours": 1},
]


@pytest.mark.parametrize("state", LAUNCHED)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_what_a_launched_survey_says_and_where_it_leads_needs_the_right(
    clinic: Organization, onlooker: Client, sender: Client, state: str, change: dict[str, Any]
) -> None:
    survey = distribution(clinic, state).survey
    address, (name, value) = f"/admin/surveys/survey/{survey.pk}/change/", next(iter(change.items()))

    onlooker.post(address, survey_form(survey, **change))
    survey.refresh_from_db()
    assert getattr(survey, name) != value

    assert sender.post(address, survey_form(survey, **change)).status_code == 302
    survey.refresh_from_db()
    assert getattr(survey, name) == value


def test_its_questions_need_the_right_too_and_its_name_does_not(clinic: Organization, onlooker: Client) -> None:
    survey = distribution(clinic, State.FINISHED).survey
    question = {
        "questions-TOTAL_FORMS": 1,
        "questions-0-kind": "text",
        "questions-0-text": "Your PIN?",
        "questions-0-id": "",
        "questions-0-survey": survey.pk,
    }

    answer = onlooker.post(f"/admin/surveys/survey/{survey.pk}/change/", survey_form(survey, name="New", **question))

    survey.refresh_from_db()
    assert answer.status_code == 302
    assert survey.name == "New"
    assert not survey.questions.exists()


def test_a_survey_that_nobody_was_sent_is_edited_as_before(clinic: Organization, onlooker: Client) -> None:
    survey = distribution(clinic, State.DRAFT).survey

    onlooker.post(f"/admin/surveys/survey/{survey.pk}/change/", survey_form(survey, url="https://new.example.org/"))

    survey.refresh_from_db()
    assert survey.url == "https://new.example.org/"


def test_the_page_says_why_and_whom_to_ask(clinic: Organization, onlooker: Client, request: Any) -> None:
    """Administrators are not sent to an administrator: it is theirs to give."""
    survey = distribution(clinic, State.SENDING).survey

    page = onlooker.get(f"/admin/surveys/survey/{survey.pk}/change/").content.decode()

    assert "You need the permission “Use SMS distributions”." in page
    is_administrator = "[administrator]" in request.node.name
    assert ("As an administrator you can give it to yourself" in page) == is_administrator
    assert ("Please ask an administrator" in page) != is_administrator


def attempts(client: Client, people: ContactList, other: ContactList) -> list[Any]:
    """Everything that would change who is on a list, or what a text to them says."""
    contact, elsewhere = people.contacts.first(), other.contacts.first()
    assert contact is not None
    assert elsewhere is not None
    form = {"first_name": "Mallory", "phone": "+447700900999", "fields": "{}", "contact_list": people.pk}
    one = f"/admin/contacts/contact/{contact.pk}"
    chosen = {"action": "delete_selected", "post": "yes", "_selected_action": [contact.pk]}
    file = SimpleUploadedFile("people.csv", b"FirstName,Phone\nMallory,+447700900998\n")
    upload = client.post(f"/admin/contacts/contactlist/{people.pk}/import/", {"file": file})
    if upload.status_code == 302 and "/import/" in upload.url:
        upload = client.post(upload.url)
    return [
        upload,
        client.post("/admin/contacts/contact/add/", form),
        client.post(f"{one}/change/", form),
        client.post(f"/admin/contacts/contact/{elsewhere.pk}/change/", {**form, "phone": elsewhere.phone}),
        client.post(f"{one}/change/", {**form, "contact_list": other.pk}),
        client.post("/admin/contacts/contact/", chosen),
        client.post(f"{one}/delete/", {"post": "yes"}),
        client.post(
            "/admin/contacts/contactlist/",
            {"action": "delete_selected", "post": "yes", "_selected_action": [people.pk]},
        ),
        client.post(f"/admin/contacts/contactlist/{people.pk}/delete/", {"post": "yes"}),
    ]


def members(people: ContactList) -> list[Any]:
    return list(Contact.objects.filter(contact_list=people).order_by("pk").values())


@pytest.mark.parametrize("state", PLANNED)
def test_whom_a_planned_launch_reaches_needs_the_right(clinic: Organization, onlooker: Client, state: str) -> None:
    people = distribution(clinic, state).contact_list
    assert people is not None
    before = members(people)

    answers = attempts(onlooker, people, factories.contact_list(clinic, phones=["+447700900777"]))

    assert members(people) == before
    assert ContactList.objects.filter(pk=people.pk).exists()
    assert all(answer.status_code < 500 for answer in answers)


@pytest.mark.parametrize("state", PLANNED)
def test_whoever_may_send_changes_a_planned_list(clinic: Organization, sender: Client, state: str) -> None:
    people = distribution(clinic, state).contact_list
    assert people is not None

    attempts(sender, people, factories.contact_list(clinic, phones=["+447700900777"]))

    assert not ContactList.objects.filter(pk=people.pk).exists()


@pytest.mark.parametrize("state", [State.DRAFT, State.SENDING, State.FINISHED, State.CANCELLED])
def test_a_list_that_no_launch_waits_for_is_kept_up_as_before(
    clinic: Organization, onlooker: Client, state: str
) -> None:
    people = distribution(clinic, state).contact_list
    assert people is not None

    attempts(onlooker, people, factories.contact_list(clinic, phones=["+447700900777"]))

    assert not ContactList.objects.filter(pk=people.pk).exists()


@pytest.mark.parametrize("has_replied", [False, True])
def test_what_a_conversation_goes_on_with_is_not_written_into_a_contact(
    clinic: Organization, onlooker: Client, has_replied: bool
) -> None:
    """Its next question may say the person's name, as the contact has it by then."""
    line = factories.account(clinic)
    launched = factories.interactive(clinic, line)
    message = launched.messages.get()
    if has_replied:
        Conversation.objects.create(
            organization=clinic,
            distribution=launched,
            message=message,
            account=line,
            phone=message.to,
            expires_at=timezone.now(),
        )
    form = {
        "first_name": "Call 0900 now",
        "contact_list": launched.contact_list_id,
        "phone": message.to,
        "fields": "{}",
    }

    answer = onlooker.post(f"/admin/contacts/contact/{message.contact_id}/change/", form)

    assert answer.status_code == 403
    assert Contact.objects.get(pk=message.contact_id).first_name != "Call 0900 now"


def test_the_import_itself_asks_for_the_right(clinic: Organization) -> None:
    people = distribution(clinic, State.SCHEDULED).contact_list
    assert people is not None
    writer = factories.user(clinic, use_sms_distributions="enabled")
    file = SimpleUploadedFile("people.csv", b"FirstName,Phone\nAda,+447700900998\n")
    assert file.file is not None
    checked = importing.check(people, file.file, "people.csv", writer)

    with pytest.raises(MissingRight):
        importing.run(checked, factories.user(clinic, use_sms_distributions="disabled"))
