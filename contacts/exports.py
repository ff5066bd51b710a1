"""CSV downloads that are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from django.http import StreamingHttpResponse

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> str:
    """The value as text; what a spreadsheet would run as a formula gets an apostrophe before it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def unsafe_cell(text: str) -> str:
    """The value that `safe_cell` was given, so that an export can be imported again."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


class _Echo:
    """A file whose write() hands back what it is given."""

    def write(self, line: str) -> str:
        return line


def download(file_name: str, rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """The rows as a CSV file, written while they are read; UTF-8 with the mark that Excel looks for."""

    def lines() -> Iterator[str]:
        writer = csv.writer(_Echo())
        yield "\ufeff"
        for row in rows:
            yield writer.writerow([safe_cell(value) for value in row])

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
    response["Cache-Control"] = "no-store"
    return response
