"""Two people, or two windows, at the same form: nobody undoes what they have not seen.

The page holds a short digest of each field as it was shown. What has been changed since, and not here, stays as it is
now. What has been changed in both is an error that says what it is now; to save again then replaces it. Rows below a
form are refused together, since their order is changed together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import QueryDict
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

SHOWN = "_shown"  # the hidden field: name:digest, with spaces between
CHANGED = gettext_noop("This has been changed meanwhile; it is now “%(value)s”. Save again to replace it.")


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
        self.add_error(name, ValidationError(_(CHANGED), code=SHOWN, params={"value": self._worded(name, stored)}))

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


class MeanwhileRows(forms.BaseInlineFormSet):
    """Rows below a form that others may change; its page has a hidden field `<prefix>-shown` with the value `shown`.

    Where any has been changed since, nothing is saved at first: the page shows the rows of now, and in them what was
    typed. A field that both have changed says what it is now. A row that has gone and was typed in is a new one.
    """

    model: type[Model]
    shown: str  # what is stored now: key:name=digest,name=digest …, with spaces between

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        now = {str(row.pk): self.as_posted(row) for row in self.get_queryset()}
        self.shown = " ".join(f"{key}:{self._digests(row)}" for key, row in now.items())
        before = str(self.data.get(f"{self.prefix}-shown") or "")
        self.is_outdated = before not in ("", self.shown)
        self._in_both: list[tuple[int, str, str]] = []  # row, field, what it is now
        if self.is_outdated and data is not None and self.management_form.is_valid():
            self.data = self._with_rows_of_now(data, now, _read_digests(before))
            self.__dict__.pop("management_form")

    def clean(self) -> None:
        super().clean()
        if self.is_outdated:
            for index, name, now in self._in_both:
                params = {"value": _as_chosen(self.forms[index].fields[name], now)}
                self.forms[index].add_error(name, ValidationError(_(CHANGED), code=SHOWN, params=params))
            sentence = _(
                "These have been changed meanwhile, in another window or by somebody else. Below they are as they are "
                "now, with what you have changed. Look at them and save again."
            )
            raise ValidationError(sentence, code=SHOWN)

    def _with_rows_of_now(
        self, sent: QueryDict, now: Mapping[str, dict[str, str]], before: Mapping[str, dict[str, str]]
    ) -> QueryDict:
        """What was posted, as if the page had shown the rows of now: stored ones first, each with its key."""
        key = self.model._meta.pk.name
        posted = [self._posted(f"{self.prefix}-{index}-") for index in range(self.total_form_count())]
        mine = {row[key]: row for row in posted if row.get(key)}
        stored = [
            {**self._merged(index, row, mine.get(pk, row), before.get(pk, {})), key: pk}
            for index, (pk, row) in enumerate(now.items())
        ]
        gone = [
            {**row, key: ""}
            for pk, row in mine.items()
            if pk not in now and DELETION_FIELD_NAME not in row and self._typed(row, before.get(pk, {}))
        ]
        rows = [*stored, *gone, *(row for row in posted if not row.get(key))]
        data = QueryDict(mutable=True)
        for name in sent:
            if not name.startswith(f"{self.prefix}-"):
                data.setlist(name, sent.getlist(name))
        data[f"{self.prefix}-TOTAL_FORMS"], data[f"{self.prefix}-INITIAL_FORMS"] = str(len(rows)), str(len(stored))
        for index, row in enumerate(rows):
            data.update({f"{self.prefix}-{index}-{name}": value for name, value in row.items()})
        return data

    def _merged(
        self, index: int, now: Mapping[str, str], mine: Mapping[str, str], before: Mapping[str, str]
    ) -> dict[str, str]:
        """The row of now with what was typed in it; notes what both have changed."""
        merged = {**now}
        for name in self._typed(mine, before):
            merged[name] = mine.get(name, "")
            stored = now.get(name, "")
            if _digest(stored) not in (before.get(name, _digest("")), _digest(merged[name])):
                self._in_both.append((index, name, stored))
        return {name: value for name, value in merged.items() if value}

    def _typed(self, posted: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
        """The fields of a row that are not as the page showed them."""
        return [name for name in self._names() if _digest(posted.get(name, "")) != before.get(name, _digest(""))]

    def _posted(self, prefix: str) -> dict[str, str]:
        return {name.removeprefix(prefix): self.data[name] for name in self.data if name.startswith(prefix)}

    def as_posted(self, row: Model) -> dict[str, str]:
        """As its part of the page would send it unchanged: a tick only where there is one."""
        values = {field.name: field.value_from_object(row) for field in row._meta.concrete_fields}
        ticked = {name: value for name, value in values.items() if value is not None and value is not False}
        return {name: "on" if value is True else str(value) for name, value in ticked.items()}

    def _names(self) -> list[str]:
        """What can be typed in one row; whether it is to be deleted, too."""
        return sorted({*self.form.base_fields, DELETION_FIELD_NAME} - {self.model._meta.pk.name, self.fk.name})

    def _digests(self, row: Mapping[str, str]) -> str:
        return ",".join(f"{name}={_digest(row[name])}" for name in self._names() if row.get(name))


def _read_digests(shown: str) -> dict[str, dict[str, str]]:
    """Key -> field -> digest, of `MeanwhileRows.shown`; of what is nothing of the kind, as much as can be read."""
    rows = (row.partition(":") for row in shown.split())
    return {key: dict(pair.split("=", 1) for pair in pairs.split(",") if "=" in pair) for key, _colon, pairs in rows}


def _as_chosen(field: forms.Field, value: str) -> str:
    """A value that a row would send, as people read it."""
    if isinstance(field, forms.BooleanField):
        return _("yes") if value else _("no")
    choices = cast("list[tuple[str, object]]", field.choices) if isinstance(field, forms.ChoiceField) else []
    return Truncator(str(dict(choices).get(value, value))).chars(120) or "–"
