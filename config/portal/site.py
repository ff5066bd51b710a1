"""The admin site: the web UI for everybody who logs in."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from config.portal import documentation, home, phones
from config.portal.menu import MENU, Entry
from config.version import VERSION
from organizations import pages, throttle, views
from organizations.admin_base import OwnedAdmin, declared
from organizations.forms import LoginForm
from organizations.models import User
from organizations.permissions import may_see_recipients
from watching import pages as notices


class SwitchboardAdminSite(UnfoldAdminSite):
    site_title = "Switchboard"
    site_header = "Switchboard"
    index_title = _("Home")
    login_form = LoginForm
    empty_value_display = "–"  # as everywhere in our own pages

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # unfold's search of menu entries is left out: the menu fits one screen, and it fails on a crafted page number.
        inherited = [url for url in super().get_urls() if getattr(url, "name", "") != "search"]
        # A model admin may have addresses beside its own folder, such as /admin/extensions/.
        beside = [
            url
            for model_admin in self._registry.values()
            if isinstance(model_admin, OwnedAdmin)
            for url in declared(model_admin.get_site_urls())
        ]
        return [
            path("language/", views.set_language, name="set_language"),
            path("profile/", self.admin_view(pages.profile), name="profile"),
            path("profile/token/", self.admin_view(pages.renew_token), name="renew_token"),
            path("profile/token/end/", self.admin_view(pages.end_token), name="end_token"),
            path("profile/notices/", self.admin_view(notices.choose), name="notices"),
            path("guide/", self.admin_view(pages.show_guide), name="guide"),
            path("phones/", self.admin_view(phones.show_phones), name="phones"),  # in the demonstration alone
            path("organisation/", self.admin_view(pages.organization_settings), name="organization_settings"),
            path("invitation/<uidb64>/<token>/", views.SetPasswordView.as_view(), name="set_password"),
            *beside,
            *inherited,
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        user = request.user
        assert isinstance(user, User)
        return super().index(request, {**home.context_for(user), **self._links(request), **(extra_context or {})})

    def _links(self, request: HttpRequest) -> dict[str, Any]:
        """Whether the home page may lead to a new distribution: only if its page would let the user in."""
        model_admin = self._registry.get(apps.get_model("distributions.Distribution"))
        return {"may_add_distribution": model_admin is not None and model_admin.has_add_permission(request)}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().login(request, extra_context)
        if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
            throttle.remember_device(response, request.user)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        return pages.ChangePasswordView.as_view(extra_context=extra_context)(request)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **super().each_context(request),
            "languages_action": reverse("admin:set_language"),
            "is_simulated": bool(settings.PROVIDER_BASE_URLS),
            "may_see_phones": _may_see_phones(request),
            "version": VERSION,
            "documentation": documentation.address(),
        }

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The menu this user sees. A group without entries is left out."""
        user = request.user
        assert isinstance(user, User)
        menu = []
        for title, entries in MENU:
            items = [self._menu_item(entry, request) for entry in entries if entry.shown(user)]
            if present := [item for item in items if item]:
                menu.append({"title": title, "items": present, "separator": bool(title)})
        return menu

    def _menu_item(self, entry: Entry, request: HttpRequest) -> dict[str, Any] | None:
        title, link = entry.title, entry.path
        if entry.model:
            model = apps.get_model(entry.model)
            model_admin = self._registry.get(model)
            if model_admin is None or not model_admin.has_view_permission(request):
                return None
            title = title or capfirst(model._meta.verbose_name_plural)
            link = reverse(f"{self.name}:{model._meta.app_label}_{model._meta.model_name}_changelist")
        active = request.path == link or (link != "/admin/" and request.path.startswith(link))
        return {"title": title, "icon": entry.icon, "link": link, "active": active, "has_permission": True}


def _may_see_phones(request: HttpRequest) -> bool:
    user = request.user
    return phones.is_shown() and isinstance(user, User) and may_see_recipients(user)
