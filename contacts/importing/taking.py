"""Taking a file: keeping it, finding its encoding, its headings and what they stand for, and its first rows."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import chain, islice
from typing import IO, Any

from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import numbers
from contacts.columns import PHONE, bare
from contacts.importing import choices, limits, portions, rows, texts, workbooks
from contacts.importing.choices import Choices
from contacts.importing.limits import ImportRefused, UnreadableFile, WrongEncoding
from contacts.importing.portions import Kind
from contacts.importing.texts import Record
from contacts.models import ContactImport, ContactList
from organizations.models import User

State = ContactImport.State
SMALL = 1024 * 1024  # bytes of a text file that is read while its user waits; of a workbook, a quarter
PREVIEW = 10  # rows
_TITLES = 10  # rows among which the headings are looked for
SHOWN = 200  # characters of a cell there
_BLOCK = 256 * 1024
# What other programs write under the name of a spreadsheet, and address cards.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<(?:!|\?xml|html|head|meta|table|workbook)|MIME-Version:|BEGIN:VCARD)", re.I
)


def upload(contact_list: ContactList, file: IO[bytes], file_name: str, user: User, **wishes: Any) -> ContactImport:
    """Keep a file and, if that is quick, look at it. `wishes` are those of Choices that are known already.

    What was uploaded for the list before and not imported goes. Raises UnreadableFile.
    """
    last = choices.remembered(contact_list)
    chosen = Choices(region=last.region, existing=last.existing, with_country_code=last.with_country_code)
    chosen = replace(chosen, **wishes)
    _check_size(file)
    unfinished = ContactImport.objects.filter(contact_list=contact_list, created_by=user)
    unfinished.filter(state__in=(State.READING, State.CHECKED, State.REFUSED)).delete()
    checked = ContactImport.objects.create(
        organization=contact_list.organization,
        contact_list=contact_list,
        file_name=file_name[:200],
        state=State.READING,
        created_by=user,
    )
    try:
        _keep(checked, file, chosen)
        checked.choices = chosen.stored()
        if is_small(checked, chosen) or not chosen.is_workbook:
            look(checked, chosen, last)
        checked.save()
    except UnreadableFile:
        checked.delete()
        raise
    return checked


def is_small(checked: ContactImport, chosen: Choices) -> bool:
    """Whether it is read while somebody waits."""
    return checked.size <= (SMALL // 4 if chosen.is_workbook else SMALL)


def _check_size(file: IO[bytes]) -> None:
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    if size == 0:
        raise UnreadableFile(_("The file is empty."))
    if size > limits.MAX_BYTES:
        raise UnreadableFile(_("The file is larger than %(limit)s MB.") % {"limit": limits.MAX_BYTES // 1024 // 1024})


def _keep(checked: ContactImport, file: IO[bytes], chosen: Choices) -> None:
    kept, looked = portions.Writer(checked, Kind.FILE), texts.Bytes()
    head = file.read(64)
    file.seek(0)
    chosen.is_workbook = workbooks.is_workbook(head)
    if head.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b", b"{\\rtf")) or _PAGE.match(head):
        raise UnreadableFile(
            _("This is neither a text file nor a spreadsheet. In a spreadsheet, choose “Save as”, then “CSV UTF-8”.")
        )
    while block := file.read(_BLOCK):
        kept.write(block)
        if not chosen.is_workbook:
            looked.feed(block)
    kept.close()
    checked.size = kept.length
    if not chosen.is_workbook:
        chosen.encoding, chosen.encoding_is_sure = looked.guess()


# --- looking at it ----------------------------------------------------------------------------------------------------


def look(checked: ContactImport, chosen: Choices, last: Choices, sheet: IO[bytes] | None = None) -> None:
    """Find the headings and the first rows, and what was chosen for `last`; into `checked`, which is not saved.

    `sheet` is that of a workbook, if it is unpacked already. Raises UnreadableFile.
    """
    if chosen.is_workbook:
        with nullcontext(sheet) if sheet else unpacked(checked, chosen) as kept:
            _keep_sheet(checked, kept)
        chosen.delimiter, chosen.skip = ",", 0
    else:
        with text_of(checked, chosen) as text:
            chosen.delimiter, chosen.skip = texts.layout_of(text)
    with text_of(checked, chosen) as text:
        found = texts.without_count(texts.records(text, chosen.layout))
        row, cells, found = _headings_in(found)
        headings = rows.headings_of(cells)
        _refuse_a_row_of_data(cells, chosen.region)
        wanted = chosen.targets if len(chosen.targets) == len(headings) else []
        chosen.headings, chosen.heading_row = headings, row
        chosen.targets = wanted or choices.guessed(headings, last)
        if len([heading for heading in cells if heading.strip()]) == 1 and PHONE.name not in chosen.targets:
            raise UnreadableFile(
                _("There is no column “%(phone)s”. The first row names these columns: %(headings)s.")
                % {"phone": PHONE.name, "headings": _("“%(name)s”") % {"name": headings[0][:40]}}
                + " "
                + _("Columns are separated by commas, semicolons or tabs.")
            )
        checked.preview = []
        with suppress(WrongEncoding):  # said when it is read; another one can be chosen then
            for _row, cells in islice((one for one in found if not rows.is_blank(one[1])), PREVIEW):
                checked.preview.append([rows.plain(cell)[:SHOWN] for cell in cells[: len(headings)]])
    if not chosen.is_workbook:
        chosen.sample = _sample(checked, chosen)
    checked.choices = chosen.stored()
    checked.columns = [list(pair) for pair in zip(chosen.headings, chosen.targets, strict=True)]


def _headings_in(found: Iterator[Record]) -> tuple[int, list[str], Iterator[Record]]:
    """The row of headings, its cells, and what follows: the first row that is not empty.

    Titles may stand above it, as in lists that are made to be printed: rows of one or two cells above a longer one that
    names the column of the numbers.
    """
    first: list[Record] = []
    with suppress(WrongEncoding):  # said when it is read
        for row, cells in found:
            if row > limits.MAX_LINES:
                break
            if rows.is_blank(cells):
                continue
            first.append((row, cells))
            if _names_the_number(cells) or _filled(cells) > 2 or len(first) == _TITLES:
                break
    if not first:
        return limits.MAX_LINES, [], iter(())
    *above, (row, cells) = first
    if _names_the_number(cells) and all(_filled(title) < min(3, _filled(cells)) for _row, title in above):
        return row, cells, found
    return *first[0], chain(first[1:], found)


def _filled(cells: list[str]) -> int:
    return sum(bool(texts.SEEN.search(cell)) for cell in cells[: limits.MAX_COLUMNS])


def _names_the_number(cells: list[str]) -> bool:
    named = {bare(rows.plain(cell[: limits.MAX_NAME])) for cell in cells[: limits.MAX_COLUMNS]}
    return bool(named & ({bare(PHONE.name)} | PHONE.others))


def _refuse_a_row_of_data(cells: list[str], region: str) -> None:
    """The first person of a file without headings would be lost without a word."""
    for cell in cells:
        try:
            numbers.read(rows.plain(cell), region)
        except numbers.InvalidNumber:
            continue
        raise UnreadableFile(
            _("The first row holds a phone number. Put a row with headings above it, such as %(phone)s.")
            % {"phone": PHONE.name}
        )


def _sample(checked: ContactImport, chosen: Choices) -> str:
    """The first words of the file beyond ASCII, as they are read now."""
    with text_of(checked, chosen) as text:
        while piece := text.read(_BLOCK):
            if not piece.isascii() and (found := texts.sample_of(piece)):
                return found
    return ""


@contextmanager
def unpacked(checked: ContactImport, chosen: Choices, beat: Callable[[], None] = lambda: None) -> Iterator[IO[bytes]]:
    """The sheet that was chosen as a text file, each of its rows at its place.

    It may take a minute, and touches nothing but what was uploaded: `beat` is called on the way, and may end it by what
    it raises. Raises UnreadableFile.
    """
    with tempfile.TemporaryFile() as sheet:  # under no name, and gone with this process
        lines = io.TextIOWrapper(sheet, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(lines, lineterminator="\n")
        with portions.opened(checked, Kind.FILE)[0] as file:
            book = workbooks.Workbook(file, chosen.sheet, beat)
        chosen.sheets, chosen.sheet = book.sheets[:200], book.sheet
        last, beat_at = 0, time.monotonic() + workbooks.BEAT
        with closing(book.rows()) as found:
            for row, cells in found:
                lines.write("\n" * (row - last - 1))
                writer.writerow(cells or [""])
                last = row
                if time.monotonic() > beat_at:
                    beat()
                    beat_at = time.monotonic() + workbooks.BEAT
        lines.detach()
        sheet.seek(0)
        yield sheet


def _keep_sheet(checked: ContactImport, sheet: IO[bytes]) -> None:
    portions.forget(checked, Kind.SHEET)
    kept = portions.Writer(checked, Kind.SHEET)
    while block := sheet.read(_BLOCK):
        kept.write(block)
    kept.close()


@contextmanager
def text_of(checked: ContactImport, chosen: Choices) -> Iterator[IO[str]]:
    kind, encoding = (Kind.SHEET, "utf-8") if chosen.is_workbook else (Kind.FILE, chosen.encoding)
    with portions.opened(checked, kind)[0] as file, texts.opened(file, encoding) as text:
        yield text


def change(checked: ContactImport, **wishes: Any) -> ContactImport:
    """Read a kept file once more, otherwise. Raises UnreadableFile, and ImportRefused where it is no longer kept."""
    chosen = replace(choices.of(checked), **wishes)
    if not portions.has(checked, Kind.FILE) or checked.state in (State.DONE, State.WRITING, State.CANCELLED):
        raise ImportRefused(_("This file is no longer stored. Upload it again."))
    before = choices.of(checked)
    portions.forget(checked, Kind.ROWS, Kind.PROBLEMS, Kind.DOUBTS)
    if (chosen.sheet, chosen.encoding) != (before.sheet, before.encoding):
        chosen.targets = chosen.targets if chosen.targets != before.targets else []
        look(checked, chosen, before)
    checked.choices = chosen.stored()
    checked.columns = [list(pair) for pair in zip(chosen.headings, chosen.targets, strict=True)]
    for name in ("cursor", "progress", "total", "bad_rows", "problem_count", "doubt_count", "foreign_count"):
        setattr(checked, name, 0)
    checked.step += 1  # what another worker is reading now is not taken any more
    checked.state, checked.reason, checked.worked_at = State.READING, "", timezone.now()
    checked.with_country_code = chosen.with_country_code
    checked.save()
    return checked
