"""Mobile numbers as nearly everybody writes them, read with one look instead of the library's dozens.

What is read here is exactly what the library says (tests/test_usual_numbers.py compares the two in every country). Each
rule of its own patterns that could lead to anything but a plain mobile number is in the way here: such a text is left
to it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.phonemetadata import PhoneMetadata, PhoneNumberDesc

_BARE = str.maketrans("", "", " ()-")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{6,16})")
_LOCAL = re.compile(r"[0-9]{6,17}")
_NOTHING = re.compile(r"(?!)")


class _Country(NamedTuple):
    """`mobile` matches, for each length, the significant digits of mobile numbers that have one reading only."""

    code: str
    mobile: dict[int, re.Pattern[str]]
    dialled_abroad: re.Pattern[str]
    trunk: re.Pattern[str]  # what is dialled before a number at home
    is_trunk_plain: bool  # it is left out, and nothing else changes with it
    as_it_is: re.Pattern[str]  # numbers that may begin with the country's code without having one


def read(written: str, region: str, *, with_country_code: bool = False) -> str:
    """The number in E.164 if `written` is the usual spelling of a mobile number in `region`; "" leaves it open.

    `written` is digits, blanks, brackets and hyphens, perhaps after a plus.
    """
    digits = written.translate(_BARE)
    if international := _INTERNATIONAL.fullmatch(digits):
        return _with_code(international[1], region)
    country = _country(region)
    if country is None or not _LOCAL.fullmatch(digits) or country.dialled_abroad.match(digits):
        return ""
    if with_country_code:
        return _with_code(digits, region) if digits[0] != "0" else ""
    national = digits
    if digits.startswith(country.code):
        if country.as_it_is.fullmatch(digits):
            return ""
        national = digits[len(country.code) :]
    elif trunk := country.trunk.match(digits):
        if not country.is_trunk_plain:
            return ""
        national = digits[trunk.end() :]
    mobile = country.mobile.get(len(national), _NOTHING)
    return f"+{country.code}{national}" if mobile.match(national) else ""


def _with_code(digits: str, region: str) -> str:
    country = _country(region)
    if country is None or not digits.startswith(country.code):
        country = _country(_main_region(digits[:3]))
        if country is None:
            return ""
    length = len(country.code)
    mobile = country.mobile.get(len(digits) - length, _NOTHING)
    return f"+{digits}" if mobile.match(digits, length) else ""


@cache
def _main_region(digits: str) -> str:
    """The country, or the first of those, whose code these digits begin with: no code is the beginning of another."""
    codes = (int(digits[:length]) for length in range(1, len(digits) + 1))
    return next((COUNTRY_CODE_TO_REGION_CODE[code][0] for code in codes if code in COUNTRY_CODE_TO_REGION_CODE), "")


@cache
def _country(region: str) -> _Country | None:
    metadata = PhoneMetadata.metadata_for_region(region, None) if region else None
    if metadata is None or metadata.country_code is None or metadata.general_desc is None:
        return None
    regions = COUNTRY_CODE_TO_REGION_CODE[metadata.country_code]
    sharing = [found for name in regions if (found := PhoneMetadata.metadata_for_region(name, None)) is not None]
    lengths = sharing[0].general_desc.possible_length if sharing[0].general_desc else ()
    trunk = re.compile(metadata.national_prefix_for_parsing) if metadata.national_prefix_for_parsing else _NOTHING
    return _Country(
        str(metadata.country_code),
        {length: re.compile("".join(_rules(metadata, sharing, length))) for length in lengths if length > 0},
        re.compile(metadata.international_prefix) if metadata.international_prefix else _NOTHING,
        trunk,
        not trunk.groups and not metadata.national_prefix_transform_rule,
        re.compile(metadata.general_desc.national_number_pattern or "(?!)"),
    )


def _rules(metadata: PhoneMetadata, sharing: list[PhoneMetadata], length: int) -> Iterator[str]:
    """What has to hold for a number of this length, each as a look ahead.

    `sharing` are the countries with this code, in the order in which the library asks whose a number is.
    """
    is_mobile = metadata.fixed_line if metadata.same_mobile_and_fixed_line_pattern else metadata.mobile
    yield f"(?!0)(?={_one_of([is_mobile], length)})(?={_one_of([metadata.general_desc], length)})"
    yield f"(?!{_one_of(_asked_before(metadata), length)})"
    for one in {metadata.id: metadata, sharing[0].id: sharing[0]}.values():
        if one.national_prefix_for_parsing:
            yield f"(?!{one.national_prefix_for_parsing})"
    for one in sharing[: sharing.index(metadata)]:
        kinds = [*_asked_before(one), one.fixed_line, one.mobile]
        yield f"(?!{one.leading_digits or _one_of(kinds, length)})"
    if metadata.leading_digits and len(sharing) > 1:
        yield f"(?={metadata.leading_digits})"


def _asked_before(metadata: PhoneMetadata) -> list[PhoneNumberDesc | None]:
    """The kinds that the library asks for before mobile numbers."""
    return [
        *(metadata.premium_rate, metadata.toll_free, metadata.shared_cost, metadata.voip),
        *(metadata.personal_number, metadata.pager, metadata.uan, metadata.voicemail),
    ]


def _one_of(kinds: list[PhoneNumberDesc | None], length: int) -> str:
    """A whole number of this length that is of one of these kinds."""
    patterns = [
        kind.national_number_pattern
        for kind in kinds
        if kind is not None
        and kind.national_number_pattern
        and (not kind.possible_length or length in kind.possible_length)
    ]
    return rf"(?:{'|'.join(patterns)})\Z" if patterns else "(?!)"
