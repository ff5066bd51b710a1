"""Public ids: what people and other programs see instead of primary keys."""

from __future__ import annotations

import secrets
import string

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

ALPHABET = string.ascii_letters + string.digits

_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))

validate_organization_id = RegexValidator(
    r"\A[A-Za-z0-9_-]{4,32}\Z", _("Use 4 to 32 letters, digits, hyphens or underscores.")
)


def new_id(prefix: str, length: int = 15) -> str:
    """A random public id such as SMSD_8x3…; 15 characters carry 89 bits."""
    return prefix + "".join(secrets.choice(ALPHABET) for _position in range(length))


def new_ids(prefix: str, count: int, length: int = 15) -> list[str]:
    """As many ids as `new_id` makes one by one, in a fraction of the time."""
    found = b""
    while len(found) < count * length:
        # Bytes from 248 on are left out: each letter is as likely as any other.
        found += secrets.token_bytes(count * (length + 2)).translate(_LETTERS, bytes(range(248, 256)))
    text = found.decode()
    return [prefix + text[start : start + length] for start in range(0, count * length, length)]


def new_organization_id() -> str:
    """Short, since one provider caps a callback URL at 100 characters (R96)."""
    return new_id("ORG_", 10)


def new_user_id() -> str:
    return new_id("UR_")
