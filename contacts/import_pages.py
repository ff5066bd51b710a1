"""The pages of an import: upload, what was found and how it is read, progress, what is given back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from contacts import importing, numbers
from contacts.columns import BY_NAME, COLUMNS, OPTED_OUT, OWN_FIELD, PHONE
from contacts.exports import download
from contacts.importing import ImportRefused, UnreadableFile, choices, merging, portions, rows, taking, texts
from contacts.importing.choices import Choices
from contacts.models import Contact, ContactImport, ContactList
from intake import countries, examples
from organizations import commitments
from organizations.current import current_user
from organizations.forms import regions
from organizations.models import User
from organizations.permissions import may_see_recipients

PROBLEMS_SHOWN = 200
EVERY = 1  # seconds after which the progress is asked for again
State = ContactImport.State
EXISTING = (
    (merging.UPDATE, gettext_lazy("Update them; empty cells change nothing")),
    (merging.SKIP, gettext_lazy("Leave them as they are")),
    (merging.REFUSE, gettext_lazy("Give their rows back to me")),
)


class UploadForm(forms.Form):
    use_required_attribute = False

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=forms.FileInput(
            attrs={"accept": ".csv,.tsv,.txt,.xlsx,.xlsm,.xlsb,.xls,.ods,text/csv", "class": "snd-file"}
        ),
        allow_empty_file=True,  # said in our own words
        error_messages={"required": gettext_lazy("Choose a file first.")},
    )
    region = forms.ChoiceField(
        label=gettext_lazy("Country of the numbers"),
        help_text=gettext_lazy("Numbers without a country code are read as numbers of this country."),
        choices=regions,
        required=False,
        widget=forms.Select(attrs={"class": "snd-select"}),
    )
    with_country_code = forms.BooleanField(
        label=gettext_lazy("Numbers carry their country code"),
        help_text=gettext_lazy(
            "Read 14015555555 as +14015555555, although it has no plus sign. You chose this for the last file of "
            "this list."
        ),
        required=False,
    )


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/contacts/contactlist/{template}.html", context, status=status)


def file_of(contact_list: ContactList, import_id: int, user: User) -> ContactImport:
    """An uploaded file of this list. Raises Http404."""
    files = contact_list.imports.select_related("contact_list__organization", "created_by")
    if not may_see_recipients(user):  # a file is full of numbers: only one's own
        files = files.filter(created_by=user)
    found = files.filter(pk=import_id).first()
    if found is None:
        raise Http404(_("This file is no longer stored. Upload it again."))
    return found


# --- uploading --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, contact_list: ContactList) -> HttpResponse:
    """Take a file and go on to what was found; a large one is read by a worker meanwhile."""
    last = choices.remembered(contact_list)
    initial = {"region": last.region, "with_country_code": last.with_country_code}
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm(initial=initial)
    if request.method == "POST" and form.is_valid():
        uploaded = form.cleaned_data["file"]
        wishes = {
            "region": form.cleaned_data["region"] or last.region,
            "with_country_code": form.cleaned_data["with_country_code"],
        }
        try:
            found = _taken(contact_list, uploaded, current_user(request), wishes)
        except UnreadableFile as refusal:
            form.add_error("file", str(refusal))
        else:
            return redirect("admin:contacts_contactlist_checked", contact_list.pk, found.pk)
    return page(
        request,
        "upload",
        title=_("Import contacts"),
        contact_list=contact_list,
        form=form,
        asks_for_the_code=last.with_country_code or "with_country_code" in request.POST,
        phone=PHONE.name,
        recognised=[column.name for column in COLUMNS if column is not PHONE],
        max_rows=importing.MAX_ROWS,
        max_megabytes=importing.MAX_BYTES // 1024 // 1024,
        running=contact_list.imports.filter(state__in=(State.READING, State.WRITING)).first(),
        status=422 if form.errors else 200,
    )


def _taken(contact_list: ContactList, uploaded: Any, user: User, wishes: dict[str, Any]) -> ContactImport:
    if uploaded.size <= taking.SMALL // 4:
        return importing.check(contact_list, uploaded.file, uploaded.name, user, **wishes)
    found = importing.upload(contact_list, uploaded.file, uploaded.name, user, **wishes)
    if taking.is_small(found, choices.of(found)):
        return importing.read_to_the_end(found)
    importing.wake(found.pk)
    return found


# --- what was found ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def checked(request: HttpRequest, contact_list: ContactList, import_id: int) -> HttpResponse:
    """What was found in a file; POST has it read otherwise, or imports it."""
    found = file_of(contact_list, import_id, current_user(request))
    if request.method == "POST":
        return _do(request, contact_list, found)
    if found.state == State.CANCELLED:
        messages.info(request, _("This import was cancelled; nothing of it is on the list."))
        return redirect("admin:contacts_contactlist_upload", contact_list.pk)
    if found.state == State.DONE and not _keeps_rows(found):
        return redirect("admin:contacts_contactlist_change", contact_list.pk)
    return page(request, "checked", contact_list=contact_list, **_context(found))


def _keeps_rows(found: ContactImport) -> bool:
    return found.bad_rows > 0 and portions.has(found, portions.Kind.PROBLEMS)


def _do(request: HttpRequest, contact_list: ContactList, found: ContactImport) -> HttpResponse:
    here = redirect("admin:contacts_contactlist_checked", contact_list.pk, found.pk)
    again = redirect("admin:contacts_contactlist_upload", contact_list.pk)
    wishes, flaw = _wishes(request, found)
    if flaw:
        messages.error(request, flaw)
        return here
    try:
        if wishes:
            importing.check_again(found, **wishes)
            if request.POST.get("do") == "import":
                messages.info(request, _("The file was read again, as you have chosen. Look at it once more."))
            return here
        if request.POST.get("do") == "read":
            return here
        small = taking.is_small(found, choices.of(found))
        found = (importing.run if small else importing.start)(found, current_user(request))
    except (ImportRefused, UnreadableFile) as refusal:
        messages.error(request, str(refusal))
        return again
    if found.state != State.DONE:
        return here
    messages.success(request, importing.summary(found))
    commitments.tell(request, contact_list.organization_id)
    return here if _keeps_rows(found) else redirect("admin:contacts_contactlist_change", contact_list.pk)


def _wishes(request: HttpRequest, found: ContactImport) -> tuple[dict[str, Any], str]:
    """What somebody chose otherwise than it is, and what is wrong with that."""
    now, sent = choices.of(found), request.POST
    allowed: dict[str, Any] = {
        "region": dict(regions()),
        "existing": dict(EXISTING),
        "encoding": texts.ENCODINGS,
        "sheet": now.sheets,
    }
    wishes: dict[str, Any] = {
        name: sent[name]
        for name, values in allowed.items()
        if name in sent and sent[name] in values and sent[name] != getattr(now, name)
    }
    if "with_country_code" in sent and not now.with_country_code:
        wishes["with_country_code"] = True
    elif "numbers" in sent and "with_country_code" not in sent and now.with_country_code:
        wishes["with_country_code"] = False
    if (
        "sheet" not in wishes
        and "encoding" not in wishes
        and any(f"column_{i}" in sent for i in range(len(now.targets)))
    ):
        known = {*BY_NAME, OPTED_OUT, rows.OWN, rows.LEFT_OUT}
        targets = [
            target if (target := sent.get(f"column_{index}", before)) in known else before
            for index, before in enumerate(now.targets)
        ]
        if targets != now.targets:
            wishes["targets"] = targets
            return wishes, rows.flaw_of(targets)
    if wishes.keys() & {"encoding"}:
        wishes["encoding_is_sure"] = False
    return wishes, ""


def _context(found: ContactImport) -> dict[str, Any]:
    chosen = choices.of(found)
    shown = list(islice(importing.wrong(found), PROBLEMS_SHOWN))
    odd = list(islice(importing.doubts(found), PROBLEMS_SHOWN))
    return {
        "title": _("Check and import"),
        "found": found,
        "chosen": chosen,
        "is_at_work": found.state in (State.READING, State.WRITING),
        "is_checked": found.state == State.CHECKED,
        "is_refused": found.state == State.REFUSED,
        "is_done": found.state == State.DONE,
        "can_be_chosen": bool(chosen.headings) and found.state in (State.READING, State.CHECKED, State.REFUSED),
        "country": countries.name(chosen.region),
        "regions": regions(),
        "existing": EXISTING,
        "encodings": [] if chosen.is_workbook or not _asks_for_encoding(chosen) else list(texts.ENCODINGS.items()),
        "columns": _columns(found, chosen),
        "problems": shown,
        "doubts": odd,
        "every": EVERY,
        "percent": found.progress // 10,
        "phase": _phase(found, chosen),
        **_progress_words(found, chosen),
    }


def _asks_for_encoding(chosen: Choices) -> bool:
    return bool(chosen.sample) or not chosen.encoding_is_sure


def _progress_words(found: ContactImport, chosen: Choices) -> dict[str, Any]:
    if found.state == State.WRITING:
        return {"doing": _("The rows are being written to the list.")}
    if not chosen.headings:
        return {"doing": _("The workbook is being unpacked.")}
    return {"doing": _("The file is being read; nothing has been written yet.")}


def target_names() -> list[tuple[str, str]]:
    """What a column of a file can become, and what that is called."""
    fields = {field.name: field for field in Contact._meta.concrete_fields}
    ours = [(column.name, capfirst(str(fields[column.attribute].verbose_name))) for column in COLUMNS]
    others = [
        (OPTED_OUT, _("Opted out since")),
        (rows.OWN, _("A field of its own")),
        (rows.LEFT_OUT, _("Leave out")),
    ]
    return [*ours, *others]


def _columns(found: ContactImport, chosen: Choices) -> list[dict[str, Any]]:
    """Each column with its heading, what becomes of it, and its first cells."""
    names = target_names()
    columns = []
    for index, (heading, target) in enumerate(zip(chosen.headings, chosen.targets, strict=True)):
        cells = [row[index] if index < len(row) else "" for row in found.preview]
        columns.append(
            {
                "index": index,
                "heading": heading,
                "target": target,
                "names": names,
                "cells": [_number(cell, chosen) for cell in cells] if target == PHONE.name else cells,
            }
        )
    return columns


def _number(cell: str, chosen: Choices) -> str:
    """A number as it will be stored; what is none stays as it is written."""
    try:
        return numbers.read(cell, chosen.region, with_country_code=chosen.with_country_code).e164
    except numbers.InvalidNumber:
        return cell


# --- while it is going on ---------------------------------------------------------------------------------------------


@require_safe
def progress(request: HttpRequest, contact_list: ContactList, import_id: int) -> HttpResponse:
    """How far it is, as a part of its page; the whole page once something has changed."""
    found = file_of(contact_list, import_id, current_user(request))
    chosen = choices.of(found)
    was = request.GET.get("was", "")
    is_same = found.state in (State.READING, State.WRITING) and was == _phase(found, chosen)
    if not getattr(request, "htmx", False):
        return redirect("admin:contacts_contactlist_checked", contact_list.pk, found.pk)
    if not is_same:
        return HttpResponseClientRefresh()
    context = {
        "contact_list": contact_list,
        "found": found,
        "every": EVERY,
        "percent": found.progress // 10,
        "phase": was,
        **_progress_words(found, chosen),
    }
    return page(request, "_progress", **context)


def _phase(found: ContactImport, chosen: Choices) -> str:
    """What the page shows besides the bar: it is loaded anew when this changes."""
    return f"{found.state}-{len(chosen.headings)}"


@require_POST
def cancel(request: HttpRequest, contact_list: ContactList, import_id: int) -> HttpResponse:
    """Stop it and forget the file."""
    found = file_of(contact_list, import_id, current_user(request))
    if importing.cancel(found):
        messages.success(request, _("The import was cancelled, and the file is no longer kept. The list is as it was."))
    else:
        messages.info(request, _("This import has already finished."))
    return redirect("admin:contacts_contactlist_change", contact_list.pk)


# --- files ------------------------------------------------------------------------------------------------------------


@require_safe
def problems_file(request: HttpRequest, contact_list: ContactList, import_id: int) -> FileResponse:
    """Everything that is wrong with a file, or worth a look, as a file."""
    found = file_of(contact_list, import_id, current_user(request))

    def lines() -> Iterator[list[Any]]:
        yield [_("Row"), _("Column"), _("Problem")]
        for problem in importing.problems_of(found):
            yield [problem.row, problem.column, problem.sentence]

    return download(f"{_('problems')}-{found.file_name}.csv", lines(), counted=False)


@require_safe
def given_back_file(request: HttpRequest, contact_list: ContactList, import_id: int) -> FileResponse:
    """The rows that are not imported, as they came, with what is wrong: to be corrected and imported."""
    found = file_of(contact_list, import_id, current_user(request))
    chosen = choices.of(found)

    def lines() -> Iterator[list[Any]]:
        row_heading, reason_heading = (_(heading) for heading in choices.GIVEN_BACK)
        yield [*chosen.headings, row_heading, reason_heading]
        for row, cells in importing.given_back(found):
            *before, reason = cells
            yield [*before, row, reason]

    name = found.file_name.rsplit(".", 1)[0]
    return download(f"{name}-{_('left-out')}.csv", lines(), counted=False)


@require_safe
def sample_file(request: HttpRequest, contact_list: ContactList) -> FileResponse:
    """An example that can be filled in, with a number of the country that is read for this list."""
    phone = examples.number(choices.remembered(contact_list).region)
    return download(
        "contacts.csv",
        [
            [*(column.name for column in COLUMNS), OWN_FIELD[0]],
            [*(phone if column is PHONE else column.example for column in COLUMNS), OWN_FIELD[1]],
        ],
        counted=False,
    )
