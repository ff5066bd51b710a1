"""Exports of contact lists and opt-outs. Rights and scope come from `admin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_safe

from contacts import wording
from contacts.columns import COLUMNS, IN_EXPORTS, OPTED_OUT, OPTED_OUT_AT, PHONE, bare
from contacts.exports import download, stamp
from contacts.models import Contact, ContactList, OptOut
from intake.masking import mask_number
from organizations import audit
from organizations.current import current_user
from organizations.permissions import may_see_recipients
from organizations.reading import pages

EXPORTED = gettext_noop("exported contacts")
EXPORTED_OPT_OUTS = gettext_noop("exported opt-outs")


class ListChanged(Exception):
    """Somebody on the list got a column that the headings of the export do not have."""


@require_safe
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


@require_safe
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
                yield [phone, sources.get(source, source), wording.evidence(evidence), stamp(since), stamp(until)]

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
