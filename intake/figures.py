"""Numbers as the reader's language writes them, one form each: 12.345, 98,7 %, 0,0075 EUR. Pure.

Templates have the same as filters (`{% load figures %}`); for whole numbers Django's floatformat:"0g" is that form.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django.utils.formats import number_format
from django.utils.translation import gettext as _

MOST_PLACES = 6


def whole(number: float) -> str:
    """A number of things."""
    return str(number_format(Decimal(round(number)), force_grouping=True))


def exact(value: Decimal | float | str) -> str:
    """A number with as many decimals as it has. What is not a number stays as it is."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        return str(value)
    decimals = len(f"{number:f}".partition(".")[2].rstrip("0"))
    return str(number_format(number, decimals, force_grouping=True))


def amount(value: Decimal | float | str, unit: str = "") -> str:
    """Money, or what else a provider counts in, with two decimals or more. What is not a number stays as it is."""
    try:
        exact = Decimal(str(value)).quantize(Decimal(10) ** -MOST_PLACES)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite():
        return f"{value} {unit}".strip()
    decimals = f"{exact:f}".partition(".")[2].rstrip("0").ljust(2, "0")
    return f"{number_format(exact, len(decimals), force_grouping=True)} {unit}".strip()


def percent(share: float, decimals: int = 1) -> str:
    """`share` is of a hundred."""
    return _("%(number)s%%") % {"number": number_format(Decimal(f"{share:.{decimals}f}"), decimals)}
