"""Two people, or two windows, at the same form: nobody undoes what they have not seen.

The page holds a short digest of each field as it was shown. What has been changed since, and not here, stays as it is
now. What has been changed in both is an error that says what it is now; to save again then replaces it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.text import Truncator
from django.utils.translation import gettext as _

SHOWN = "_shown"  # the hidden field: name:digest, with spaces between


def _plain(value: Any) -> str:
    """The same text for a value from the database and for one that was typed."""
    if isinstance(value, QuerySet | list | tuple | set):
        return ",".join(sorted(map(_plain, value)))
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="minutes")
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True, default=str)
    return "" if value is None else str(value).replace("\r\n", "\n").strip()


def _digest(value: Any) -> str:
    return hashlib.sha256(_plain(value).encode()).hexdigest()[:12]


def _rows(field: forms.ModelChoiceField) -> QuerySet:
    assert field.queryset is not None
    return field.queryset


class Meanwhile(forms.ModelForm):
    """A form about a row that others may change; its page has `<input type="hidden" name="_shown" value=…shown>`."""

    def shown(self) -> str:
        """What the page shows now; after a refusal, what it showed before of all that is not named as changed."""
        if not self.instance.pk:
            return ""
        before = self._shown_before()
        now = {name: _digest(self._stored(name)) for name in self.fields}
        kept = {name: digest for name, digest in before.items() if not self._is_named(name)}
        return " ".join(f"{name}:{digest}" for name, digest in {**now, **kept}.items())

    def clean(self) -> dict[str, Any] | None:
        for name, digest in self._shown_before().items():
            if name in self.cleaned_data and not self.fields[name].disabled:
                self._compare(name, digest)
        return super().clean()

    def _shown_before(self) -> dict[str, str]:
        if not self.is_bound or not self.instance.pk:
            return {}
        pairs = (pair.partition(":") for pair in str(self.data.get(SHOWN) or "").split())
        return {name: digest for name, _colon, digest in pairs if name in self.fields}

    def _stored(self, name: str) -> Any:
        return self.get_initial_for_field(self.fields[name], name)

    def _is_named(self, name: str) -> bool:
        return self.has_error(name, SHOWN)

    def _compare(self, name: str, shown: str) -> None:
        stored, mine = self._stored(name), self.cleaned_data[name]
        if _digest(stored) in (shown, _digest(mine)):
            return
        if _digest(mine) == shown:
            self.cleaned_data[name] = self._as_cleaned(name, stored)
            if name in self.changed_data:
                self.changed_data.remove(name)
            return
        sentence = _("This has been changed meanwhile; it is now: %(value)s. Save again to replace it.")
        self.add_error(name, ValidationError(sentence, code=SHOWN, params={"value": self._worded(name, stored)}))

    def _as_cleaned(self, name: str, stored: Any) -> Any:
        field = self.fields[name]
        if isinstance(field, forms.ModelMultipleChoiceField):
            return _rows(field).filter(pk__in=[row.pk for row in stored])
        if isinstance(field, forms.ModelChoiceField):
            return _rows(field).filter(pk=stored).first() if stored else None
        return stored

    def _worded(self, name: str, stored: Any) -> str:
        """What is stored, as the form would show it."""
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            found = self._as_cleaned(name, stored)
            said = ", ".join(map(str, found)) if isinstance(found, QuerySet) else str(found or "")
        elif isinstance(field, forms.ChoiceField):
            said = str(next((label for value, label in self[name].field.widget.choices if value == stored), stored))
        else:
            said = _plain(stored)
        return Truncator(said).chars(120) or "–"
