"""What the database itself writes down whenever a table is written to, by whatever statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

Moves = Mapping[str, tuple[str, str, str]]  # a trigger's name: the event, its condition ("": always), the work


def row_triggers(table: str, moves: Moves) -> tuple[str, dict[str, str]]:
    """What PostgreSQL and SQLite run to do the work after each row of `table` that is written so: for `Triggers`."""
    whens = {name: f"WHEN ({condition})" if condition else "" for name, (_event, condition, _work) in moves.items()}
    postgresql = "".join(
        f"""
        CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN {work} RETURN NULL; END $$;
        DROP TRIGGER IF EXISTS {name} ON {table};
        CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {whens[name]} EXECUTE FUNCTION {name}();
        """
        for name, (event, _condition, work) in moves.items()
    )
    sqlite = {
        name: f"AFTER {event} ON {table} {whens[name]} BEGIN {work} END"
        for name, (event, _condition, work) in moves.items()
    }
    return postgresql, sqlite


@dataclass(frozen=True)
class Triggers:
    """Triggers with the same names on PostgreSQL and on SQLite, and how to make up for the time before they were there.

    `postgresql` is run as it is, and may be run twice; `functions` are what it makes besides. `sqlite` has for each
    name what follows it. `recount` makes the written rows of `table` right; it may run while others write.
    """

    table: str
    postgresql: str
    functions: Sequence[str]
    sqlite: Mapping[str, str]
    recount: str

    def install(self, on: BaseDatabaseWrapper) -> None:
        """Have the database write from now on. Installing twice changes nothing."""
        with on.cursor() as cursor:
            if on.vendor == "postgresql":
                cursor.execute(self.postgresql)
                return
            for name, body in self.sqlite.items():
                cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {body}")

    def remove(self, on: BaseDatabaseWrapper) -> None:
        """Have the database write no more."""
        with on.cursor() as cursor:
            if on.vendor == "postgresql":
                for function in self.functions:
                    cursor.execute(f"DROP FUNCTION IF EXISTS {function}() CASCADE")
                return
            for name in self.sqlite:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")

    def make_up(self, on: BaseDatabaseWrapper) -> None:
        """Write what was there before, once `install` is committed."""
        with on.cursor() as cursor:
            cursor.execute(self.recount)

    def keep(self, on: BaseDatabaseWrapper) -> None:
        """Go on where that has ended: SQLite drops triggers whenever a migration changes the table under them."""
        if on.vendor != "sqlite":
            return
        with on.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            there = {row[0] for row in cursor.fetchall()}
            tables = set(on.introspection.table_names(cursor))
        if self.table in tables and not there >= self.sqlite.keys():
            self.install(on)
            self.make_up(on)
