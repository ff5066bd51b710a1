"""Contacts from a file: read and checked as a whole, shown, and only then written, all rows or none.

The file is CSV or TSV in UTF-8 with headings in its first row. `check` reads it to the end and keeps what it found as a
ContactImport; `run` writes that to the list. Rows are counted as a spreadsheet counts them: the headings are row 1.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import IO, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from contacts import numbers, wording
from contacts.columns import BY_NAME, COLUMNS, OPTED_OUT, OPTED_OUT_AT, PHONE, bare
from contacts.exports import is_count, unsafe_cell
from contacts.matching import Register, Values, households, name_of
from contacts.models import Contact, ContactImport, ContactList, OptOut
from organizations import audit, commitments
from organizations.models import User

MAX_ROWS = 100_000
MAX_BYTES = 20 * 1024 * 1024
MAX_COLUMNS = 200  # empty ones included
MAX_LINES = 1_048_576  # what a spreadsheet can hold, empty rows included
MAX_ROW = 1_000_000  # characters, more than MAX_COLUMNS cells can have
MAX_NAME = 200  # characters of a heading
MAX_VALUE = 1_024  # characters of a cell in a column of the organisation's own
BATCH = 1_000
PREVIEW = 10  # rows
STALE = timedelta(days=1)
IMPORTED = gettext_noop("imported contacts")  # in the audit trail

_LIMITS = {column.attribute: column.limit for column in COLUMNS}
_DELIMITERS = (",", ";", "\t")
_CONTROL = {code: " " if code in (9, 10, 11, 12, 13, 0x85) else None for code in (*range(32), *range(127, 160))}
_CONTROL |= dict.fromkeys((0x200B, 0x2060, 0xFEFF))  # of no width: they come along with what is copied from a page
_SEEN = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")  # by a person
_OTHER_FORMATS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b", b"{\\rtf")


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; `args[0]` is a sentence that says why and what would be right."""


class ImportRefused(Exception):
    """A checked file cannot be written to the list now; `args[0]` is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one row: `code` and `values` are what contacts/wording.py words when it is shown."""

    row: int
    column: str
    code: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        return wording.sentence(self.code, self.values)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file and what becomes of it: `attribute` of the contact, or a field of that name if empty."""

    index: int
    heading: str
    name: str
    attribute: str = ""


@dataclass(slots=True)
class File:
    """A file that is being read. `problems` and `doubts` fill up while `rows` is consumed."""

    columns: list[Column]
    delimiter: str
    text: IO[str]  # closes the file when it is gone
    records: Iterator[tuple[int, list[str]]]
    region: str
    with_country_code: bool = False
    problems: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)  # worth a look, but no reason to refuse the file
    foreign: int = 0  # numbers that begin with another country's code
    total: int = 0
    width: int = 0

    def rows(self) -> Iterator[Values]:
        """The good rows. Raises UnreadableFile where the file breaks off or is too long."""
        seen: dict[str, dict[tuple[str, str], int]] = {}  # by number and name: the row
        for row, cells in self.records:
            if row > MAX_LINES:
                raise UnreadableFile(_too_many_rows())
            if not any(map(_SEEN.search, cells)):
                continue
            self.total += 1
            if self.total > MAX_ROWS:
                raise UnreadableFile(_too_many_rows())
            before = len(self.problems)
            values = self._values(row, cells)
            if "phone" in values:
                self._look_for_the_household(row, values, seen)
            if len(self.problems) == before:
                yield values

    def _look_for_the_household(self, row: int, values: Values, seen: dict[str, dict[tuple[str, str], int]]) -> None:
        home, name = seen.setdefault(values["phone"], {}), name_of(values)
        if home:
            same = home.get(name) if any(name) else min(home.values())
            earlier = {"row": same or min(home.values()), "phone": values["phone"]}
            self.doubts.append(Problem(row, PHONE.name, "same_person" if same else "same_number", earlier))
        home.setdefault(name, row)

    def _values(self, row: int, cells: list[str]) -> Values:
        if len(cells) > self.width and any(map(_SEEN.search, cells[self.width :])):
            counted = {"cells": len(cells), "headings": self.width, "delimiter": self.delimiter}
            self.problems.append(Problem(row, "", "too_many_cells", counted))
        values: Values = {}
        fields: dict[str, str] = {}
        for column in self.columns:
            raw = cells[column.index] if column.index < len(cells) else ""
            value = _plain(raw) if raw else ""
            if not value:
                continue
            limit = _LIMITS.get(column.attribute, MAX_VALUE)
            if len(value) > limit:
                self.problems.append(Problem(row, column.heading, "too_long", {"length": len(value), "limit": limit}))
            elif column.attribute == "phone":
                if phone := self._phone(row, column, value):
                    values["phone"] = phone
            elif column.name == OPTED_OUT and not _moment(value):
                fields[column.name] = value
            elif column.attribute:
                values[column.attribute] = value
            else:
                fields[column.name] = value
        if fields:
            values["fields"] = fields
        return values

    def _phone(self, row: int, column: Column, value: str) -> str:
        try:
            number = numbers.read(value, self.region, with_country_code=self.with_country_code)
        except numbers.InvalidNumber as error:
            self.foreign += isinstance(error, numbers.ForeignNumber)
            self.problems.append(Problem(row, column.heading, error.code, error.values))
            return ""
        if not number.is_assigned or number.is_landline:
            code = "landline" if number.is_assigned else "not_in_use"
            self.doubts.append(Problem(row, column.heading, code, {"phone": number.e164}))
        return number.e164


def _moment(text: str) -> datetime | None:
    """A date and time as our exports write it."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment and timezone.is_aware(moment) else None


