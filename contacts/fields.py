"""The form field of embedded data."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _

from intake.data import NotReadable, read_json
from intake.text import is_storable


class EmbeddedDataField(forms.JSONField):
    """JSON, read within bounds; what no database holds is an error at the field, and the text stays as it was typed."""

    def prepare_value(self, value: Any) -> Any:
        """Nothing where there is nothing, and the letters as they are, one name to a line."""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2) if value else ""

    def to_python(self, value: Any) -> Any:
        if self.disabled or value in self.empty_values or not isinstance(value, str):
            return super().to_python(value)
        try:
            read = read_json(value)
        except NotReadable as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": value}) from error
        if not _is_storable(read):
            raise ValidationError(_("It contains a character that cannot be stored. Remove it and try again."))
        return read

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What is shown again after an error: the very text that was typed, where it is not taken."""
        if isinstance(data, str) and not self.disabled:
            try:
                fit = _is_storable(read_json(data))
            except NotReadable:
                fit = False
            if not fit:
                return InvalidJSONInput(data)
        return super().bound_data(data, initial)


def _is_storable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_storable(name) and _is_storable(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_storable, value))
    return not isinstance(value, str) or is_storable(value)
