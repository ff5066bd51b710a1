"""From rows of cells to people: which column is which, and what is wrong with a cell. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from contacts import numbers, wording
from contacts.columns import BY_NAME, COLUMNS, OPTED_OUT, OPTED_OUT_AT, PHONE, bare
from contacts.exports import unsafe_cell
from contacts.importing import limits
from contacts.importing.limits import UnreadableFile
from contacts.importing.texts import SEEN
from contacts.matching import Values
from intake import figures

OWN, LEFT_OUT = "", "-"  # what becomes of a column that is none of ours

_LIMITS = {column.attribute: column.limit for column in COLUMNS}
_CONTROL = {code: " " if code in (9, 10, 11, 12, 13, 0x85) else None for code in (*range(32), *range(127, 160))}
_CONTROL |= dict.fromkeys((0x200B, 0x2060, 0xFEFF))  # of no width: they come along with what is copied from a page
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d")


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
    """A column of the file and what becomes of it: `attribute` of the contact, or a field of that name if empty.

    `target` is the name of a column of ours, OWN or LEFT_OUT.
    """

    index: int
    heading: str
    target: str

    @property
    def attribute(self) -> str:
        if self.target == OPTED_OUT:
            return OPTED_OUT_AT
        return BY_NAME[self.target].attribute if self.target in BY_NAME else ""


def plain(cell: str) -> str:
    """What a person sees in a cell, without the mark that our exports put before formulas."""
    if cell.isprintable() and "'" not in cell and cell[:1] != " " and cell[-1:] != " ":
        return cell  # nothing of what follows would change it
    return unsafe_cell(cell.strip()).translate(_CONTROL).strip()


def is_blank(cells: Sequence[str]) -> bool:
    return not any(map(SEEN.search, cells))


# --- headings ---------------------------------------------------------------------------------------------------------


def headings_of(cells: Sequence[str]) -> list[str]:
    """The names of the columns: those of the first row, made different, and numbers where there is none.

    Raises UnreadableFile where the row is not a row of headings.
    """
    if len(cells) > limits.MAX_COLUMNS:
        raise UnreadableFile(
            _("The file has %(count)s columns; at most %(limit)s are allowed. Empty ones count too: delete them.")
            % {"count": figures.whole(len(cells)), "limit": limits.MAX_COLUMNS}
        )
    named = [" ".join(plain(cell).split()) for cell in cells]
    if not any(named):
        raise UnreadableFile(
            _("The first row has no headings such as %(first)s, %(second)s and %(phone)s.")
            % {"first": COLUMNS[0].name, "second": COLUMNS[1].name, "phone": PHONE.name}
        )
    too_long = next((heading for heading in named if len(heading) > limits.MAX_NAME), None)
    if too_long:
        raise UnreadableFile(
            _("The heading “%(heading)s…” is longer than %(limit)s characters.")
            % {"heading": too_long[:40], "limit": limits.MAX_NAME}
        )
    taken: set[str] = {heading.casefold() for heading in named}
    seen: set[str] = set()
    found = []
    for number, heading in enumerate(named, 1):
        wanted = heading or _("Column %(number)s") % {"number": number}
        name, copy = wanted, 1
        while name.casefold() in seen or (name != heading and name.casefold() in taken):
            copy += 1
            name = f"{wanted[: limits.MAX_NAME - 8]} ({copy})"
        seen.add(name.casefold())
        found.append(name)
    return found


def recognised(headings: Sequence[str], remembered: Mapping[str, str], ours: Sequence[str] = ()) -> list[str]:
    """What becomes of each column, as far as that can be told from its heading: never the same column of ours twice.

    `remembered` (heading → target) is what somebody chose for this list before; what was chosen holds. `ours` are the
    headings that a file given back has besides: nobody's data. A heading that is exactly ours wins over other words for
    it; where two could be meant, none is taken.
    """
    targets = [LEFT_OUT if heading in ours else OWN for heading in headings]
    given: set[str] = set()
    free = set(range(len(headings)))
    for index, heading in enumerate(headings):
        target = remembered.get(heading)
        if target is not None and target not in given and (target in (OWN, LEFT_OUT, OPTED_OUT) or target in BY_NAME):
            targets[index] = target
            free.discard(index)
            if target not in (OWN, LEFT_OUT):
                given.add(target)
    bares = {index: bare(headings[index]) for index in free}
    for column in COLUMNS:
        if column.name in given:
            continue
        exact = [index for index, word in bares.items() if word == column.name.casefold()]
        similar = exact or [index for index, word in bares.items() if word in column.others]
        if len(similar) == 1 or (exact and similar):
            targets[similar[0]] = column.name
    for index in free:
        if headings[index] == OPTED_OUT and OPTED_OUT not in given:
            targets[index] = OPTED_OUT
    return targets


def columns_of(headings: Sequence[str], targets: Sequence[str]) -> list[Column]:
    return [
        Column(index, heading, target)
        for index, (heading, target) in enumerate(zip(headings, targets, strict=True))
        if target != LEFT_OUT
    ]


def flaw_of(targets: Sequence[str]) -> str:
    """What is wrong with what somebody chose, "" if nothing: each column of ours comes from one column of the file."""
    counted = Counter(target for target in targets if target not in (OWN, LEFT_OUT))
    for target, count in counted.items():
        if count > 1:
            return _("Two columns are read as %(name)s. Choose the right one, and something else for the other.") % {
                "name": target
            }
    if PHONE.name not in counted:
        return _("Which column holds the phone numbers? Choose “%(phone)s” above it.") % {"phone": capfirst(_("phone"))}
    return ""


# --- cells ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reader:
    """Reads rows; `problems` and `doubts` are those of the rows so far, until somebody takes them."""

    columns: list[Column]
    width: int  # of the headings
    delimiter: str
    region: str
    with_country_code: bool = False
    problems: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)  # worth a look, but no reason to refuse the row
    foreign: int = 0  # numbers that begin with another country's code
    _places: list[tuple[Column, int, str, int]] = field(init=False)  # with index, attribute and limit

    def __post_init__(self) -> None:
        limited = [(column, _LIMITS.get(column.attribute, limits.MAX_VALUE)) for column in self.columns]
        self._places = [(column, column.index, column.attribute, limit) for column, limit in limited]

    def read(self, row: int, cells: Sequence[str]) -> Values | None:
        """What a row says about somebody; None if something is wrong with it."""
        before = len(self.problems)
        values = self._values(row, cells)
        return values if len(self.problems) == before else None

    def _values(self, row: int, cells: Sequence[str]) -> Values:
        if len(cells) > self.width and not is_blank(cells[self.width :]):
            counted = {"cells": len(cells), "headings": self.width, "delimiter": self.delimiter}
            self.problems.append(Problem(row, "", "too_many_cells", counted))
        values: Values = {}
        fields: dict[str, str] = {}
        for column, index, attribute, limit in self._places:
            raw = cells[index] if index < len(cells) else ""
            value = plain(raw) if raw else ""
            if not value:
                continue
            if len(value) > limit:
                self.problems.append(Problem(row, column.heading, "too_long", {"length": len(value), "limit": limit}))
            elif attribute == PHONE.attribute:
                if phone := self._phone(row, column, value):
                    values[PHONE.attribute] = phone
            elif not attribute or (attribute == OPTED_OUT_AT and not moment(value)):
                fields[column.heading] = value
            else:
                values[attribute] = value
        if fields:
            values["fields"] = fields
        return values

    def _phone(self, row: int, column: Column, value: str) -> str:
        try:
            number = numbers.read(value, self.region, with_country_code=self.with_country_code)
        except numbers.InvalidNumber as error:
            self.foreign += isinstance(error, numbers.ForeignNumber)
            said = {**error.values, "read_for": self.region}
            self.problems.append(Problem(row, column.heading, error.code, said))
            return ""
        if not number.is_assigned or number.is_landline:
            code = "landline" if number.is_assigned else "not_in_use"
            self.doubts.append(Problem(row, column.heading, code, {"phone": number.e164}))
        return number.e164


def moment(text: str) -> datetime | None:
    """A date and time as our exports write it."""
    if not _MOMENT.match(text):
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found and timezone.is_aware(found) else None
