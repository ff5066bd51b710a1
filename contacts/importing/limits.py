"""How much a file may hold, and what is said of a file that cannot be read at all. Pure."""

from __future__ import annotations

MAX_ROWS = 1_000_000
MAX_BYTES = 100 * 1024 * 1024
MAX_COLUMNS = 200  # empty ones included
MAX_LINES = 1_048_576  # what a spreadsheet can hold, empty rows included
MAX_ROW = 1_000_000  # characters, more than MAX_COLUMNS cells can have
MAX_NAME = 200  # characters of a heading
MAX_VALUE = 1_024  # characters of a cell in a column of the organisation's own
MAX_HOUSEHOLD = 50  # people with one number in one file; more of them are a list's own mistake


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; `args[0]` is a sentence that says why and what would be right."""


class WrongEncoding(UnreadableFile):
    """There are bytes that are nothing in the encoding: somebody may know the right one."""


class ImportRefused(Exception):
    """A checked file cannot be written to the list now; `args[0]` is a sentence that says why."""
