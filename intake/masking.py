"""Shortens phone numbers where they are shown or logged: enough is left to recognise one, too little to call it."""

from __future__ import annotations

import re

from intake.sentences import Sentence

# What has as many digits as a phone number and is none stays readable.
_DATE = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"\d{1,3}:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_READABLE = "|".join(
    (
        rf"(?<!\d){_DATE}(?:[T ]{_TIME}(?:Z|[+-]\d\d:?\d\d)?(?!\d)|(?![-\d]))",
        rf"(?<!\d){_TIME}(?!\d)",
        rf"(?<![\d.]){_OCTET}(?:\.{_OCTET}){{3}}(?:[:/]\d{{1,5}})?(?!\.?\d)",  # an IPv4 address, its port or prefix
        r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])",  # a UUID
        r"\b(?:ACC|CG|CID|ORG|R|SMSD|SV|UR)_(?=\d*[A-Za-z])[A-Za-z0-9]{10,15}\b",  # organizations/ids.py
        r"(?i:\bp?pid|\bprocess|\bcallback)[\s:='\"]{1,3}\d{1,8}\b",
        r"(?<![\d.,])\d{1,6}(?:\.\d+)? ?(?:s|ms|µs|us|ns|seconds?|milliseconds?)\b",
    )
)
# Between the groups of a number: blanks, hyphens and brackets, as they are or as repr() and URLs write them.
_BETWEEN = (
    r"(?:[^\S\r\n]|[-()\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069]"
    r"|\\xa0|\\xad|\\u20[0-6][0-9a-f]|%20|%2D|%C2%A0)"
)
_NUMBER = rf"\+?\d(?:(?:[./]|{_BETWEEN}{{0,3}}(?!{_DATE}[T ]))\d){{6,}}"
_MASKED = re.compile(f"(?P<readable>{_READABLE})|{_NUMBER}")
_DECIMAL = re.compile(r"\d+[./]\d+")

# Digits.
SHORTEST = 7  # of a number, country code included
ALONE = 9  # so many in one group are a number, whatever stands beside them


def mask_number(number: str) -> str:
    """+447700900123 -> +44•••0123: enough to recognise, too little to call."""
    digits = number.lstrip("+")
    if len(digits) < SHORTEST:
        return number
    return f"{'+' if number.startswith('+') else ''}{digits[:2]}•••{digits[-4:]}"


def mask_numbers(text: str) -> str:
    """`text` with everything masked that looks like a phone number, however it is written."""
    return _MASKED.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    written = found.group()
    if found["readable"] is not None:
        return written
    groups = re.findall(r"\d+", written)
    if max(map(len, groups)) >= ALONE or _DECIMAL.fullmatch(written):
        return re.sub(
            rf"\d{{{SHORTEST},}}", lambda group: _shortened(group.group(), group.end() == len(written)), written
        )
    return ("+" if written.startswith("+") else "") + _shortened("".join(groups), ends=True)


def _shortened(digits: str, ends: bool) -> str:
    """Less is left of a number with few digits, so that it cannot be guessed; the end only where no digits follow."""
    first, last = (2, 4) if len(digits) > ALONE else (0, 3)
    return f"{digits[:first]}•••{digits[-last:] if ends else ''}"


def mask_words(words: str) -> str:
    """What a provider said, without numbers; a sentence of ours, in which it may be quoted, stays one."""
    if not isinstance(words, Sentence):
        return mask_numbers(words)
    values = words.parts.get("values")
    if values is None:
        return words
    shown = {name: mask_numbers(value) if isinstance(value, str) else value for name, value in values.items()}
    return Sentence.of({**words.parts, "values": shown})
