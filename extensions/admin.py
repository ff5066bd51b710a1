"""Puts the pages of this app into the admin site. Accounts have no change form: nothing of them is editable (R24)."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, register_converter
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from extensions import registry
from extensions.contract import Provider
from extensions.models import EnabledExtension, ProviderAccount
from extensions.pages import account, adding, catalogue, leaving, pace, writing
from organizations.admin_base import OwnedAdmin, Role, View
from organizations.current import current_user
from organizations.permissions import MissingRight, whom_to_ask


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
    """The account's pages are those of `pages`; the admin's own addresses lead there and take nothing."""

    viewers = frozenset({Role.ADMINISTRATOR})
    editors: ClassVar[frozenset[str]] = frozenset()

    def has_manage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Adding, checking, granting and deleting: nothing of an account is changed, so nobody may "change" one."""
        return self._may(request, self.viewers, obj)

    def refusal(self, request: HttpRequest, right: str, row: Model | None = None) -> MissingRight:
        sentence = gettext("Only administrators of an organisation can set up extensions.")
        return MissingRight(f"{sentence} {whom_to_ask(current_user(request).organization, current_user(request))}")

    def get_site_urls(self) -> list[URLPattern]:
        extension, one = "extensions/<provider:provider>/", "extensions/account/<slug:public_id>/"
        own_pages: tuple[tuple[str, View, str], ...] = (
            ("extensions/", catalogue.show_catalogue, "catalogue"),
            (extension, catalogue.show_extension, "extension"),
            (f"{extension}add/", adding.add_account, "add_account"),
            (f"{extension}sender/", adding.preview_sender, "sender"),
            (f"{extension}check/", adding.check_field, "check_field"),
            (f"{extension}numbers/", adding.list_numbers, "numbers"),
            (one, account.show_account, "account"),
            (f"{one}verify/", account.verify_account, "verify"),
            (f"{one}grant/", account.grant_account, "grant"),
            (f"{one}test/", account.test_account, "test"),
            (f"{one}webhooks/", account.test_webhooks, "webhooks"),
            (f"{one}set-webhooks/", writing.set_webhooks, "set_webhooks"),
            (f"{one}balance/", writing.ask_balance, "balance"),
            (f"{one}replace/", account.replace_account, "replace"),
            (f"{one}take-over/", leaving.take_over, "take_over"),
            (f"{one}withdraw/", leaving.withdraw_account, "withdraw"),
            (f"{one}rate/", pace.set_pace, "rate"),
            (f"{one}top/", account.move_account_to_top, "top"),
            (f"{one}delete/", leaving.delete_account, "delete"),
        )
        return [self.page(route, view, f"extensions_{name}", right="manage") for route, view, name in own_pages]

    def get_urls(self) -> list[URLPattern]:
        to_list, to_one = require_safe(self.to_catalogue), require_safe(self.to_account)
        own_pages: tuple[tuple[str, View, str], ...] = (
            ("", to_list, "changelist"),
            ("add/", to_list, "add"),
            ("<int:pk>/change/", to_one, "change"),
            ("<int:pk>/delete/", to_one, "delete"),
            ("<int:pk>/history/", to_one, "history"),
        )
        name = "extensions_provideraccount"
        return [self.page(route, view, f"{name}_{verb}", right="manage") for route, view, verb in own_pages]

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
