"""Callbacks that were set aside, for platform operators: whose, when and why, and nothing of what they say."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from extensions.models import ProviderAccount
from intake import figures
from organizations.admin_base import OwnedAdmin
from organizations.current import current_user
from organizations.models import User
from webhooks import pages, quarantine
from webhooks.models import Callback

ROUTES = {"status": _("Delivery reports"), "message": _("Inbound messages")}


class RouteFilter(admin.SimpleListFilter):
    """By which of the two addresses a callback came."""

    title = _("route")
    parameter_name = "kind"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Any:
        return ROUTES.items()

    def queryset(self, _request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Callback)
class CallbackAdmin(OwnedAdmin):
    """A list without content, for operators; what a callback says is on the organisation's own pages (`pages`)."""

    viewers = frozenset({User.Role.OPERATOR})
    editors = frozenset()
    organization_lookup = "account__organization"
    list_display = ("received_at", "organization", "provider", "route", "reason")
    list_display_links = None
    list_filter = (RouteFilter,)
    list_select_related = ("account__organization",)
    ordering: ClassVar = ["-received_at", "-pk"]
    fields = ("received_at", "organization", "provider", "route", "reason")
    readonly_fields = fields
    actions = ("try_again",)
    empty_text = _("No callbacks are set aside: all that arrived could be applied.")

    def get_site_urls(self) -> list[URLPattern]:
        one = "extensions/account/<slug:public_id>/calls/"
        return [
            self.page(one, pages.show_calls, "extensions_calls", right="manage", of=ProviderAccount),
            self.page(f"{one}<int:call_id>/", pages.show_call, "extensions_call", right="manage", of=ProviderAccount),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(state=Callback.State.UNREADABLE).defer("body", "url", "pending")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = gettext("Callbacks that were set aside")
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    @admin.display(description=_("organisation"), ordering="account__organization__name")
    def organization(self, row: Callback) -> str:
        return str(row.account.organization or gettext("the installation’s own account"))

    @admin.display(description=_("provider"), ordering="account__provider")
    def provider(self, row: Callback) -> str:
        return row.account.provider_name

    @admin.display(description=_("route"), ordering="kind")
    def route(self, row: Callback) -> str:
        return str(ROUTES.get(row.kind, row.kind))

    @admin.display(description=_("reason"), ordering="error")
    def reason(self, row: Callback) -> str:
        return gettext(row.error) if row.error else "–"

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return current_user(request).is_operator

    @admin.action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet) -> None:
        count = quarantine.try_again(Callback.objects.filter(pk__in=queryset.values("pk")), current_user(request))
        said = ngettext("%(count)s callback is being tried again.", "%(count)s callbacks are being tried again.", count)
        messages.success(request, said % {"count": figures.whole(count)})
