"""Numbers and sender IDs, for the providers that take a number as digits alone and a sender ID of 11 characters."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from intake.pasted import plain_letters

Text = str | Promise  # a translatable sentence


class SenderKind(enum.StrEnum):
    """What the sender field holds."""

    NUMBER = "number"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    SERVICE = "service"  # a messaging service that picks the number itself


PLAIN_KINDS = (SenderKind.NUMBER, SenderKind.SHORT_CODE, SenderKind.ALPHANUMERIC)  # of a provider without services
SHORT_CODE_LENGTHS = range(3, 8)
NUMBER_LENGTHS = range(8, 16)  # E.164, country code included
ALPHANUMERIC_LENGTH = 11

_PUNCTUATION = re.compile(r"[\s().\-/]")  # how people write numbers


@dataclass(frozen=True, slots=True)
class Rules:
    """What a provider takes as a sender, and the sentences about what it does not take.

    `plus` says that a number may be written with its plus; `allowed` are the characters of a sender ID.
    """

    national: Text
    length: Text
    format: Text
    neither: Text
    alphanumeric: Text
    short_codes: range = SHORT_CODE_LENGTHS
    numbers: range = NUMBER_LENGTHS
    plus: bool = False
    allowed: str = "A-Za-z0-9"


USUAL = Rules(
    national=_("Begin with the country code instead of 0 or a trunk prefix, for example 35312345678."),
    length=_("%(value)s has %(count)d digits: a number has 8 to 15 with its country code, a short code 3 to 7."),
    format=_("Enter the number without +, 00, spaces or other signs: %(suggestion)s"),
    neither=_(
        "Enter a number with its country code, for example 35312345678, or a sender ID of up to 11 letters (A–Z) and "
        "digits, for example MyClinic."
    ),
    alphanumeric=_("A sender ID has at most 11 letters (A–Z) and digits and no spaces, for example: %(suggestion)s"),
)


def plain_sender(value: str, rules: Rules = USUAL) -> tuple[str, SenderKind]:
    """The sender as it is sent, and its kind. Raises ValidationError that offers the corrected value."""
    value = value.strip()
    compact = _PUNCTUATION.sub("", value)
    if re.fullmatch(r"\+*[0-9]+", compact):
        return _number(value, compact, rules)
    return _alphanumeric(value, rules)


def _refusal(sentence: Text, code: str, **params: object) -> ValidationError:
    return ValidationError(str(sentence), code, params)


def _number(value: str, compact: str, rules: Rules) -> tuple[str, SenderKind]:
    digits = compact.lstrip("+").removeprefix("00")
    if digits.startswith("0") or not digits:
        raise _refusal(rules.national, "national")
    kind = SenderKind.SHORT_CODE if len(digits) in rules.short_codes else SenderKind.NUMBER
    if kind is SenderKind.NUMBER and len(digits) not in rules.numbers:
        raise _refusal(rules.length, "length", value=digits[:20], count=len(digits))
    if value != digits and not (rules.plus and kind is SenderKind.NUMBER and value == f"+{digits}"):
        raise _refusal(rules.format, "format", suggestion=digits, certain=True)
    return digits, kind


def _alphanumeric(value: str, rules: Rules) -> tuple[str, SenderKind]:
    kept = re.sub(" +", " ", re.sub(f"[^{rules.allowed}]", "", plain_letters(value)))
    suggestion = kept[:ALPHANUMERIC_LENGTH].strip()
    if not re.search("[A-Za-z]", suggestion):
        raise _refusal(rules.neither, "neither")
    if value != suggestion:
        raise _refusal(rules.alphanumeric, "alphanumeric", suggestion=suggestion)
    return value, SenderKind.ALPHANUMERIC


def e164(number: str, *, shortest: int = NUMBER_LENGTHS.start) -> str:
    """A number with its plus, whether or not the provider wrote it; short codes and names stay as they are.

    `shortest` is the least number of digits, country code included, that is not a short code.
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
