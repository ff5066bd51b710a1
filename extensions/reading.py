"""Reads what providers write, whatever it turns out to be: nothing here raises for an unexpected value, but
`amount` where there is none. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from datetime import datetime
from typing import Any

from extensions.contract import ApiResponse, Unclear, http_date
from intake.sentences import said as _

# An emoji may be several characters: flags, and what is joined or followed by a tone of skin.
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_JOINED = "\\S\ufe0f?\u200d"
_SUFFIX = "[\U0001f3fb-\U0001f3ff\ufe0f\U000e0020-\U000e007f]|\u200d."
_ASTRAL = re.compile(f"{_FLAG}|(?:{_JOINED})*[\U00010000-\U0010ffff\ud800-\udfff](?:{_SUFFIX})*")


def object_of(response: ApiResponse) -> dict[str, Any]:
    """The answer's JSON object, {} if it is anything else."""
    try:
        return response.object()
    except Unclear:
        return {}


def mapping(value: object) -> dict[str, Any]:
    """An object, {} for anything else."""
    return value if isinstance(value, dict) else {}


def within(value: object, *names: str) -> Any:
    """The value at this place of nested objects, None if there is no such place."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: object) -> str:
    """Text as it is, "" for anything else."""
    return value if isinstance(value, str) else ""


def word(value: object) -> str:
    """Text, or a whole number where text is expected; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def plain(value: object) -> str:
    """A scalar as text, "" for anything else; "0" and 0 are the same. Halves of characters become "?"."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """A whole number of up to nine digits, also where it comes as text; None for anything else."""
    found = word(value)
    return int(found) if re.fullmatch("[0-9]{1,9}", found) else None


def listed(value: object) -> list[Any]:
    """A list, [] for anything else."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects in a list; what is none is left out."""
    return [one for one in listed(value) if isinstance(one, dict)]


def finite(value: object) -> float | None:
    """A number, also where it comes as text; None for anything else, and for one that is too large to count with."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    return found if math.isfinite(found) else None


def amount(value: object) -> float:
    """A sum of money, as a number or in words. Raises Unclear."""
    found = finite(value)
    if found is None:
        raise Unclear(_("an answer without a balance"))
    return found


def digits_of(value: object) -> str:
    """A number without its plus, as most forms take it."""
    return text(value).removeprefix("+")


def moment(value: object) -> datetime | None:
    """A date as mail and HTTP write it (RFC 2822), None if it is none."""
    try:
        return http_date(text(value))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def utf8(said: str) -> bytes:
    """The bytes of a text that may hold halves of characters, so that no two texts have the same."""
    return said.encode("utf-8", "surrogatepass")


def digest(said: str) -> str:
    return hashlib.sha256(utf8(said)).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets or signatures are equal; how long it takes does not tell how much of them is."""
    return hmac.compare_digest(utf8(one), utf8(other))


def without_astral(said: str) -> str:
    """The text with one question mark for each emoji and other character outside the Basic Multilingual Plane."""
    return _ASTRAL.sub("?", said)
