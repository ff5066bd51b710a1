"""A phone number in every way that people and programs write it. Pure: text in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import phonenumbers

GONE = "•••"  # stands where a number was
ENOUGH = 7  # national digits that name somebody without a country code or a leading zero before them

# What stands between digits: blanks, hyphens, brackets, dots, slashes, as they are or as addresses write them.
_BETWEEN = r"(?:%2[0-9A-Fa-f]|%C2%A0|[^0-9A-Za-z]){0,4}"
_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})$")  # what ends in digits, and is a character
_LONGEST_PREFIX = 40  # characters


def _spread(digits: str) -> str:
    return _BETWEEN.join(digits)


def _goes_on(text: str, place: int) -> bool:
    """Whether digits before this place make what begins there a part of a longer number."""
    before = text[max(0, place - 6) : place]
    return before[-1:].isdigit() and not _ESCAPED.search(before)


@dataclass(frozen=True)
class Shapes:
    """One number, E.164 with a plus: how it is found in texts, and taken out of them."""

    phone: str

    @cached_property
    def country_code(self) -> str:
        return str(phonenumbers.parse(self.phone).country_code)

    @cached_property
    def national(self) -> str:
        """The digits after the country code."""
        return self.phone[1 + len(self.country_code) :]

    @cached_property
    def rough(self) -> str:
        """A regular expression that both databases know: it finds every shape, and may find a little more."""
        return _spread(self.national)

    @cached_property
    def _core(self) -> re.Pattern[str]:
        return re.compile(rf"{_spread(self.national)}(?!\d)")

    @cached_property
    def _prefix(self) -> re.Pattern[str]:
        international = rf"(?:(?:\+|%2[Bb]|\\u002[Bb]|0 ?0){_BETWEEN})?{_spread(self.country_code)}{_BETWEEN}"
        return re.compile(rf"(?:{international}(?:\(?0\)?{_BETWEEN})?|0{_BETWEEN})$")

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the number stands, with what belongs to it before its national digits."""
        for found in self._core.finditer(text):
            start = found.start()
            prefix = self._prefix.search(text, max(0, start - _LONGEST_PREFIX), start)
            begins = [prefix.start()] if prefix else []
            if len(self.national) >= ENOUGH:
                begins.append(start)  # what looks like a prefix may be the end of an escaped character: %20
            if (first := next((place for place in begins if not _goes_on(text, place)), None)) is not None:
                yield first, found.end()

    def without(self, text: str) -> str:
        """`text` with the number taken out; what was nothing but the number becomes empty."""
        parts, last = [], 0
        for start, end in self._places(text):
            parts += [text[last:start], GONE]
            last = end
        if not parts:
            return text
        left = "".join([*parts, text[last:]])
        return "" if left.strip() == GONE else left

    def is_in(self, text: str) -> bool:
        return self.without(text) != text

    def without_in(self, value: Any) -> Any:
        """The same in a value of JSON: in texts, in names and in numbers."""
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, Mapping):
            return {self.without(str(name)) or GONE: self.without_in(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.without_in(one) for one in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and self.is_in(str(value)):
            return None
        return value
