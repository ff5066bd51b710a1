"""What our commands have in common: without the tables they need they say what to do, and nothing else."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor


class DatabaseCommand(BaseCommand):
    """A command that reads and writes rows. Raises CommandError where the database is not there or not up to date."""

    def execute(self, *args: Any, **options: Any) -> Any:
        require_migrated(options.get("database") or DEFAULT_DB_ALIAS)
        return super().execute(*args, **options)


def require_migrated(database: str = DEFAULT_DB_ALIAS) -> None:
    """Raises CommandError that says what to run first, unless every migration has been applied to this database."""
    connection = connections[database]
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        is_empty = not executor.loader.applied_migrations
    except DatabaseError as problem:
        raise CommandError(f"The database cannot be used: {problem} Check DATABASE_URL.") from problem
    if missing:
        what = "The database is empty" if is_empty else f"The database lacks {len(missing)} migrations of this version"
        raise CommandError(f"{what}. Run this first, then the command again: manage.py migrate")
