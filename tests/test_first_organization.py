"""The operator's first organisation: made in one page, warned about before it would be dead, and entered at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from organizations import invitations, permissions
from organizations.models import AuditEvent, Organization, User
from tests import factories

pytestmark = pytest.mark.django_db
ADD = "/admin/organizations/organization/add/"
NEW = "a quite unusual password"


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(factories.operator())
    return client


def written(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "New Hospital",
        "public_id": "new-hospital",
        "language": "en",
        "time_zone": "Europe/Berlin",
        "default_region": "DE",
        "administrator_email": "chief@example.org",
        "extensions": ["twilio"],
        "licence-TOTAL_FORMS": 1,
        "licence-INITIAL_FORMS": 0,
        "licence-MIN_NUM_FORMS": 1,
        "licence-MAX_NUM_FORMS": 1,
        "licence-0-sms": "on",
        "licence-0-two_way": "on",
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


def test_no_country_is_preset(operator: Client) -> None:
    page = operator.get(ADD)
    refused = operator.post(ADD, written(default_region=""))

    assert page.context["adminform"].form["default_region"].value() == ""
    assert "default_region" in refused.context["adminform"].form.errors
    assert not Organization.objects.exists()


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ({"licence-0-sms": None}, "The SMS add-on is not ticked"),
        ({"extensions": None}, "No extension is enabled"),
        ({"administrator_email": ""}, "It has no administrator"),
    ],
)
def test_what_would_be_a_dead_portal_is_saved_only_once_that_is_said_to_be_meant(
    operator: Client, lacking: dict[str, Any], sentence: str
) -> None:
    asked = operator.post(ADD, written(**lacking))
    assert sentence in asked.content.decode()
    assert "Save it as it is" in asked.content.decode()
    assert not Organization.objects.exists()

    answer = operator.post(ADD, written(**lacking, as_it_is="on"))

    assert answer.status_code == 302
    assert Organization.objects.get().name == "New Hospital"


def test_nobody_is_asked_about_what_is_whole(operator: Client) -> None:
    assert "Save it as it is" not in operator.get(ADD).content.decode()

    answer = operator.post(ADD, written())

    assert answer.url.endswith("/invitation/")


def change(operator: Client, organization: Organization, **changes: Any) -> Any:
    data = written(
        name=organization.name,
        administrator_email="",
        public_id=None,
        extensions=["twilio"],
        **{"licence-0-id": organization.licence.pk},
    )
    data |= {"licence-INITIAL_FORMS": 1, "licence-0-organization": organization.pk}
    data = {name: value for name, value in {**data, **changes}.items() if value is not None}
    return operator.post(f"/admin/organizations/organization/{organization.pk}/change/", data)


def test_taking_away_what_people_work_with_is_asked_about_once(operator: Client) -> None:
    clinic = factories.organization()
    factories.administrator(clinic)

    assert change(operator, clinic).status_code == 302
    asked = change(operator, clinic, **{"licence-0-sms": None})
    assert "The SMS add-on is not ticked" in asked.content.decode()
    assert Organization.objects.get().has_sms
    assert change(operator, clinic, as_it_is="on", **{"licence-0-sms": None}).status_code == 302
    assert not Organization.objects.get().has_sms
    assert change(operator, clinic, name="Other", **{"licence-0-sms": None}).status_code == 302  # it is known by now


def test_the_invited_person_is_logged_in_once_the_password_is_set() -> None:
    ada = factories.administrator()
    other = factories.user()
    client = Client()
    client.force_login(other)  # in the browser of a colleague, say
    form = client.get(urlsplit(invitations.link_for(ada)).path).url

    answer = client.post(form, {"new_password1": NEW, "new_password2": NEW})

    home = client.get(answer.url)
    assert (answer.url, home.wsgi_request.user) == ("/admin/", ada)
    assert "you are logged in" in home.content.decode()
    assert set(AuditEvent.objects.filter(actor=ada).values_list("action", flat=True)) == {"set a password", "logged in"}
    assert any(name.startswith("known_device_") for name in answer.cookies)


def test_a_link_that_was_used_logs_nobody_in() -> None:
    ada = factories.administrator()
    link = urlsplit(invitations.link_for(ada)).path
    first = Client()
    first.post(first.get(link).url, {"new_password1": NEW, "new_password2": NEW})

    second = Client()
    page = second.get(link, follow=True)

    assert "This link has been used" in page.content.decode()
    assert "_auth_user_id" not in second.session


@pytest.mark.parametrize(
    "command",
    [
        "create_organization --name Clinic --admin-email ada@example.org --region DE",
        "createsuperuser --no-input --email ops@example.org",
        "send_test twilio +491511234567",
        "rotate_keys",
        "retry_callbacks",
        "after_restore",
    ],
)
def test_a_command_before_the_migrations_says_what_to_do(tmp_path: Path, command: str) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}",
        "VAR_DIR": str(tmp_path),
        "DJANGO_SUPERUSER_PASSWORD": NEW,
    }

    ran = subprocess.run(
        [sys.executable, "manage.py", *command.split()], env=environment, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 1
    assert "manage.py migrate" in ran.stderr
    assert "Traceback" not in ran.stderr


# --- whom to ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "named"),
    [
        ("Ada Lovelace", True),
        ("Ask ADA LOVELACE, room 7", True),
        ("ada@example.org", True),
        ("Adam, adada@example.org", False),
        ("ada@example.org.", True),
        ("Grace Hopper", False),
    ],
)
def test_nobody_is_sent_to_themselves(contact: str, named: bool) -> None:
    clinic = factories.organization(support_contact=contact)
    ada = factories.administrator(clinic, name="Ada Lovelace", email="ada@example.org")

    said = permissions.whom_to_ask(clinic, ada)

    assert said == ("Please ask whoever runs this installation." if named else f"Please ask {contact}.")
    factories.administrator(clinic)
    assert not named or permissions.whom_to_ask(clinic, ada) == "Please ask another administrator of your organisation."


def test_a_member_who_is_named_is_sent_to_an_administrator() -> None:
    clinic = factories.organization(support_contact="ada@example.org")

    said = permissions.whom_to_ask(clinic, factories.user(clinic, email="ada@example.org"))

    assert said == "Please ask an administrator of your organisation."


def test_an_administrator_without_the_permission_is_told_how_to_get_it() -> None:
    clinic = factories.organization(support_contact="Grace")
    ada = factories.administrator(clinic, use_sms_distributions="inherit")

    assert permissions.missing_sms(ada).endswith("As an administrator you can give it to yourself, under Users.")
    assert permissions.missing_sms(User(organization=clinic)).endswith("Please ask Grace.")
