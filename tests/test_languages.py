"""A language is a folder in locale/ and nothing else; a reader's time zone is for reading alone."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from distributions.models import Distribution
from organizations.models import Organization, User
from tests import factories
from tests.scratch import Scratch

FRENCH = """\
msgid ""
msgstr ""
"Language: fr\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

msgid "My profile"
msgstr "Mon profil"

msgid "Please reply with a number from 0 to 10."
msgstr "Veuillez répondre par un nombre de 0 à 10."
"""
ASKED = """
from django.conf import settings
from django.test import Client
from django.utils.translation import override, gettext
from organizations.models import Organization, User
Organization.objects.get(language="fr")
user = User.objects.get(email="ada@example.org")
user.full_clean()
client = Client(SERVER_NAME="localhost")
client.force_login(user)
page = client.get("/admin/profile/").content.decode()
assert "Mon profil" in page and 'lang="fr"' in page, page[:2000]
assert 'value="fr"' in page
print(sorted(code for code, _name in settings.LANGUAGES), user.get_language_display())
"""


def test_a_third_language_is_a_folder_in_locale(tmp_path: Path) -> None:
    """No migration, no setting: it is offered to organisations, people and surveys, and spoken."""
    tree = Scratch(tmp_path)
    (tree.root / "locale" / "fr" / "LC_MESSAGES").mkdir(parents=True)
    tree.add("locale/fr/LC_MESSAGES/django.po", FRENCH)
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "scratch",
        "FERNET_KEYS": "scratch",
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'scratch.sqlite3'}",
    }

    def manage(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tree.root, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-2000:]
        return ran.stdout

    assert "No changes detected" in manage("makemigrations", "--check", "--dry-run")
    manage("compile_translations")
    manage("migrate", "--verbosity", "0")
    manage(
        *("create_organization", "--name", "Clinique", "--admin-email", "ada@example.org", "--region", "FR"),
        *("--language", "fr"),
    )

    assert manage("shell", "--command", ASKED).strip().endswith("['de', 'en', 'fr'] Français")


# --- zones ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization(time_zone="Europe/Berlin", default_region="DE")


@pytest.fixture
def hedy(clinic: Organization) -> User:
    """She works for the clinic from New York."""
    return factories.administrator(clinic, time_zone="America/New_York")


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def draft(user: User, **written: Any) -> Distribution:
    assert user.organization is not None
    factories.account(user.organization)
    data = {
        "method": "invite",
        "name": "Spring",
        "contact_list": factories.contact_list(user.organization, 1).pk,
        "survey": factories.survey(user.organization).pk,
        "message_text": "Hello ${l://SurveyURL}",
        "when": "later",
        "send_at": "2030-01-10T09:00",
        "link_expires_at": "2030-01-20T18:00",
        **written,
    }
    answer = client_of(user).post("/admin/distributions/distribution/add/", data)
    assert answer.status_code == 302, answer.context["form"].errors
    return Distribution.objects.get()


def test_what_is_planned_is_planned_by_the_organisations_clocks_whoever_writes_it(hedy: User) -> None:
    planned = draft(hedy)

    assert planned.send_at == datetime(2030, 1, 10, 8, tzinfo=UTC)
    assert planned.link_expires_at == datetime(2030, 1, 20, 17, tzinfo=UTC)
    assert planned.time_zone == "Europe/Berlin"
    form = client_of(hedy).get(f"/admin/distributions/distribution/{planned.pk}/edit/").content.decode()
    assert 'value="2030-01-10T09:00"' in form
    assert "In the time zone Europe/Berlin." in form


def test_leaving_the_time_as_it_is_shown_leaves_it(hedy: User) -> None:
    planned = draft(hedy)
    client = client_of(hedy)
    address = f"/admin/distributions/distribution/{planned.pk}/edit/"
    form = client.get(address).context["form"]

    data = {name: form[name].value() for name in form.fields}
    data |= {"send_at": "2030-01-10T09:00", "link_expires_at": "2030-01-20T18:00", "when": "later"}
    assert client.post(address, data).status_code == 302

    again = Distribution.objects.get()
    assert (again.send_at, again.link_expires_at) == (planned.send_at, planned.link_expires_at)


def test_the_review_names_the_clocks_where_they_are_not_the_readers(clinic: Organization, hedy: User) -> None:
    planned = draft(hedy)
    address = f"/admin/distributions/distribution/{planned.pk}/review/"

    away = client_of(hedy).get(address).content.decode()
    there = client_of(factories.administrator(clinic)).get(address).content.decode()

    assert "10 Jan 2030, 09:00 (Europe/Berlin)" in away
    assert "20 Jan 2030, 18:00 (Europe/Berlin)" in away
    assert "10 Jan 2030, 09:00" in there
    assert "(Europe/Berlin)" not in there


def test_what_has_happened_is_read_by_ones_own_clocks(clinic: Organization, hedy: User) -> None:
    sent = factories.distribution(clinic, launched_at=datetime(2026, 7, 1, 12, tzinfo=UTC), state="finished")
    assert sent.pk

    page = "/admin/distributions/distribution/"
    assert "08:00" in client_of(hedy).get(page).content.decode()
    assert "14:00" in client_of(factories.administrator(clinic)).get(page).content.decode()


def test_the_zone_is_chosen_on_the_profile(hedy: User) -> None:
    client = client_of(hedy)
    data = {"name": "Hedy", "language": "", "phone": ""}

    refused = client.post("/admin/profile/", {**data, "time_zone": "Mars/Olympus"})
    client.post("/admin/profile/", {**data, "time_zone": "Asia/Tokyo"})
    hedy.refresh_from_db()
    chosen = hedy.time_zone
    client.post("/admin/profile/", {**data, "time_zone": ""})
    hedy.refresh_from_db()

    assert "time_zone" in refused.context["form"].errors
    assert (chosen, hedy.time_zone) == ("Asia/Tokyo", "")
