"""`check --deploy` refuses what must not go into production; `.env.example` names every setting there is."""

import base64
import hashlib
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from config.ops import private
from config.ops.checks import weakness_of
from config.ops.first_run import ensure_env_file
from tests.processes import ROOT


def ids(**options):
    return {message.id for message in checks.run_checks(**options) if message.id.startswith("switchboard.")}


HTTPS = ("HTTP_X_FORWARDED_PROTO", "https")  # as BEHIND_TLS_PROXY=true sets it


def test_a_sound_production_passes(settings, tmp_path):
    """The tests' own settings are those of a production on PostgreSQL, or with a warning on SQLite."""
    settings.SECURE_PROXY_SSL_HEADER, settings.VAR_DIR = HTTPS, tmp_path
    on_sqlite = "sqlite3" in settings.DATABASES["default"]["ENGINE"]

    assert ids(include_deployment_checks=True) == ({"switchboard.W001"} if on_sqlite else set())


def test_what_django_warns_of_in_a_sound_production_is_explained(settings, tmp_path):
    settings.SECURE_PROXY_SSL_HEADER, settings.VAR_DIR = HTTPS, tmp_path
    settings.SECRET_KEY = secrets.token_urlsafe(60)  # as `make` makes one
    settings.SECURE_HSTS_SECONDS = 31_536_000  # as with a PUBLIC_URL that is https
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    found = {one.id for one in checks.run_checks(include_deployment_checks=True) if one.id.startswith("security.")}

    assert found == {"security.W005", "security.W008", "security.W021"}
    document = (ROOT / "docs/operate/install.md").read_text()
    assert all(f"`{warning}`" in document for warning in found)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PROVIDER_BASE_URLS", {"twilio": "http://127.0.0.1:9100/twilio"}, "switchboard.E001"),
        ("PUBLIC_URL", "http://surveys.example.com", "switchboard.E002"),
        ("DEBUG", True, "switchboard.E003"),
        ("SEND_LEASE", 34, "switchboard.E004"),
        ("SECURE_PROXY_SSL_HEADER", None, "switchboard.E010"),
        ("TRUSTED_PROXIES", 0, "switchboard.E011"),
        ("CLIENT_ADDRESS_HEADER", "X_Forwarded_For", "switchboard.E012"),
        ("CLIENT_ADDRESS_HEADER", "", "switchboard.E012"),
        ("FERNET_KEYS", [], "switchboard.E013"),
    ],
)
def test_what_must_not_go_into_production_is_refused(settings, name, value, expected):
    setattr(settings, name, value)

    assert expected in ids(include_deployment_checks=True)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "a" * 64,
        "ab" * 40,
        "0123456789" * 5,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
        "change-me-change-me-change-me-now",
        "Please_Change_It_0f8d1b2c3a4e5f60",
        "this-is-only-an-example-key-9f3k2",
        "my-very-long-password-1234-5678-90",
        "11111111111111111111111111111112",
        "k3Vq9ZtXw2LmP7RyB4nHcg",  # random, but too short
    ],
)
def test_a_key_that_can_be_guessed_is_refused(settings, key):
    settings.FERNET_KEYS = [secrets.token_urlsafe(32), key]

    assert "switchboard.E013" in ids(include_deployment_checks=True)


def test_the_two_keys_must_differ(settings):
    settings.FERNET_KEYS = [settings.SECRET_KEY]

    assert "switchboard.E013" in ids(include_deployment_checks=True)


@given(st.binary(min_size=32, max_size=32))
def test_no_random_key_is_taken_for_a_weak_one(noise):
    for bits in (noise, hashlib.sha512(noise).digest()[:32]):
        random = hashlib.sha256(bits).digest()
        for key in (
            random.hex(),
            random[:16].hex(),
            base64.urlsafe_b64encode(random).decode(),
            base64.b32encode(random).decode(),
        ):
            assert weakness_of(key) == ""


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o777, 0o610, 0o601])
@pytest.mark.parametrize("name", [".env", "switchboard.sqlite3", "switchboard.sqlite3-wal", "switchboard.sqlite3-shm"])
def test_a_file_that_others_may_open_is_refused(settings, monkeypatch, tmp_path, name, mode):
    settings.VAR_DIR, settings.ENV_FILE = tmp_path, str(tmp_path / ".env")
    database = {**settings.DATABASES["default"], "ENGINE": "django.db.backends.sqlite3"}
    monkeypatch.setitem(settings.DATABASES, "default", {**database, "NAME": tmp_path / "switchboard.sqlite3"})
    path = tmp_path / name
    path.touch(0o600)
    assert "switchboard.E014" not in ids(include_deployment_checks=True)

    path.chmod(mode)

    found = [
        message for message in checks.run_checks(include_deployment_checks=True) if message.id == "switchboard.E014"
    ]
    assert [str(path) in message.msg for message in found] == [True]
    assert found[0].hint == f"chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711, 0o755, 0o777])
def test_a_folder_that_others_may_enter_is_refused(settings, tmp_path, mode):
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir(0o700)
    assert "switchboard.E014" not in ids(include_deployment_checks=True)

    settings.VAR_DIR.chmod(mode)

    assert "switchboard.E014" in ids(include_deployment_checks=True)


def test_what_was_open_is_closed_at_the_start_and_named(settings, tmp_path, caplog):
    settings.VAR_DIR, settings.ENV_FILE = tmp_path / "var", str(tmp_path / ".env")
    settings.VAR_DIR.mkdir(0o755)
    Path(settings.ENV_FILE).touch()
    Path(settings.ENV_FILE).chmod(0o644)

    private.narrow()

    assert [path.stat().st_mode & 0o777 for path in private.private_paths()][:2] == [0o600, 0o700]
    assert f"Others could read {settings.ENV_FILE}; now only its owner can." in caplog.text


def test_whatever_is_written_is_for_its_owner_only_whatever_the_umask(tmp_path):
    """Everything of `up` begins in such a process: the database, the broker, the worker, beat, the web server."""
    var = tmp_path / "new" / "var"
    environment = {**os.environ, "VAR_DIR": str(var), "DATABASE_URL": f"sqlite:///{var}/switchboard.sqlite3"}
    code = (
        "import os; os.umask(0)\n"
        "import django; django.setup()\n"
        "from pathlib import Path\n"
        "from django.core.management import call_command\n"
        "from django.conf import settings\n"
        "from config.ops import private\n"
        "private.narrow()\n"
        "call_command('migrate', verbosity=0)\n"
        "(settings.VAR_DIR / 'folder').mkdir()\n"
        "os.system('echo > $VAR_DIR/folder/of-a-child')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr

    modes = {path.name: path.stat().st_mode & 0o777 for path in [var, *var.rglob("*")]}

    assert modes["var"] == modes["folder"] == 0o700
    assert modes["switchboard.sqlite3"] == modes["of-a-child"] == 0o600
    assert not [name for name, mode in modes.items() if mode & 0o077]


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
