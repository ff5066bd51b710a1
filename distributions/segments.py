"""How many SMS segments a text takes, and which characters make it cost more. GSM 03.38 and 03.40 in plain Python."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

# 3GPP TS 23.038, section 6.2.1: the default alphabet, and the ten characters that take an escape before them.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = "\f^{}\\[~]|€"

GSM_SINGLE, GSM_PART = 160, 153  # septets; a part of a long text gives seven to the header that joins the parts
UCS2_SINGLE, UCS2_PART = 70, 67  # 16-bit units

_ESCAPE = "\x1b"
_EXTENDED = re.compile(f"[{re.escape(EXTENDED)}]")
_OFFENDING = re.compile(f"[^{re.escape(BASIC + EXTENDED)}]")

# What word processors put into texts, and what says the same in the cheaper alphabet.
_PLAIN = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": ",", "‛": "'", "′": "'", "`": "'", "´": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "•": "-",
        "…": "...", "\t": " ", "\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ",
        "\u00ad": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    }
)  # fmt: skip


class Segments(NamedTuple):
    """`units` are septets (GSM-7) or 16-bit units (UCS-2); `offending` force UCS-2, named once each, in order."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int
    offending: tuple[str, ...]


def count(text: str) -> Segments:
    """The segments that `text` takes; an empty text takes none."""
    if _OFFENDING.search(text) is None:
        escaped = _EXTENDED.sub(rf"{_ESCAPE}\g<0>", text) if _EXTENDED.search(text) else text
        units = len(escaped)
        if units <= GSM_SINGLE:
            return Segments("GSM-7", units, min(units, 1), ())
        if units == len(text):
            return Segments("GSM-7", units, -(-units // GSM_PART), ())
        return Segments("GSM-7", units, _parts(escaped, GSM_PART, _ESCAPE, _ESCAPE), ())

    offending = tuple(dict.fromkeys(_OFFENDING.findall(text)))
    encoded = text.encode("utf-16-be", "surrogatepass")
    units = len(encoded) // 2
    if units <= UCS2_SINGLE:
        return Segments("UCS-2", units, 1, offending)
    if units == len(text):
        return Segments("UCS-2", units, -(-units // UCS2_PART), offending)
    # One character per 16-bit unit; only the place of the high surrogates matters here.
    marks = encoded[::2].decode("latin-1")
    return Segments("UCS-2", units, _parts(marks, UCS2_PART, "\xd8", "\xdb"), offending)


def plain(text: str) -> str:
    """The text with typographic quotes, dashes and spaces replaced by those of the cheaper alphabet."""
    return text.translate(_PLAIN)


def _parts(units: str, size: int, first: str, last: str) -> int:
    """How many parts of `size` units; a unit from `first` to `last` opens a pair that no part boundary may split."""
    parts = position = 0
    while position < len(units):
        end = position + size
        if end < len(units) and first <= units[end - 1] <= last:
            end -= 1
        position = end
        parts += 1
    return parts
