"""Django's `migrate`, for a database that is in use and for several machines that start at once."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environ
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import LockNotAvailable

from config.ops.schema import Autodetector

KEY = 7_286_331_400_551  # of the advisory lock: ours alone, any number
LOCK_TIMEOUT = "150ms"  # what a statement may wait for a table; whoever wants the table waits behind it as long
NEXT_LOCK_TIMEOUT = "30ms"  # and for a further one, while others wait for the first
ATTEMPTS, PAUSE = 200, 0.5  # seconds


class Command(Migrate):
    """Nobody who is using the database waits long, and two of it at once do everything once.

    On PostgreSQL an advisory lock lets one `migrate` run at a time, and a statement that finds its table taken gives
    up after LOCK_TIMEOUT and is tried again, in place of making everybody wait behind it. `MIGRATE_DATABASE_URL`
    leads past a pooler; the lock holds through one, too, since it belongs to a transaction.
    """

    autodetector = Autodetector

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options.get("database") or DEFAULT_DB_ALIAS]
        if settings.MIGRATE_DATABASE_URL:
            connection.close()
            connection.settings_dict.update(environ.Env.db_url_config(settings.MIGRATE_DATABASE_URL))
        with alone(connection):
            if connection.vendor == "postgresql":
                self._patiently(connection, *args, **options)
            else:
                super().handle(*args, **options)

    def _patiently(self, connection: BaseDatabaseWrapper, *args: Any, **options: Any) -> None:
        """Repeat as long as it is only a lock that is in the way. What was migrated before is not done again."""
        for attempt in range(1, ATTEMPTS + 1):
            with _no_long_waits(connection):
                try:
                    super().handle(*args, **options)
                    return
                except OperationalError as error:
                    if not isinstance(error.__cause__, LockNotAvailable):
                        raise
                    if attempt == 1:
                        self.stdout.write("\n  a table is in use: waiting for a moment without")
            time.sleep(PAUSE)
        raise CommandError(
            f"A table was in use at each of {ATTEMPTS} attempts, most likely by a transaction that is left open. "
            "Look for state = 'idle in transaction' in pg_stat_activity and end it, then run this again. Nothing is "
            "half migrated."
        )


@contextmanager
def alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait until no other `migrate` runs on this database, and keep others out meanwhile."""
    if connection.vendor == "postgresql":
        other = connection.copy()  # the transaction that holds the lock is none of the migrations'
        other.settings_dict = {**connection.settings_dict, "OPTIONS": {**connection.settings_dict["OPTIONS"]}}
        other.settings_dict["OPTIONS"].pop("pool", None)
        try:
            other.set_autocommit(False)
            # Asked again and again: one statement that waits would have a snapshot all the while, for which an index
            # that is built concurrently waits in its turn, and so both without end.
            while not _has_lock(other):
                other.rollback()
                time.sleep(PAUSE)
            yield
        finally:
            other.close()
    else:
        beside = Path(f"{connection.settings_dict['NAME']}.migrating")
        beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with beside.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _has_lock(connection: BaseDatabaseWrapper) -> bool:
    """Take the lock for this transaction, if nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [KEY])
        return bool(cursor.fetchone()[0])


@contextmanager
def _no_long_waits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Give each transaction that changes the schema LOCK_TIMEOUT, and have it hold what it has locked for moments only.

    What runs outside of one, such as an index that is built concurrently, stands in nobody's way while it waits.
    """
    usual: Any = connection.SchemaEditorClass

    class Brief(Saving, usual):
        pass

    connection.SchemaEditorClass = Brief
    try:
        yield
    finally:
        connection.SchemaEditorClass = usual


class Saving:
    """A schema editor that saves up a migration's statements and has them run at its end, one right after the other.

    Between two operations Django works out anew what all models look like. That takes seconds on a busy machine, and
    all the while everybody else would wait for the tables that are changed already. Whatever looks at the database
    itself, such as a RunPython, finds everything done that was asked for before it.
    """

    connection: BaseDatabaseWrapper
    atomic: Any
    atomic_migration: bool
    deferred_sql: list[Any]

    def __enter__(self) -> Any:
        self.saved: list[tuple[str, Any]] = []
        entered = super().__enter__()  # type: ignore[misc]  # mixed into the database's own
        if self.atomic_migration:
            self._allow(LOCK_TIMEOUT)
            self.connection.execute_wrappers.append(self._do_what_is_saved_first)
        return entered

    def execute(self, sql: Any, params: Any = ()) -> None:
        if self.atomic_migration:
            self.saved.append((str(sql), params))
        else:
            super().execute(sql, params)  # type: ignore[misc]

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if not self.atomic_migration:
            super().__exit__(exc_type, exc_value, traceback)  # type: ignore[misc]
            return
        try:
            if exc_type is None:
                deferred, self.deferred_sql = self.deferred_sql, []
                self.saved += [(str(sql), None) for sql in deferred]
                self._do_what_is_saved()
        except BaseException as error:
            self.atomic.__exit__(type(error), error, error.__traceback__)
            raise
        finally:
            self.connection.execute_wrappers.remove(self._do_what_is_saved_first)
        super().__exit__(exc_type, exc_value, traceback)  # type: ignore[misc]

    def _do_what_is_saved_first(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        self._do_what_is_saved()
        return execute(sql, params, many, context)

    def _do_what_is_saved(self) -> None:
        saved, self.saved = self.saved, []
        for number, (sql, params) in enumerate(saved):
            super().execute(sql, params)  # type: ignore[misc]
            if number == 0:  # from now on somebody may be waiting for what this transaction has
                self._allow(NEXT_LOCK_TIMEOUT)

    def _allow(self, timeout: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{timeout}'")
