"""The pages of a contact list beyond its form: importing a file, and exports. Rights and scope come from `admin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods

from contacts import importing, wording
from contacts.columns import COLUMNS, IN_EXPORTS, OPTED_OUT, OPTED_OUT_AT, OWN_FIELD, PHONE, bare
from contacts.exports import download
from contacts.importing import ImportRefused, UnreadableFile
from contacts.models import Contact, ContactImport, ContactList, OptOut
from intake.masking import mask_number
from organizations import audit, commitments
from organizations.admin_base import current_user
from organizations.models import User
from organizations.permissions import may_see_recipients
from organizations.reading import pages

PROBLEMS_SHOWN = 200
EXPORTED = gettext_noop("exported contacts")
EXPORTED_OPT_OUTS = gettext_noop("exported opt-outs")


class ListChanged(Exception):
    """Somebody on the list got a column that the headings of the export do not have."""


class UploadForm(forms.Form):
    use_required_attribute = False

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,text/csv", "class": "snd-file"}),
        allow_empty_file=True,  # said in our own words
        error_messages={"required": gettext_lazy("Choose a file first.")},
    )
    with_country_code = forms.BooleanField(
        label=gettext_lazy("Numbers carry their country code"),
        help_text=gettext_lazy(
            "Read 14015555555 as +14015555555, though it has no plus. You said so for the last file of this list."
        ),
        required=False,
    )


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/contacts/contactlist/{template}.html", context, status=status)


def checked_file(contact_list: ContactList, import_id: int, user: User) -> ContactImport:
    """A checked file of this list, without the content it would be slow to load. Raises Http404."""
    files = contact_list.imports.defer("rows", "problems", "content").select_related(
        "contact_list__organization", "created_by"
    )
    if not may_see_recipients(user):  # a file is full of numbers: only one's own
        files = files.filter(created_by=user)
    found = files.filter(pk=import_id).first()
    if found is None:
        raise Http404(_("This file is no longer kept. Upload it again."))
    return found


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest, contact_list: ContactList) -> HttpResponse:
    """Take a file, read all of it, and go on to what was found."""
    latest = contact_list.imports.defer("rows", "problems", "content").filter(created_by=current_user(request)).first()
    remembered = {"with_country_code": latest is not None and latest.with_country_code}
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm(initial=remembered)
    if request.method == "POST" and form.is_valid():
        uploaded = form.cleaned_data["file"]
        try:
            checked = importing.check(
                contact_list,
                uploaded.file,
                uploaded.name,
                current_user(request),
                with_country_code=form.cleaned_data["with_country_code"],
            )
        except UnreadableFile as refusal:
            form.add_error("file", str(refusal))
        else:
            return redirect("admin:contacts_contactlist_checked", contact_list.pk, checked.pk)
    return page(
        request,
        "upload",
        title=_("Import contacts"),
        contact_list=contact_list,
        form=form,
        asks_for_the_code=remembered["with_country_code"] or "with_country_code" in request.POST,
        country=wording.country(contact_list.organization.default_region),
        phone=PHONE.name,
        recognised=[column.name for column in COLUMNS if column is not PHONE],
        max_rows=importing.MAX_ROWS,
        max_megabytes=importing.MAX_BYTES // 1024 // 1024,
        status=422 if form.errors else 200,
    )


@require_http_methods(["GET", "POST"])
def checked(request: HttpRequest, contact_list: ContactList, import_id: int) -> HttpResponse:
    """What was found in a file; POST writes it to the list, or says that its numbers carry their country code."""
    found = checked_file(contact_list, import_id, current_user(request))
    if request.method == "POST" and "with_country_code" in request.POST:
        try:
            found = importing.check_again(found, current_user(request))
        except ImportRefused as refusal:
            messages.error(request, str(refusal))
            return redirect("admin:contacts_contactlist_upload", contact_list.pk)
        return redirect("admin:contacts_contactlist_checked", contact_list.pk, found.pk)
    if request.method == "POST":
        try:
            found = importing.run(found, current_user(request))
        except ImportRefused as refusal:
            messages.error(request, str(refusal))
            return redirect("admin:contacts_contactlist_upload", contact_list.pk)
        messages.success(request, importing.summary(found))
        commitments.tell(request, contact_list.organization_id)
        return redirect("admin:contacts_contactlist_change", contact_list.pk)
    if found.imported_at:
        return redirect("admin:contacts_contactlist_change", contact_list.pk)
    shown = []
    for problem in importing.problems_of(found):
        shown.append(problem)
        if len(shown) == PROBLEMS_SHOWN:
            break
    return page(
        request,
        "checked",
        title=_("Check and import"),
        contact_list=contact_list,
        found=found,
        columns=[{"heading": heading, "name": name} for heading, name in found.columns],
        preview=_table(found),
        problems=shown,
    )


def _table(found: ContactImport) -> list[list[str]]:
    """The first rows, cell by cell in the order of the file's columns."""
    attributes = {column.name: column.attribute for column in COLUMNS} | {OPTED_OUT: OPTED_OUT_AT}
    return [
        [
            values.get(attributes[name], "") if name else values.get("fields", {}).get(heading, "")
            for heading, name in found.columns
        ]
        for values in found.preview
    ]


