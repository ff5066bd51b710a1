"""Contact lists, contacts and opt-outs in the admin site."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from contacts import counts, import_pages, numbers, opt_outs, pages, removing, wording
from contacts.columns import IN_FORM, MORE, SEARCHED
from contacts.fields import EmbeddedDataField
from contacts.models import Contact, ContactImport, ContactList, OptOut
from intake import examples, figures
from intake.masking import mask_number
from organizations import audit, commitments
from organizations.admin_base import OwnedAdmin, Role
from organizations.choices import OwnedRelatedFilter
from organizations.current import current_organization, current_user
from organizations.models import User

ADDED_OPT_OUT = gettext_noop("added an opt-out")
LET_BACK_IN = gettext_noop("let numbers back in")
EVERYBODY = frozenset({Role.ADMINISTRATOR, Role.MEMBER})
UNFILTERED = frozenset({"p", "o", "all", "_changelist_filters"})  # what an address asks that leaves nobody out


class PhoneField(forms.CharField):
    """A phone number as people write it; becomes E.164. `region` is set by the form that knows the organisation."""

    region = "US"

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if not text:
            return ""
        try:
            return numbers.read(text, self.region).e164
        except numbers.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from error


def _phone_field(db_field: Any, request: HttpRequest, **kwargs: Any) -> PhoneField:
    organization = current_organization(request)
    region = organization.default_region if organization else "US"
    field = PhoneField(
        label=capfirst(db_field.verbose_name),
        required=not db_field.blank,
        max_length=40,
        widget=kwargs.get("widget"),
        help_text=gettext("With the country code, for example %(example)s.") % {"example": examples.number(region)},
    )
    field.region = region
    return field


# --- lists -----------------------------------------------------------------------------------------------------------


@admin.register(ContactList)
class ContactListAdmin(OwnedAdmin):
    editors = EVERYBODY
    audited = True
    list_display = ("name", "people", "reachable", "created_at", "created_by")
    search_fields = ("name",)
    fields = ("name",)
    empty_text = _("A contact list holds the people you text. Add one, then import a file or add people one by one.")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request).select_related("organization", "created_by")
        return rows.annotate(people=counts.kept("people"), reachable=counts.kept("reachable"))

    @admin.display(description=_("people"), ordering="people")
    def people(self, row: Any) -> str:
        return format_html(
            '<a class="sb-link" href="{}?contact_list__id__exact={}">{}</a>',
            reverse("admin:contacts_contact_changelist"),
            row.pk,
            figures.whole(row.people),
        )

    @admin.display(description=_("can be texted"), ordering="reachable")
    def reachable(self, row: Any) -> str:
        return figures.whole(row.reachable)

    def get_urls(self) -> list[URLPattern]:
        name, one = "contacts_contactlist", "<int:pk>/import/<int:import_id>"
        return [
            self.page("<int:pk>/import/", self.upload_view, f"{name}_upload", right="fill"),
            self.page("<int:pk>/import/contacts.csv", self.sample_view, f"{name}_sample", right="change"),
            self.page(f"{one}/", self.checked_view, f"{name}_checked", right="fill"),
            self.page(
                f"{one}/progress/", self.progress_view, f"{name}_progress", right="change", part_of=f"{name}_checked"
            ),
            self.page(f"{one}/cancel/", self.cancel_view, f"{name}_cancel", right="change"),
            self.page(f"{one}/problems.csv", self.problems_view, f"{name}_problems", right="change"),
            self.page(f"{one}/rows.csv", self.given_back_view, f"{name}_given_back", right="change"),
            self.page("<int:pk>/export/", self.export_view, f"{name}_export", right="view"),
            *super().get_urls(),
        ]

    def has_fill_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Adding people to a list; its name may be changed at any time."""
        return self.has_change_permission(request, obj) and self.is_free(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self.is_free(request, obj)

    def _list(self, request: HttpRequest, pk: int) -> ContactList:
        found = self.get_object(request, str(pk))
        if not isinstance(found, ContactList):
            raise Http404
        return found

    def upload_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return import_pages.upload(request, self._list(request, pk))

    def checked_view(self, request: HttpRequest, pk: int, import_id: int) -> HttpResponse:
        return import_pages.checked(request, self._list(request, pk), import_id)

    def progress_view(self, request: HttpRequest, pk: int, import_id: int) -> HttpResponse:
        return import_pages.progress(request, self._list(request, pk), import_id)

    def cancel_view(self, request: HttpRequest, pk: int, import_id: int) -> HttpResponse:
        return import_pages.cancel(request, self._list(request, pk), import_id)

    def problems_view(self, request: HttpRequest, pk: int, import_id: int) -> FileResponse:
        return import_pages.problems_file(request, self._list(request, pk), import_id)

    def given_back_view(self, request: HttpRequest, pk: int, import_id: int) -> FileResponse:
        return import_pages.given_back_file(request, self._list(request, pk), import_id)

    def sample_view(self, request: HttpRequest, pk: int) -> FileResponse:
        return import_pages.sample_file(request, self._list(request, pk))

    def export_view(self, request: HttpRequest, pk: int) -> FileResponse | HttpResponse:
        return pages.export(request, self._list(request, pk))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """A new list is empty: go on to filling it."""
        if IS_POPUP_VAR in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return redirect("admin:contacts_contactlist_upload", obj.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        contact_list = self.get_object(request, object_id)
        imports = ContactImport.objects.filter(imported_at__isnull=False).select_related("created_by")
        imports = imports.defer("preview", "columns", "choices")
        extra = {"imports": imports.filter(contact_list=contact_list)[:5] if contact_list else []}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """How many, not whom: a hundred thousand names are not a question."""
        lists = list(objs)
        number = counts.people_on(ContactList.objects.filter(pk__in=[each.pk for each in lists]))
        names = [str(contact_list) for contact_list in lists]
        model_count = {ContactList._meta.verbose_name_plural: len(lists), Contact._meta.verbose_name_plural: number}
        kept = not all(self.has_delete_permission(request, contact_list) for contact_list in lists)
        return names, model_count, {ContactList._meta.verbose_name} if kept else set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.audit(request, audit.DELETED, obj)
        removing.remove(obj)
        self._tell(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        rows = list(queryset)
        for obj in rows:
            self.audit(request, audit.DELETED, obj)
            removing.remove(obj)
        self._tell(request, rows)


# --- contacts --------------------------------------------------------------------------------------------------------


class OptedOutFilter(admin.SimpleListFilter):
    title = _("opted out")
    parameter_name = "opted_out"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() in ("yes", "no"):
            return queryset.filter(opted_out_at__isnull=self.value() == "no")
        return queryset


class NumberFilter(admin.SimpleListFilter):
    title = _("phone number")
    parameter_name = "number"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("with a number")), ("no", _("without a number"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "no":
            return queryset.filter(phone="")
        return queryset.exclude(phone="") if self.value() == "yes" else queryset


class ContactForm(forms.ModelForm):
    user: ClassVar[User]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        phone, contact_list = cleaned.get("phone", self.instance.phone), cleaned.get("contact_list")
        others = Contact.objects.filter(contact_list=contact_list, phone=phone).exclude(pk=self.instance.pk)
        is_new = {"phone", "contact_list"} & set(self.changed_data)  # a household shares a number, as its file said
        if is_new and phone and contact_list and others.exists():
            self.add_error(
                "phone" if "phone" in self.fields else "contact_list",
                _("Somebody on this list already has this number."),
            )
        return cleaned

    def clean_contact_list(self) -> ContactList:
        """Nobody is put on a list, or taken off one, whose people are about to be texted, by somebody who may not."""
        chosen: ContactList = self.cleaned_data["contact_list"]
        if "contact_list" in self.changed_data and (obstacle := commitments.obstacle(chosen, self.user)):
            raise forms.ValidationError(obstacle)
        return chosen

    def clean_fields(self) -> dict[str, str]:
        """Embedded data is a flat object of short texts."""
        value = self.cleaned_data["fields"] or {}
        if not isinstance(value, dict):
            raise forms.ValidationError(_('Write an object, for example {"City": "London"}.'))
        for name, text in value.items():
            if isinstance(text, dict | list) or len(str(text)) > 1_024 or not 0 < len(name.strip()) <= 200:
                raise forms.ValidationError(
                    _("“%(name)s”: a name has 1 to 200 characters, a value is text of at most 1,024 characters."),
                    params={"name": name[:40]},
                )
        return {name.strip(): "" if text is None else str(text) for name, text in value.items()}


def _attributes(*, under_more: bool) -> list[str]:
    """The columns of one half of the form, in their order."""
    return [column.attribute for column in IN_FORM if (column.place >= MORE) is under_more]


@admin.register(Contact)
class ContactAdmin(OwnedAdmin):
    form = ContactForm
    editors = EVERYBODY
    list_display = ("name", *(column.attribute for column in IN_FORM if column.listed), "contact_list", "status")
    empty_text = _("There are no contacts yet. Open a contact list and import a file.")
    list_display_links = ("name",)
    list_select_related = ("contact_list",)
    list_filter = (("contact_list", OwnedRelatedFilter), OptedOutFilter, NumberFilter)
    search_fields = tuple(f"{column.attribute}__{column.lookup}" for column in IN_FORM if column.lookup)
    search_help_text = SEARCHED
    readonly_fields = ("status",)
    fieldsets = (
        (None, {"fields": ("contact_list", *_attributes(under_more=False), "status")}),
        (_("More"), {"fields": (*_attributes(under_more=True), "fields")}),
    )

    def visible_rows(self, request: HttpRequest) -> QuerySet:
        """Without the people of lists that are gone, who are still being removed."""
        rows = super().visible_rows(request)
        gone = ContactList.every.visible_to(current_user(request)).filter(removed_at__isnull=False)
        keys = list(gone.values_list("pk", flat=True))
        return rows.exclude(contact_list__in=keys) if keys else rows

    def get_paginator(self, request: HttpRequest, queryset: QuerySet, *arguments: Any, **options: Any) -> Any:
        """Pages of a list's people, or of everybody's, whose number is kept: they are not counted at each view."""
        paginator = super().get_paginator(request, queryset, *arguments, **options)
        asked = {name: value for name, value in request.GET.items() if value and name not in UNFILTERED}
        chosen = str(asked.pop("contact_list__id__exact", ""))
        lists = ContactList.objects.visible_to(current_user(request))
        if not asked and (not chosen or (chosen.isdecimal() and len(chosen) <= 18)):
            paginator.__dict__["count"] = counts.people_on(lists.filter(pk=chosen) if chosen else lists)
        return paginator

    @admin.display(description=_("name"), ordering="last_name")
    def name(self, row: Contact) -> str:
        return " ".join(filter(None, (row.first_name, row.last_name))) or row.email or row.external_reference or "–"

    @admin.display(description=_("phone"))
    def masked_phone(self, row: Contact) -> str:
        """What is shown to people without “See recipients”, who do not change it either: they would not see what."""
        return mask_number(row.phone) or "–"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or self.sees_recipients(request):
            return super().get_fieldsets(request, obj)
        return [
            (title, {"fields": tuple("masked_phone" if name == "phone" else name for name in options["fields"])})
            for title, options in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "masked_phone")

    @admin.display(description=_("status"))
    def status(self, row: Contact) -> str:
        if row.pk is None:
            return "–"
        if row.opted_out_at:
            date = timezone.localtime(row.opted_out_at)
            return format_html(
                '<span class="sb-badge whitespace-nowrap is-warning">{}</span>', _("opted out %s") % f"{date:%Y-%m-%d}"
            )
        if not row.phone:
            return format_html('<span class="sb-badge whitespace-nowrap">{}</span>', _("no number"))
        return format_html('<span class="sb-badge whitespace-nowrap is-good">{}</span>', _("can be texted"))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "fields":
            kwargs["form_class"] = EmbeddedDataField
            kwargs["help_text"] = _('Columns of the file without a field above, for example {"City": "London"}.')
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "phone":
            return _phone_field(db_field, request, widget=field and field.widget)
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"user": current_user(request)})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self.is_free(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self.is_free(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"contact_list": request.GET.get("contact_list", "")}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"phone", "contact_list"} & set(form.changed_data):
            Contact.objects.filter(pk=obj.pk).update(shares_number=False)  # nobody else there has it: see ContactForm
        if "phone" in form.changed_data or not change:
            stopped = pages.opted_out_by_number(obj)
            Contact.objects.filter(pk=obj.pk).update(opted_out_at=stopped.created_at if stopped else None)


# --- opt-outs --------------------------------------------------------------------------------------------------------


class ActiveFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("opted out")), ("no", _("let back in"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() in ("yes", "no"):
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


class OptOutForm(forms.ModelForm):
    class Meta:
        labels: ClassVar = {"evidence": _("why")}
        help_texts: ClassVar = {"evidence": _("For example “asked on the phone on 3 May”. Shown to administrators.")}

    def clean_phone(self) -> str:
        phone: str = self.cleaned_data["phone"]
        if OptOut.objects.active().filter(organization=self.instance.organization_id, phone=phone).exists():
            raise forms.ValidationError(_("This number has already opted out."))
        return phone


@admin.register(OptOut)
class OptOutAdmin(OwnedAdmin):
    """Numbers that are not texted. Rows are never changed or deleted: letting somebody back in ends their row."""

    form = OptOutForm
    list_display = ("phone", "source", "created_at", "state", "evidence")
    list_filter = (ActiveFilter, "source")
    search_fields = ("phone__startswith",)
    search_help_text = _("Beginning of a number, with its country code")
    fields = ("phone", "evidence")
    actions = ("let_back_in",)
    empty_text = _("Nobody has opted out. Whoever replies STOP, uses an opt-out link or is added here is not texted.")
    change_list_template = "admin/contacts/optout/change_list.html"

    @admin.display(description=_("state"))
    def state(self, row: OptOut) -> str:
        if row.ended_at:
            date = timezone.localtime(row.ended_at)
            return format_html(
                '<span class="sb-badge whitespace-nowrap">{}</span>', _("let back in %s") % f"{date:%Y-%m-%d}"
            )
        return format_html('<span class="sb-badge whitespace-nowrap is-warning">{}</span>', _("opted out"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fields
        whole = self.sees_recipients(request)
        shown = ("phone", "source", "worded_evidence") if whole else ("masked_phone", "source")
        return (*shown, "created_at", "ended_at")

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)  # where it is masked, another column stands in its place
        return ["worded_evidence" if name == "evidence" else name for name in shown]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "masked_phone", "worded_evidence")

    @admin.display(description=_("evidence"), ordering="evidence")
    def worded_evidence(self, row: OptOut) -> str:
        return wording.evidence(row.evidence) or "–"

    @admin.display(description=_("phone"))
    def masked_phone(self, row: OptOut) -> str:
        return mask_number(row.phone)

    def get_urls(self) -> list[URLPattern]:
        export = self.page("export/", pages.export_opt_outs, "contacts_optout_export", right="view")
        return [export, *super().get_urls()]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "phone":
            return _phone_field(db_field, request, widget=field and field.widget)
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        organization = current_organization(request)
        assert organization is not None
        opt_outs.opt_out(organization, obj.phone, OptOut.Source.ADMINISTRATOR, obj.evidence)
        row = OptOut.objects.active().get(organization=organization, phone=obj.phone)
        obj.__dict__.update(row.__dict__)
        audit.record(ADDED_OPT_OUT, organization=organization, request=request)

    @admin.action(description=_("Let back in"), permissions=["add"])
    def let_back_in(self, request: HttpRequest, queryset: QuerySet) -> None:
        organization = current_organization(request)
        assert organization is not None
        phones = list(queryset.filter(ended_at=None).values_list("phone", flat=True))
        number = sum(opt_outs.opt_in(organization, phone) for phone in phones)
        if number:
            audit.record(LET_BACK_IN, organization=organization, request=request, number=number)
            commitments.tell(request, organization.pk)
        messages.success(
            request,
            ngettext("%(number)s number can be texted again.", "%(number)s numbers can be texted again.", number)
            % {"number": figures.whole(number)},
        )
