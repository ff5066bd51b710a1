"""Writing a distribution: the draft's form, and what is said of it while it is being written."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.admin.utils import label_for_field
from django.db.models import Exists
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from contacts.columns import COLUMNS, IN_TEXTS, ContactColumn
from contacts.models import Contact, ContactList
from distributions import own_phone, segments, services
from distributions.models import Distribution
from distributions.pages.compose_form import ComposeForm, time_in
from distributions.pages.frame import distribution_of, may_see_numbers, page
from distributions.piping import Template
from distributions.planning import editing
from distributions.planning.review import (
    areas_of,
    at_night,
    cautions,
    interactive_obstacle,
    other_columns,
    preview,
    survey_obstacle,
)
from extensions.models import ProviderAccount
from extensions.routing import NoRoute, route_for
from intake import examples
from intake.masking import mask_numbers
from organizations.current import current_user
from organizations.models import Organization, Owned, User
from organizations.permissions import require_sms
from surveys.models import Survey

State = Distribution.State
Method = Distribution.Method

PREVIEWS = 3


@require_http_methods(["GET", "HEAD", "POST"])
def compose(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Write a draft, or change one. Raises MissingRight."""
    user = current_user(request)
    require_sms(user)
    distribution = distribution_of(request, pk) if pk else Distribution(organization=user.organization)
    if distribution.state == State.SCHEDULED and request.method == "POST":
        try:  # it was kept as it was, or planned again, in another tab
            editing.begin(distribution, user)
        except editing.Gone as gone:
            messages.error(request, str(gone))
        distribution.refresh_from_db()
    if distribution.state != State.DRAFT:
        return redirect("admin:distributions_distribution_change", distribution.pk)
    initial = {name: request.GET[name] for name in ("method", "contact_list", "survey") if name in request.GET}
    data = request.POST if request.method == "POST" else None
    form = ComposeForm(user, data, instance=distribution, initial={} if pk else initial)
    if request.method == "POST" and form.is_valid():
        if services.write(form.save(commit=False), form.Meta.fields, user):
            return redirect("admin:distributions_distribution_review", form.instance.pk)
        messages.error(request, _("Nothing was changed: it has been launched in the meantime."))
        return redirect("admin:distributions_distribution_change", form.instance.pk)
    not_by_text = interactive_obstacle(distribution.organization)
    return page(
        request,
        "compose",
        title=_("Edit distribution") if pk else _("New distribution"),
        form=form,
        distribution=distribution if pk else None,
        night=_night_as_written(request) if request.method == "POST" else _at_night(distribution),
        **_what_exists(user),
        no_route=_account_of(user)[1] if not_by_text else "",  # what carries a survey by text carries a link too
        not_by_text=not_by_text,
        source="compose",
        code_sent=own_phone.pending(user),
        status=422 if form.errors else 200,
    )


def _what_exists(user: User) -> dict[str, bool]:
    """Whether there are a list and a survey to choose, in one query."""
    lists, surveys = ContactList.objects.visible_to(user), Survey.objects.visible_to(user)
    own = Organization.objects.filter(users=user)
    found = own.values_list(Exists(lists), Exists(surveys)).get()
    return {"lists_exist": found[0], "surveys_exist": found[1]}


