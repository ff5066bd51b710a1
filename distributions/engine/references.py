"""Ids of ours that travel: with a message to the provider, and in the links people open.

Each is the message's key in base 62 followed by a few characters that only this installation can compute, so that a
report or a link finds its row without an index, and a made-up one finds nothing.

After a restore a database gives out keys anew that others have in their phones. So an *epoch* begins: from its first
key on the characters are computed with a salt of its own, and what was made before proves nothing for those keys.
"""

from __future__ import annotations

import hashlib
import hmac
import string
import time
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import request_started
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.signals import post_save

from distributions.models import Epoch

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_REFERENCE_CHARACTERS = 6  # tells our references from others'; the provider's signature does the proving
_LINK_CHARACTERS = 11  # 65 bits: nobody guesses a personal link
EPOCHS_KEPT = 1.0  # seconds; after_restore waits longer before a key of the new epoch is used


class _Epochs(NamedTuple):
    """`first_id` and salt of each, newest first."""

    read_at: float = -EPOCHS_KEPT
    found: tuple[tuple[int, str], ...] = ()


_epochs = _Epochs()

# A message's salt, to be read with it: annotate(salt=SALT).
_own_epoch = Epoch.objects.filter(first_id__lte=OuterRef("pk")).order_by("-first_id", "-pk")
SALT = Coalesce(Subquery(_own_epoch.values("salt")[:1]), Value(""))


def sql_salt(message_id: str) -> str:
    """The same for a statement in SQL, in which the message's key is called `message_id`."""
    return f"""COALESCE((
        SELECT e.salt FROM distributions_epoch e WHERE e.first_id <= {message_id}
        ORDER BY e.first_id DESC, e.id DESC LIMIT 1
    ), '')"""  # noqa: S608


def forget_epochs(**_signal: Any) -> None:
    """Read the epochs anew at the next use: for a new request, and once one has begun."""
    global _epochs
    _epochs = _Epochs()


request_started.connect(forget_epochs)
post_save.connect(forget_epochs, sender=Epoch)


def _all_epochs() -> tuple[tuple[int, str], ...]:
    global _epochs
    now, epochs = time.monotonic(), _epochs
    if now > epochs.read_at + EPOCHS_KEPT:
        found = Epoch.objects.order_by("-first_id", "-pk").values_list("first_id", "salt")
        epochs = _epochs = _Epochs(now, tuple(found))
    return epochs.found


def link_length(message_id: int) -> int:
    """How many characters a person's own part of a link has for this key."""
    return len(_base62(message_id)) + _LINK_CHARACTERS


def _salt(number: int) -> str:
    """The salt of this key's epoch; "" in the first."""
    return next((salt for first_id, salt in _all_epochs() if first_id <= number), "")


@cache
def _keys(purpose: str, salt: str, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    purpose = f"{purpose}\0{salt}" if salt else purpose
    return tuple(hashlib.sha256(f"{purpose}\0{secret}".encode()).digest() for secret in secrets)


def _current_keys(purpose: str, number: int, salt: str | None = None) -> tuple[bytes, ...]:
    salt = _salt(number) if salt is None else salt
    return _keys(purpose, salt, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, remainder = divmod(number, 62)
        digits = ALPHABET[remainder] + digits
    return digits or "0"


def _proof(key: bytes, number: int, length: int) -> str:
    # Not hmac.digest: it gives the interpreter's lock away even for so few bytes, and gets it back when others let go.
    value = int.from_bytes(hmac.new(key, b"%d" % number, "sha256").digest()[:16], "big") % 62**length  # small is fast
    characters = []
    for _position in range(length):
        value, remainder = divmod(value, 62)
        characters.append(ALPHABET[remainder])
    return "".join(characters)


def _make(purpose: str, number: int, length: int, salt: str | None = None) -> str:
    return _base62(number) + _proof(_current_keys(purpose, number, salt)[0], number, length)


def _read(purpose: str, token: str, length: int) -> int | None:
    head, proof = token[:-length], token[-length:]
    if not 0 < len(head) <= 11 or any(character not in _VALUE for character in token):
        return None
    number = 0
    for character in head:
        number = number * 62 + _VALUE[character]
    if number >= 2**63:
        return None
    proven = [hmac.compare_digest(_proof(key, number, length), proof) for key in _current_keys(purpose, number)]
    return number if any(proven) else None


def reference(message_id: int, salt: str | None = None) -> str:
    """What goes to the provider with a message and comes back in its reports: at most 17 letters and digits.

    `salt` is that of the message's epoch, where it was read with the message (SALT, sql_salt).
    """
    return _make("reference", message_id, _REFERENCE_CHARACTERS, salt)


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
