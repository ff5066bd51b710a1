"""Whether this is still the database that was worked with, or a backup of it that was put in its place.

On PostgreSQL its identity is the cluster's, with its timeline, and the numbers of the database and of the message
table: a restore changes at least one of them, VACUUM and ALTER change none. On SQLite it is a random word, written into
the database and into a file beside it, with the number of marks so far: an older copy of the database has fewer than
the file says. While identities differ nothing is claimed or marked; `manage.py after_restore` ends that.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from django.db import NotSupportedError, ProgrammingError, connection, transaction
from django.db.models import F

from distributions.models import KnownDatabase, Message

logger = logging.getLogger(__name__)

SAY_EVERY = 60.0  # seconds between two log lines that say the same
IN_MEMORY = "in memory"  # nobody can restore such a database
UNKNOWN = "unknown"  # the database says nothing, but the file beside it does
_PARTS = {  # where a role may not call one of them, the others have to do
    "cluster": "(SELECT system_identifier FROM pg_control_system())",
    "timeline": "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
    "database": "(SELECT oid FROM pg_database WHERE datname = current_database())",
    "table": "'distributions_message'::regclass::oid",
}
_said_at = -SAY_EVERY


class Marker(NamedTuple):
    """What the file beside a SQLite database says."""

    identity: str = ""
    position: int = 0


# --- the database says ---------------------------------------------------------------------------------------------


@cache
def _expression(alias: str) -> str:
    """This database's identity, in PostgreSQL's words."""
    parts = [f"({sql})::text" if _can_tell(sql) else "'-'" for sql in _PARTS.values()]
    return f"concat_ws(':', {', '.join(parts)})"


def _can_tell(sql: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {sql}")
    except (ProgrammingError, NotSupportedError):
        return False
    return True


def current() -> str:
    """This database's identity now; "" where a SQLite file has none beside it."""
    if connection.vendor != "postgresql":
        return read_marker().identity
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_expression(connection.alias)}")
        return str(cursor.fetchone()[0])


def condition() -> tuple[str, list[Any]]:
    """SQL that is true as long as this is the database that was worked with, and its parameters.

    It belongs into every statement that claims or marks, so that a restore under running workers is noticed at once.
    """
    differs = "SELECT 1 FROM distributions_knowndatabase k WHERE"
    if connection.vendor == "postgresql":
        return f"NOT EXISTS ({differs} k.identity <> {_expression(connection.alias)})", []
    marker = read_marker()
    return f"NOT EXISTS ({differs} k.identity <> %s OR k.position < %s)", [marker.identity, marker.position]


def is_held() -> bool:
    """Whether nothing may be sent, because this is another database than the one that was worked with."""
    sql, params = condition()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CASE WHEN {sql} THEN 0 ELSE 1 END", params)
        return bool(cursor.fetchone()[0])


def says_held() -> bool:
    """As `is_held`, and says so in the log, once a minute."""
    global _said_at
    if not is_held():
        return False
    if time.monotonic() > _said_at + SAY_EVERY:
        _said_at = time.monotonic()
        logger.error(
            "Nothing is sent: this database was restored from a backup, copied or moved. "
            "Run `manage.py after_restore` (docs/backup.md says more)."
        )
    return True


# --- remembering ---------------------------------------------------------------------------------------------------


def remember_first() -> None:
    """Remember the database at the first start. Afterwards only `remember` changes what is remembered."""
    if KnownDatabase.objects.exists():
        return
    if marker_path() and read_marker().identity and Message.objects.exists():
        # A copy from before there was anything to remember was put beside the file of a later one.
        KnownDatabase.objects.bulk_create([KnownDatabase(identity=UNKNOWN)], ignore_conflicts=True)
        return
    remember()


def remember() -> None:
    """From now on this is the database that is worked with."""
    on_postgresql = connection.vendor == "postgresql"
    identity = current() if on_postgresql else secrets.token_hex(16) if marker_path() else IN_MEMORY
    with transaction.atomic():
        KnownDatabase.objects.exclude(identity=identity).delete()
        KnownDatabase.objects.bulk_create([KnownDatabase(identity=identity)], ignore_conflicts=True)
        if not on_postgresql:
            transaction.on_commit(partial(_write_marker, Marker(identity, 0), new=True))


def count_mark() -> None:
    """On SQLite: count a group of messages that is being marked, in its transaction and, afterwards, in the file."""
    if connection.vendor == "postgresql":
        return
    KnownDatabase.objects.update(position=F("position") + 1)
    known = KnownDatabase.objects.values_list("identity", "position").first()
    if known is not None:
        transaction.on_commit(partial(_write_marker, Marker(*known)))


# --- the file beside a SQLite database -----------------------------------------------------------------------------


def marker_path() -> Path | None:
    """The file beside the database; None where there is none, as for a database in memory."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "postgresql" or ":memory:" in name or "mode=memory" in name:
        return None
    return Path(f"{name}.marker")


def read_marker() -> Marker:
    """What the file says; nothing if it is missing, damaged, or itself a copy: a copied file has another inode."""
    path = marker_path()
    if path is None:
        return Marker(IN_MEMORY)
    try:
        with path.open() as file:
            identity, position, inode = file.readline().split()
            if int(inode) == os.fstat(file.fileno()).st_ino:
                return Marker(identity, int(position))
    except (FileNotFoundError, ValueError):
        pass
    return Marker()


def _write_marker(marker: Marker, *, new: bool = False) -> None:
    path = marker_path()
    if path is None:
        return
    if new:
        with suppress(FileNotFoundError):
            path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, stat.S_IRUSR | stat.S_IWUSR)
    try:
        line = f"{marker.identity} {marker.position:020d} {os.fstat(descriptor).st_ino}\n"
        os.pwrite(descriptor, line.encode(), 0)  # one short write in place: readers see the old line or the new one
    finally:
        os.close(descriptor)
