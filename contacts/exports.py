"""Downloads in the form that a spreadsheet opens by a double click, safe to open, and whole or not there at all."""

from __future__ import annotations

import codecs
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from typing import IO, Any
from urllib.parse import quote

from django.http import FileResponse
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.translation import ngettext

IN_MEMORY = 1024 * 1024  # bytes; a longer file is written to disk, under no name
BLOCK = 64 * 1024  # characters or bytes that are handed on at once

# What a spreadsheet takes for the beginning of a formula, wide and small forms of other keyboards included.
_FORMULA = "=+\\-@＝＋－＠﹦﹢﹣﹫"
# What some spreadsheet, in some country, takes for the end of a cell. \r and \n are ends of lines there.
_SEPARATORS = ",;|\\t\\r\\n\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029"
_CONTROL = "\\x00-\\x08\\x0e-\\x1b\\x1f"  # control characters that are not blanks
# What may stand before a formula: blanks, quotation marks, control characters.
_IGNORED = rf"(?:[^\S{_SEPARATORS}]|[\"'\ufeff{_CONTROL}])*"
_AT_THE_START = re.compile(rf"(?=[\s\"'\ufeff{_CONTROL}]*[{_FORMULA}]|'*[\t\r\n])")
_WITHIN = re.compile(rf"([{_SEPARATORS}])(?={_IGNORED}[{_FORMULA}])")
_MARKED_WITHIN = re.compile(rf"([{_SEPARATORS}])'(?={_IGNORED}[{_FORMULA}])")
_COUNT = re.compile(r"# \d+ [^\W\d_]+")


def safe_cell(value: Any) -> str:
    """The value as text; an apostrophe stands before what a spreadsheet would run as a formula, wherever it would.

    Only text is marked, a number is none: -5 stays -5. A phone number is text, and the apostrophe keeps its plus.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = _WITHIN.sub(r"\1'", value)
    return f"'{text}" if _AT_THE_START.match(text) else text


def stamp(moment: datetime | None) -> str:
    """A moment as files have it: by the reader's clocks, in the form that programs read; "" where there is none."""
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else ""


def unsafe_cell(text: str) -> str:
    """The value that `safe_cell` was given, so that an export can be imported again."""
    if text.startswith("'") and _AT_THE_START.match(text, 1):
        text = text[1:]
    return _MARKED_WITHIN.sub(r"\1", text)


def is_count(cells: Sequence[str]) -> bool:
    """Whether a row is the last one of a download, which tells the number of rows before it."""
    return bool(cells) and bool(_COUNT.fullmatch(cells[0])) and not any(cells[1:])


def download(file_name: str, rows: Iterable[Sequence[Any]], *, counted: bool = True) -> FileResponse:
    """The rows, of which the first has the headings, as a CSV file of the reader's own country.

    German spreadsheets expect semicolons and decimal commas, English ones commas; the UTF-8 mark is for Excel. All
    rows are read before the answer begins: where one cannot be read there is an error instead of a file, and the
    Content-Length tells whoever downloads, and every proxy, when not all of it arrived. The last line, "# 300 rows",
    says it again in the file itself (`counted`); it has as many cells as the others, and begins as comments do.
    """
    file = _written(rows, counted)
    file.seek(0)
    response = FileResponse(file, content_type="text/csv; charset=utf-8")  # says its length
    response.block_size = BLOCK
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
    response["Cache-Control"] = "no-store"
    return response


def _written(rows: Iterable[Sequence[Any]], counted: bool) -> IO[bytes]:
    """An open file with all the rows, in memory or, if it is long, on disk."""
    decimal_mark = get_format("DECIMAL_SEPARATOR")
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, delimiter=";" if decimal_mark == "," else ",")
    count, width = -1, 0
    with ExitStack() as opened:
        file: IO[bytes] = opened.enter_context(io.BytesIO())
        file.write(codecs.BOM_UTF8)
        for count, row in enumerate(rows):  # noqa: B007 — the last one counts
            width = width or len(row)
            writer.writerow([_cell(value, decimal_mark) for value in row])
            if lines.tell() > BLOCK:
                _flush(lines, file)
            if file.tell() > IN_MEMORY and isinstance(file, io.BytesIO):
                in_memory, file = file, opened.enter_context(tempfile.TemporaryFile())
                file.write(in_memory.getbuffer())
        if counted:
            count = max(count, 0)
            said = ngettext("# %(count)s row", "# %(count)s rows", count) % {"count": count}
            writer.writerow([said, *[""] * (width - 1)])
        _flush(lines, file)
        opened.pop_all()  # whole: the response closes it
    return file


def _cell(value: Any, decimal_mark: str) -> str:
    if isinstance(value, float | Decimal):
        return str(value).replace(".", decimal_mark)
    return safe_cell(value)


def _flush(lines: io.StringIO, file: IO[bytes]) -> None:
    """Halves of characters, which no file can hold, become question marks."""
    file.write(lines.getvalue().encode(errors="replace"))
    lines.seek(0)
    lines.truncate()
