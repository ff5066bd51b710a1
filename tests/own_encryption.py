"""The way out of django-fernet-fields: the same stored format over `cryptography` alone; a test reads both.

Should the library stop working, this becomes organizations/encrypted.py, and no stored value has to be touched.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models

SALT, INFO = b"django-fernet-fields-hkdf-salt", b"django-fernet-fields"


def fernet(keys: Sequence[str]) -> MultiFernet:
    """Encrypts with the first key, opens with any."""
    derive = (HKDF(algorithm=SHA256(), length=32, salt=SALT, info=INFO).derive(key.encode()) for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derive])


class OwnEncryptedJSONField(models.BinaryField):
    """One JSON value; empty where no key opens it."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if hasattr(value, "as_sql"):
            raise FieldError("An expression would be encrypted in place of the value.")
        text = None if value is None else json.dumps(value, ensure_ascii=False)
        sealed = None if text is None else fernet(settings.FERNET_KEYS).encrypt(text.encode())
        return super().get_db_prep_value(sealed, connection, prepared)

    def from_db_value(self, value: Any, *_args: Any) -> Any:
        try:
            return None if value is None else json.loads(fernet(settings.FERNET_KEYS).decrypt(bytes(value)))
        except InvalidToken:
            return {}

    def get_lookup(self, name: str) -> Any:
        return super().get_lookup(name) if name == "isnull" else None
