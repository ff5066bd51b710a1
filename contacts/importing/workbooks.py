"""Spreadsheets as rows of cells: asked of a process of its own (intake/workbooks.py), which alone opens them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any

from django.utils.translation import gettext as _

from contacts.importing.limits import UnreadableFile
from intake.workbooks import MAX_UNPACKED

_ROOT = Path(__file__).resolve().parents[2]
_BLOCK = 1024 * 1024
BEAT = 2.0  # seconds between two signs of life while a workbook is opened


def is_workbook(head: bytes) -> bool:
    """Whether a file begins as spreadsheets do."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0"))


class Workbook:
    """A spreadsheet that is being read: `sheets` are the names of those that can be, visible ones first."""

    def __init__(self, file: IO[bytes], sheet: str = "", beat: Callable[[], None] = lambda: None) -> None:
        """Raises UnreadableFile. With `sheet`, `rows` are those of that one, otherwise of the first with any.

        `beat` is called again and again while it is opened; what it raises ends the process.
        """
        with tempfile.TemporaryFile() as spool:  # under no name, and gone with this process
            while piece := file.read(_BLOCK):
                spool.write(piece)
            spool.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 — this very interpreter
                [sys.executable, "-m", "intake.workbooks", sheet],
                stdin=spool,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_ROOT)},
            )
        assert self._process.stdout is not None
        self._lines: IO[bytes] = self._process.stdout
        try:
            while not select.select([self._lines], [], [], BEAT)[0]:
                beat()
            first = self._next()
            if first is None or "refused" in first:
                raise UnreadableFile(_sentence(first["refused"] if first else "limits"))
        except BaseException:
            self.close()
            raise
        self.sheets: list[str] = first["sheets"]
        self.sheet: str = first["sheet"]

    def rows(self) -> Generator[tuple[int, list[str]]]:
        """The rows with their numbers, as texts. Raises UnreadableFile where the process was stopped."""
        try:
            while (found := self._next()) is not None:
                if "end" in found:
                    return
                yield found["row"], found["cells"]
            raise UnreadableFile(_sentence("limits"))
        finally:
            self.close()

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._lines.close()

    def _next(self) -> dict[str, Any] | None:
        line = self._lines.readline()
        try:
            return json.loads(line) if line else None
        except ValueError:
            return None  # stopped in the middle of a line


def _sentence(refused: str) -> str:
    return {
        "password": _("This workbook is protected by a password. Remove the password, or save it as CSV."),
        "unpacked": _("This workbook unpacks to more than %(limit)s MB. Save it as CSV.")
        % {"limit": MAX_UNPACKED // 1024 // 1024},
        "limits": _(
            "This workbook is too large to be read, or damaged. Delete empty rows and columns, or save it as CSV."
        ),
        "empty": _("This workbook is empty."),
        "charts": _("This workbook has no worksheet, only charts."),
    }.get(refused, _("This is not a spreadsheet that can be read, whatever its name says. Save it as .xlsx or as CSV."))
