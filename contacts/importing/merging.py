"""What a file's rows mean for a list, and writing them: in the database, whatever their number, all of them or none.

The rows go into a temporary table (COPY on PostgreSQL). There they are compared with the people of the list: a number
is somebody, a household is told apart by its names (contacts/matching.py), people without a number by everything that
names them. One INSERT … ON CONFLICT then writes them in the order of the file. It all belongs to the caller's
transaction, so that a worker that is killed leaves nothing behind.
"""

# ruff: noqa: S608 — only names of our own tables and columns, and placeholders, are put into the statements.

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, repeat
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from contacts import forgotten
from contacts.columns import COLUMNS, NAMING, OPTED_OUT_AT, PHONE
from contacts.importing.limits import MAX_HOUSEHOLD
from contacts.importing.rows import Problem, moment
from contacts.matching import Register, Values, households, name_of
from contacts.models import Contact, ContactList, OptOut

UPDATE, SKIP, REFUSE = "update", "skip", "refuse"  # what becomes of rows about people who are on the list already
DOUBTS_KEPT = 10_000  # about households; all are counted

_TABLE = "contacts_incoming"
_ATTRIBUTES = tuple(column.attribute for column in COLUMNS)
_COPIED = ("row", "public_id", *_ATTRIBUTES, "fields", "opted_out_at")
_PHONE = _COPIED.index(PHONE.attribute)
_NULL = "\\N"
_SAID = tuple(attribute for attribute in _ATTRIBUTES if attribute != PHONE.attribute)
_CONTACT = Contact._meta.db_table
_OPT_OUT = OptOut._meta.db_table
_GROUP = 1_000  # rows of households that are compared at once
_UNIQUE = "NOT (phone = '') AND NOT shares_number"  # as the index one_contact_per_number_and_list says it

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
Row = tuple[int, Values]
Progress = Callable[[float], None]  # told which part of it is done, 0 to 1


class Crowd(Exception):
    """One number in more rows than a household has people: `phone` and `count`."""

    def __init__(self, phone: str, count: int) -> None:
        super().__init__(count)
        self.phone, self.count = phone, count


@dataclass(slots=True)
class Figures:
    """What rows mean for the list. `new`, `updated` and `skipped` together are all rows."""

    new: int = 0
    updated: int = 0
    skipped: int = 0
    without_phone: int = 0
    opted_out: int = 0  # numbers
    doubt_count: int = 0
    doubts: list[Problem] = field(default_factory=list)


@contextmanager
def incoming(contact_list: ContactList, existing: str) -> Iterator[Incoming]:
    """The temporary table, empty, for as long as the block lasts. `existing` is UPDATE, SKIP or REFUSE.

    On PostgreSQL the block is one transaction, since a proxy may hand out another connection after each. On SQLite the
    table is in a file of its own and is filled before anybody else has to wait.
    """
    table = Incoming(contact_list, existing)
    if connection.vendor == "postgresql":
        with transaction.atomic():
            table.create()
            yield table
            table.drop()
        return
    table.create()
    try:
        yield table
    finally:
        table.drop()


