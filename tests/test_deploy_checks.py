"""`check --deploy` refuses what must not go into production; `.env.example` names every setting there is."""

import re

import pytest
from django.core import checks
from django.core.management import CommandError, call_command

from config.first_run import ensure_env_file
from tests.processes import ROOT


def ids(**options):
    return {message.id for message in checks.run_checks(**options) if message.id.startswith("switchboard.")}


def test_a_sound_production_passes(settings):
    """The tests' own settings are those of a production on PostgreSQL, or with a warning on SQLite."""
    on_sqlite = "sqlite3" in settings.DATABASES["default"]["ENGINE"]

    assert ids(include_deployment_checks=True) == ({"switchboard.W001"} if on_sqlite else set())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PROVIDER_BASE_URLS", {"twilio": "http://127.0.0.1:9100/twilio"}, "switchboard.E001"),
        ("PUBLIC_URL", "http://surveys.example.com", "switchboard.E002"),
        ("DEBUG", True, "switchboard.E003"),
        ("SEND_LEASE", 34, "switchboard.E004"),
    ],
)
def test_what_must_not_go_into_production_is_refused(settings, name, value, expected):
    setattr(settings, name, value)

    assert expected in ids(include_deployment_checks=True)


def test_a_simulator_fails_the_deploy_check_but_not_the_demo(settings):
    settings.PROVIDER_BASE_URLS = {"twilio": "http://127.0.0.1:9100/twilio"}

    call_command("check")
    with pytest.raises(CommandError, match="PROVIDER_BASE_URLS sends the traffic of twilio to a simulator"):
        call_command("check", deploy=True)


def test_a_lease_that_ends_during_a_request_stops_every_start(settings):
    settings.SEND_LEASE = settings.SEND_SLICE + settings.SEND_TIMEOUT

    assert "switchboard.E004" in ids()


def test_sqlite_is_for_trying_out(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")

    assert "switchboard.W001" in ids(include_deployment_checks=True)


def test_the_example_names_every_setting():
    used = re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', (ROOT / "config/settings.py").read_text())
    documented = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)

    assert sorted(documented) == sorted(set(used))


def test_the_first_run_makes_secrets_for_the_owner_only_and_never_again(tmp_path):
    path = tmp_path / ".env"

    made = ensure_env_file(path)
    first = path.read_text()
    made_again = ensure_env_file(path)

    assert (made, made_again) == (True, False)
    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(re.findall(r"^(?:SECRET_KEY|FERNET_KEYS)=\S{40,}$", first, flags=re.MULTILINE)) == 2


def test_two_installations_have_different_secrets(tmp_path):
    for name in ("a", "b"):
        ensure_env_file(tmp_path / name)

    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()
