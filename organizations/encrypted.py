"""An encrypted JSON column over django-fernet-fields, with the guards that library needs."""

from __future__ import annotations

import json
from typing import Any

import fernet_fields
from cryptography.fernet import InvalidToken
from django.core.exceptions import FieldError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class Unreadable(dict):
    """Stands for a value that none of FERNET_KEYS opens: empty to whoever looks, and never written back.

    Reading one spoils nothing but the row itself: the lists and statements in which the row stands go on.
    """


class SealedField(models.BinaryField):
    """Bytes that whoever writes them has encrypted: nothing can be found in them, and nothing taken out."""


class EncryptedJSONField(fernet_fields.EncryptedTextField):
    """One JSON value, encrypted with the newest of FERNET_KEYS and readable with any of them; else `Unreadable`.

    Written by `save()` and `create()` only: `bulk_update()` and `F()` hand the field a piece of SQL, which the library
    would encrypt in place of the value and so destroy the secret without a word.
    """

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if hasattr(value, "as_sql"):
            raise FieldError(
                f"{self.name} is encrypted: save each row on its own; bulk_update() and F() would destroy it."
            )
        if isinstance(value, Unreadable):
            raise FieldError(f"{self.name} cannot be read with any of FERNET_KEYS: writing it back would destroy it.")
        return super().get_db_prep_save(None if value is None else json.dumps(value, ensure_ascii=False), connection)

    def from_db_value(self, value: Any, *args: Any) -> Any:
        try:
            text = super().from_db_value(value, *args)
        except InvalidToken:
            return Unreadable()
        return None if text is None else json.loads(text)

    def value_to_string(self, obj: Any) -> str:
        """dumpdata never writes the secret."""
        return json.dumps(None)
