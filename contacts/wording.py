"""Sentences about numbers, rows of files and opt-outs. A code and its values are kept: they are worded when shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from intake import countries, examples

SENTENCES: dict[str, str | Promise] = {
    # of a number
    "shortened": _("“%(text)s” was shortened by a spreadsheet; format the column as text there."),
    "date": _("“%(text)s” is a date, not a phone number."),
    "premium": _("“%(text)s” is a premium-rate number, which nobody has as their own."),
    "no_number": _("“%(text)s” is not a phone number; write it with the country code, for example %(example)s."),
    "several": _("“%(text)s” looks like several numbers; write one of them."),
    "foreign": _(
        "“%(text)s” looks like a number from another country (%(countries)s), not from yours (%(home)s). If that is "
        "what it is, write %(number)s."
    ),
    "code_twice": _("“%(text)s” has its country code twice; is it %(number)s?"),
    "stray_plus": _("“%(text)s” has a plus but no country code; is it %(number)s?"),
    # of a row
    "too_many_cells": _(
        "This row has %(cells)s cells, but there are %(headings)s headings. Is a quotation mark missing, "
        "or is there a %(delimiter)s inside a value?"
    ),
    "too_long": _("This value has %(length)s characters; at most %(limit)s are allowed."),
    "already_there": _("This person is already on the list."),
    # of a row that is imported as it is
    "same_person": _("The same person as in row %(row)s: one contact, one text."),
    "same_number": _("The same number as in row %(row)s: %(phone)s. Both are imported; the number gets one text."),
    "not_in_use": _("%(phone)s is not in any range known to be in use. Is it right?"),
    "landline": _("%(phone)s is a landline number, and few of these receive texts. Is it right?"),
}
# Why somebody is opted out, as those who act on replies write it down; anything else is shown as it was written.
EVIDENCE: dict[str, str | Promise] = {
    r"inbound (?P<number>\d+)": _("reply %(number)s"),
    r"shared line (?P<line>.+)": _("reply to the shared number %(line)s"),
    r"doubt (?P<number>\d+), decided by (?P<user>\w+)": _("doubtful reply %(number)s, decided by %(user)s"),
}
_DELIMITERS: dict[str, str | Promise] = {",": _("comma"), ";": _("semicolon"), "\t": _("tab")}


_WORDED: dict[str, Callable[[Any], str]] = {
    "delimiter": lambda sign: str(_DELIMITERS[sign]),
    "home": countries.name,
    "countries": lambda regions: ", ".join(sorted(map(countries.name, regions))),
}


def sentence(code: str, values: Mapping[str, Any], *, region: str = "") -> str:
    """What a code says, in the reader's language. Older rows hold a sentence in its place, which stays as it is.

    `region` is the country for which a number was read, where `values` do not say it.
    """
    if code not in SENTENCES:
        return code
    example = examples.number(values.get("read_for") or region)
    shown = {"example": example} | {
        name: _WORDED[name](value) if name in _WORDED else value for name, value in values.items()
    }
    said = str(SENTENCES[code]) % shown
    if "read_for" not in values or "home" in values:  # or it is named already
        return said
    return gettext("%(sentence)s (Country of the file: %(country)s.)") % {
        "sentence": said,
        "country": countries.name(values["read_for"]),
    }


def evidence(written: str) -> str:
    """What an opt-out is known by, in the reader's language."""
    for pattern, words in EVIDENCE.items():
        if found := re.fullmatch(pattern, written):
            return str(words) % found.groupdict()
    return written