def _too_many_rows() -> str:
    return _("The file has more than %(limit)s rows. Split it into several files.") % {
        "limit": number_format(MAX_ROWS, force_grouping=True)
    }


def _plain(cell: str) -> str:
    """What a person sees in a cell, without the mark that our exports put before formulas."""
    return unsafe_cell(cell.strip()).translate(_CONTROL).strip()


# --- reading ---------------------------------------------------------------------------------------------------------


def open_file(file: IO[bytes], region: str, *, with_country_code: bool = False) -> File:
    """Read the headings of a file; its rows follow as they are asked for. Raises UnreadableFile."""
    _check_bytes(file)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    delimiter, skip = _sniff(text)
    records = _records(text, delimiter, skip)
    row, headings = next(records, (1, []))
    while row < MAX_LINES and headings is not None and not any(map(_SEEN.search, headings)):
        row, headings = next(records, (MAX_LINES, []))
    if len(headings) > MAX_COLUMNS:
        raise UnreadableFile(
            _("The file has %(count)s columns; at most %(limit)s are allowed. Empty ones count too: delete them.")
            % {"count": number_format(len(headings), force_grouping=True), "limit": MAX_COLUMNS}
        )
    headings = [_plain(heading) for heading in headings]
    columns = _columns(headings, delimiter)
    unnamed = {index for index, heading in enumerate(headings) if not heading}
    rows = _check_unnamed(_without_count(records), unnamed)
    return File(columns, delimiter, text, rows, region, with_country_code, width=len(headings))


def _check_bytes(file: IO[bytes]) -> None:
    """Raises UnreadableFile unless the file is text in UTF-8 of a bearable size."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    if size == 0:
        raise UnreadableFile(_("The file is empty."))
    if size > MAX_BYTES:
        raise UnreadableFile(_("The file is larger than %(limit)s MB.") % {"limit": MAX_BYTES // 1024 // 1024})
    head = file.read(8)
    file.seek(0)
    if head.startswith(_OTHER_FORMATS):
        raise UnreadableFile(
            _("This is not a text file. In a spreadsheet, choose “Save as” and there “CSV UTF-8 (comma delimited)”.")
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableFile(_("The file is in UTF-16. Save it as “CSV UTF-8 (comma delimited)”."))
    for line_number, line in enumerate(file, 1):
        if b"\0" in line:
            raise UnreadableFile(
                _("Line %(line)s holds a NUL character, so this is no text file. Save it as “CSV UTF-8”.")
                % {"line": line_number}
            )
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                _(
                    "Line %(line)s is not in UTF-8 (it begins “%(text)s”). In a spreadsheet, choose “Save as” and "
                    "there “CSV UTF-8 (comma delimited)”."
                )
                % {"line": line_number, "text": line[: error.start][-20:].decode(errors="replace") + "…"}
            ) from error
    file.seek(0)


def _sniff(text: IO[str]) -> tuple[str, int]:
    """The delimiter, and how many records precede the headings (a line “sep=;” names the delimiter for Excel)."""
    first = ""
    for _line in range(PREVIEW):  # there may be empty ones
        first = text.readline(MAX_ROW).replace("\ufeff", "")
        if _SEEN.search(first):
            break
    text.seek(0)
    named = re.fullmatch(r"sep=([,;\t|])\s*", first, re.IGNORECASE)
    if named and named[1] in _DELIMITERS:
        return named[1], 1
    unquoted = re.sub(r'"[^"]*"', "", first)
    # The one that makes most of our columns appear; then the one that makes most; a single column is read with commas.
    return max(_DELIMITERS, key=lambda delimiter: (_familiar(first, delimiter), unquoted.count(delimiter))), 0


def _familiar(line: str, delimiter: str) -> int:
    """How many of a line's cells are names of ours. Each is looked at once."""
    ours = {name.casefold() for name in BY_NAME}
    return sum(cell.strip(' \t\r\n"').casefold() in ours for cell in line.split(delimiter, MAX_COLUMNS)[:MAX_COLUMNS])


