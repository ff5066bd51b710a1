"""Numbers that somebody has asked to forget: of each only a keyed hash is kept, by which it is known if it comes back.

The key is random, one for each organisation, and stored encrypted: a change of SECRET_KEY does not touch it, a rotation
of FERNET_KEYS takes it along. A hash hides a number from whoever has the database alone. Whoever has FERNET_KEYS as
well can try all numbers there are, so it is a pseudonym and no anonymous datum (docs/privacy.md).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from organizations.encrypted import EncryptedJSONField, Unreadable
from organizations.models import Organization, Owned
from organizations.permissions import MissingRight

_NOT_DIGITS = re.compile(r"\D+")


class KeyUnreadable(MissingRight):
    """Nobody can tell whether a number was forgotten, so none may be entered or texted: FERNET_KEYS lacks a key."""


class ForgottenKey(models.Model):
    """What an organisation's hashes are made with. `key` is {"key": 64 hexadecimal digits}."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="+")
    key = EncryptedJSONField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.organization_id)


class ForgottenNumber(Owned):
    """A number that the organisation has forgotten and must not text, as a keyed hash."""

    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "digest"], name="one_hash_per_forgotten_number")
        ]

    def __str__(self) -> str:
        return self.digest[:8]


def _key(organization_id: int) -> bytes | None:
    """The organisation's key; None if it has never forgotten anybody. Raises KeyUnreadable."""
    stored = ForgottenKey.objects.filter(organization=organization_id).values_list("key", flat=True).first()
    if isinstance(stored, Unreadable):
        raise KeyUnreadable(
            _(
                "It cannot be told which numbers were forgotten, since a key of this installation is missing. Whoever "
                "runs it has to put the former key back into FERNET_KEYS."
            )
        )
    return bytes.fromhex(stored["key"]) if stored else None


def _digest(key: bytes, phone: str) -> str:
    return hmac.new(key, _NOT_DIGITS.sub("", phone).encode(), hashlib.sha256).hexdigest()


def digest(organization_id: int, phone: str) -> str:
    """What stands for `phone` (E.164) where it must not be stored. Makes the organisation's key if it has none."""
    made = {"key": secrets.token_hex(32)}
    ForgottenKey.objects.get_or_create(organization_id=organization_id, defaults={"key": made})
    key = _key(organization_id)
    assert key is not None
    return _digest(key, phone)


def forget(organization_id: int, phone: str) -> None:
    """Remember `phone` (E.164) as a hash."""
    ForgottenNumber.objects.get_or_create(organization_id=organization_id, digest=digest(organization_id, phone))


def anybody(organization_id: int | None) -> bool:
    """Whether the organisation has ever forgotten anybody; of None, whether any organisation has."""
    keys = ForgottenKey.objects.all()
    return (keys if organization_id is None else keys.filter(organization=organization_id)).exists()


def known(organization_id: int, phones: Iterable[str]) -> set[str]:
    """Which of these numbers the organisation has forgotten. Raises KeyUnreadable."""
    key = _key(organization_id)
    if key is None:
        return set()
    digests = {_digest(key, phone): phone for phone in phones if phone}
    rows = ForgottenNumber.objects.filter(organization=organization_id, digest__in=list(digests))
    return {digests[digest] for digest in rows.values_list("digest", flat=True)}


def drop(organization_id: int, phones: Iterable[str]) -> None:
    """No hash is needed of these any more: they are entered again, or their person wants to be texted again."""
    key = _key(organization_id)
    if key is not None:
        digests = [_digest(key, phone) for phone in phones if phone]
        ForgottenNumber.objects.filter(organization=organization_id, digest__in=digests).delete()


# A number as providers write it: E.164 digits, with a plus, two zeros, an escaped plus, or nothing before them.
_NUMBERS = re.compile(r"(?<!\d)(?:00)?([1-9]\d{6,14})(?!\d)")
_ESCAPED = re.compile(r"%(?:2B|20)", re.IGNORECASE)


def mentions(organization_id: int, texts: Mapping[int, str]) -> dict[int, set[str]]:
    """Which of these texts, by key, name forgotten numbers, and which ones, as digits. Two queries for all."""
    key = _key(organization_id)
    if key is None:
        return {}
    found = {place: set(_NUMBERS.findall(_ESCAPED.sub(" ", text))) for place, text in texts.items()}
    theirs = known(organization_id, set().union(*found.values()))
    return {place: numbers & theirs for place, numbers in found.items() if numbers & theirs}
