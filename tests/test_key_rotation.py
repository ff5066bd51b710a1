"""FERNET_KEYS on several machines: at no moment of the three documented steps can one not read what another wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from distributions.engine import settling, worker_process
from distributions.models import Chunk, Distribution
from extensions import services
from extensions.fields import EncryptedJSONField
from extensions.management.commands.rotate_keys import encrypted_fields
from extensions.models import AccountState, ProviderAccount, UnreadableCredentials
from organizations.encrypted import Unreadable
from tests import factories, own_encryption, pumping
from tests.processes import environment
from watching import facts, mails
from watching.models import Fact, Kind
from webhooks import applying, inbox
from webhooks.models import Callback

# SECURITY.md: the keys that machines hold while each step is being done, one machine after the other.
STEPS = {1: (["old"], ["old", "new"]), 2: (["old", "new"], ["new", "old"]), 3: (["new", "old"], ["new"])}


class Machine:
    def __init__(self, keys):
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.key_holder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=django_settings.BASE_DIR,
            env=environment() | {"FERNET_KEYS": ",".join(keys)},
            text=True,
        )

    def ask(self, *order):
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def close(self):
        self._child.stdin.close()
        self._child.wait(timeout=60)
        self._child.stdout.close()


@pytest.fixture
def machines():
    started = []

    def start(*sets):
        started.extend(map(Machine, sets))
        return started[-len(sets) :]

    yield start
    for machine in started:
        machine.close()


@pytest.fixture
def keys(settings):
    """keys("new", "old") sets FERNET_KEYS as after a restart."""
    columns = [model._meta.get_field(name) for model, name in _encrypted()]

    def use(*names):
        settings.FERNET_KEYS = list(names)
        for column in columns:
            for name in ("keys", "fernet_keys", "fernet"):
                column.__dict__.pop(name, None)

    yield use
    use(*django_settings.FERNET_KEYS)


def _encrypted():
    return list(encrypted_fields())


@pytest.mark.django_db(transaction=True)
def test_in_each_step_every_machine_reads_what_every_other_wrote(machines, keys):
    keys("old")
    account = factories.account(factories.organization())
    held = {name: dict(zip(map(tuple, pair), machines(*pair), strict=True)) for name, pair in STEPS.items()}
    for step in (1, 2):
        for (writer, one), (reader, other) in permutations(held[step].items(), 2):
            assert one.ask("write", account.pk, f"{step} {writer}") == "written"
            assert other.ask("read", account.pk) == f"{step} {writer}", (writer, reader)
            assert other.ask("accounts", account.pk) == [account.pk]

    keys("new", "old")
    call_command("rotate_keys")
    for (writer, one), (reader, other) in permutations(held[3].items(), 2):
        one.ask("write", account.pk, f"3 {writer}")
        assert other.ask("read", account.pk) == f"3 {writer}", (writer, reader)
        assert other.ask("accounts", account.pk) == [account.pk]


@pytest.mark.django_db(transaction=True)
def test_whoever_leaves_out_the_first_step_loses_the_account_on_the_old_machines_and_nothing_else(machines, keys):
    keys("old")
    other = factories.account(factories.organization())
    keys("new", "old")
    account = factories.account(factories.organization())
    [old] = machines(["old"])

    assert old.ask("accounts", account.pk) == [other.pk]


def test_security_md_names_the_three_steps():
    text = (Path(django_settings.BASE_DIR) / "SECURITY.md").read_text()
    for keys in ("FERNET_KEYS=old,new", "FERNET_KEYS=new,old", "rotate_keys", "FERNET_KEYS=new`"):
        assert keys in text


# --- one value that no key opens --------------------------------------------------------------------------------------


@pytest.fixture
def clinic(db):
    return factories.organization()


@pytest.fixture
def spoilt(clinic, keys):
    """An account whose credentials no key opens, beside a good one of the same organisation."""
    keys("gone")
    account = factories.account(clinic, "infobip", name="Spoilt line")
    keys("here")
    inbox.forget_accounts()
    factories.account(clinic, "infobip", name="Good line", sender="447491163444")
    return ProviderAccount.objects.get(pk=account.pk)


def test_every_page_of_the_organisation_opens(clinic, spoilt, client):
    client.force_login(factories.administrator(clinic))
    for path in (
        "/admin/", "/admin/extensions/", "/admin/extensions/infobip/", "/admin/extensions/infobip/add/",
        f"/admin/extensions/account/{spoilt.public_id}/", f"/admin/extensions/account/{spoilt.public_id}/delete/",
        f"/admin/extensions/infobip/add/?replaces={spoilt.public_id}", "/admin/distributions/distribution/",
    ):  # fmt: skip
        assert client.get(path).status_code == 200, path
    page = client.get(f"/admin/extensions/account/{spoilt.public_id}/").content.decode()
    assert "This account cannot be used." in page
    for action in ("verify", "webhooks", "grant"):
        answer = client.post(f"/admin/extensions/account/{spoilt.public_id}/{action}/", follow=True)
        assert answer.status_code in (200, 403, 422), action
    test = client.post(f"/admin/extensions/account/{spoilt.public_id}/test/", {"number": "+447400123456", "text": "Hi"})
    assert test.status_code < 500


def test_verifying_says_why_and_what_was_known_still_holds(clinic, spoilt):
    check = services.verify(spoilt, factories.administrator(clinic))

    assert check.is_open
    spoilt.refresh_from_db()
    assert spoilt.check_ok is True


def test_callbacks_for_the_good_account_are_believed_and_the_others_wait(clinic, spoilt):
    _key, opened = inbox._accounts(clinic.public_id, spoilt.provider_class)
    assert [one.account_id for one in opened] == [ProviderAccount.objects.get(name="Good line").pk]
    callback = Callback.objects.create(
        account=spoilt, kind="status", url="/", body=b"{}", dedupe_key="1", method="POST"
    )

    applying.apply_due()

    callback.refresh_from_db()
    assert callback.state == "new", "it waits for the key"


def test_settling_leaves_its_texts_uncertain(clinic, spoilt, monkeypatch):
    monkeypatch.setattr(settling, "_due", lambda _message: True)
    made = factories.distribution(clinic, recipients=1, account=spoilt)
    made.messages.update(status="uncertain")

    assert settling.settle(spoilt.pk) is False


def waiting(account):
    """A distribution of two texts that are due on this account."""
    made = factories.distribution(account.organization, recipients=2, account=account, state=Distribution.State.SENDING)
    ids = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=ids[0], last_id=ids[-1])
    return made


@pytest.mark.django_db(transaction=True)
def test_a_pump_fails_its_account_alone_marks_nothing_and_people_are_told(
    clinic, spoilt, keys, simulator, settings, mailoutbox, caplog
):
    settings.EMAIL_URL = "smtp://localhost:25"
    administrator, good = factories.administrator(clinic), ProviderAccount.objects.get(name="Good line")
    operator = factories.operator()
    held, going = waiting(spoilt), waiting(good)

    for account in (spoilt, good):
        pumping.run(account.pk)
    worker_process.close()

    assert set(held.messages.values_list("status", "attempt")) == {("queued", 0)}
    assert held.chunks.get().lease_until is None
    assert set(going.messages.values_list("status", flat=True)) == {"accepted"}
    state = AccountState.objects.get(pk=spoilt.pk)
    assert (state.stopped_at, state.failures) == (None, 1), "it pauses: with the key it goes on by itself"
    assert AccountState.objects.get(pk=good.pk).failures == 0
    assert any(r.levelname == "ERROR" and spoilt.public_id in r.getMessage() for r in caplog.records)

    facts.look()
    Fact.objects.update(began_at=timezone.now() - timedelta(minutes=1))
    mails.tell()
    mails.post()

    told = {
        mail.to[0]: mail.body.replace("\n", " ") for mail in mailoutbox if "credentials" in mail.subject + mail.body
    }
    assert "“Spoilt line”: its stored credentials cannot be read" in told[administrator.email]
    assert "Good line" not in told[administrator.email]
    assert "The stored credentials of 1 accounts" in told[operator.email]
    assert "Spoilt line" not in told[operator.email]
    client = Client()
    client.force_login(administrator)
    assert "its stored credentials cannot be read" in client.get("/admin/").content.decode()

    keys("here", "gone")
    AccountState.objects.update(open_until=timezone.now())
    pumping.run(spoilt.pk)
    worker_process.close()
    assert set(held.messages.values_list("status", flat=True)) == {"accepted"}
    facts.look()
    assert Fact.objects.get(kind=Kind.UNREADABLE).ended_at is not None


def test_the_account_raises_its_own_error_and_never_a_key_error(spoilt):
    with pytest.raises(UnreadableCredentials, match="FERNET_KEYS"):
        spoilt.open()
    assert isinstance(spoilt.credentials, Unreadable)


# --- the way out of the library ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"token": "☺ \"'"}, [1, None, {"x": 1.5}], "text", 0, True, None])
def test_what_the_library_wrote_is_read_without_it_and_the_other_way_round(value, keys):
    keys("new", "old")
    theirs, ours = EncryptedJSONField(null=True), own_encryption.OwnEncryptedJSONField(null=True)

    stored = theirs.get_db_prep_save(value, _connection())
    assert ours.from_db_value(_bytes(stored), None, None) == value
    stored = ours.get_db_prep_value(value, _connection())
    assert theirs.from_db_value(_bytes(stored), None, _connection()) == value


def _connection():
    return connection


def _bytes(stored):
    return None if stored is None else bytes(getattr(stored, "obj", stored))
