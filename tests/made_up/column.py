"""What holds in a copy of the tree whose contacts have a room (tests/test_columns.py adds it, and runs this there)."""

import io
import json

import pytest
from django.test import Client
from django.utils import timezone

from contacts import importing
from contacts.models import Contact
from distributions.engine import expansion
from distributions.models import Distribution, Message
from distributions.piping import CONTACT_FIELDS, Template, values_of
from organizations import tokens
from organizations.models import User
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return factories.organization(default_region="DE")


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


@pytest.fixture
def client(ada):
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def patients(clinic, ada):
    made = factories.contact_list(clinic)
    file = io.BytesIO(b"Phone;Zimmer;Wing\n015112345678;4a;north\n")
    importing.run(importing.check(made, file, "patients.csv", ada), ada)
    return made


def test_it_is_imported_under_any_of_its_headings_and_updated(patients, ada):
    assert patients.contacts.get().room == "4a"
    assert patients.contacts.get().fields == {"Wing": "north"}

    importing.run(importing.check(patients, io.BytesIO(b"Phone,Room\n015112345678,5b\n"), "new.csv", ada), ada)

    assert patients.contacts.get().room == "5b"


def test_a_cell_that_is_too_long_is_an_error(patients, ada):
    checked = importing.check(patients, io.BytesIO(f"Phone,Room\n015112345678,{'x' * 13}\n".encode()), "x.csv", ada)

    (problem,) = importing.problems_of(checked)
    assert (problem.row, problem.column) == (2, "Room")
    assert "12" in problem.sentence


def test_the_import_page_and_its_example_name_it(client, patients):
    page = client.get(f"/admin/contacts/contactlist/{patients.pk}/import/").text
    sample = client.get(f"/admin/contacts/contactlist/{patients.pk}/import/contacts.csv").getvalue().decode()

    assert '<code class="sb-code">Room</code>' in page
    headings, example = (line.split(",") for line in sample.strip("\ufeff\r\n").splitlines())
    assert example[headings.index("Room")] == "12c"


def test_it_is_exported_and_what_is_not_exported_is_not(client, patients):
    patients.contacts.update(ward="secret")

    file = client.get(f"/admin/contacts/contactlist/{patients.pk}/export/").getvalue().decode()

    headings, person = (line.split(",") for line in file.strip("\ufeff\r\n").splitlines()[:2])
    assert person[headings.index("Room")] == "4a"
    assert "Ward" not in headings
    assert "secret" not in file


def test_texts_name_it_and_what_is_not_for_texts_is_unknown(patients):
    contact = patients.contacts.get()
    template = Template("Room ${m://Room} ${m://ward|?}")

    assert "Room" in CONTACT_FIELDS
    assert template.render(values_of(contact), survey_link="", opt_out_link="") == "Room 4a ?"
    assert template.unknown([]) == ["${m://ward|?}"]


def test_the_pages_of_contacts_list_it_search_it_and_change_it(client, patients):
    contact = patients.contacts.get()
    changelist = "/admin/contacts/contact/"

    assert "4a" in client.get(changelist).text
    assert "+4915112345678" in client.get(changelist, {"q": "4a"}).text
    assert "+4915112345678" not in client.get(changelist, {"q": "9z"}).text
    form = {"contact_list": patients.pk, "phone": contact.phone, "fields": "{}", "room": "7d"}
    assert client.post(f"{changelist}{contact.pk}/change/", form).status_code == 302
    assert Contact.objects.get().room == "7d"


def test_its_label_is_german_on_german_pages(client, ada, patients):
    User.objects.filter(pk=ada.pk).update(language="de")

    assert "Zimmer" in client.get(f"/admin/contacts/contact/{patients.contacts.get().pk}/change/").text


def test_programs_may_name_it_in_their_texts(clinic, ada, patients):
    factories.account(clinic)
    body = {
        "surveyId": factories.survey(clinic).public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": patients.public_id},
        "message": {"messageText": "Room ${m://Room}: ${l://SurveyURL} ${l://OptOutLink}"},
    }
    headers = {"x-api-token": tokens.regenerate(ada)}

    def post(**more):
        said = Client(headers=headers).post(
            "/API/v3/distributions/sms", json.dumps({**body, **more}), content_type="application/json"
        )
        return said.status_code, said.json()["result"]

    _status, reviewed = post(reviewOnly=True)
    patients.contacts.update(room="9z")
    _status, looked_at_again = post(reviewOnly=True)
    status, launched = post()
    expansion.expand(Distribution.objects.get().pk, lambda distribution, is_there: True)

    assert reviewed["fingerprint"] != looked_at_again["fingerprint"], "another room is another list"
    assert (status, set(launched)) == (200, {"id"})
    assert Message.objects.get().text.startswith("Room 9z: https://")


def test_an_empty_list_is_shown_with_the_example(client, clinic):
    draft = {
        "contact_list": factories.contact_list(clinic).pk,
        "survey": factories.survey(clinic).pk,
        "method": "invite",
        "message_text": "Room ${m://Room}",
    }

    page = client.post("/admin/distributions/distribution/preview/", draft).text

    assert "Room 12c" in page
    assert "${m://Room}" in page, "a button puts it into the text"
