"""Columns of more than one app."""

from __future__ import annotations

from typing import Any

from django.db import models

from intake.sentences import stored, worded


class SentenceField(models.TextField):
    """A sentence of ours that is shown later, in the language of whoever reads it (intake/sentences.py).

    What an older version wrote, and what strangers say, is shown as it is.
    """

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return None if value is None else worded(value)

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return stored(prepared) if isinstance(prepared, str) else prepared
