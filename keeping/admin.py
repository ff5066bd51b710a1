"""Whom an organisation has forgotten: when, and who asked for it. By no means who it was."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from intake import figures
from keeping import pages
from keeping.models import Forgetting
from organizations.admin_base import OwnedAdmin, Role


@admin.register(Forgetting)
class ForgettingAdmin(OwnedAdmin):
    viewers = frozenset({Role.ADMINISTRATOR})
    editors = frozenset({Role.ADMINISTRATOR})
    list_display = ("started_at", "started_by", "rows", "state")
    list_display_links = None
    actions = None
    list_select_related = ("started_by",)
    fields = ("started_at", "started_by", "rows", "state")
    readonly_fields = fields
    ordering: ClassVar = ["-started_at", "-pk"]
    empty_text = _(
        "Nobody has been forgotten. If somebody asks you to delete what you keep about them, enter their number here."
    )

    def get_urls(self) -> list[URLPattern]:
        add = self.page("add/", pages.forget, "keeping_forgetting_add", right="add")
        return [add, *super().get_urls()]

    def get_site_urls(self) -> list[URLPattern]:
        return [self.page("keeping/periods/", pages.periods, "keeping_periods", right="add")]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("records found by the number"))
    def rows(self, row: Forgetting) -> str:
        return figures.whole(sum(row.counts.values()))

    @admin.display(description=_("state"))
    def state(self, row: Forgetting) -> str:
        done = row.finished_at is not None
        look, said = ("is-good", _("done")) if done else ("is-warning", _("under way"))
        return format_html('<span class="sb-badge whitespace-nowrap {}">{}</span>', look, said)
