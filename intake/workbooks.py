"""Spreadsheets (.xlsx, .xlsm, .xlsb, .xls, .ods) as rows of texts, read by a process that the system keeps small.

A few kilobytes can unpack to gigabytes, and one cell far away can ask for as much memory. So it is a process of its
own, under limits: `python -m intake.workbooks` reads a spreadsheet from its standard input and writes lines of JSON:
the names of its sheets, then each row; or why not. It is handed no settings and no database.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

MAX_UNPACKED = 200 * 1024 * 1024  # bytes that a spreadsheet may unpack to
MAX_MEMORY = 1024 * 1024 * 1024  # bytes for this process
MAX_SECONDS = 60  # of its processor time
_BLOCK = 1024 * 1024
_PROTECTED = "EncryptedPackage".encode("utf-16-le")  # how Office keeps a workbook with a password


def _cell(value: Any) -> str:
    """A cell as it would be typed: 4917123456789.0 is a phone number, midnight is a day."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _unpacked(content: bytes) -> int:
    """How many bytes a zip file unpacks to, counted until it is too much: what it says of itself may be false."""
    total = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for part in archive.infolist():
            with archive.open(part) as unpacked:
                while piece := unpacked.read(_BLOCK):
                    total += len(piece)
                    if total > MAX_UNPACKED:
                        return total
    return total


def _read(content: bytes, wanted: str) -> Iterator[dict[str, Any]]:
    if content.startswith(b"PK"):
        try:
            if _unpacked(content) > MAX_UNPACKED:
                yield {"refused": "unpacked"}
                return
        except RuntimeError:  # zipfile's word for an encrypted part
            yield {"refused": "password"}
            return
        except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError):
            yield {"refused": "broken"}
            return
    elif _PROTECTED in content:
        yield {"refused": "password"}
        return
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        with_cells = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        names = [sheet.name for sheet in with_cells if sheet.visible == SheetVisibleEnum.Visible]
        names += [sheet.name for sheet in with_cells if sheet.name not in names]
        if not names:
            yield {"refused": "charts"}
            return
        for name in [wanted] if wanted in names else names:
            sheet = book.get_sheet_by_name(name)
            if sheet.start is not None:
                break
        else:
            yield {"refused": "empty"}
            return
        if sheet.start is None:
            yield {"sheets": names, "sheet": name}
            yield {"end": True}
            return
        yield {"sheets": names, "sheet": name}
        for number, cells in enumerate(sheet.iter_rows(), 1):  # from the first row on, empty ones included
            texts = [_cell(value) for value in cells]
            if any(texts):
                while texts and not texts[-1]:
                    texts.pop()
                yield {"row": number, "cells": texts}
        yield {"end": True}
    except PasswordError:
        yield {"refused": "password"}
    except CalamineError:
        yield {"refused": "broken"}


def main() -> None:
    """Read a workbook from standard input; the first argument is the sheet's name."""
    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # less is allowed already
            resource.setrlimit(kind, (most, most))
    out = sys.stdout
    for found in _read(sys.stdin.buffer.read(), sys.argv[1] if len(sys.argv) > 1 else ""):
        out.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
