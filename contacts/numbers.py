"""Phone numbers as people write them, in the one form that is stored: E.164, +4915112345678.

A wrong number is worse than a refused one: it is somebody's. So a number without + or 00 is one of the country it is
read for, or none; no other country is ever guessed from its digits.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberType, ValidationResult
from phonenumbers import timezone as zones

from contacts import usual_numbers, wording

_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?\s*[eE]\s*[+-]?\d+")
_DAY, _MONTH, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_DATE = re.compile(  # of a column beside, or what a spreadsheet made of a number
    rf"{_YEAR}([-./]){_MONTH}\1{_DAY}|{_DAY}([-./]){_MONTH}\2{_YEAR}|{_MONTH}([-./]){_DAY}\3{_YEAR}"
)
_WHOLE = re.compile(r"(\+?\d{6,})[.,]0+")  # a number that a program took for a quantity: 7700900123.0
_PLAIN = re.compile(r"\+?[() -]*[0-9][0-9() -]*")
_LONGEST = 200  # characters; what is longer has more in it than a number, and is not looked at as one
_PUNCTUATION = frozenset("+-./() ")
_QUOTES = " \t'\"’‘`´“”="  # Excel's sign for text, or ="0151 …" in exports of other programs
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


def zones_of(e164: str) -> tuple[str, ...]:
    """The time zones in which a number may be, nothing if that is not known."""
    try:
        found = zones.time_zones_for_geographical_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(zone for zone in found if zone != zones.UNKNOWN_TIMEZONE)


class InvalidNumber(ValueError):
    """Not a phone number: `code` and `values` are what contacts/wording.py says about it, and what would be right.

    `region` is the country for which it was read.
    """

    region = ""

    def __init__(self, code: str, text: str, **values: Any) -> None:
        super().__init__(code)
        self.code, self.values = code, {"text": text.strip()[:40], **values}

    def __str__(self) -> str:
        return wording.sentence(self.code, self.values, region=self.region)


class ForeignNumber(InvalidNumber):
    """No number of the country it was read for, but one of another if its first digits are a country code."""


class Number(NamedTuple):
    """`is_assigned` is False where the length is right but no known range holds the number: perhaps a slip."""

    e164: str
    is_assigned: bool
    is_landline: bool = False


class _Reading(NamedTuple):
    """What a text may mean: a number of a possible length, and of which kind it is (UNKNOWN: in no known range)."""

    number: PhoneNumber
    kind: int

    @property
    def e164(self) -> str:
        return phonenumbers.format_number(self.number, phonenumbers.PhoneNumberFormat.E164)

    @property
    def is_assigned(self) -> bool:
        return self.kind != PhoneNumberType.UNKNOWN

    @property
    def is_mobile(self) -> bool:
        return self.kind in _MOBILE

    @property
    def _sharing(self) -> tuple[str, ...]:
        """The countries with this code."""
        return phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(self.number.country_code or 0, ())

    def is_beside(self, region: str) -> bool:
        """Whether it belongs to another country that shares the code, as Kazakhstan does with Russia."""
        if len(self._sharing) < 2 or self.is_of(region):
            return False
        return phonenumbers.region_code_for_number(self.number) not in (region, None)

    def is_of(self, region: str) -> bool:
        """Whether it is assigned, and in this country, and not in another that shares its code."""
        if not self.is_assigned:
            return False
        return self._sharing == (region,) or phonenumbers.is_valid_number_for_region(self.number, region)


def read(text: str, region: str, *, with_country_code: bool = False) -> Number:
    """The number that `text` means; without a country code it is one of `region`. Raises InvalidNumber.

    Digits that begin with another country's code (14015555555 in Germany) are read as international only if somebody
    has said that they are meant so: `with_country_code`. Those of `region` itself always may have their code.
    """
    try:
        written = _written(text)
        if usual := usual_numbers.read(written, region, with_country_code=with_country_code):
            return Number(usual, is_assigned=True)
        return _read_by_all_rules(text, written, region, with_country_code=with_country_code)
    except InvalidNumber as error:
        error.region = region
        raise


def _read_by_all_rules(text: str, written: str, region: str, *, with_country_code: bool) -> Number:
    if "/" in written and _is_number(written.rpartition("/")[0], region):
        raise InvalidNumber("several", text)
    home = None if written.startswith("+") else _parsed(written, region)
    found = _international(text, written, home)
    if found is None:
        found = _national(text, written, region, home, with_country_code=with_country_code)
    if found.kind == PhoneNumberType.PREMIUM_RATE:
        raise InvalidNumber("premium", text)
    if not found.is_mobile:
        _refuse_twice_the_code(text, written, found)
        _refuse_a_stray_plus(text, written, found, region)
    return Number(found.e164, found.is_assigned, found.kind == PhoneNumberType.FIXED_LINE)


# --- what is written --------------------------------------------------------------------------------------------------


def _written(text: str) -> str:
    """The text with plain digits and punctuation, a plus only at its beginning. Raises InvalidNumber."""
    bare = text.strip().strip(_QUOTES).strip()
    if len(bare) > _LONGEST:
        raise InvalidNumber("several" if sum(map(str.isdigit, bare)) > 15 else "no_number", text)
    if _DATE.fullmatch(bare):
        raise InvalidNumber("date", text)
    if _PLAIN.fullmatch(bare):
        return bare
    if _SCIENTIFIC.fullmatch(bare):
        raise InvalidNumber("shortened", text)
    if whole := _WHOLE.fullmatch(bare):
        bare = whole[1]
    found = "".join(map(_plain, bare)).strip()
    digits = sum(character.isdigit() for character in found)
    if not set(found) <= _PUNCTUATION | set("0123456789"):
        parts = re.split(r"[^\d ()./+-]+", found)
        if sum(sum(map(str.isdigit, part)) >= 5 for part in parts) > 1:
            raise InvalidNumber("several", text)
        raise InvalidNumber("no_number", text)
    head, plus, rest = found.partition("+")
    if not digits or (plus and ("+" in rest or head.strip(" ("))):
        raise InvalidNumber("several" if digits > 15 else "no_number", text)
    return plus + head + rest


def _plain(character: str) -> str:
    """A digit of any script as 0 to 9, any blank as a space, any dash as a hyphen; what is none of these as it is."""
    if character in _PUNCTUATION or "0" <= character <= "9":
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Zs" or character in "\t\r\n":
        return " "
    if category == "Cf":  # directions and joiners that come along when a number is copied from an address book
        return ""
    if category == "Pd" or character == "−":
        return "-"
    return unicodedata.normalize("NFKC", character) if category in ("Po", "Ps", "Pe", "Sm") else character


# --- what it may mean -------------------------------------------------------------------------------------------------


def _parsed(text: str, region: str | None) -> _Reading | None:
    try:
        number = phonenumbers.parse(text, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    found = _Reading(number, phonenumbers.number_type(number))
    return found if len(found.e164) >= 8 else None  # a service number such as 110: nothing to text to


def _only_digits(written: str) -> str:
    return "".join(filter(str.isdigit, written))


def _is_number(written: str, region: str) -> bool:
    """Whether a part of what is written is a number by itself."""
    digits = _only_digits(written)
    found = _parsed("+" + digits.removeprefix("00"), None) if written.startswith(("+", "00")) else None
    found = found or _parsed(written, region)
    return found is not None and found.is_assigned


def _international(text: str, written: str, home: _Reading | None) -> _Reading | None:
    """The number, if it begins with +, with 00, or with what is dialled at home before a country code."""
    digits = _only_digits(written)
    if written.startswith("+"):
        found = _parsed("+" + digits.removeprefix("00"), None)
        if found is None:
            raise InvalidNumber("no_number", text)
        return found
    candidates = [_parsed("+" + digits[2:], None)] if digits.startswith("00") else []
    if home is not None and home.number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        candidates.append(home)
    readings = [found for found in candidates if found is not None]
    return next((found for found in readings if found.is_assigned), readings[-1] if readings else None)


def _national(text: str, written: str, region: str, home: _Reading | None, *, with_country_code: bool) -> _Reading:
    """A number that says nothing about its country. Raises InvalidNumber."""
    if home is not None and home.is_mobile and home.is_of(region) and not with_country_code:
        return home
    digits = _only_digits(written)
    abroad = _parsed("+" + digits, None) if not digits.startswith("0") else None
    found_at_all = [found for found in (home, abroad) if found is not None]
    readings = [found for found in found_at_all if _has_the_code_of(region, found) and not found.is_beside(region)]
    fitting = [found for found in readings if found.is_of(region)]
    mobile = next((found for found in fitting if found.is_mobile), None)
    if with_country_code and abroad is not None and (abroad.is_assigned or mobile is None):
        return abroad
    if mobile is not None:
        return mobile
    foreign = [
        found
        for found in found_at_all
        if found not in readings and (found.is_mobile or (not fitting and (found.is_assigned or found is home)))
    ]
    if foreign:
        countries = {phonenumbers.region_code_for_number(found.number) or "" for found in foreign}
        raise ForeignNumber("foreign", text, home=region, countries=sorted(countries), number=foreign[0].e164)
    if not readings:
        raise InvalidNumber("no_number", text)
    return (fitting or readings)[0]


def _has_the_code_of(region: str, found: _Reading) -> bool:
    return bool(found.number.country_code == phonenumbers.country_code_for_region(region))


def _refuse_twice_the_code(text: str, written: str, found: _Reading) -> None:
    """+49 49 151 …: a code was put before a number that had it. (0491 … is a number in Leer.)"""
    national = phonenumbers.national_significant_number(found.number).lstrip("0")
    has_trunk_zero = re.match(r"[( ]*0[^0]", written) is not None
    if has_trunk_zero or not national.startswith(str(found.number.country_code)):
        return
    once = _parsed("+" + national, None)
    if once is not None and once.is_mobile:
        raise InvalidNumber("code_twice", text, number=once.e164)


def _refuse_a_stray_plus(text: str, written: str, found: _Reading, region: str) -> None:
    """+151 …: in no known range there, but at home a number without the plus."""
    if not written.startswith("+") or found.is_assigned or _has_the_code_of(region, found):
        return
    home = _parsed(_only_digits(written), region)
    if home is not None and home.is_mobile and home.is_of(region):
        raise InvalidNumber("stray_plus", text, number=home.e164)
