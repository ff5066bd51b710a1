"""Surveys in the admin site."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from organizations.admin_base import OwnedAdmin, Role
from surveys.models import Survey


class SurveyForm(forms.ModelForm):
    def clean_url(self) -> str:
        """https only, and nothing that only works in a message: what is in braces is never filled in here (R53)."""
        url: str = self.cleaned_data["url"]
        if "${" in url or "%7B" in url.upper():
            raise forms.ValidationError(
                _(
                    "Placeholders such as ${l://OptOutLink} work in messages only: they are not filled in inside a "
                    "survey. Remove it from the address."
                )
            )
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise forms.ValidationError(
                _("The address must begin with https://, for example %(example)s"),
                params={"example": f"https://{parts.netloc or 'forms.example.org'}{parts.path}"},
            )
        if parts.username or parts.password:
            raise forms.ValidationError(_("The address must not contain a user name or a password."))
        return url


@admin.register(Survey)
class SurveyAdmin(OwnedAdmin):
    form = SurveyForm
    editors = frozenset({Role.ADMINISTRATOR, Role.MEMBER})
    audited = True
    list_display = ("name", "url", "created_at", "created_by")
    list_select_related = ("created_by",)
    search_fields = ("name", "url")
    fields = ("name", "url", "reference_parameter", "example")
    readonly_fields = ("example",)
    empty_text = _("A survey is where the link in a text leads. Add the address of yours.")

    @admin.display(description=_("what the survey receives"))
    def example(self, row: Survey) -> str:
        """The address as a person's browser opens it."""
        if row.pk is None:
            return str(_("Shown once the survey is saved."))
        return row.address_for("Ab3dE7")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)
