"""People, groups and user types for administrators; organisations and licences for platform operators."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import admin as auth_admin  # noqa: F401  (registers Group, whatever is imported first)
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, Model, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from organizations import audit, invitations, permissions, tokens
from organizations.admin_base import OwnedAdmin, OwnedStackedInline, Role
from organizations.choices import OccurringFilter, OwnedRelatedFilter
from organizations.current import current_user
from organizations.forms import (
    LAST_ADMINISTRATOR,
    LevelForm,
    LicenceForm,
    OperatorForm,
    OrganizationForm,
    UserForm,
    is_last_administrator,
    wait_for_colleagues,
)
from organizations.models import AuditEvent, Licence, Organization, User, UserGroup, UserType
from organizations.permissions import Setting

admin.site.unregister(Group)  # Django's groups and permissions are not used: `OwnedAdmin` decides by role

LINK_MADE = gettext_noop("made a password link")


def badge(text: object, kind: str = "") -> SafeString:
    """A word with a mark beside it; `kind` is good, bad, warning, info or empty."""
    return format_html('<span class="sb-badge{}">{}</span>', f" is-{kind}" if kind else " is-plain", text)


def setting_badge(setting: str) -> SafeString:
    """A three-valued permission as a badge."""
    kinds = {Setting.ENABLED: "good", Setting.DISABLED: "bad"}
    return badge(Setting(setting).label, kinds.get(Setting(setting), ""))


# --- for administrators ----------------------------------------------------------------------------------------------


class PermissionedAdmin(OwnedAdmin):
    """User types and groups: a name, a permission, and how many people it is about."""

    viewers = frozenset({Role.ADMINISTRATOR})
    audited = True
    form = LevelForm
    fields = ("name", "use_sms_distributions", "see_recipients")
    ordering = ("name",)
    radio_fields: ClassVar = {"use_sms_distributions": admin.VERTICAL, "see_recipients": admin.VERTICAL}
    list_display = ("name", "sms", "sight", "people")
    search_fields = ("name",)
    people_lookup: ClassVar[str]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(people_count=Count(self.people_lookup))

    @admin.display(description=_("Use SMS distributions"), ordering="use_sms_distributions")
    def sms(self, row: UserType | UserGroup) -> SafeString:
        return setting_badge(row.use_sms_distributions)

    @admin.display(description=_("See recipients"), ordering="see_recipients")
    def sight(self, row: UserType | UserGroup) -> SafeString:
        return setting_badge(row.see_recipients)

    @admin.display(description=_("users"), ordering="people_count")
    def people(self, row: Any) -> int:
        return int(row.people_count)


@admin.register(UserType)
class UserTypeAdmin(PermissionedAdmin):
    people_lookup = "user"


@admin.register(UserGroup)
class UserGroupAdmin(PermissionedAdmin):
    people_lookup = "users"


@admin.register(User)
class UserAdmin(OwnedAdmin):
    """Administrators manage the people of their organisation; operators see operators and administrators only."""

    viewers = frozenset({Role.ADMINISTRATOR, Role.OPERATOR})
    editors = frozenset({Role.ADMINISTRATOR, Role.OPERATOR})
    audited = True
    form = UserForm
    change_form_template = "admin/organizations/user_form.html"
    search_fields = ("email", "name")
    list_per_page = 100
    filter_horizontal = ()

    def visible_rows(self, request: HttpRequest) -> QuerySet:
        visible = User.objects.visible_to(current_user(request))
        return super().visible_rows(request).filter(pk__in=visible.values("pk"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return rows.select_related("organization", "user_type").prefetch_related("groups")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        if current_user(request).is_operator:
            return ("person", "role_badge", "organization", "active", "last_seen")
        return ("person", "role_badge", "user_type", "group_names", "sms", "active", "last_seen")

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        if current_user(request).is_operator:
            return [("role", OccurringFilter), "is_active", ("organization", OwnedRelatedFilter)]
        return [
            ("role", OccurringFilter),
            "is_active",
            ("user_type", OwnedRelatedFilter),
            ("groups", OwnedRelatedFilter),
        ]

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        if current_user(request).is_operator:
            kwargs["form"] = OperatorForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        who = (_("Who"), {"fields": ("email", "name", "is_active") if obj else ("email", "name")})
        if current_user(request).is_operator:
            return [who]
        return [
            who,
            (
                _("What they may do"),
                {"fields": ("role", "user_type", "groups", "use_sms_distributions", "see_recipients")},
            ),
        ]

    # --- columns --------------------------------------------------------------------------------------------------

    @admin.display(description=_("user"), ordering="email")
    def person(self, user: User) -> SafeString | str:
        if not user.name:
            return user.email
        return format_html('{}<span class="block font-normal sb-quiet">{}</span>', user.name, user.email)

    @admin.display(description=_("role"), ordering="role")
    def role_badge(self, user: User) -> SafeString:
        return badge(user.get_role_display(), "" if user.role == Role.MEMBER else "info")

    @admin.display(description=_("groups"))
    def group_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description=_("may send SMS"))
    def sms(self, user: User) -> SafeString:
        decision = user.sms_permission()
        return format_html(
            '<span class="sb-badge {}" title="{}">{}</span>',
            "is-good" if decision.allowed else "is-bad",
            decision.explanation,
            gettext("Yes") if decision.allowed else gettext("No"),
        )

    @admin.display(description=_("active"), boolean=True, ordering="is_active")
    def active(self, user: User) -> bool:
        return user.is_active

    @admin.display(description=_("last log-in"), ordering="last_login")
    def last_seen(self, user: User) -> Any:
        return user.last_login

    # --- saving ---------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        acting, user = current_user(request), context.get("original")
        if not acting.is_operator:
            user = user or User(organization=acting.organization)
            context["decision"], context["sight"] = user.sms_permission(), user.recipients_permission()
            context["organization"] = acting.organization
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        acting = current_user(request)
        if not change:
            obj.organization = acting.organization
            if acting.is_operator:
                obj.role = Role.OPERATOR
            obj.set_unusable_password()
        elif not obj.is_active and tokens.end(obj):
            self.audit(request, tokens.ENDED, obj)
        super().save_model(request, obj, form, change)

    def _owns(self, request: HttpRequest, obj: Model | str | int | None) -> bool:
        """Operators manage operators and administrators, and no members."""
        if current_user(request).is_operator and isinstance(obj, User):
            return obj.role != Role.MEMBER
        return super()._owns(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Nobody deletes themselves, and the last administrator or operator stays."""
        if isinstance(obj, User) and (obj == request.user or is_last_administrator(obj)):
            return False
        return super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Of several who are chosen together none may be the last one without the others."""
        names, counted, lacking, protected = super().get_deleted_objects(objs, request)
        if _last_of(list(objs)):
            lacking = {*lacking, User._meta.verbose_name}
        return names, counted, lacking, protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        _keep_the_last([obj])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        with transaction.atomic():
            _keep_the_last(list(queryset))
            super().delete_queryset(request, queryset)

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        return invitations.offer(request, obj)

    # --- a link to set a password ---------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        name = "organizations_user"
        return [
            self.page("permission/", require_POST(self.preview_permission), f"{name}_permission", right="change"),
            self.page("<int:pk>/link/", require_POST(self.make_link), f"{name}_link", right="change"),
            self.page("<int:pk>/invitation/", self.show_link, f"{name}_invitation", right="change"),
            *super().get_urls(),
        ]

    def preview_permission(self, request: HttpRequest) -> HttpResponse:
        """What the form, as it is filled in now, would allow: the sentence under the permission (R31)."""
        acting = current_user(request)
        chosen = request.POST.getlist("groups")
        groups = [group for group in UserGroup.objects.visible_to(acting) if str(group.pk) in chosen]
        types = (row for row in UserType.objects.visible_to(acting) if str(row.pk) == request.POST.get("user_type"))
        user_type = next(types, None)

        def levels(permission: str) -> tuple[str, list[tuple[str, str]], tuple[str, str] | None]:
            return (
                request.POST.get(permission) or Setting.INHERIT,
                [(group.name, getattr(group, permission)) for group in groups],
                (user_type.name, getattr(user_type, permission)) if user_type else None,
            )

        decision = permissions.resolve(*levels("use_sms_distributions"))
        someone = User(organization=acting.organization, role=request.POST.get("role") or Role.MEMBER)
        sight = permissions.said(*levels("see_recipients")) or permissions.inherited_sight(someone, decision)
        context = {"decision": decision, "sight": sight, "organization": acting.organization}
        return TemplateResponse(request, "admin/organizations/_decision.html", context)

    def make_link(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Offer a link by which this user can set a password, and write down that it was made."""
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        self.audit(request, LINK_MADE, user)
        return invitations.offer(request, user)

    def show_link(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Shows the link that was just offered, once."""
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        link = invitations.take(request, user)
        if link is None:
            return HttpResponseRedirect(reverse("admin:organizations_user_change", args=[pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("A link for %(name)s") % {"name": user},
            "invited": user,
            "person": f"{user.name} ({user.email})" if user.name else user.email,
            "link": link,
            "days": invitations.days_valid(),
        }
        return TemplateResponse(request, "admin/organizations/invitation.html", context)


def _last_of(users: list[User]) -> User | None:
    """One of these people without whom, were all of them gone, nobody could manage what they manage."""
    keys = {user.pk for user in users}
    return next((user for user in users if is_last_administrator(user, without=keys)), None)


def _keep_the_last(users: list[User]) -> None:
    """Raises MissingRight if one of them may not go. What was asked before may have changed: it is asked once more."""
    for user in sorted(users, key=lambda user: (user.organization_id or 0, user.role)):
        wait_for_colleagues(user)
    stored = list(User.objects.filter(pk__in=[user.pk for user in users]))
    if last := _last_of(stored):
        raise permissions.MissingRight(str(LAST_ADMINISTRATOR) % {"name": last})


class WhatFilter(admin.SimpleListFilter):
    """The actions that occur in the rows this user may see."""

    title = _("what")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        actions = model_admin.get_queryset(request).order_by("action").values_list("action", flat=True).distinct()
        return [(action, gettext(action)) for action in actions]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(OwnedAdmin):
    """Who did what, when and from where. Read-only for everybody."""

    viewers = frozenset({Role.ADMINISTRATOR, Role.OPERATOR})
    editors: ClassVar[frozenset[str]] = frozenset()
    list_display = ("at", "who", "what", "object", "details", "address")
    list_display_links = ("at",)
    list_filter = (WhatFilter, ("actor", OwnedRelatedFilter), "at")
    search_fields = ("actor_email", "object_name", "object_id")
    search_help_text = _("Person, name or ID")
    fields = ("at", "who", "what", "object", "details", "address")
    readonly_fields = fields
    list_per_page = 50
    actions = None

    def visible_rows(self, request: HttpRequest) -> QuerySet:
        rows = super().visible_rows(request)
        if current_user(request).is_operator:  # what the platform does; what organisations do is theirs
            rows = rows.filter(Q(organization=None) | Q(actor__role=Role.OPERATOR))
        return rows

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("actor")

    @admin.display(description=_("who"), ordering="actor_email")
    def who(self, event: AuditEvent) -> str:
        return event.actor_email or "–"

    @admin.display(description=_("what"), ordering="action")
    def what(self, event: AuditEvent) -> str:
        return gettext(event.action) if event.action else ""

    @admin.display(description=_("about"))
    def object(self, event: AuditEvent) -> str:
        return event.object_name or event.object_id or "–"

    @admin.display(description=_("detail"))
    def details(self, event: AuditEvent) -> str:
        return audit.sentence(event) or "–"


# --- for platform operators ------------------------------------------------------------------------------------------


class LicenceInline(OwnedStackedInline):
    model = Licence
    form = LicenceForm
    can_delete = False
    min_num = max_num = 1
    extra = 0


@admin.register(Organization)
class OrganizationAdmin(OwnedAdmin):
    """Organisations and what they are licensed for. What they do with it stays theirs: no contact, no message here.

    `extensions/organization_admin.py` adds the enabled extensions, which organisations know nothing of.
    """

    viewers = frozenset({Role.OPERATOR})
    editors = frozenset({Role.OPERATOR})
    organization_lookup = "pk"
    audited = True
    form = OrganizationForm
    inlines = (LicenceInline,)
    ordering = ("name",)
    list_display = ("name", "public_id", "sms", "people", "created_at")
    search_fields = ("name", "public_id")
    list_filter = ("licence__sms", "licence__two_way")
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ("as_it_is",)}),
        (None, {"fields": ("name", "public_id", "administrator_email")}),
        (_("Where it is"), {"fields": ("language", "time_zone", "default_region", "support_contact")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("licence").annotate(people_count=Count("users"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("public_id",) if obj else ()

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The box “Save it as it is” is there only once something is missing."""
        adminform = context["adminform"]
        if not getattr(adminform.form, "asks", False):
            adminform.fieldsets = [each for each in adminform.fieldsets if "as_it_is" not in each[1]["fields"]]
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("licence"), ordering="licence__sms")
    def sms(self, organization: Organization) -> SafeString:
        if organization.has_sms:
            return badge(_("SMS, two-way") if organization.licence.two_way else _("SMS, one-way"), "good")
        return badge(_("no SMS"))

    @admin.display(description=_("users"), ordering="people_count")
    def people(self, organization: Any) -> int:
        return int(organization.people_count)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """It would take contacts, messages and audit trail along: more than a click should do."""
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for formset in formsets:
            for licence_form in formset.forms:
                changes = audit.changes(licence_form)
                if changes:
                    self.audit(request, audit.LICENCE_CHANGED, form.instance, changes=changes)
        if email := form.cleaned_data.get("administrator_email"):
            user = User.objects.create_user(email, organization=form.instance, role=Role.ADMINISTRATOR)
            user.use_sms_distributions = (
                Setting.ENABLED
            )  # administrators have it from the start, all others are given it
            user.save(update_fields=["use_sms_distributions"])
            audit.record(audit.ADDED, organization=form.instance, request=request, target=user)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._response(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._response(request, obj) or super().response_change(request, obj)

    def _response(self, request: HttpRequest, organization: Organization) -> HttpResponse | None:
        """To the link for the administrator who was just added, if one was."""
        email = request.POST.get("administrator_email", "").strip().lower()
        user = User.objects.filter(organization=organization, email=email).first() if email else None
        if user is None:
            return None
        messages.success(request, gettext("%(organization)s is saved.") % {"organization": organization})
        return invitations.offer(request, user)
