"""How many parts a text has, as the carriers count."""

from __future__ import annotations

from math import ceil

# https://www.etsi.org/deliver/etsi_ts/123000_123099/123038/ (the default alphabet and its extension table)
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€\f")
_ALL_GSM = _GSM | _EXTENSION


def count_ucs2(text: str) -> int:
    """Parts of a text that is sent as Unicode whatever its letters."""
    length = len(text.encode("utf-16-le")) // 2
    return 1 if length <= 70 else ceil(length / 67)


def to_gsm(text: str) -> str:
    """What is left of a text that is sent in the GSM alphabet whatever its letters."""
    return "".join(letter if letter in _ALL_GSM else "?" for letter in text)


def count(text: str) -> int:
    """Parts: 160 septets or 70 UCS-2 units in one, 153 or 67 in each of several; an empty text has one."""
    letters = set(text)
    if letters <= _GSM:
        length, single, several = len(text), 160, 153
    elif letters <= _ALL_GSM:
        length, single, several = len(text) + sum(letter in _EXTENSION for letter in text), 160, 153
    else:
        return count_ucs2(text)
    return 1 if length <= single else ceil(length / several)
