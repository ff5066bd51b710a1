"""`manage.py migrate` on a database that is in use, and on several machines at once (issue: Upgrade)."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django_migration_linter import MigrationLinter

from config.ops.management.commands import migrate
from organizations.models import Organization
from tests import factories
from tests.previous_release import PREVIOUS
from tests.processes import ROOT, environment

TABLE = Organization._meta.db_table
OF_STYLE = ["RUNPYTHON_ARGS_NAMING_CONVENTION", "RUNPYTHON_MODEL_VARIABLE_NAME"]
LOOKED_AT = {  # what the linter warns of, and why it is right there
    "0006_first_hour": ["ALTER_COLUMN"],  # columns that take longer words than before: no row is written anew
    "0006_imports": ["ALTER_COLUMN"],  # columns that may be empty now
    "0007_refusal_sentences": ["ALTER_COLUMN"],  # a word of 200 characters to text: no row and no index is written anew
    "0007_removed_lists": ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"],  # lists, not people: a few rows
}


@pytest.fixture
def operations():
    """What the migration does that the database lacks: a column of the organisations' table, which all pages read."""
    return [migrations.AddField("organization", "tried", models.IntegerField(default=0, db_default=0))]


@pytest.fixture
def one_more(operations, monkeypatch, transactional_db):
    """A migration that the database lacks."""
    loaded = MigrationLoader.load_disk

    def with_one_more(self):
        loaded(self)
        last = max(name for app, name in self.disk_migrations if app == "organizations")
        added = migrations.Migration("9999_try", "organizations")
        added.dependencies = [("organizations", last)]
        added.operations = operations
        self.disk_migrations["organizations", "9999_try"] = added

    monkeypatch.setattr(MigrationLoader, "load_disk", with_one_more)
    yield
    with connection.cursor() as cursor:
        for name in filter(has_column, ("tried", "tried_too")):
            cursor.execute(f"ALTER TABLE {TABLE} DROP COLUMN {name}")
    MigrationRecorder(connection).record_unapplied("organizations", "9999_try")


def has_column(name):
    with connection.cursor() as cursor:
        return name in {column.name for column in connection.introspection.get_table_description(cursor, TABLE)}


@pytest.fixture
def a_long_transaction(transactional_db):
    """Somebody else's, which has read the table and stays open until the test lets it go."""
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {TABLE}")
    yield other.connection  # psycopg's own: another thread may end it
    other.close()


@contextmanager
def readers():
    """Somebody reads the table all the time; a list of how long each look has taken."""
    waits, stopped = [], threading.Event()

    def read():
        reader = connection.copy()
        while not stopped.is_set():
            began = time.monotonic()
            with reader.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {TABLE}")
            waits.append(time.monotonic() - began)
            time.sleep(0.005)
        reader.close()

    reading = threading.Thread(target=read)
    reading.start()
    try:
        yield waits
    finally:
        stopped.set()
        reading.join()


@pytest.mark.postgresql
def test_nobody_waits_long_for_a_table_that_is_to_be_changed(one_more, a_long_transaction, monkeypatch, capsys):
    """While somebody's transaction is open the change gives up and comes again; everybody else goes on reading."""
    monkeypatch.setattr(migrate, "PAUSE", 0.05)
    ending = threading.Timer(3, a_long_transaction.rollback)
    ending.start()
    with readers() as waits:
        try:
            call_command("migrate", interactive=False)
        finally:
            ending.join()

    assert has_column("tried")
    assert "a table is in use" in capsys.readouterr().out
    assert max(waits) < 2  # without the limit somebody would have waited until the transaction ended, three seconds


class Thinking(Operation):
    """As where Django works out for seconds what all models look like."""

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        time.sleep(3)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "operations",
    [
        [
            migrations.AddField("organization", "tried", models.IntegerField(default=0, db_default=0)),
            Thinking(),
            migrations.AddField("organization", "tried_too", models.IntegerField(default=0, db_default=0)),
        ]
    ],
)
def test_nobody_waits_while_a_migration_of_several_steps_is_worked_out(one_more):
    """What is changed is changed at the end, in one go: between its steps no table is locked."""
    with readers() as waits:
        call_command("migrate", interactive=False, verbosity=0)

    assert has_column("tried")
    assert has_column("tried_too")
    assert max(waits) < 2


