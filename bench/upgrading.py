"""Upgrading: how long any statement waits while this release's migrations run on a database of the release before.

Each table is read and written all the time by connections of its own, as the programs of the old release do, with
MESSAGES rows in the largest ones. Nobody else's work may stand still for longer than BOUND.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from bench.rig import row, verdict

MESSAGES = 1_000_000
BOUND = 0.2  # seconds
USUAL = 5.0  # seconds that are measured before
PROBES = 12  # connections; each visits its tables in turn
NO_TABLE = "none"  # how long the machine itself keeps a connection waiting
ROUND = 0.02  # seconds between two visits of one table

FILL = """
from contacts.models import OptOut
from distributions.models import InboundMessage, MessageEvent
from tests import factories
from webhooks.models import Callback
clinic = factories.organization()
account = factories.account(clinic, "twilio")
made = factories.distribution(clinic, account=account, recipients=1)
MessageEvent.objects.create(message=made.messages.get(), source="send", status="failed")
people = {"sender": "+447700900001", "recipient": "+447700900002"}
InboundMessage.objects.create(organization=clinic, account=account, provider_message_id="one", text="Yes", **people)
OptOut.objects.create(organization=clinic, phone="+447700900001", source="inbound")
Callback.objects.create(account=account, kind="status", method="POST", url="/", body=b"a=b" * 100, dedupe_key="one")
"""


def run(messages: int = MESSAGES) -> bool:
    from tests import previous_release
    from tests.processes import ROOT

    print(f"\nUpgrading with {messages:,} messages in the database")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not previous_release.unpack(folder):
            raise RuntimeError("the history does not go back to the release before this one: git fetch --unshallow")
        with _database() as url:
            _run(folder, url, "migrate", "--no-input")
            _run(folder, url, "shell", "-v", "0", "-c", FILL)
            sizes = _copy_rows(url, messages)
            with _probes(url) as probes:
                time.sleep(USUAL)
                before = _worst(probes)
                began = time.monotonic()
                _run(ROOT, url, "migrate", "--no-input")
                took = time.monotonic() - began
                longest = _worst(probes)
    for table, count in sizes.items():
        row(f"rows of {table}", f"{count:,}")
    row("seconds the migrations took", f"{took:.1f}")
    for name, waits in (("before", before), ("meanwhile", longest)):
        row(f"longest wait {name}, in seconds, for no table at all", f"{waits.pop(NO_TABLE):.3f}")
        worst = max(waits, key=lambda table: waits[table])
        row(f"longest wait {name}, in seconds ({worst})", f"{waits[worst]:.3f}")
    for table in sorted(longest):
        if longest[table] > BOUND:
            row(f"  too long: {table}", f"{longest[table]:.3f}")
    return verdict("seconds that a statement waits at the most", max(longest.values()), BOUND, at_most=True)


@contextmanager
def _database() -> Iterator[str]:
    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    with psycopg.connect(_address(f"{base}/postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE upgraded")
        yield f"{base}/upgraded"
        connection.execute("DROP DATABASE upgraded WITH (FORCE)")


def _address(url: str) -> str:
    folder, _slash, name = url.removeprefix("postgres://app@/").rpartition("/")
    return f"host={folder} user=app dbname={name}"


def _run(folder: Path, url: str, *command: str) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    arguments = [sys.executable, "manage.py", *command]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


# --- rows ------------------------------------------------------------------------------------------------------------

# What grows with the messages, with the columns of which each row needs a value of its own, and how many to a message.
GROWING = {
    "contacts_contact": ("public_id phone", 0.3),
    "distributions_message": ("position to", 1.0),
    "distributions_messageevent": ("", 1.0),
    "distributions_inboundmessage": ("provider_message_id", 0.1),
    "contacts_optout": ("phone", 0.05),
    "webhooks_callback": ("dedupe_key", 0.5),
}


def _copy_rows(url: str, messages: int) -> dict[str, int]:
    """Copy the one row of each table that grows; the count of each."""
    sizes = {}
    with psycopg.connect(_address(url), autocommit=True) as connection:
        for table, (own, share) in GROWING.items():
            found = connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s "
                "AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position",
                [table],
            ).fetchall()
            values = [_value(name, kind, own.split()) for name, kind in found]
            names = sql.SQL(", ").join(sql.Identifier(name) for name, _kind in found)
            copy = sql.SQL("INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, generate_series(2, %s) n")
            connection.execute(
                copy.format(table=sql.Identifier(table), names=names, values=sql.SQL(", ").join(values)),
                [max(2, int(messages * share))],
            )
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
            counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            sizes[table] = counted[0] if counted else 0
    return sizes


def _value(name: str, kind: str, own: list[str]) -> sql.Composable:
    if kind == "uuid" and name not in ("organization_id",):
        return sql.SQL("gen_random_uuid()")
    if name == "contact_id":  # a person has one text of a distribution
        return sql.NULL
    if name not in own:
        return sql.SQL("t.{}").format(sql.Identifier(name))
    return sql.SQL("n" if kind in ("integer", "bigint") else "'+44' || n")


# --- what others do meanwhile ----------------------------------------------------------------------------------------


@dataclass
class Probe:
    """A connection that reads and writes a row of each of its tables, and knows the longest that each took."""

    url: str
    tables: list[tuple[str, str]]  # with a column that is not the key
    waits: dict[str, float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.go_round()
        except Exception as error:  # told by whoever waits for this thread
            self.error = error

    def go_round(self) -> None:
        with psycopg.connect(_address(self.url), autocommit=True) as connection:
            while not self.stopped.wait(ROUND):
                began = time.monotonic()
                connection.execute("SELECT 1")
                self.waits[NO_TABLE] = max(self.waits.get(NO_TABLE, 0.0), time.monotonic() - began)
                for table, column in self.tables:
                    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
                    for text in (
                        "SELECT {column} FROM {table} LIMIT 1",
                        "UPDATE {table} SET {column} = {column} WHERE ctid = (SELECT ctid FROM {table} LIMIT 1)",
                    ):
                        began = time.monotonic()
                        connection.execute(sql.SQL(text).format(**names))
                        self.waits[table] = max(self.waits.get(table, 0.0), time.monotonic() - began)


@contextmanager
def _probes(url: str) -> Iterator[list[Probe]]:
    with psycopg.connect(_address(url), autocommit=True) as connection:
        found = connection.execute(
            "SELECT table_name, (array_agg(column_name::text ORDER BY ordinal_position DESC))[1] "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'django_migrations' "
            "AND is_generated = 'NEVER' GROUP BY table_name ORDER BY table_name"
        ).fetchall()
    probes = [Probe(url, found[number::PROBES]) for number in range(PROBES)]
    threads = [threading.Thread(target=probe.run, daemon=True) for probe in probes]
    for thread in threads:
        thread.start()
    try:
        yield probes
    finally:
        for probe in probes:
            probe.stopped.set()
        for thread in threads:
            thread.join(timeout=60)
    for probe in probes:
        if probe.error:
            raise RuntimeError("the old release could not go on") from probe.error


def _worst(probes: list[Probe]) -> dict[str, float]:
    """The longest wait of each table since it was last asked."""
    found: dict[str, float] = {}
    for probe in probes:
        waits, probe.waits = probe.waits, {}
        found |= waits | {NO_TABLE: max(found.get(NO_TABLE, 0.0), waits.get(NO_TABLE, 0.0))}
    return found
