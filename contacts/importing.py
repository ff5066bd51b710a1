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
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import IO, Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from contacts import numbers
from contacts.exports import is_count, unsafe_cell
from contacts.models import Contact, ContactImport, ContactList, OptOut
from organizations import audit
from organizations.models import User

MAX_ROWS = 100_000
MAX_BYTES = 20 * 1024 * 1024
MAX_COLUMNS = 200
MAX_NAME = 200  # characters of a heading
MAX_VALUE = 1_024  # characters of a cell in a column of the organisation's own
BATCH = 1_000
PREVIEW = 10  # rows
STALE = timedelta(days=1)
IMPORTED = gettext_noop("imported contacts")  # in the audit trail

# Our column, the contact's attribute, and other headings people use for it (in lower case, without space - _ . /).
COLUMNS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("FirstName", "first_name", frozenset({"first", "vorname", "givenname", "forename"})),
    ("LastName", "last_name", frozenset({"last", "nachname", "surname", "familyname", "familienname"})),
    ("Email", "email", frozenset({"emailaddress", "mail", "emailadresse"})),
    (
        "Phone",
        "phone",
        frozenset(
            {"phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "cellnumber", "telephone"}
            | {"telephonenumber", "tel", "telefon", "telefonnummer", "handy", "handynummer", "mobil", "mobilnummer"}
            | {"mobiltelefon", "rufnummer", "msisdn"}
        ),
    ),
    (
        "ExternalDataReference",
        "external_reference",
        frozenset({"externalreference", "externaldataref", "extref", "externalid", "externereferenz"}),
    ),
    ("Language", "language", frozenset({"sprache", "lang", "locale"})),
)
_ATTRIBUTES = {name: attribute for name, attribute, _variants in COLUMNS}
_LIMITS = {"first_name": 200, "last_name": 200, "email": 254, "phone": 40, "external_reference": 200, "language": 10}
_DELIMITERS = (",", ";", "\t")
_NAMES_OF_DELIMITERS = {",": gettext_lazy("comma"), ";": gettext_lazy("semicolon"), "\t": gettext_lazy("tab")}
_CONTROL = {code: " " if code in (9, 10, 13) else None for code in (*range(32), 127)}
_OTHER_FORMATS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b", b"{\\rtf")

Values = dict[str, Any]  # a contact's attributes, `fields` among them; empty ones left out


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; `args[0]` is a sentence that says why and what would be right."""


class ImportRefused(Exception):
    """A checked file cannot be written to the list now; `args[0]` is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one row."""

    row: int
    column: str
    sentence: str


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
    records: Iterator[tuple[int, list[str]]]
    region: str
    problems: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)  # worth a look, but no reason to refuse the file
    total: int = 0
    width: int = 0

    def rows(self) -> Iterator[Values]:
        """The good rows. Raises UnreadableFile where the file breaks off or is too long."""
        seen: dict[str, int] = {}
        for row, cells in self.records:
            if not any(cell.strip() for cell in cells):
                continue
            self.total += 1
            if self.total > MAX_ROWS:
                raise UnreadableFile(
                    _("The file has more than %(limit)s rows. Split it into several files.")
                    % {"limit": number_format(MAX_ROWS, force_grouping=True)}
                )
            before = len(self.problems)
            values = self._values(row, cells)
            phone = values.get("phone", "")
            if phone:
                if phone in seen:
                    self._blame(
                        row,
                        "Phone",
                        _("The same number as in row %(row)s: %(phone)s") % {"row": seen[phone], "phone": phone},
                    )
                seen.setdefault(phone, row)
            if len(self.problems) == before:
                yield values

    def _blame(self, row: int, column: str, sentence: str) -> None:
        self.problems.append(Problem(row, column, sentence))

    def _values(self, row: int, cells: list[str]) -> Values:
        if len(cells) > self.width and any(cell.strip() for cell in cells[self.width :]):
            self._blame(
                row,
                "",
                _(
                    "This row has %(cells)s cells, but there are %(headings)s headings. Is a quotation mark missing, "
                    "or is there a %(delimiter)s inside a value?"
                )
                % {
                    "cells": len(cells),
                    "headings": self.width,
                    "delimiter": _NAMES_OF_DELIMITERS[self.delimiter],
                },
            )
        values: Values = {}
        fields: dict[str, str] = {}
        for column in self.columns:
            raw = cells[column.index] if column.index < len(cells) else ""
            value = unsafe_cell(raw.translate(_CONTROL).strip()) if raw else ""
            if not value:
                continue
            limit = _LIMITS.get(column.attribute, MAX_VALUE)
            if len(value) > limit:
                self._blame(
                    row,
                    column.heading,
                    _("This value has %(length)s characters; at most %(limit)s are allowed.")
                    % {"length": len(value), "limit": limit},
                )
            elif column.attribute == "phone":
                values["phone"] = self._phone(row, column, value)
            elif column.attribute:
                values[column.attribute] = value
            else:
                fields[column.name] = value
        if fields:
            values["fields"] = fields
        return values

    def _phone(self, row: int, column: Column, value: str) -> str:
        try:
            number = numbers.read(value, self.region)
        except numbers.InvalidNumber as error:
            self._blame(row, column.heading, str(error))
            return ""
        if not number.is_assigned:
            self.doubts.append(
                Problem(
                    row,
                    column.heading,
                    _("%(phone)s is in no range that is known to be in use. Is it right?") % {"phone": number.e164},
                )
            )
        return number.e164


# --- reading ---------------------------------------------------------------------------------------------------------


def open_file(file: IO[bytes], region: str) -> File:
    """Read the headings of a file; its rows follow as they are asked for. Raises UnreadableFile."""
    _check_bytes(file)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    delimiter, skip = _sniff(text)
    records = _records(text, delimiter, skip)
    _row, headings = next(records, (1, []))
    first_cells = next(records, None)
    columns = _columns(headings, delimiter)
    if first_cells is None:
        raise UnreadableFile(_("The file has headings but no rows below them."))

    def all_records() -> Iterator[tuple[int, list[str]]]:
        yield first_cells
        yield from records

    unnamed = {index for index, heading in enumerate(headings) if not heading.strip()}
    return File(columns, delimiter, _check_unnamed(_without_count(all_records()), unnamed), region, width=len(headings))


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
    first = text.readline()
    text.seek(0)
    named = re.fullmatch(r"sep=([,;\t])\s*", first.lstrip("\ufeff"), re.IGNORECASE)
    if named:
        return named[1], 1
    unquoted = re.sub(r'"[^"]*"', "", first)
    return max(_DELIMITERS, key=unquoted.count), 0  # the first of equals: a single column is read with commas


def _records(text: IO[str], delimiter: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    row = 0
    while True:
        row += 1
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
            if index < len(cells) and cells[index].strip():
                raise UnreadableFile(
                    _("Column %(column)s has values (first in row %(row)s) but no heading. Name it or remove it.")
                    % {"column": index + 1, "row": row}
                )
        yield row, cells


def _columns(headings: list[str], delimiter: str) -> list[Column]:
    named = [(index, " ".join(heading.split())) for index, heading in enumerate(headings) if heading.strip()]
    if not named:
        raise UnreadableFile(_("The first row holds no headings, such as FirstName, LastName and Phone."))
    if len(named) > MAX_COLUMNS:
        raise UnreadableFile(
            _("The file has %(count)s columns; at most %(limit)s are allowed.")
            % {"count": len(named), "limit": MAX_COLUMNS}
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
    if "Phone" not in recognised.values():
        raise UnreadableFile(
            _("There is no column “Phone”. The first row names these columns: %(headings)s.")
            % {"headings": ", ".join(_("“%(name)s”") % {"name": heading[:40]} for _index, heading in named[:8])}
            + ("" if len(named) > 1 else " " + _("Columns are separated by commas, semicolons or tabs."))
        )
    return [
        Column(index, heading, recognised[heading], _ATTRIBUTES[recognised[heading]])
        if heading in recognised
        else Column(index, heading, heading)
        for index, heading in named
    ]


def _recognise(headings: list[str]) -> dict[str, str]:
    """Which headings stand for which of our columns. A heading that is exactly ours wins over other words for it."""
    found: dict[str, str] = {}
    for name, _attribute, variants in COLUMNS:
        plain = {heading: re.sub(r"[\s\-_./]", "", heading.casefold()) for heading in headings}
        exact = [heading for heading, word in plain.items() if word == name.casefold()]
        similar = exact or [heading for heading, word in plain.items() if word in variants]
        if len(similar) > 1:
            raise UnreadableFile(
                _("Both “%(first)s” and “%(second)s” could be the column %(name)s. Rename the right one to %(name)s.")
                % {"first": similar[0], "second": similar[1], "name": name}
            )
        if similar:
            found[similar[0]] = name
    return found


# --- checking --------------------------------------------------------------------------------------------------------


def check(contact_list: ContactList, file: IO[bytes], file_name: str, user: User) -> ContactImport:
    """Read the whole file and keep what it holds, ready to be written, or what is wrong with it.

    Raises UnreadableFile where there is nothing to show.
    """
    opened = open_file(file, contact_list.organization.default_region)
    kept = io.BytesIO()
    found = Counter[str]()
    preview: list[Values] = []
    with gzip.open(kept, "wt", encoding="utf-8", compresslevel=3) as rows_file:
        for batch in batches(opened.rows()):
            preview.extend(batch[: PREVIEW - len(preview)])
            existing = _existing(contact_list, batch)
            found["updated"] += sum(_identity(values) in existing for values in batch)
            phones = {values["phone"] for values in batch if "phone" in values}
            found["opted_out"] += len(OptOut.objects.numbers(contact_list.organization_id, phones))
            found["without_phone"] += sum("phone" not in values for values in batch)
            found["good"] += len(batch)
            rows_file.writelines(json.dumps(values, ensure_ascii=False) + "\n" for values in batch)
    if not opened.total:
        raise UnreadableFile(_("The file has headings but no rows below them."))

    now = timezone.now()
    ContactImport.objects.filter(organization=contact_list.organization, imported_at=None).filter(
        Q(created_at__lt=now - STALE) | Q(contact_list=contact_list, created_by=user)
    ).delete()
    return ContactImport.objects.create(
        organization=contact_list.organization,
        contact_list=contact_list,
        file_name=file_name[:200],
        columns=[[column.heading, column.attribute and column.name] for column in opened.columns],
        preview=preview,
        total=opened.total,
        new=found["good"] - found["updated"],
        updated=found["updated"],
        without_phone=found["without_phone"],
        opted_out=found["opted_out"],
        problem_count=len(opened.problems),
        doubt_count=len(opened.doubts),
        problems=_pack([problem.row, problem.column, problem.sentence] for problem in opened.problems or opened.doubts),
        rows=b"" if opened.problems else kept.getvalue(),
        created_by=user,
    )


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


def _identity(values: Values) -> tuple[str, ...]:
    """What makes two rows the same person on a list: the number, or without one everything else that names them."""
    if values.get("phone"):
        return (values["phone"],)
    return tuple(values.get(name, "") for name in ("external_reference", "email", "last_name", "first_name"))


def _existing(contact_list: ContactList, batch: list[Values]) -> dict[tuple[str, ...], Contact]:
    """The contacts of the list that rows of this batch are about."""
    phones = [values["phone"] for values in batch if "phone" in values]
    wanted = Q(phone__in=phones)
    without = [values for values in batch if "phone" not in values]
    if without:
        names = {values.get("last_name", "") for values in without}
        wanted |= Q(phone="", last_name__in=names)
    found = contact_list.contacts.filter(wanted)
    return {
        _identity(
            {
                "phone": contact.phone,
                "external_reference": contact.external_reference,
                "email": contact.email,
                "last_name": contact.last_name,
                "first_name": contact.first_name,
            }
        ): contact
        for contact in found
    }


# --- writing ---------------------------------------------------------------------------------------------------------


def run(checked: ContactImport, user: User) -> ContactImport:
    """Write a checked file to its list, all rows or none. Raises ImportRefused.

    A contact with the same number is updated: cells of the file win, empty cells leave what is there.
    """
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
    for batch in batches(_unpack(checked.rows)):
        new, updated = _write(contact_list, batch)
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


def _write(contact_list: ContactList, batch: list[Values]) -> tuple[int, int]:
    existing = _existing(contact_list, batch)
    phones = {values["phone"] for values in batch if "phone" in values}
    opted_out = OptOut.objects.numbers(contact_list.organization_id, phones)
    now = timezone.now()
    new, changed = [], []
    for values in batch:
        contact = existing.get(_identity(values))
        if contact is None:
            new.append(
                Contact(
                    organization_id=contact_list.organization_id,
                    contact_list=contact_list,
                    opted_out_at=now if values.get("phone") in opted_out else None,
                    **values,
                )
            )
            continue
        for name, value in values.items():
            setattr(contact, name, {**contact.fields, **value} if name == "fields" else value)
        changed.append(contact)
    Contact.objects.bulk_create(new, batch_size=BATCH)
    # By key, so that one statement changes the whole batch.
    Contact.objects.bulk_create(
        changed,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["first_name", "last_name", "email", "external_reference", "language", "fields"],
    )
    return len(new), len(changed)


def summary(checked: ContactImport) -> str:
    """What an import did, in a sentence."""
    added = ngettext("%(count)s person was added", "%(count)s people were added", checked.new) % {"count": checked.new}
    changed = ngettext("%(count)s was updated", "%(count)s were updated", checked.updated) % {"count": checked.updated}
    return _("%(added)s, %(changed)s.") % {"added": added, "changed": changed}
