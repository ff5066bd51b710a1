"""The base of every ModelAdmin: rows, choices and rights follow the user's organisation and role."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import messages
from django.contrib.admin import SimpleListFilter, display
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.options import ModelAdmin as DjangoModelAdmin
from django.core.exceptions import EmptyResultSet, FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import IntegrityError
from django.db.models import Model, QuerySet, URLField
from django.forms import ModelForm
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.text import capfirst, smart_split
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.views import ChangeList

from intake.masking import mask_number
from organizations import audit, commitments
from organizations.choices import OwnedRelatedFilter, ScopedChoices
from organizations.current import current_organization, current_user
from organizations.meanwhile import Meanwhile
from organizations.models import Organization, Owned, User
from organizations.permissions import MissingRight, may_see_recipients, whom_to_ask

Role = User.Role
# What is masked for people without “See recipients”, wherever the column is: no filter, search or order goes by it.
RECIPIENT_FIELDS = frozenset(
    {"phone", "sender", "to", "text", "value", "evidence", "fields", "error", "preview", "rows", "problems", "body"}
)
# Lookups that read a value whole or compare it; none of them makes the database search by a pattern from outside. No
# range: an address says one value, and a range has two.
LOOKUPS = frozenset(
    {"exact", "iexact", "in", "isnull", "gt", "gte", "lt", "lte", "date", "year", "month", "day"}
    | {"contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"}
)
MOST_WORDS = 20  # of a search: each of them is looked for in every column, and a thousand hold the database for minutes
View = Callable[..., HttpResponseBase]


class OwnedInline(ScopedChoices):
    """The rights of an inline are those of its page: whoever may change the parent row may change its parts."""

    def _parent(self) -> DjangoModelAdmin:
        parent: DjangoModelAdmin = self.admin_site._registry[self.parent_model]  # type: ignore[attr-defined]
        return parent

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent().has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent().has_change_permission(request, obj)


class OwnedTabularInline(OwnedInline, TabularInline):
    pass


class OwnedStackedInline(OwnedInline, StackedInline):
    pass


class OwnedChangeList(ChangeList):
    """A list that knows of a filter which cannot be applied before the page is begun."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        """Raises IncorrectLookupParameters, as for what Django does not understand; it then shows the whole list.

        Some values are read only as the statement is written: a year that no calendar has.
        """
        rows = super().get_queryset(request, exclude_parameters)
        try:
            rows.query.chain().get_compiler(rows.db).as_sql()
        except EmptyResultSet:
            pass
        except (ValueError, TypeError, OverflowError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error
        return rows


class OwnedFormMixin(Meanwhile):
    """Validates with the organisation in place, so that "one name per organisation" is an error, not a crash."""

    owner: ClassVar[Organization | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.owner is not None and self.instance.organization_id is None:
            self.instance.organization = self.owner

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"organization"}


def masked(field: Any) -> Callable[[Any], str]:
    """A column of a list that shows a number as +44•••0123, and another text not at all."""

    @display(description=field.verbose_name)
    def column(row: Any) -> str:
        value = str(getattr(row, field.name) or "")
        return mask_number(value) if field.name in ("phone", "sender", "to") else "–"

    column.__name__ = field.name
    return column


def declared(patterns: Iterable[URLPattern]) -> list[URLPattern]:
    """The same addresses. Raises ImproperlyConfigured for one that asks for no right: see `OwnedAdmin.page`."""
    found = list(patterns)
    for pattern in found:
        # Django marks its own views with their admin; they ask for the rights of the admin by themselves.
        if not hasattr(pattern.callback, "right") and not hasattr(pattern.callback, "model_admin"):
            raise ImproperlyConfigured(
                f"The page {str(pattern.pattern)!r} declares no right: register it by OwnedAdmin.page(…, right=…)."
            )
    return found


def _without(tree: list[Any], beginnings: tuple[str, ...]) -> list[Any]:
    """A nested list as Django's deletion pages have it, without lines that begin so and what hangs on them."""
    found: list[Any] = []
    is_left_out = False
    for each in tree:
        if isinstance(each, list):
            if not is_left_out and (inner := _without(each, beginnings)):
                found.append(inner)
        else:
            is_left_out = each.startswith(beginnings)
            if not is_left_out:
                found.append(each)
    return found


