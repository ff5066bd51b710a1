"""Puts the pages of this app into the admin site. Accounts have no change form: nothing of them is editable (R24)."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, register_converter
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from extensions import registry, views
from extensions.contract import Provider
from extensions.models import EnabledExtension, ProviderAccount
from organizations.admin_base import OwnedAdmin, Role


class ProviderConverter:
    """A provider in an address, by its key or its slug. Any other word is left to the site's other addresses."""

    regex = r"[A-Za-z0-9_-]+"

    def to_python(self, value: str) -> type[Provider]:
        for provider in registry.all():
            if value in (provider.key, provider.slug):
                return provider
        raise ValueError

    def to_url(self, value: type[Provider] | str) -> str:
        return value if isinstance(value, str) else value.key


register_converter(ProviderConverter, "provider")


@admin.register(ProviderAccount)
class ProviderAccountAdmin(OwnedAdmin):
    """The account's pages are those of `views`; the admin's own addresses lead there and take nothing."""

    viewers = frozenset({Role.ADMINISTRATOR})
    editors: ClassVar[frozenset[str]] = frozenset()

    def get_site_urls(self) -> list[URLPattern]:
        """Addresses beside those of the models, gathered by the site (config/admin.py)."""
        wrap = self.admin_site.admin_view
        account = "extensions/account/<slug:public_id>"
        return [
            path("extensions/", wrap(views.show_catalogue), name="extensions_catalogue"),
            path("extensions/<provider:provider>/", wrap(views.show_extension), name="extensions_extension"),
            path("extensions/<provider:provider>/add/", wrap(views.add_account), name="extensions_add_account"),
            path("extensions/<provider:provider>/sender/", wrap(views.preview_sender), name="extensions_sender"),
            path(f"{account}/", wrap(views.show_account), name="extensions_account"),
            path(f"{account}/verify/", wrap(views.verify_account), name="extensions_verify"),
            path(f"{account}/grant/", wrap(views.grant_account), name="extensions_grant"),
            path(f"{account}/test/", wrap(views.test_account), name="extensions_test"),
            path(f"{account}/webhooks/", wrap(views.test_webhooks), name="extensions_webhooks"),
            path(f"{account}/replace/", wrap(views.replace_account), name="extensions_replace"),
            path(f"{account}/delete/", wrap(views.delete_account), name="extensions_delete"),
        ]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        to_list, to_one = wrap(require_GET(self.to_catalogue)), wrap(require_GET(self.to_account))
        return [
            path("", to_list, name="extensions_provideraccount_changelist"),
            path("add/", to_list, name="extensions_provideraccount_add"),
            path("<int:pk>/change/", to_one, name="extensions_provideraccount_change"),
            path("<int:pk>/delete/", to_one, name="extensions_provideraccount_delete"),
            path("<int:pk>/history/", to_one, name="extensions_provideraccount_history"),
        ]

    def to_catalogue(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:extensions_catalogue")

    def to_account(self, request: HttpRequest, pk: int) -> HttpResponse:
        """From the admin's address of a row to the account's page; 404 for a row of another organisation."""
        return redirect("admin:extensions_account", get_object_or_404(self.get_queryset(request), pk=pk).public_id)


def provider_choices() -> list[tuple[str, str]]:
    return [(provider.key, provider.name) for provider in registry.all()]


class EnabledExtensionForm(forms.ModelForm):
    provider = forms.ChoiceField(label=_("provider"), choices=provider_choices)


@admin.register(EnabledExtension)
class EnabledExtensionAdmin(OwnedAdmin):
    """The vendor's switch: which extensions an organisation may use (R14)."""

    form = EnabledExtensionForm
    viewers = frozenset({Role.OPERATOR})
    editors = frozenset({Role.OPERATOR})
    list_display = ("provider_name", "organization")
    list_filter = ("organization",)
    search_fields = ("organization__name", "provider")
    list_select_related = ("organization",)

    @admin.display(description=_("extension"), ordering="provider")
    def provider_name(self, row: EnabledExtension) -> str:
        return str(row)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A switch is on or gone."""
        return False