class Incoming:
    """The rows of one file, on their way into one list."""

    def __init__(self, contact_list: ContactList, existing: str) -> None:
        self._list, self._existing = contact_list, existing
        self._is_postgresql = connection.vendor == "postgresql"
        self._asks_who_was_forgotten = forgotten.anybody(contact_list.organization_id)
        self._forgotten: set[str] = set()  # numbers that nobody may text
        self._merged_new = self._merged_known = 0  # rows that say more about the person of another row

    def create(self) -> None:
        texts = ", ".join(f"{attribute} text NOT NULL" for attribute in _ATTRIBUTES)
        json_type, moment_type = ("jsonb", "timestamptz") if self._is_postgresql else ("text", "text")
        self._do(f"DROP TABLE IF EXISTS {self._qualified}")
        self._do(
            f"CREATE TEMPORARY TABLE {_TABLE} (row integer PRIMARY KEY, public_id text NOT NULL, {texts}, "
            f"fields {json_type} NOT NULL, opted_out_at {moment_type}, contact_id bigint, "
            "shares boolean NOT NULL DEFAULT FALSE, odd boolean NOT NULL DEFAULT FALSE)"
        )

    def drop(self) -> None:
        self._do(f"DROP TABLE {self._qualified}")

    @property
    def _qualified(self) -> str:
        return f"{'pg_temp' if self._is_postgresql else 'temp'}.{_TABLE}"

    # --- filling ------------------------------------------------------------------------------------------------------

    def fill(self, lines: str) -> None:
        """Put in what `lines` has made of rows."""
        if self._asks_who_was_forgotten:
            phones = {cells[_PHONE] for cells in _cells(lines)}
            self._forgotten |= forgotten.known(self._list.organization_id, phones)
        if self._is_postgresql:
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY {_TABLE} ({', '.join(_COPIED)}) FROM STDIN") as copy,
            ):
                copy.write(lines)
            return
        marks = ", ".join(["%s"] * len(_COPIED))
        self._do_many(
            f"INSERT INTO {_TABLE} ({', '.join(_COPIED)}) VALUES ({marks})",
            [(*cells, _stored(moment(opted_out))) for *cells, opted_out in _cells(lines)],
        )

    # --- comparing ----------------------------------------------------------------------------------------------------

    def compare(self) -> Figures:
        """Decide for each row whether it is about somebody who is on the list. Raises Crowd."""
        if self._is_postgresql:
            self._do(f"ANALYZE {_TABLE} (phone)")
        self._refuse_crowds()
        found = Figures()
        found.without_phone = self._number("phone = ''")
        self._mark_households()
        if self._number("odd"):
            self._compare_households(found)
        if found.without_phone:
            self._compare_people_without_number()
        known = self._plain_on_list() + self._number("contact_id IS NOT NULL") + self._merged_known
        found.new = self._number("TRUE") + self._merged_known - known
        found.updated, found.skipped = self._merged_new, known
        if self._existing == UPDATE:
            found.updated, found.skipped = self._merged_new + known, 0
        found.opted_out = self._one(
            f"SELECT count(DISTINCT i.phone) FROM {_TABLE} i JOIN {_OPT_OUT} o ON o.organization_id = %s "
            "AND o.phone = i.phone AND o.ended_at IS NULL",
            [self._list.organization_id],
        ) + len(self._forgotten)
        return found

    def _refuse_crowds(self) -> None:
        crowds = self._all(
            f"SELECT phone, count(*) FROM {_TABLE} WHERE phone <> '' GROUP BY phone HAVING count(*) > %s LIMIT 1",
            [MAX_HOUSEHOLD],
        )
        for phone, count in crowds:
            raise Crowd(phone, count)

    def _mark_households(self) -> None:
        """Rows whose number another row has, or several people of the list."""
        self._do(
            f"UPDATE {_TABLE} SET odd = TRUE WHERE phone IN (SELECT phone FROM {_TABLE} WHERE phone <> '' "
            f"GROUP BY phone HAVING count(*) > 1 UNION SELECT phone FROM {_CONTACT} "
            "WHERE contact_list_id = %s AND shares_number)",
            [self._list.pk],
        )

    def _plain_on_list(self) -> int:
        """Rows whose number is that of one person on the list, and of no other row."""
        return self._one(
            f"SELECT count(*) FROM {_TABLE} i JOIN (SELECT phone FROM {_CONTACT} WHERE contact_list_id = %s "
            f"AND {_UNIQUE}) c ON c.phone = i.phone WHERE NOT i.odd",
            [self._list.pk],
        )

    def _compare_households(self, found: Figures) -> None:
        for group in self._groups_of_households():
            self._find_doubts(group, found)
            self._compare_group(group)
        found.doubts.sort(key=lambda doubt: doubt.row)

    def _groups_of_households(self) -> Iterator[list[Row]]:
        """Their rows in order, whole households together."""
        last = ""
        while True:
            phones = [
                phone
                for (phone,) in self._all(
                    f"SELECT DISTINCT phone FROM {_TABLE} WHERE odd AND phone > %s ORDER BY phone LIMIT %s",
                    [last, _GROUP // 10],
                )
            ]
            if not phones:
                return
            last = phones[-1]
            marks = ", ".join(["%s"] * len(phones))
            read = self._all(
                f"SELECT row, {', '.join(_ATTRIBUTES)}, fields FROM {_TABLE} WHERE phone IN ({marks}) "
                "ORDER BY phone, row",
                phones,
            )
            yield [(row, _values(texts, fields)) for row, *texts, fields in read]

    def _find_doubts(self, group: Sequence[Row], found: Figures) -> None:
        for phone, members in groupby(group, lambda member: member[1][PHONE.attribute]):
            names: dict[tuple[str, str], int] = {}
            for row, values in members:
                name = name_of(values)
                if names:
                    first = min(names.values())
                    same = names.get(name) if any(name) else first
                    found.doubt_count += 1
                    if len(found.doubts) < DOUBTS_KEPT:
                        code = "same_person" if same else "same_number"
                        found.doubts.append(Problem(row, PHONE.name, code, {"row": same or first, "phone": phone}))
                names.setdefault(name, row)

    def _compare_group(self, group: Sequence[Row]) -> None:
        register = Register(self._list, households(values for _row, values in group))
        said: dict[int, tuple[int, Values, Contact, bool]] = {}
        gone: list[tuple[int]] = []
        pairs = zip(group, register.people([values for _row, values in group]), strict=True)
        for (row, values), (contact, is_new) in pairs:
            if id(contact) not in said:
                said[id(contact)] = (row, dict(values), contact, is_new)
                continue
            _first, merged, _contact, was_new = said[id(contact)]
            merged["fields"] = {**merged.get("fields", {}), **values.get("fields", {})}
            merged.update({name: value for name, value in values.items() if name != "fields"})
            gone.append((row,))
            self._merged_new += was_new
            self._merged_known += not was_new
        assignments = ", ".join(f"{attribute} = %s" for attribute in _SAID)
        self._do_many(
            f"UPDATE {_TABLE} SET {assignments}, fields = %s, contact_id = %s, shares = %s WHERE row = %s",
            [
                (
                    *(merged.get(attribute, "") for attribute in _SAID),
                    _json(merged.get("fields", {})),
                    contact.pk,
                    contact.shares_number and is_new,
                    row,
                )
                for row, merged, contact, is_new in said.values()
            ],
        )
        self._do_many(f"DELETE FROM {_TABLE} WHERE row = %s", gone)

    def _compare_people_without_number(self) -> None:
        """The second row of those alike is about the second person of those alike."""
        naming = ", ".join(NAMING)
        same = " AND ".join(f"mine.{attribute} = there.{attribute}" for attribute in NAMING)
        self._do(
            f"WITH mine AS (SELECT row, {naming}, row_number() OVER (PARTITION BY {naming} ORDER BY row) AS nth "
            f"FROM {_TABLE} WHERE phone = ''), there AS (SELECT id, {naming}, row_number() OVER "
            f"(PARTITION BY {naming} ORDER BY id) AS nth FROM {_CONTACT} WHERE contact_list_id = %s AND phone = '') "
            f"UPDATE {_TABLE} SET contact_id = there.id FROM mine JOIN there ON {same} AND mine.nth = there.nth "
            f"WHERE {_TABLE}.row = mine.row",
            [self._list.pk],
        )

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write what was compared: cells of the file win, empty cells leave what is there.

        Whoever was forgotten and comes back is a plain opt-out from this transaction on, as `Contact.save` has it.
        """
        OptOut.objects.restore(self._list.organization_id, self._forgotten)
        if self._existing == UPDATE and self._number("contact_id IS NOT NULL"):
            self._do(f"UPDATE {_CONTACT} SET {self._said_by('i')} FROM {_TABLE} i WHERE {_CONTACT}.id = i.contact_id")
        then = f"UPDATE SET {self._said_by('excluded')}" if self._existing == UPDATE else "NOTHING"
        columns = ", ".join(["public_id", *_ATTRIBUTES, "fields", "shares_number"])
        taken = ", ".join(f"i.{name}" for name in ("public_id", *_ATTRIBUTES, "fields", "shares"))
        now = _stored(timezone.now())
        cast = "::timestamptz" if self._is_postgresql else ""
        self._do(
            f"INSERT INTO {_CONTACT} (organization_id, contact_list_id, {columns}, opted_out_at, created_at) "
            f"SELECT %s, %s, {taken}, "
            f"CASE WHEN o.id IS NULL THEN i.opted_out_at ELSE %s{cast} END, %s{cast} "
            f"FROM {_TABLE} i LEFT JOIN {_OPT_OUT} o ON o.organization_id = %s AND o.phone = i.phone "
            "AND o.ended_at IS NULL AND i.phone <> '' WHERE i.contact_id IS NULL ORDER BY i.row "
            f"ON CONFLICT (contact_list_id, phone) WHERE {_UNIQUE} DO {then}",
            [self._list.organization_id, self._list.pk, now, now, self._list.organization_id],
        )

    def _said_by(self, source: str) -> str:
        texts = [
            f"{name} = CASE WHEN {source}.{name} = '' THEN {_CONTACT}.{name} ELSE {source}.{name} END" for name in _SAID
        ]
        both = f"{_CONTACT}.fields", f"{source}.fields"
        merged = f"{both[0]} || {both[1]}" if self._is_postgresql else f"json_patch({both[0]}, {both[1]})"
        return ", ".join([*texts, f"fields = {merged}"])

    # --- statements ---------------------------------------------------------------------------------------------------

    def _number(self, condition: str) -> int:
        return self._one(f"SELECT count(*) FROM {_TABLE} WHERE {condition}", [])

    def _do(self, sql: str, params: Sequence[Any] = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)

    def _do_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(sql, rows)

    def _one(self, sql: str, params: Sequence[Any]) -> int:
        return int(self._all(sql, params)[0][0])

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())


def _values(texts: Sequence[str], fields: Any) -> Values:
    values: Values = {name: text for name, text in zip(_ATTRIBUTES, texts, strict=True) if text}
    said = json.loads(fields) if isinstance(fields, str) else fields
    return {**values, "fields": said} if said else values


def _stored(moment_: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(moment_)


# --- rows as they are kept and copied ---------------------------------------------------------------------------------


def lines(rows: Iterable[Row], ids: Iterable[str]) -> str:
    """Rows in COPY's text format, each with the id that its person gets if they are new.

    No value has a tab or the end of a line in it: importing/rows.py sees to that.
    """
    return "".join(map(_line, rows, ids))


def _line(row: Row, public_id: str) -> str:
    number, values = row
    fields = _json(values["fields"]) if "fields" in values else "{}"
    text = "\t".join((public_id, *map(values.get, _ATTRIBUTES, repeat("")), fields))
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    opted_out = moment(values[OPTED_OUT_AT]) if OPTED_OUT_AT in values else None
    return f"{number}\t{text}\t{opted_out.isoformat() if opted_out else _NULL}\n"


def _cells(kept: str) -> Iterator[list[str]]:
    for line in kept.split("\n"):
        if line:
            yield [cell.replace("\\\\", "\\") for cell in line.split("\t")]


def rows_in(kept: str) -> list[int]:
    """The numbers of the rows that `lines` was given."""
    return [int(cells[0]) for cells in _cells(kept)]
