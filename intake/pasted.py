"""What people paste into a field for one value, and the value that they mean.

A whole line of a file or of a console, quotation marks, an address, characters that nobody sees. Nothing is guessed
here: candidates are offered in an order, and whoever knows what would be right takes the first that is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»", "»": "«", "‘": "’", "‚": "‘", "`": "`", "<": ">", "[": "]"}
_LABEL = re.compile(
    r"(?:(?:export|set|const|let|var)\s+)?['\"`]?(?P<label>[^\W\d_][\w .()/\-]{0,48}?)['\"`]?\s*"
    r"(?:=>|:=|[:=\t\n])\s*(?=\S)(?!//)"
)
_SCHEME = re.compile(r"[A-Za-z]{2,16}\s+(?=\S+\Z)")  # one word before the value, as in “Bearer 0f1e…”
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－"), "-")
_UNSEEN = frozenset({"Cf", "Cc"})
MOST_LAYERS = 6


def seen(text: str) -> str:
    """The text without what nobody sees: no characters of no width, every kind of space a plain one, none around it.

    Lines and columns stay apart: a key has several lines, and what is copied from a table has a label before its tab.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n").split("\n")
    return "\n".join(_seen(line) for line in lines).strip()


def _seen(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    plain = (" " if unicodedata.category(c) == "Zs" else c for c in line)
    return "".join(c for c in plain if c == "\t" or unicodedata.category(c) not in _UNSEEN)


def typed_as_ascii(text: str) -> str:
    """Digits of any script, wide letters and dashes of every length as they are on a keyboard."""
    wide = "".join(c if c.isascii() else unicodedata.normalize("NFKC", c) for c in text.translate(_DASHES))
    return "".join(str(unicodedata.decimal(c)) if not c.isascii() and c.isdecimal() else c for c in wide)


def candidates(text: str) -> Iterator[str]:
    """What may be meant: the text as it is seen, then layer by layer without what stands around a value."""
    found = seen(text)
    yield found
    for _layer in range(MOST_LAYERS):
        inner = _inner(found)
        if inner == found or not inner:
            return
        found = inner
        yield found


def _inner(text: str) -> str:
    """One layer less: a closing comma, quotation marks, a label, the name of a scheme; the same if there is none."""
    bare = unquoted(text.rstrip(",;"))
    if bare != text:
        return bare.strip()
    if label := _LABEL.match(text):
        return text[label.end() :].strip()
    return text[match.end() :].strip() if (match := _SCHEME.match(text)) else text


def unquoted(text: str) -> str:
    """Without one pair of quotation marks or brackets around it."""
    closing = _QUOTES.get(text[:1])
    is_quoted = len(text) > 2 and closing is not None and text.endswith(closing) and closing not in text[1:-1]
    return text[1:-1].strip() if is_quoted else text


def labelled(text: str, names: tuple[str, ...]) -> str:
    """What follows one of these names, with or without a colon after it; the same text where it begins with none.

    Before a colon also with something in front of the name, as in ACME_AUTH_TOKEN for “Auth Token”.
    """
    known = [letters for letters in map(_letters, names) if letters]
    if match := _LABEL.match(text):
        label = _letters(match["label"])
        return text[match.end() :].strip() if any(label.endswith(name) for name in known) else text
    gaps = islice(re.finditer(r"\s+", text), MOST_LAYERS)
    ends = [gap.end() for gap in gaps if _letters(text[: gap.end()]) in known]
    return text[ends[-1] :].strip() if ends else text


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


_LETTERS = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ŋ": "n", "Ŋ": "N", "ħ": "h", "Ħ": "H",
    "ŧ": "t", "Ŧ": "T", "ĸ": "k", "ə": "e", "Ə": "E",
}  # fmt: skip


def plain_letters(text: str) -> str:
    """Latin letters without their marks, as they are written where there are none: Café Müller -> Cafe Muller."""
    kept = "".join(_LETTERS.get(c, c) for c in unicodedata.normalize("NFC", text))
    return "".join(c for c in unicodedata.normalize("NFKD", kept) if not unicodedata.combining(c))
