"""Ids of ours that travel: with a message to the provider, and in the links people open.

Each is the message's key in base 62 followed by a few characters that only this installation can compute, so that a
report or a link finds its row without an index, and a made-up one finds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import string
from functools import cache

from django.conf import settings

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_REFERENCE_CHARACTERS = 6  # tells our references from others'; the provider's signature does the proving
_LINK_CHARACTERS = 11  # 65 bits: nobody guesses a personal link


@cache
def _keys(purpose: str, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(f"{purpose}\0{secret}".encode()).digest() for secret in secrets)


def _current_keys(purpose: str) -> tuple[bytes, ...]:
    return _keys(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, remainder = divmod(number, 62)
        digits = ALPHABET[remainder] + digits
    return digits or "0"


def _proof(key: bytes, number: int, length: int) -> str:
    value = int.from_bytes(hmac.digest(key, b"%d" % number, "sha256")[:16], "big") % 62**length  # small is fast
    characters = []
    for _position in range(length):
        value, remainder = divmod(value, 62)
        characters.append(ALPHABET[remainder])
    return "".join(characters)


def _make(purpose: str, number: int, length: int) -> str:
    return _base62(number) + _proof(_current_keys(purpose)[0], number, length)


def _read(purpose: str, token: str, length: int) -> int | None:
    head, proof = token[:-length], token[-length:]
    if not 0 < len(head) <= 11 or any(character not in _VALUE for character in token):
        return None
    number = 0
    for character in head:
        number = number * 62 + _VALUE[character]
    if number >= 2**63:
        return None
    proven = [hmac.compare_digest(_proof(key, number, length), proof) for key in _current_keys(purpose)]
    return number if any(proven) else None


def reference(message_id: int) -> str:
    """What goes to the provider with a message and comes back in its reports: at most 17 letters and digits."""
    return _make("reference", message_id, _REFERENCE_CHARACTERS)


def message_id_of_reference(token: str) -> int | None:
    """The message's key, None if the reference is not one of ours."""
    return _read("reference", token, _REFERENCE_CHARACTERS)


def link_token(message_id: int) -> str:
    """The person's own part of the survey link."""
    return _make("link", message_id, _LINK_CHARACTERS)


def message_id_of(token: str) -> int | None:
    """The message's key behind a survey link, None if nobody was sent that link."""
    return _read("link", token, _LINK_CHARACTERS)


def opt_out_token(message_id: int) -> str:
    """The person's own part of the opt-out link."""
    return _make("opt-out", message_id, _LINK_CHARACTERS)


def opt_out_message_id_of(token: str) -> int | None:
    """The message's key behind an opt-out link, None if nobody was sent that link."""
    return _read("opt-out", token, _LINK_CHARACTERS)