def _see_the_column(apps, schema_editor):
    assert has_column("tried")
    assert not apps.get_model("organizations", "Organization").objects.exclude(tried=7).exists()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "operations",
    [
        [
            migrations.AddField("organization", "tried", models.IntegerField(default=7, db_default=7)),
            migrations.RunPython(_see_the_column),
            migrations.AddField("organization", "tried_too", models.IntegerField(default=0, db_default=0)),
        ]
    ],
)
def test_what_looks_at_the_database_finds_what_was_asked_for_before(one_more):
    factories.organization()

    call_command("migrate", interactive=False, verbosity=0)

    assert has_column("tried_too")


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "operations",
    [
        [
            migrations.AddField("organization", "tried", models.IntegerField(default=0, db_default=0)),
            migrations.RunSQL("ALTER TABLE nowhere ADD COLUMN nothing int"),
        ]
    ],
)
def test_a_migration_that_fails_at_its_end_has_done_nothing(one_more):
    with pytest.raises(ProgrammingError, match="nowhere"):
        call_command("migrate", interactive=False, verbosity=0)

    assert not has_column("tried")
    assert not connection.in_atomic_block


@pytest.mark.postgresql
def test_a_transaction_that_stays_open_is_named_and_nothing_is_half_migrated(one_more, a_long_transaction, monkeypatch):
    monkeypatch.setattr(migrate, "PAUSE", 0)
    monkeypatch.setattr(migrate, "ATTEMPTS", 2)

    with pytest.raises(CommandError, match="idle in transaction"):
        call_command("migrate", interactive=False, verbosity=0)

    assert not has_column("tried")
    a_long_transaction.rollback()
    call_command("migrate", interactive=False, verbosity=0)
    assert has_column("tried")


@pytest.mark.postgresql
def test_the_old_code_writes_to_the_new_table(one_more):
    """A column that a release adds has a default in the database: the code before it does not know it."""
    call_command("migrate", interactive=False, verbosity=0)

    assert factories.organization().pk


@pytest.mark.django_db(transaction=True)
def test_two_at_once_on_an_empty_database_both_end_well(tmp_path):
    """Machines that start together: one migrates, the other waits and finds nothing to do."""
    variables = environment()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE two_at_once")
        variables["DATABASE_URL"] = variables["DATABASE_URL"].rpartition("/")[0] + "/two_at_once"
    else:
        variables["DATABASE_URL"] = f"sqlite:///{tmp_path / 'two.sqlite3'}"
    try:
        command = [sys.executable, "manage.py", "migrate", "--no-input"]
        both = [
            subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for _ in range(2)
        ]
        outputs = [process.communicate(timeout=300)[0].decode() for process in both]
        assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
        assert sorted("No migrations to apply" in output for output in outputs) == [False, True]
    finally:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("DROP DATABASE two_at_once WITH (FORCE)")


@pytest.mark.postgresql
def test_the_lock_is_given_back_whatever_happens(transactional_db):
    with pytest.raises(ZeroDivisionError), migrate.alone(connection):
        _ = 1 / 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [migrate.KEY])
        assert cursor.fetchone() == (True,)


@pytest.mark.postgresql
@pytest.mark.django_db
def test_no_new_migration_breaks_the_code_before_it_or_stops_those_who_use_the_tables():
    """Expand first, contract a release later: columns have defaults, nothing is renamed, indexes come concurrently."""
    listing = ["git", "diff", "--name-only", "--diff-filter=A", PREVIOUS, "--", "*/migrations/0*.py"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the history does not go back to the release before this one: git fetch --unshallow")
    changed = listed.stdout
    for path in (Path(name) for name in changed.splitlines()):
        linter = MigrationLinter(
            str(ROOT),
            database="default",
            no_cache=True,
            quiet=["ok", "ignore"],
            all_warnings_as_errors=True,
            exclude_migration_tests=[*OF_STYLE, *LOOKED_AT.get(path.stem, [])],
            include_name=[path.stem],
        )
        linter.lint_all_migrations(app_label=path.parts[0])
        assert not linter.has_errors, path
        module = import_module(path.with_suffix("").as_posix().replace("/", "."))
        assert not [*unknown_to_the_old_code(module.Migration.operations)], path


def unknown_to_the_old_code(operations):
    """New columns that the code before this release cannot leave out when it writes a row."""
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from unknown_to_the_old_code(operation.database_operations)
        elif isinstance(operation, migrations.AddField):
            field = operation.field
            if not (field.many_to_many or field.null or field.has_db_default()):
                yield f"{operation.model_name}.{operation.name}"
