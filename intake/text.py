"""Text that a database can hold, and ids that fit into their columns."""

from __future__ import annotations

import hashlib

_DIGEST = 32  # characters of SHA-256, in hexadecimal: 128 bits


def is_storable(text: str) -> bool:
    """Whether any database can hold the text: no NUL, and no half of a surrogate pair, as JSON lets through."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """The text as a database can hold it: without NUL, pairs of surrogates joined, single ones replaced by U+FFFD.

    Everything else stays as it was written.
    """
    if is_storable(text):
        return text
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fitted(text: str, length: int) -> str:
    """The text storable, and cut off after `length` characters."""
    return storable(text[: length + text.count("\0")] if len(text) > length else text)[:length]


def fitted_id(text: str, length: int) -> str:
    """An id storable in `length` characters, at least 40: two that differ still do, a longer one ends in its digest."""
    kept = storable(text)
    if len(kept) <= length:
        return kept
    digest = hashlib.sha256(kept.encode()).hexdigest()[:_DIGEST]
    return f"{kept[: length - _DIGEST - 1]}~{digest}"
