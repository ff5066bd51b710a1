"""Migrations of a database that is in use: nobody who writes meanwhile waits for long.

PostgreSQL builds an index beside the writers only outside a transaction: a migration that uses these has
`atomic = False`. On other databases they are the plain operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import OperationalError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import AddIndex, RemoveIndex
from django.db.migrations.state import ProjectState

LOCK_TIMEOUT = "150ms"  # so long others wait behind us for a table, at most
TRIES = 240
PAUSE = 0.5  # seconds in between, in which they go on


class AddIndexLive(AddIndex):
    """Adds an index while the table is written to. One that an interrupted attempt left unfinished is built anew."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.index.name}"')
            schema_editor.add_index(model, self.index, concurrently=True)  # type: ignore[call-arg]


class RemoveIndexLive(RemoveIndex):
    """Removes an index while the table is written to."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.name}"')


class AddPostgresqlIndex(Operation):
    """An index that no model can describe for all databases, built while the table is written to.

    `on` is what follows CREATE INDEX … ON, for example "contacts_contact (organization_id, upper(last_name))".
    """

    reversible = True
    reduces_to_sql = True

    def __init__(self, name: str, on: str) -> None:
        self.name, self.on = name, on

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Models know nothing of it."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            self._drop(schema_editor)
            schema_editor.execute(f'CREATE INDEX CONCURRENTLY "{self.name}" ON {self.on}')

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            self._drop(schema_editor)

    def _drop(self, schema_editor: BaseDatabaseSchemaEditor) -> None:
        schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.name}"')

    def describe(self) -> str:
        return f"Add index {self.name} on PostgreSQL"


def patiently(work: Callable[[], None], schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Run `work`, which locks a table for a moment, without anybody waiting behind it for longer than LOCK_TIMEOUT.

    It is tried again while somebody has the table. Raises OperationalError where that never ends.
    """
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        work()
        return
    schema_editor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    try:
        for _number in range(TRIES):
            try:
                work()
                return
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", "") != "55P03":  # lock_not_available
                    raise
                time.sleep(PAUSE)
        work()
    finally:
        schema_editor.execute("SET lock_timeout = DEFAULT")
