"""Numbers and sender IDs, for the providers that take a number as digits alone and a sender ID of 11 characters."""

from __future__ import annotations

import enum
import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _


class SenderKind(enum.StrEnum):
    """What the sender field holds."""

    NUMBER = "number"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    SERVICE = "service"  # a messaging service that picks the number itself


SHORT_CODE_LENGTHS = range(3, 8)
NUMBER_LENGTHS = range(8, 16)  # E.164, country code included
ALPHANUMERIC_LENGTH = 11

_PUNCTUATION = re.compile(r"[\s().\-/]")  # how people write numbers


def plain_sender(value: str) -> tuple[str, SenderKind]:
    """The sender as it is sent, and its kind. Raises ValidationError that offers the corrected value."""
    value = value.strip()
    compact = _PUNCTUATION.sub("", value)
    if re.fullmatch(r"\+*[0-9]+", compact):
        return _number(value, compact)
    return _alphanumeric(value)


def _number(value: str, compact: str) -> tuple[str, SenderKind]:
    digits = compact.lstrip("+").removeprefix("00")
    if digits.startswith("0") or not digits:
        raise ValidationError(
            _("Begin with the country code instead of 0 or a trunk prefix, for example 35312345678."), "national"
        )
    if len(digits) not in NUMBER_LENGTHS and len(digits) not in SHORT_CODE_LENGTHS:
        raise ValidationError(
            _("%(value)s has %(count)d digits: a number has 8 to 15 with its country code, a short code 3 to 7."),
            "length",
            {"value": digits[:20], "count": len(digits)},
        )
    if value != digits:
        raise ValidationError(
            _("Enter the number without +, 00, spaces or other signs: %(suggestion)s"), "format", {"suggestion": digits}
        )
    return digits, SenderKind.SHORT_CODE if len(digits) in SHORT_CODE_LENGTHS else SenderKind.NUMBER


def _alphanumeric(value: str) -> tuple[str, SenderKind]:
    suggestion = re.sub(r"[^A-Za-z0-9]", "", value)[:ALPHANUMERIC_LENGTH]
    if not re.search("[A-Za-z]", suggestion):
        raise ValidationError(
            _(
                "Enter a number with its country code, for example 35312345678, or a sender ID of up to 11 letters "
                "(A–Z) and digits, for example MyClinic."
            ),
            "neither",
        )
    if value != suggestion:
        raise ValidationError(
            _("A sender ID has at most 11 letters (A–Z) and digits and no spaces, for example: %(suggestion)s"),
            "alphanumeric",
            {"suggestion": suggestion},
        )
    return value, SenderKind.ALPHANUMERIC


def e164(number: str, *, shortest: int = NUMBER_LENGTHS.start) -> str:
    """A number with its plus, whether or not the provider wrote it; short codes and names stay as they are.

    `shortest` is the least number of digits, country code included, that is no short code.
    """
    number = number.strip()
    digits = number.removeprefix("+")
    return f"+{digits}" if re.fullmatch("[1-9][0-9]{6,14}", digits) and len(digits) >= shortest else number


def spellings(sender: str) -> tuple[str, ...]:
    """A number of ours as accounts may hold it: some providers want a plus. A name has one spelling."""
    digits = sender.strip().removeprefix("+")
    return (digits, f"+{digits}") if re.fullmatch("[0-9]+", digits) else (sender,)


def is_number(sender: str) -> bool:
    """Whether this is a person's number in E.164: from whatever else a text comes, it is nobody whom we text.

    Not a short code, a name or nothing, and not "whatsapp:+44…": who writes through another channel answers no SMS.
    """
    return re.fullmatch(r"\+[1-9][0-9]{6,14}", sender) is not None