@require_GET
def problems_file(request: HttpRequest, contact_list: ContactList, import_id: int) -> FileResponse:
    """Everything that is wrong with a file, or worth a look, as a file."""
    found = checked_file(contact_list, import_id, current_user(request))

    def rows() -> Iterator[list[Any]]:
        yield [_("Row"), _("Column"), _("Problem")]
        for problem in importing.problems_of(found):
            yield [problem.row, problem.column, problem.sentence]

    return download(f"{_('problems')}-{found.file_name}.csv", rows(), counted=False)


@require_GET
def sample_file(request: HttpRequest, contact_list: ContactList) -> FileResponse:
    """An example that can be filled in."""
    return download(
        "contacts.csv",
        [
            [*(column.name for column in COLUMNS), OWN_FIELD[0]],
            [*(column.example for column in COLUMNS), OWN_FIELD[1]],
        ],
        counted=False,
    )


@require_GET
def export(request: HttpRequest, contact_list: ContactList) -> FileResponse | HttpResponse:
    """Every contact of the list, in the form that can be imported again; numbers masked as for the user elsewhere."""
    whole = may_see_recipients(current_user(request))
    place = IN_EXPORTS.index(PHONE)
    attributes = [column.attribute for column in IN_EXPORTS]
    contacts = contact_list.contacts.all()
    headings: dict[str, str] = {}  # of the other columns, by what makes them one
    for found in pages(contacts.exclude(fields={}), "fields"):
        for (fields,) in found:
            for name in fields:
                headings.setdefault(_column(name), name)
    headings.pop(_column(OPTED_OUT), None)  # what an older import made of this column of ours
    taken = {bare(column.name) for column in COLUMNS}
    headings = {key: f"{name} (2)" if bare(name) in taken else name for key, name in headings.items()}

    def rows() -> Iterator[list[Any]]:
        yield [*(column.name for column in IN_EXPORTS), *headings.values(), OPTED_OUT]
        for found in pages(contacts, *attributes, "fields", OPTED_OUT_AT):
            for *values, fields, opted_out_at in found:
                others = {_column(name): value for name, value in fields.items()}
                if not headings.keys() | {_column(OPTED_OUT)} >= others.keys():
                    raise ListChanged
                if not whole:
                    values[place] = mask_number(values[place])
                yield [*values, *(others.get(key, "") for key in headings), opted_out_at and opted_out_at.isoformat()]

    try:
        file = download(f"{contact_list.name}.csv", rows())
    except ListChanged:
        messages.error(request, _("The list got new columns while it was being exported. Export it again."))
        return redirect("admin:contacts_contactlist_change", contact_list.pk)
    audit.record(EXPORTED, organization=contact_list.organization, request=request, target=contact_list)
    return file


def _column(name: str) -> str:
    """The same for all spellings of a column's name: a file has it once (importing), and texts read it so (piping)."""
    return " ".join(name.split()).casefold()


@require_GET
def export_opt_outs(request: HttpRequest) -> FileResponse:
    """Every opt-out of the organisation, ended ones too."""
    user = current_user(request)
    whole = may_see_recipients(user)
    columns = ("phone", "source", "evidence", "created_at", "ended_at")
    sources = dict(OptOut.Source.choices)

    def rows() -> Iterator[list[Any]]:
        yield ["Phone", "Source", "Evidence", "Since", "Until"]
        for found in pages(OptOut.objects.visible_to(user), *columns):
            for phone, source, evidence, since, until in found:
                if not whole:
                    phone, evidence = mask_number(phone), ""
                yield [phone, sources.get(source, source), evidence, since.isoformat(), until and until.isoformat()]

    audit.record(EXPORTED_OPT_OUTS, organization=user.organization, request=request)
    return download("opt-outs.csv", rows())


def opted_out_by_number(contact: Contact) -> OptOut | None:
    """The organisation's opt-out that stops this contact's number, if there is one."""
    if not contact.phone:
        return None
    found: OptOut | None = (
        OptOut.objects.active().filter(organization_id=contact.organization_id, phone=contact.phone).first()
    )
    return found