class OwnedAdmin(ScopedChoices, ModelAdmin):
    """A ModelAdmin that shows, offers and saves only what belongs to the user's organisation.

    `viewers` and `editors` are the roles that may look and change. Platform operators see business data of no
    organisation unless a role set names them. A page of its own is registered by `page`, which asks for a right; an
    action names its right in `permissions=`. Without, the installation does not start.
    """

    viewers: ClassVar[frozenset[str]] = frozenset({Role.ADMINISTRATOR, Role.MEMBER})
    editors: ClassVar[frozenset[str]] = frozenset({Role.ADMINISTRATOR})
    organization_lookup: ClassVar[str] = "organization"
    audited: ClassVar[bool] = False  # whether adding, changing and deleting rows goes into the audit trail
    formfield_overrides: ClassVar[Any] = {URLField: {"assume_scheme": "https"}}
    list_per_page = 50
    show_full_result_count = False

    # --- pages and actions --------------------------------------------------------------------------------------

    def page(
        self, route: str, view: View, name: str, *, right: str, of: type[Model] | None = None, part_of: str = ""
    ) -> URLPattern:
        """An address beside Django's own. It asks for `right` before `view` is called.

        `right` is the middle of a `has_…_permission` of this admin (or of the admin of the model `of`): view, add,
        change, delete, or one of its own. It is asked for the row that the address names by `pk` or `public_id`; one
        that the user may not see does not exist.

        What is only a part of a page names that page, of the same row, in `part_of`: a browser that opens the part by
        itself is led there.
        """

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            model_admin = self.admin_site._registry[of] if of else self
            assert isinstance(model_admin, OwnedAdmin)
            model_admin.require(request, right, {name: kwargs[name] for name in ("pk", "public_id") if name in kwargs})
            if part_of and request.headers.get("Sec-Fetch-Dest") == "document":
                return redirect(f"admin:{part_of}", *args, *kwargs.values())
            return view(request, *args, **kwargs)

        guarded.right = right  # type: ignore[attr-defined]
        return path(route, self.admin_site.admin_view(guarded), name=name)

    def require(self, request: HttpRequest, right: str, key: dict[str, Any]) -> None:
        """Raises MissingRight unless the user has the right, Http404 if `key` names no row that the user may see."""
        has_permission = getattr(self, f"has_{right}_permission")
        if not has_permission(request):  # of no row at all: whether this one exists is not told either
            raise self.refusal(request, right)
        row = self.row(request, **key) if key else None
        if row is not None and right != "add" and not has_permission(request, row):
            raise self.refusal(request, right, row)

    def row(self, request: HttpRequest, **key: Any) -> Model:
        """The row with this key. Raises Http404 if there is none that the user may see."""
        found: Model | None = self.visible_rows(request).filter(**key).first()
        if found is None:
            raise Http404(_("There is no such entry, or you may not see it."))
        return found

    def refusal(self, request: HttpRequest, right: str, row: Model | None = None) -> MissingRight:
        """What somebody is told who lacks `right` about `row`."""
        user = current_user(request)
        if row is not None and (obstacle := commitments.obstacle(row, user)):
            return MissingRight(obstacle)
        sentence = _("Your role is %(role)s, which does not allow this.") % {"role": user.get_role_display()}
        return MissingRight(f"{sentence} {whom_to_ask(user.organization, user)}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """A list is called what it lists, in its window's title too: “Contacts”, not “Select contact to change”."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    @property
    def urls(self) -> list[URLPattern]:
        return declared(self.get_urls())

    def get_site_urls(self) -> list[URLPattern]:
        """Addresses beside the model's own folder, gathered by the site (config/portal/site.py)."""
        return []

    def get_action(self, action: Any) -> Any:
        found = super().get_action(action)
        if found and not getattr(found[0], "allowed_permissions", None):
            raise ImproperlyConfigured(f"The action {found[1]!r} names no right: @admin.action(permissions=[…]).")
        return found

    # --- rows and choices ---------------------------------------------------------------------------------------

    def visible_rows(self, request: HttpRequest) -> QuerySet:
        """The rows that exist for this user; `get_queryset` adds to them what the list shows."""
        rows = super().get_queryset(request)
        user = current_user(request)
        if user.is_operator and Role.OPERATOR in self.viewers:
            return rows
        return rows.filter(**{self.organization_lookup: user.organization_id or 0})

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return self.visible_rows(request)

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form = super().get_form(request, obj, change, **kwargs)
        if issubclass(form, OwnedFormMixin) or (issubclass(form, Meanwhile) and not issubclass(self.model, Owned)):
            return form
        if not issubclass(self.model, Owned):
            return type(form.__name__, (Meanwhile, form), {})
        return type(form.__name__, (OwnedFormMixin, form), {"owner": current_organization(request)})

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """A filter over a relation offers own rows only, also where a bare field name is written."""
        return [
            (name, OwnedRelatedFilter) if isinstance(name, str) and self._is_relation(name) else name
            for name in super().get_list_filter(request)
        ]

    def _is_relation(self, name: str) -> bool:
        try:
            return bool(self.opts.get_field(name).is_relation)
        except FieldDoesNotExist:
            return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Filtering by what is hidden would tell it, one character at a time; a regular expression, without end."""
        if request is not None and lookup in self._own_filters(request):
            return True  # a word of ours and no column
        parts = lookup.split("__")
        if audit.SECRET_FIELDS.intersection(parts) or not self._ends_well(parts):
            return False
        if RECIPIENT_FIELDS.intersection(parts) and not (request and self.sees_recipients(request)):
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def _own_filters(self, request: HttpRequest) -> set[str | None]:
        filters = self.get_list_filter(request)
        return {
            each.parameter_name for each in filters if isinstance(each, type) and issubclass(each, SimpleListFilter)
        }

    def _ends_well(self, parts: list[str]) -> bool:
        """Whether a lookup is a path of columns, with one of LOOKUPS behind it or none."""
        model: Any = self.model
        for index, part in enumerate(parts):
            if part == "pk":
                continue
            try:
                field = model._meta.get_field(part) if model else None
            except FieldDoesNotExist:
                field = None
            if field is None:
                return index > 0 and all(rest in LOOKUPS for rest in parts[index:])
            model = field.related_model
        return True

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What would go, without the rows of ours that have no name: they are a part of what they belong to."""
        rows, counts, lacking, protected = super().get_deleted_objects(objs, request)
        inner = [each._meta for each in apps.get_models() if not isinstance(each._meta.verbose_name, Promise)]
        plurals = {each.verbose_name_plural for each in inner}
        beginnings = tuple(f"{capfirst(str(each.verbose_name))}: " for each in inner)
        counts = {name: number for name, number in counts.items() if name not in plurals}
        return _without(rows, beginnings), counts, lacking, protected

    # --- what is masked -----------------------------------------------------------------------------------------

    def sees_recipients(self, request: HttpRequest) -> bool:
        """Whether numbers are shown whole, and what people wrote at all; worked out once per request."""
        known: bool | None = getattr(request, "_sees_recipients", None)
        if known is None:
            known = may_see_recipients(current_user(request))
            request._sees_recipients = known  # type: ignore[attr-defined]
        return known

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Without what is masked for this user, who could read it by searching."""
        return [name for name in super().get_search_fields(request) if not self._is_masked(request, name)]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Columns of numbers are masked for this user, and cannot be sorted by."""
        return [
            masked(self.opts.get_field(name)) if isinstance(name, str) and self._is_masked(request, name) else name
            for name in super().get_list_display(request)
        ]

    def _is_masked(self, request: HttpRequest, name: str) -> bool:
        return bool(RECIPIENT_FIELDS.intersection(name.lstrip("=^@").split("__"))) and not self.sees_recipients(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OwnedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list; what its search looks through is said only where all of it is looked through."""
        found = super().get_changelist_instance(request)
        if len(found.search_fields) < len(tuple(self.search_fields)):
            found.search_help_text = None
        if len(list(smart_split(found.query))) > MOST_WORDS:
            sentence = _("A search is for at most %(number)d words: the others were left out.")
            messages.warning(request, sentence % {"number": MOST_WORDS})
        return found

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """What has each of the words; a list says so where there were too many, a field with suggestions need not."""
        words = list(smart_split(search_term))
        return super().get_search_results(request, queryset, " ".join(words[:MOST_WORDS]))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """A form that somebody else was faster with is checked once more, and then says what is wrong with it.

        What is taken by now (a name, a number) or gone (a list) was still in order when it was checked first. Nothing
        of the first time is left: it was one transaction.
        """
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and isinstance(obj, Owned):
            organization_id = current_user(request).organization_id
            assert organization_id is not None
            obj.organization_id = organization_id
        super().save_model(request, obj, form, change)
        if self.audited:
            changes = audit.changes(form)
            if changes or not change:
                self.audit(request, audit.CHANGED if change else audit.ADDED, obj, changes=changes)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        self._tell(request, [form.instance])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if self.audited:
            self.audit(request, audit.DELETED, obj)
        super().delete_model(request, obj)
        self._tell(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        rows = list(queryset)
        if self.audited:
            for obj in rows:
                self.audit(request, audit.DELETED, obj)
        super().delete_queryset(request, queryset)
        self._tell(request, rows)

    def _tell(self, request: HttpRequest, rows: Iterable[Any]) -> None:
        """What is planned in their organisations may rely on them: whoever changes them hears of it."""
        owners = {key for row in rows if (key := self._owner_key(row)) is not None}
        commitments.tell(request, *owners)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> Any:
        """The question before one row is deleted names what relies on it."""
        rows = self.model._default_manager.filter(pk=context["object"].pk) if "object" in context else None
        depending = commitments.depending(rows) if rows is not None else None
        return super().render_delete_form(request, {**context, "depending": depending})

    def response_action(self, request: HttpRequest, queryset: QuerySet) -> Any:
        """And the question before many are."""
        response = super().response_action(request, queryset)
        if (
            isinstance(response, TemplateResponse)
            and response.context_data
            and "deletable_objects" in response.context_data
        ):
            response.context_data["depending"] = commitments.depending(response.context_data["queryset"])
        return response

    def _owner_key(self, obj: Any) -> int | None:
        """The key of the organisation that owns it, None where that is nobody."""
        if self.organization_lookup == "organization":
            return obj.organization_id
        owner = self._owner(obj)
        return owner.pk if owner else None

    def audit(self, request: HttpRequest, action: str, obj: Any, **detail: Any) -> None:
        """Write down what this request does to `obj`, in the trail of the organisation that owns it."""
        audit.record(action, organization=self._owner(obj), request=request, target=obj, **detail)

    # --- rights -------------------------------------------------------------------------------------------------

    def _owner(self, obj: Model) -> Organization | None:
        owner: Any = obj
        for name in self.organization_lookup.split("__"):
            owner = owner if name == "pk" else getattr(owner, name)
        assert owner is None or isinstance(owner, Organization)
        return owner

    def _owns(self, request: HttpRequest, obj: Model | str | int | None) -> bool:
        user = current_user(request)
        if obj is None or user.is_operator:
            return True
        if not isinstance(obj, Model):  # unfold asks about its actions with the id alone
            row = self.get_object(request, str(obj))
            return row is not None
        return self._owner_key(obj) == user.organization_id

    def _may(self, request: HttpRequest, roles: frozenset[str], obj: Model | None) -> bool:
        user = request.user
        return isinstance(user, User) and user.is_active and user.role in roles and self._owns(request, obj)

    def is_free(self, request: HttpRequest, obj: Model | None) -> bool:
        """Whether no launched or planned distribution relies on this row, or the user may send: `commitments`."""
        return obj is None or not commitments.obstacle(obj, current_user(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.viewers | self.editors, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.editors, None)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.editors, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.editors, obj)
