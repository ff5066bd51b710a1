"""Names are one line: they stand in mails, logs, files and lists, where a line break would begin something else."""

from __future__ import annotations

from collections.abc import Iterable

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

ONE_LINE = RegexValidator(
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z", _("Write it in one line, without control characters.")
)


def keep_to_one_line(fields: Iterable[forms.Field | None]) -> None:
    """Whatever a browser shows as one line is one: it sends no line break itself, a program may."""
    for field in fields:
        if isinstance(field, forms.CharField) and isinstance(field.widget, forms.TextInput):
            field.validators.append(ONE_LINE)