def _records(text: IO[str], delimiter: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """The rows, none of them longer than MAX_ROW. Marks of byte order, which joined files have inside, are dropped."""
    length = 0

    def lines() -> Iterator[str]:
        nonlocal length
        while line := text.readline(MAX_ROW):
            length += len(line)
            if length > MAX_ROW:
                raise UnreadableFile(
                    _("Row %(row)s is longer than %(limit)s characters. Is a quotation mark missing?")
                    % {"row": row, "limit": number_format(MAX_ROW, force_grouping=True)}
                )
            yield line.replace("\ufeff", "")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    row = 0
    while True:
        row, length = row + 1, 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableFile(
                _(
                    "Row %(row)s cannot be read: a quotation mark is not closed, or stands in the middle of a value. "
                    'Values with quotation marks are written like "12"" screen".'
                )
                % {"row": row}
            ) from error
        if row > skip:
            yield row, cells


def _without_count(records: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Our own downloads end with their number of rows, which is nobody. A row like it in the middle is a row."""
    held: tuple[int, list[str]] | None = None
    for record in records:
        if held:
            yield held
            held = None
        if is_count(record[1]):
            held = record
        else:
            yield record


def _check_unnamed(records: Iterable[tuple[int, list[str]]], unnamed: set[int]) -> Iterator[tuple[int, list[str]]]:
    """Raises UnreadableFile at the first value in a column without heading."""
    for row, cells in records:
        for index in unnamed:
            if index < len(cells) and _SEEN.search(cells[index]):
                raise UnreadableFile(
                    _("Column %(column)s has values (first in row %(row)s) but no heading. Name it or remove it.")
                    % {"column": index + 1, "row": row}
                )
        yield row, cells


def _columns(headings: list[str], delimiter: str) -> list[Column]:
    named = [(index, " ".join(heading.split())) for index, heading in enumerate(headings) if heading]
    if not named:
        raise UnreadableFile(
            _("The first row holds no headings, such as %(first)s, %(second)s and %(phone)s.")
            % {"first": COLUMNS[0].name, "second": COLUMNS[1].name, "phone": PHONE.name}
        )
    too_long = next((heading for _index, heading in named if len(heading) > MAX_NAME), None)
    if too_long:
        raise UnreadableFile(
            _("The heading “%(heading)s…” is longer than %(limit)s characters.")
            % {"heading": too_long[:40], "limit": MAX_NAME}
        )
    repeated = [heading for heading, count in Counter(heading.casefold() for _i, heading in named).items() if count > 1]
    if repeated:
        raise UnreadableFile(
            _("There are two columns with the heading “%(heading)s”. Rename or remove one.") % {"heading": repeated[0]}
        )
    recognised = _recognise([heading for _index, heading in named])
    if PHONE.name not in recognised.values():
        raise UnreadableFile(
            _("There is no column “%(phone)s”. The first row names these columns: %(headings)s.")
            % {
                "phone": PHONE.name,
                "headings": ", ".join(_("“%(name)s”") % {"name": heading[:40]} for _index, heading in named[:8]),
            }
            + ("" if len(named) > 1 else " " + _("Columns are separated by commas, semicolons or tabs."))
        )
    return [
        Column(index, heading, recognised[heading], BY_NAME[recognised[heading]].attribute)
        if heading in recognised
        else Column(index, heading, OPTED_OUT, OPTED_OUT_AT)
        if heading == OPTED_OUT
        else Column(index, heading, heading)
        for index, heading in named
    ]


def _recognise(headings: list[str]) -> dict[str, str]:
    """Which headings stand for which of our columns. A heading that is exactly ours wins over other words for it."""
    found: dict[str, str] = {}
    plain = {heading: bare(heading) for heading in headings}
    for column in COLUMNS:
        exact = [heading for heading, word in plain.items() if word == column.name.casefold()]
        similar = exact or [heading for heading, word in plain.items() if word in column.others]
        if len(similar) > 1:
            raise UnreadableFile(
                _("Both “%(first)s” and “%(second)s” could be the column %(name)s. Rename the right one to %(name)s.")
                % {"first": similar[0], "second": similar[1], "name": column.name}
            )
        if similar:
            found[similar[0]] = column.name
    return found


# --- checking --------------------------------------------------------------------------------------------------------


def check(
    contact_list: ContactList, file: IO[bytes], file_name: str, user: User, *, with_country_code: bool = False
) -> ContactImport:
    """Read the whole file and keep what it holds, ready to be written, or what is wrong with it.

    `with_country_code`: digits may begin with any country's code (numbers.read). Where somebody has to say so first,
    the file itself is kept as well. Raises UnreadableFile where there is nothing to show.
    """
    opened = open_file(file, contact_list.organization.default_region, with_country_code=with_country_code)
    preview: list[Values] = []
    kept = _pack(_first_of(opened.rows(), preview))
    if not opened.total:
        raise UnreadableFile(_("The file has headings but no rows below them."))
    found = Counter[str]()
    if not opened.problems:
        found = _figures(contact_list, kept)

    now = timezone.now()
    ContactImport.objects.filter(contact_list=contact_list, created_by=user, imported_at=None).delete()
    return ContactImport.objects.create(
        organization=contact_list.organization,
        contact_list=contact_list,
        file_name=file_name[:200],
        columns=[[column.heading, column.attribute and column.name] for column in opened.columns],
        preview=preview,
        total=opened.total,
        new=found["new"],
        updated=found["updated"],
        without_phone=found["without_phone"],
        opted_out=found["opted_out"],
        problem_count=len(opened.problems),
        doubt_count=len(opened.doubts),
        foreign_count=opened.foreign,
        with_country_code=with_country_code,
        problems=_pack(map(astuple, opened.problems or opened.doubts)),
        rows=b"" if opened.problems else kept,
        content=_zipped(file) if opened.foreign else b"",
        created_at=now,
        created_by=user,
    )


def check_again(checked: ContactImport, user: User) -> ContactImport:
    """Read a kept file once more, with its numbers as somebody said now. Raises ImportRefused, UnreadableFile."""
    content = ContactImport.objects.values_list("content", flat=True).get(pk=checked.pk)
    if not content:
        raise ImportRefused(_("This file is no longer kept. Upload it again."))
    with gzip.open(io.BytesIO(bytes(content))) as file:
        return check(checked.contact_list, io.BytesIO(file.read()), checked.file_name, user, with_country_code=True)


def _zipped(file: IO[bytes]) -> bytes:
    file.seek(0)
    return gzip.compress(file.read(), compresslevel=3)


def _first_of(rows: Iterable[Values], first: list[Values]) -> Iterator[Values]:
    for values in rows:
        if len(first) < PREVIEW:
            first.append(values)
        yield values


def _figures(contact_list: ContactList, kept: bytes) -> Counter[str]:
    """What an import of these rows would do."""
    found = Counter[str]()
    register = Register(contact_list, households(_unpack(kept)))
    for batch in batches(_unpack(kept)):
        for _contact, is_new in register.people(batch):
            found["new" if is_new else "updated"] += 1
        phones = {values["phone"] for values in batch if "phone" in values}
        found["opted_out"] += len(OptOut.objects.numbers(contact_list.organization_id, phones))
        found["without_phone"] += sum("phone" not in values for values in batch)
    return found


def purge(now: datetime | None = None) -> None:
    """Forget files that nobody imported, and what was wrong with the others, after a day."""
    old = ContactImport.objects.filter(created_at__lt=(now or timezone.now()) - STALE)
    old.filter(imported_at=None).delete()
    old.exclude(problems=b"").update(problems=b"", content=b"")


def _pack(values: Iterable[Any]) -> bytes:
    kept = io.BytesIO()
    with gzip.open(kept, "wt", encoding="utf-8", compresslevel=3) as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    return kept.getvalue()


def _unpack(content: bytes | memoryview) -> Iterator[Any]:
    if content:
        with gzip.open(io.BytesIO(bytes(content)), "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)


def problems_of(checked: ContactImport) -> Iterator[Problem]:
    """What is wrong with a checked file, row by row; if nothing is wrong, what is worth a look."""
    return (Problem(*values) for values in _unpack(checked.problems))


def batches(rows: Iterable[Values], size: int = BATCH) -> Iterator[list[Values]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


# --- writing ---------------------------------------------------------------------------------------------------------


def run(checked: ContactImport, user: User) -> ContactImport:
    """Write a checked file to its list, all rows or none. Raises ImportRefused.

    A contact with the same number is updated: cells of the file win, empty cells leave what is there. Raises
    MissingRight if the list is about to be texted and the user may not send.
    """
    commitments.require_free(checked.contact_list, user)
    try:
        with transaction.atomic():
            return _run(checked.pk, user)
    except IntegrityError as error:
        raise ImportRefused(_("The list was changed while the file was being imported. Import it again.")) from error


def _run(checked_id: int, user: User) -> ContactImport:
    checked = ContactImport.objects.select_for_update(of=("self",)).filter(pk=checked_id).first()
    if checked is None:
        raise ImportRefused(_("This file is no longer kept. Upload it again."))
    if checked.imported_at is not None:
        return checked  # a second click
    if checked.problem_count:
        raise ImportRefused(_("The file has errors, so nothing of it was imported. Correct them and upload it again."))
    contact_list = ContactList.objects.select_for_update().get(pk=checked.contact_list_id)  # one import at a time
    checked.new = checked.updated = 0
    register = Register(contact_list, households(_unpack(checked.rows)))
    for batch in batches(_unpack(checked.rows)):
        new, updated = _write(register, contact_list, batch)
        checked.new += new
        checked.updated += updated
    checked.imported_at = timezone.now()
    checked.rows, checked.preview = b"", []
    checked.save()
    audit.record(
        IMPORTED,
        organization=contact_list.organization,
        actor=user,
        target=contact_list,
        new=checked.new,
        updated=checked.updated,
    )
    return checked


def _write(register: Register, contact_list: ContactList, batch: list[Values]) -> tuple[int, int]:
    """Returns how many rows brought somebody new, and how many were about somebody who is there."""
    phones = {values["phone"] for values in batch if "phone" in values}
    opted_out = OptOut.objects.numbers(contact_list.organization_id, phones)
    now = timezone.now()
    new: dict[int, Contact] = {}
    changed: dict[int, Contact] = {}
    for contact, is_new in register.people(batch):
        if is_new:
            contact.opted_out_at = now if contact.phone in opted_out else _moment(str(contact.opted_out_at or ""))
            new[id(contact)] = contact
        elif id(contact) not in new:
            changed[id(contact)] = contact
    Contact.objects.bulk_create(new.values(), batch_size=BATCH)
    # By key, so that one statement changes the whole batch.
    Contact.objects.bulk_create(
        changed.values(),
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[*(column.attribute for column in COLUMNS if column is not PHONE), "fields"],
    )
    return len(new), len(batch) - len(new)


def summary(checked: ContactImport) -> str:
    """What an import did, in a sentence."""
    added = ngettext("%(count)s person was added", "%(count)s people were added", checked.new) % {"count": checked.new}
    changed = ngettext("%(count)s was updated", "%(count)s were updated", checked.updated) % {"count": checked.updated}
    return _("%(added)s, %(changed)s.") % {"added": added, "changed": changed}
