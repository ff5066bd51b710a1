"""Phone numbers as people write them, in the one form that is stored: E.164, +4915112345678."""

from __future__ import annotations

import re
from typing import NamedTuple

import phonenumbers
from django.utils.translation import gettext as _
from phonenumbers import ValidationResult

_SCIENTIFIC = re.compile(r"\d[.,]\d+[eE]\+?\d+")


class InvalidNumber(ValueError):
    """Not a phone number; `args[0]` is a sentence that says what would be right."""


class Number(NamedTuple):
    """`is_assigned` is False where the length is right but no known range holds the number: perhaps a slip."""

    e164: str
    is_assigned: bool


def read(text: str, region: str) -> Number:
    """The number that `text` means; without a country code it is one of `region`. Raises InvalidNumber.

    Digits that begin with the region's own country code (14015555555 in the US) are read as international where that
    gives a number.
    """
    text = text.strip()
    if _SCIENTIFIC.fullmatch(text):
        raise InvalidNumber(
            _("“%(text)s” was shortened by a spreadsheet; format the column as text there.") % {"text": text}
        )
    possible: Number | None = None
    # A letter is a slip (O for 0), but phonenumbers would read it as a key of a telephone: somebody else's number.
    for candidate in () if any(map(str.isalpha, text)) else _readings(text, region):
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if number.extension or phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if len(e164) < 8:  # a service number such as 110: possible at home, nothing to text to
            continue
        if phonenumbers.is_valid_number(number):
            return Number(e164, is_assigned=True)
        possible = possible or Number(e164, is_assigned=False)
    if possible is None:
        raise InvalidNumber(
            _("“%(text)s” is not a phone number; write it with the country code, for example +4915112345678.")
            % {"text": text[:40]}
        )
    return possible


def _readings(text: str, region: str) -> list[str]:
    """What the text may stand for, the likeliest first."""
    if text.startswith("+"):
        return [text]
    if text.startswith("00"):
        return ["+" + text[2:], text]
    own_code = str(phonenumbers.country_code_for_region(region))
    if text.startswith("0"):
        return [text]
    if text.startswith(own_code):
        return ["+" + text, text]
    return [text, "+" + text]
