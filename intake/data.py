"""JSON from strangers, read in time that grows with its size and no faster."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.utils.functional import Promise

from intake.sentences import said_lazy as _

DEEPEST = 50  # lists and objects in each other; no provider and no client needs ten
DIGITS = 4_300  # of a whole number: what Python reads; longer ones take it longer and longer


class NotReadable(ValueError):
    """Not JSON that we read; `reason` is a sentence that says why, without any part of it."""

    def __init__(self, reason: str | Promise) -> None:
        self.reason = str(reason)
        super().__init__(self.reason)


def read_json(data: bytes | str) -> Any:
    """The value of a JSON document. Raises NotReadable.

    Beyond what is not JSON, it refuses what is nested more deeply than DEEPEST, whole numbers of more than DIGITS
    digits and numbers that are none: NaN, Infinity, 1e999. Text in it may hold what no database can: see intake.text.
    """
    try:
        value = json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except NotReadable:
        raise
    except RecursionError as error:
        raise NotReadable(_("The JSON is nested too deeply.")) from error
    except ValueError as error:
        # Of all that json.loads raises, only this is neither about its form nor about its encoding.
        too_long = not isinstance(error, json.JSONDecodeError | UnicodeError)
        reason = _("A number in the JSON is too long.") if too_long else _("The body is not JSON.")
        raise NotReadable(reason) from error
    if _may_be_deep(data) and _is_deep(value):
        raise NotReadable(_("The JSON is nested too deeply."))
    return value


def _no_number(name: str) -> NoReturn:
    raise NotReadable(_("%(name)s is not a number in JSON.") % {"name": name})


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotReadable(_("A number in the JSON is too large."))
    return number


def _may_be_deep(data: bytes | str) -> bool:
    """False if there are too few brackets for it; that is quick, and so for nearly everything that is sent."""
    if isinstance(data, str):
        return data.count("[") + data.count("{") > DEEPEST
    return data.count(b"[") + data.count(b"{") > DEEPEST


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _depth in range(DEEPEST):
        inner = (part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole))
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return False
    return True
