"""An organisation is deleted, with a file of its data first: all its rows go, in every table, and nobody else's."""

from __future__ import annotations

import json
import zipfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from distributions.models import Distribution, Message
from keeping import leaving, tables
from organizations.models import AuditEvent, Organization, User
from tests import factories
from tests.tenants import MARKER, Tenant

pytestmark = pytest.mark.django_db


def snapshot(organization):
    """Every row of an organisation, whole."""
    return {table.name: sorted(map(repr, table.rows(organization).values())) for table in tables.tables()}


def whole_database():
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            yield table, cursor.fetchone()[0]


@pytest.fixture
def theirs():
    return Tenant().organization


def test_all_its_rows_go_and_nobody_elses(theirs, tmp_path):
    other = factories.organization("Other Clinic")
    account = factories.account(other, "infobip")
    factories.interactive(other, account, recipients=3)
    factories.administrator(other)
    before, total = snapshot(other), dict(whole_database())
    public_id, numbers = theirs.public_id, leaving.counts(theirs)
    assert len(numbers) > 25

    call_command("delete_organization", public_id, export=str(tmp_path / "x.zip"), confirm=public_id)

    assert not Organization.objects.filter(public_id=public_id).exists()
    assert snapshot(other) == before
    expected = {tables.apps.get_model(name)._meta.db_table: number for name, number in numbers.items()}
    expected["organizations_auditevent"] -= 1  # a new one tells of it
    gone = {table: total[table] - number for table, number in whole_database()}
    assert {table: number for table, number in gone.items() if number} == {k: n for k, n in expected.items() if n}
    assert AuditEvent.objects.get(action="deleted an organisation").object_id == public_id
    connection.check_constraints()


def test_every_table_of_the_house_is_reached():
    """A new table is found by itself; what belongs to no organisation is named here, with why."""
    from django.apps import apps

    found = {table.model for table in tables.tables()}
    left = {model._meta.label for model in apps.get_models() if model not in found}
    ours = {name for name in left if not name.startswith(("auth.", "contenttypes.", "sessions.", "admin."))}
    assert ours == {
        "distributions.Epoch", "distributions.KnownDatabase", "organizations.Attempts", "keeping.Walk",
        "watching.FailingStep", "watching.Mark", "watching.WorkerSign",
    }  # fmt: skip


def test_the_file_has_every_row_and_no_secret(theirs, tmp_path):
    numbers = leaving.counts(theirs)
    path = tmp_path / "export.zip"

    total = leaving.export(theirs, path)

    assert total == sum(numbers.values())
    assert path.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(path) as archive:
        lines = {name[:-6]: archive.read(name).decode().splitlines() for name in archive.namelist() if ".jsonl" in name}
        assert {name: len(rows) for name, rows in lines.items() if rows} == numbers
        assert any(MARKER in row for row in lines["contacts.Contact"])
        everything = [json.loads(row) for rows in lines.values() for row in rows]
        assert not any({"credentials", "password", "digest"} & row.keys() for row in everything)
        assert "argon2" not in str(everything)
        assert "sandbox-" not in str(lines["extensions.ProviderAccount"])
        assert theirs.public_id in archive.read("README.txt").decode()


@pytest.mark.parametrize("typed", ["", "yes", "other"])
def test_whoever_types_something_else_deletes_nothing(theirs, typed, monkeypatch, tmp_path):
    monkeypatch.setattr("builtins.input", lambda _question: typed)
    before = snapshot(theirs)

    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("delete_organization", theirs.public_id, no_export=True)
    with pytest.raises(CommandError, match="--export"):
        call_command("delete_organization", theirs.public_id, confirm=theirs.public_id)
    call_command("delete_organization", theirs.public_id, dry_run=True)
    there = tmp_path / "there.zip"
    there.write_text("mine")
    with pytest.raises(CommandError, match="exists already"):
        call_command("delete_organization", theirs.public_id, export=str(there), confirm=theirs.public_id)

    assert snapshot(theirs) == before
    assert there.read_text() == "mine"


def test_while_texts_are_leaving_nothing_is_deleted_and_nothing_more_leaves():
    clinic = factories.organization()
    account = factories.account(clinic)
    running = factories.distribution(clinic, recipients=2, account=account, state=Distribution.State.SENDING)
    first = running.messages.first()
    Message.objects.filter(pk=first.pk).update(status="sending", attempted_at=timezone.now())

    with pytest.raises(CommandError, match="just leaving"):
        call_command("delete_organization", clinic.public_id, no_export=True, confirm=clinic.public_id)

    clinic.licence.refresh_from_db()
    assert (clinic.licence.sms, Message.objects.count()) == (False, 2)
    assert not User.objects.filter(organization=clinic, is_active=True).exists()


def test_texts_of_others_that_are_leaving_hold_up_nothing(theirs):
    account = factories.account(factories.organization("Other Clinic"))
    running = factories.distribution(account.organization, recipients=1, account=account, state="sending")
    running.messages.update(status="sending", attempted_at=timezone.now())

    leaving.delete(theirs)

    assert not Organization.objects.filter(pk=theirs.pk).exists()


def test_a_file_that_cannot_be_finished_is_not_left_half_written(theirs, monkeypatch, tmp_path):
    def broken(table, organization):
        raise OSError("No space left on device")
        yield

    monkeypatch.setattr(leaving, "_exported", broken)
    with pytest.raises(OSError, match="No space"):
        leaving.export(theirs, tmp_path / "export.zip")

    assert list(tmp_path.iterdir()) == []


def test_a_deletion_that_was_stopped_goes_on(theirs, monkeypatch):
    monkeypatch.setattr(leaving, "PORTION", 1)
    real, calls = leaving._delete_rows, []

    def broken(table, organization):
        calls.append(table)
        if len(calls) == 5:
            raise ConnectionError
        return real(table, organization)

    monkeypatch.setattr(leaving, "_delete_rows", broken)
    with pytest.raises(ConnectionError):
        leaving.delete(theirs)
    assert Organization.objects.filter(pk=theirs.pk).exists()
    monkeypatch.setattr(leaving, "_delete_rows", real)

    leaving.delete(theirs)

    assert not Organization.objects.filter(pk=theirs.pk).exists()
