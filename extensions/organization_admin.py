"""The vendor's switches on an organisation's page for operators: which extensions it may use (R14).

Organisations know nothing of extensions (the arrows of the house), so this app adds its own field to their form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from extensions import registry
from extensions.models import EnabledExtension
from organizations.admin import OrganizationAdmin
from organizations.forms import OrganizationForm


class OrganizationWithExtensionsForm(OrganizationForm):
    """An organisation with a box for every provider of the installation."""

    extensions = forms.MultipleChoiceField(
        label=_("Enabled extensions"),
        choices=lambda: [(provider.key, provider.name) for provider in registry.all()],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Which providers the organisation may use. They need the SMS add-on, too."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            rows = EnabledExtension.objects.filter(organization=self.instance)
            self.initial["extensions"] = list(rows.values_list("provider", flat=True))

    def missing(self) -> Iterator[Any]:
        yield from super().missing()
        had = self.instance.pk is None or bool(self.initial["extensions"])
        if had and not self.cleaned_data.get("extensions"):
            yield _("No extension is enabled: there is no provider at which they could add an account.")

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]  # what save() and save_m2m() of a ModelForm share
        chosen, known = set(self.cleaned_data["extensions"]), {provider.key for provider in registry.all()}
        rows = EnabledExtension.objects.filter(organization=self.instance)
        rows.filter(provider__in=known - chosen).delete()  # one whose provider's file is away for now stays
        EnabledExtension.objects.bulk_create(
            (EnabledExtension(organization=self.instance, provider=key) for key in sorted(chosen)),
            ignore_conflicts=True,
        )


OrganizationAdmin.form = OrganizationWithExtensionsForm
OrganizationAdmin.fieldsets = [*OrganizationAdmin.fieldsets, (_("Extensions"), {"fields": ("extensions",)})]
