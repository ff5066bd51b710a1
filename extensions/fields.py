"""An encrypted JSON column over django-fernet-fields, with the guard that library needs."""

from __future__ import annotations

import json
from typing import Any

import fernet_fields
from django.core.exceptions import FieldError
from django.db.backends.base.base import BaseDatabaseWrapper


class EncryptedJSONField(fernet_fields.EncryptedTextField):
    """One JSON value, encrypted with the newest of FERNET_KEYS and readable with any of them.

    Written by `save()` and `create()` only: `bulk_update()` and `F()` hand the field a piece of SQL, which the library
    would encrypt in place of the value and so destroy the secret without a word.
    """

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if hasattr(value, "as_sql"):
            raise FieldError(
                f"{self.name} is encrypted: save each row on its own; bulk_update() and F() would destroy it."
            )
        return super().get_db_prep_save(None if value is None else json.dumps(value, ensure_ascii=False), connection)

    def from_db_value(self, value: Any, *args: Any) -> Any:
        text = super().from_db_value(value, *args)
        return None if text is None else json.loads(text)

    def value_to_string(self, obj: Any) -> str:
        """dumpdata never writes the secret."""
        return json.dumps(None)