@require_POST
def show_preview(request: HttpRequest) -> HttpResponse:
    """While somebody writes: segments, what deserves a second look, and the text as real people would get it."""
    user = current_user(request)
    require_sms(user)
    draft = Distribution(
        method=Method.INTERACTIVE if request.POST.get("method") == Method.INTERACTIVE else Method.INVITE,
        survey=_chosen(Survey, request, user, "survey") or Survey(),
        message_text=request.POST.get("message_text", "").replace("\r\n", "\n")[:10_000].replace("\0", ""),
    )
    by_text = draft.is_interactive
    not_ready = survey_obstacle(draft.survey, interactive=by_text) if draft.survey.pk else ""
    text = draft.whole_text if draft.survey.pk else draft.message_text
    contact_list = _chosen(ContactList, request, user, "contact_list")
    columns = other_columns(contact_list.pk) if contact_list else []
    account, _no_route = _account_of(user)
    template = Template(text)
    people = list(contact_list.contacts.exclude(phone="").order_by("pk")[:PREVIEWS]) if contact_list else []
    previews = preview(text, people or [somebody_of(user)], account) if text.strip() else []
    length = previews[0][2] if previews else segments.count(text)
    if people and not may_see_numbers(request):
        previews = [(contact, mask_numbers(written), size) for contact, written, size in previews]
    plain = segments.plain(draft.message_text)
    looked_at = text.strip() and contact_list and (draft.survey.pk or not by_text)
    return page(
        request,
        "_preview",
        by_text=by_text,
        survey=draft.survey,
        length=length,
        room=_room(length),
        offending=length.offending[:20],
        plain=plain if plain != draft.message_text else "",
        problems=[*template.problems, *([not_ready] if not_ready else [])],
        cautions=cautions(template, set(columns), account, interactive=by_text) if looked_at else [],
        previews=previews,
        is_example=not people,
        has_links=template.has_survey_link or template.has_opt_out_link,
        placeholders=[(_named(column), f"${{m://{column.name}}}") for column in IN_TEXTS[2:]]
        + [(name, f"${{e://Field/{name}}}") for name in columns if not set(name) & set("{}|")][:40],
    )


def _named(column: ContactColumn) -> str:
    """What the form of a contact calls it, in the reader's language."""
    return capfirst(str(label_for_field(column.attribute, Contact)))


@require_POST
def show_night(request: HttpRequest) -> HttpResponse:
    """While somebody chooses a time: what the review would say of it. Raises MissingRight."""
    require_sms(current_user(request))
    return page(request, "_night", night=_night_as_written(request))


def _night_as_written(request: HttpRequest) -> list[str]:
    user = current_user(request)
    contact_list = _chosen(ContactList, request, user, "contact_list")
    assert user.organization is not None  # require_sms has seen to it
    send_at = time_in(request.POST, ZoneInfo(user.organization.time_zone))
    return _at_night(Distribution(organization=user.organization, contact_list=contact_list, send_at=send_at))


def _at_night(distribution: Distribution) -> list[str]:
    """What to say about the time of a draft; nothing where it has none that is still to come, or no list."""
    send_at, contact_list = distribution.send_at, distribution.contact_list
    if contact_list is None or send_at is None or send_at <= timezone.now():
        return []
    return list(at_night(distribution.organization, areas_of(contact_list), send_at))


def _chosen(model: type[Owned], request: HttpRequest, user: User, name: str) -> Any:
    """The user's own row that is chosen in the form, None if there is none yet."""
    value = request.POST.get(name, "")
    if not (value.isascii() and value.isdecimal() and len(value) < 19):
        return None
    return model.objects.visible_to(user).filter(pk=value).first()


def somebody_of(user: User) -> Contact:
    """An example of a person, with a number of the organisation's country: in place of the people of an empty list."""
    region = user.organization.default_region if user.organization else ""
    values = {column.attribute: column.example for column in COLUMNS}
    return Contact(fields={}, **{**values, "phone": examples.number(region)})


def _room(length: segments.Segments) -> int:
    """How many units the text's segments hold."""
    single, part = (
        (segments.GSM_SINGLE, segments.GSM_PART)
        if length.encoding == "GSM-7"
        else (segments.UCS2_SINGLE, segments.UCS2_PART)
    )
    return single if length.segments <= 1 else part * length.segments


def _account_of(user: User) -> tuple[ProviderAccount | None, str]:
    """The account that would carry a text now, or why there is none."""
    assert user.organization is not None  # require_sms has seen to it
    try:
        return route_for(user.organization).account, ""
    except NoRoute as error:
        return None, error.reason
