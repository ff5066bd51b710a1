"""Columns of more than one app."""

from __future__ import annotations

from typing import Any

from django.db import models

from intake.sentences import stored, stored_within, worded


class ShortSentenceField(models.CharField):
    """As SentenceField, in a column with an end: of a sentence that is too long the words of others in it are cut."""

    def deconstruct(self) -> Any:
        """To the schema it is the column that it was, so that an upgrade alters no table."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return None if value is None else worded(value)

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return stored_within(prepared, self.max_length or 255) if isinstance(prepared, str) else prepared


class SentenceField(models.TextField):
    """A sentence of ours that is shown later, in the language of whoever reads it (intake/sentences.py).

    What an older version wrote, and what strangers say, is shown as it is.
    """

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return None if value is None else worded(value)

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return stored(prepared) if isinstance(prepared, str) else prepared
