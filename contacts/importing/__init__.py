"""Contacts from a file: kept, read and checked as a whole, shown, and only then written: all good rows or none.

Text files in any common encoding and spreadsheets, with headings in the first row or below titles. Rows are counted as
a spreadsheet counts them, from the first of the file. service.py tells the story; what is below it knows its neighbours
as they stand in:
texts, workbooks → rows → choices → portions, merging → taking → steps → service.
"""

from contacts.importing.limits import MAX_BYTES, MAX_ROWS, ImportRefused, UnreadableFile
from contacts.importing.portions import forget
from contacts.importing.rows import Column, Problem
from contacts.importing.service import (
    IMPORTED,
    STALE,
    cancel,
    check,
    check_again,
    doubts,
    given_back,
    go_on,
    mentions,
    problems_of,
    purge,
    read_to_the_end,
    resume,
    run,
    start,
    summary,
    wake,
    wrong,
)
from contacts.importing.taking import upload

__all__ = [
    "IMPORTED",
    "MAX_BYTES",
    "MAX_ROWS",
    "STALE",
    "Column",
    "ImportRefused",
    "Problem",
    "UnreadableFile",
    "cancel",
    "check",
    "check_again",
    "doubts",
    "forget",
    "given_back",
    "go_on",
    "mentions",
    "problems_of",
    "purge",
    "read_to_the_end",
    "resume",
    "run",
    "start",
    "summary",
    "upload",
    "wake",
    "wrong",
]
