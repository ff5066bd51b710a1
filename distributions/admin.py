"""Distributions and inbound messages in the admin site. The pages are in `pages`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Model, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from distributions import wording
from distributions.history import Carrier
from distributions.models import Distribution, InboundMessage
from distributions.pages import (
    compose,
    controls,
    conversations,
    doubts,
    frame,
    progress,
    recipients,
    review,
    to_myself,
)
from distributions.sums import Sums
from intake import figures
from intake.masking import mask_number
from organizations.admin_base import OwnedAdmin, Role, View
from organizations.choices import OwnedRelatedFilter
from organizations.current import current_user
from organizations.permissions import MissingRight, missing_sms

State = Distribution.State
BADGES = {State.SENDING: "is-info", State.LAUNCHING: "is-info", State.FINISHED: "is-good"}


def missing_right(request: HttpRequest) -> str:
    """What the user lacks for distributing by SMS, "" if nothing; worked out once per request."""
    known = getattr(request, "_missing_sms", None)
    if known is None:
        known = missing_sms(current_user(request))
        request._missing_sms = known  # type: ignore[attr-defined]
    return str(known)


def _grouped(number: int) -> str:
    return figures.whole(number)


class NeedsFilter(admin.SimpleListFilter):
    title = _("needs attention")
    parameter_name = "needs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("somebody", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() != "somebody":
            return queryset
        return queryset.filter(pk__in=Distribution.objects.stuck().values("pk"))


@admin.register(Distribution)
class DistributionAdmin(OwnedAdmin):
    """Everybody sees what was sent; composing and launching need “Use SMS distributions” (R31–R33)."""

    editors = frozenset({Role.ADMINISTRATOR, Role.MEMBER})
    audited = True
    list_display = ("title", "state_badge", "people", "outcome", "took_part", "cost", "when")
    list_display_links = ("title",)
    list_select_related = ("tally", "contact_list")
    list_filter = (NeedsFilter, "state", "method", ("survey", OwnedRelatedFilter))
    search_fields = ("name",)
    list_before_template = "admin/distributions/distribution/_before_list.html"
    actions = None
    empty_text = _("A distribution is one text to one contact list. Write the first one.")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: Any = super().get_queryset(request)
        found: QuerySet = rows.with_answers()
        return found

    @admin.display(description=_("name"), ordering="name")
    def title(self, row: Distribution) -> str:
        return row.name

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, row: Distribution) -> str:
        badge = "is-warning" if row.paused_at or row.edited_at or row.problem else BADGES.get(State(row.state), "")
        if row.answers_until is not None:
            until = date_format(timezone.localtime(row.answers_until), "SHORT_DATETIME_FORMAT")
            note = _("answers until %(moment)s") % {"moment": until}
            running = (
                '<span class="sb-badge whitespace-nowrap is-info">{}</span> <span class="block sb-quiet">{}</span>'
            )
            return format_html(running, row.standing, note)
        shown = format_html('<span class="sb-badge whitespace-nowrap {}">{}</span>', badge, row.standing)
        if not row.needs_somebody:
            return shown
        alarm = '{} <span class="sb-badge whitespace-nowrap is-bad" title="{}">{}</span>'
        return format_html(alarm, shown, row.problem, _("needs attention"))

    @admin.display(description=_("recipients"))
    def people(self, row: Distribution) -> str:
        tally = getattr(row, "tally", None)
        return _grouped(Sums.of(tally).total) if tally else "–"

    @admin.display(description=_("outcome"))
    def outcome(self, row: Distribution) -> str:
        tally = getattr(row, "tally", None)
        if tally is None:
            return "–"
        found = ((_grouped(figure.number), figure.label) for figure in Sums.of(tally).bar)
        return format_html_join(" · ", "{}\N{NO-BREAK SPACE}{}", found) or "–"

    @admin.display(description=_("took part"))
    def took_part(self, row: Distribution) -> str:
        """Where it is an invitation, who opened the link; where it is a survey by text, who began and who finished."""
        tally = getattr(row, "tally", None)
        if tally is None:
            return "–"
        if not row.is_interactive:
            return _("%(number)s opened the link") % {"number": _grouped(tally.clicked)}
        began = _("%(number)s began to answer") % {"number": _grouped(tally.started)}
        return f"{began} · " + _("%(number)s answered to the end") % {"number": _grouped(tally.completed)}

    @admin.display(description=_("cost"))
    def cost(self, row: Distribution) -> str:
        return "0"  # what it costs is between the organisation and its provider (R5); the note is above the list (R6)

    @admin.display(description=_("when"), ordering="send_at")
    def when(self, row: Distribution) -> str:
        if row.send_at is not None:
            return row.planned_for
        if row.launched_at is None:
            return "–"
        moment = timezone.localtime(row.launched_at)
        day, clock = date_format(moment, "SHORT_DATE_FORMAT"), date_format(moment, "TIME_FORMAT")
        return format_html('<span class="snd-nowrap">{}</span> {}', day, clock)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not missing_right(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was sent or planned stays, also while it is being changed; a draft may go."""
        if missing_right(request) or (isinstance(obj, Distribution) and (obj.state != State.DRAFT or obj.plan)):
            return False
        return super().has_delete_permission(request, obj)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"missing": missing_right(request), **(extra_context or {})})

    def has_send_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Composing, launching, pausing and the like."""
        return not missing_right(request) and self.has_view_permission(request, obj)

    def row(self, request: HttpRequest, **key: Any) -> Distribution:
        return frame.distribution_of(request, **key)

    def refusal(self, request: HttpRequest, right: str, row: Model | None = None) -> MissingRight:
        missing = missing_right(request)
        return MissingRight(missing) if right == "send" and missing else super().refusal(request, right, row)

    def get_site_urls(self) -> list[URLPattern]:
        return [
            self.page(
                "contacts/contact/<int:pk>/texts/",
                conversations.of_contact,
                "distributions_of_contact",
                right="view",
                of=Contact,
                part_of="contacts_contact_change",
            ),
            self.page("distributions/to-myself/", to_myself.to_myself, "distributions_to_myself", right="send"),
            self.page("distributions/doubt/", doubts.show, "distributions_doubts", right="send"),
            self.page(
                "distributions/doubt/<int:doubt>/decide/",
                doubts.decide,
                "distributions_doubt_decide",
                right="send",
            ),
        ]

    def get_urls(self) -> list[URLPattern]:
        one_message = "<int:pk>/messages/<int:message_pk>"
        pages_and_rights: tuple[tuple[str, View, str, str], ...] = (
            ("add/", compose.compose, "add", "send"),
            ("preview/", compose.show_preview, "preview", "send"),
            ("night/", compose.show_night, "night", "send"),
            ("<int:pk>/change/", progress.show, "change", "view"),
            ("<int:pk>/history/", progress.show, "history", "view"),
            ("<int:pk>/edit/", compose.compose, "edit", "send"),
            ("<int:pk>/edit-planned/", controls.edit_planned, "edit_planned", "send"),
            ("<int:pk>/keep/", controls.keep, "keep", "send"),
            ("<int:pk>/review/", review.show_review, "review", "view"),
            ("<int:pk>/skipped.csv", review.skipped_file, "skipped", "send"),
            ("<int:pk>/launch/", review.launch, "launch", "send"),
            ("<int:pk>/pause/", controls.pause, "pause", "send"),
            ("<int:pk>/resume/", controls.resume, "resume", "send"),
            ("<int:pk>/take-over/", controls.take_over, "take_over", "send"),
            ("<int:pk>/cancel/", controls.cancel, "cancel", "send"),
            ("<int:pk>/rest/", controls.send_the_rest, "rest", "send"),
            ("<int:pk>/copy/", controls.copy, "copy", "send"),
            ("<int:pk>/messages/", recipients.history, "messages", "view"),
            ("<int:pk>/messages.csv", recipients.history_file, "export", "view"),
            ("<int:pk>/answers.csv", recipients.answers_file, "answers", "view"),
            (f"{one_message}/", conversations.show_message, "message", "view"),
            (f"{one_message}/send-again/", conversations.send_again, "send_again", "send"),
        )
        own = [
            self.page(route, view, f"distributions_distribution_{name}", right=right)
            for route, view, name, right in pages_and_rights
        ]
        parts = [
            self.page(
                f"<int:pk>/{name}/",
                view,
                f"distributions_distribution_{name}",
                right="view",
                part_of="distributions_distribution_change",
            )
            for name, view in (
                ("progress", progress.show_progress),
                ("reasons", progress.show_reasons),
                ("carriers", progress.show_carriers),
            )
        ]
        return [*own, *parts, *super().get_urls()]


@admin.register(InboundMessage)
class InboundMessageAdmin(OwnedAdmin):
    """What people wrote; nobody changes it."""

    editors = frozenset()
    list_display = ("received_at", "number", "excerpt", "read_as", "answered", "account_name")
    list_display_links = ("received_at",)
    list_filter = ("meaning", "mentions_stopping")
    search_fields = ("sender__startswith",)
    search_help_text = _("Beginning of a number, as the provider writes it")
    fields = ("received_at", "number", "recipient", "whole_text", "read_as", "contact", "answered", "account_name")
    readonly_fields = ("number", "whole_text", "read_as", "answered", "account_name")
    empty_text = _("Nobody has written yet. Replies appear here if your sender is a number and its webhook is set up.")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = super().get_queryset(request)
        whole = Value(self.sees_recipients(request), output_field=BooleanField())
        rows = rows.annotate(whole_number=whole).select_related("account", "contact", "message__distribution")
        return rows.defer("account__credentials", "message__text")

    @admin.display(description=_("from"))
    def number(self, row: Any) -> str:
        return str(row.sender if row.whole_number else mask_number(row.sender))

    @admin.display(description=_("text"))
    def excerpt(self, row: Any) -> str:
        if not row.whole_number:
            return str(frame.HIDDEN)
        return row.text if len(row.text) <= 80 else f"{row.text[:79]}…"

    @admin.display(description=_("text"))
    def whole_text(self, row: Any) -> str:
        return str(row.text if row.whole_number else frame.HIDDEN)

    @admin.display(description=_("read as"), ordering="meaning")
    def read_as(self, row: InboundMessage) -> str:
        badge = wording.MEANING_BADGES.get(row.meaning, "")
        label = row.get_meaning_display()
        shown = format_html('<span class="sb-badge whitespace-nowrap {}">{}</span>', badge, label)
        mark = wording.mark_of(row)
        return format_html('{} <span class="sb-badge is-warning">{}</span>', shown, mark) if mark else shown

    @admin.display(description=_("in reply to"))
    def answered(self, row: InboundMessage) -> str:
        if row.message is None:
            return "–"
        url = reverse("admin:distributions_distribution_message", args=[row.message.distribution_id, row.message_id])
        return format_html('<a class="sb-link" href="{}">{}</a>', url, row.message.distribution.name)

    @admin.display(description=_("account"))
    def account_name(self, row: InboundMessage) -> str:
        return str(Carrier.of(row.account))
