"""The pages of a distribution: compose, review, progress, history. They hold no rules: those are in `services`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Exists, OuterRef, Q, Subquery, prefetch_related_objects
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts import numbers
from contacts.exports import download
from contacts.models import Contact, ContactList
from distributions import segments, services, wording
from distributions.engine.references import SALT, reference
from distributions.forms import ComposeForm, time_in
from distributions.models import Chunk, Conversation, Distribution, InboundMessage, Message, MessageEvent
from distributions.piping import CONTACT_FIELDS, Template
from distributions.planning import editing, fingerprint, leaving
from distributions.planning.fingerprint import Difference, Fingerprint
from distributions.planning.remaining import remaining
from distributions.planning.review import (
    Obstacle,
    areas_of,
    at_night,
    cautions,
    interactive_obstacle,
    other_columns,
    people_of,
    preview,
    ready,
    recipients,
    review,
    survey_obstacle,
)
from distributions.services import LaunchRefused
from distributions.states import NOT_LEFT, WAITING, Status
from distributions.sums import Sums, segments_sent
from extensions.models import ProviderAccount
from extensions.routing import NoRoute, Route, route_for
from intake.masking import mask_number, mask_numbers
from organizations import audit
from organizations.admin_base import current_user
from organizations.models import Organization, Owned, User
from organizations.permissions import MissingRight, may_see_recipients, missing_sms, require_sight, require_sms
from organizations.reading import again, pages
from surveys import conversation as engine
from surveys.conversation import Kind
from surveys.models import Answer, Question, Survey

State = Distribution.State
Method = Distribution.Method

ROWS = 50  # of the history, per page
PREVIEWS = 3
OF_CONTACT = 20
MANY_QUESTIONS = 3  # of a survey by text: more than these deserve a second look
BATCH = 2_000  # rows of a file that are read at once
TURNS = 200  # of ours and of theirs each, on the page of one person
COPIED = gettext_noop("copied")
EXPORTED = gettext_noop("exported the history")
EXPORTED_ANSWERS = gettext_noop("exported the answers")
FOLLOWED = timedelta(hours=1)  # how long a finished distribution's page goes on looking for reports


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A page in the admin's frame; a fragment (its name starts with an underscore) without it."""
    if not template.startswith("_"):
        context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/distributions/distribution/{template}.html", context, status=status)


def distribution_of(request: HttpRequest, pk: int) -> Distribution:
    """The organisation's own distribution, read once per request. Raises Http404 for any other."""
    known: Distribution | None = getattr(request, "_distribution", None)
    if known is not None and known.pk == pk:
        return known
    rows = Distribution.objects.visible_to(current_user(request))
    rows = rows.select_related("organization__licence", "survey__organization", "contact_list", "account", "tally")
    found: Distribution | None = rows.select_related("created_by", "launched_by").filter(pk=pk).first()
    if found is None:
        raise Http404(_("There is no such distribution."))
    request._distribution = found  # type: ignore[attr-defined]
    return found


def may_see_numbers(request: HttpRequest) -> bool:
    """Whether numbers are shown whole, and what people wrote at all; worked out once per request."""
    known: bool | None = getattr(request, "_sees_recipients", None)
    if known is None:
        known = may_see_recipients(current_user(request))
        request._sees_recipients = known  # type: ignore[attr-defined]
    return known


HIDDEN = gettext_lazy("Not shown: it needs the permission “See recipients”.")


# --- compose ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
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
    previews = preview(text, people or [EXAMPLE], account) if text.strip() else []
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
        placeholders=[(name, f"${{m://{name}}}") for name in CONTACT_FIELDS[2:]]
        + [(name, f"${{e://Field/{name}}}") for name in columns if not set(name) & set("{}|")][:40],
    )


@require_POST
def show_night(request: HttpRequest) -> HttpResponse:
    """While somebody chooses a time: what the review would say of it. Raises MissingRight."""
    require_sms(current_user(request))
    return page(request, "_night", night=_night_as_written(request))


def _night_as_written(request: HttpRequest) -> list[str]:
    user = current_user(request)
    contact_list = _chosen(ContactList, request, user, "contact_list")
    send_at = time_in(request.POST)
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


# Stands in for the people of an empty list.
EXAMPLE = Contact(
    first_name="Ada", last_name="Lovelace", email="ada@example.org", phone="+4915112345678", language="en", fields={}
)


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


# --- review and launch ------------------------------------------------------------------------------------------------


@require_GET
def show_review(request: HttpRequest, pk: int) -> HttpResponse:
    """The last page before the launch."""
    distribution = distribution_of(request, pk)
    if distribution.state != State.DRAFT:
        return redirect("admin:distributions_distribution_change", pk)
    return _review_page(request, distribution)


def _review_page(
    request: HttpRequest, distribution: Distribution, reviewed: Fingerprint | None = None, *, status: int = 200
) -> HttpResponse:
    """The review as it is now; with `reviewed`, what differs from an earlier one stands above it."""
    prefetch_related_objects([distribution.survey], "questions")  # asked for by whoever looks for an obstacle
    list_version = fingerprint.version_of_list(distribution)
    looked_at = review(distribution)
    seen = fingerprint.of_review(looked_at, list_version)
    if not may_see_numbers(request):
        looked_at.examples = [(contact, mask_numbers(text)) for contact, text in looked_at.examples]
        looked_at.longest = mask_numbers(looked_at.longest)
    missing = missing_sms(current_user(request))
    template = Template(distribution.whole_text)
    return page(
        request,
        "review",
        status=status,
        title=_("Review"),
        address=reverse("admin:distributions_distribution_review", args=[distribution.pk]),
        distribution=distribution,
        review=looked_at,
        fingerprint=fingerprint.sign(seen),
        differences=fingerprint.differences(reviewed, seen) if reviewed else [],
        is_refused=reviewed is not None,
        missing=missing,
        later=distribution.send_at is not None and distribution.send_at > timezone.now(),
        has_links=template.has_survey_link or template.has_opt_out_link,
        **_conversation_of(distribution),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a survey by text, as it is texted."""

    kind: str
    text: str
    length: segments.Segments


def _conversation_of(distribution: Distribution) -> dict[str, Any]:
    """Everything that is asked by text, in order; nothing for a link."""
    if not distribution.is_interactive:
        return {}
    script = distribution.survey.script()
    texts = [(question, engine.ask(question)) for question in script.questions]
    number = sum(question.kind != Kind.STATEMENT for question in script.questions)
    return {
        "asked": [Asked(str(question.kind.label), text, segments.count(text)) for question, text in texts],
        "questions": number,
        "many_questions": number > MANY_QUESTIONS,
        "thank_you": script.thank_you,
    }


@require_GET
def skipped_file(request: HttpRequest, pk: int) -> FileResponse:
    """Who would be skipped and why, as a file. Raises MissingRight."""
    require_sms(current_user(request))
    distribution = distribution_of(request, pk)
    whole = may_see_numbers(request)
    labels = dict(Message.Skip.choices)

    def rows() -> Iterator[list[Any]]:
        yield ["FirstName", "LastName", "Phone", "ExternalDataReference", _("Reason")]
        for contact, reason in recipients(distribution):
            if reason:
                yield [
                    contact.first_name,
                    contact.last_name,
                    contact.phone if whole else mask_number(contact.phone),
                    contact.external_reference,
                    labels[reason],
                ]

    return download(f"{distribution.name}-{_('skipped')}.csv", rows())


@require_POST
def launch(request: HttpRequest, pk: int) -> HttpResponse:
    """Launch what was reviewed, once however often it is asked. Raises MissingRight."""
    user = current_user(request)
    distribution = distribution_of(request, pk)
    require_sms(user)
    if distribution.state != State.DRAFT:
        return redirect("admin:distributions_distribution_change", pk)
    reviewed = fingerprint.read(request.POST.get("fingerprint", ""))
    if reviewed is None:
        messages.error(request, _("Nothing has been sent. Look at it first: this is what would go."))
        return redirect("admin:distributions_distribution_review", pk)
    try:
        services.launch(distribution, user, reviewed)
    except services.Changed:
        request._distribution = None  # type: ignore[attr-defined]  # it is read anew
        distribution = distribution_of(request, pk)
        if distribution.state == State.DRAFT:
            return _review_page(request, distribution, reviewed, status=409)
    except LaunchRefused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("admin:distributions_distribution_review", pk)
    return redirect("admin:distributions_distribution_change", pk)


@require_POST
def take_over(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer for a held distribution and let it begin, as it was looked at. Raises MissingRight.

    From the home page it is one click that knows of the problem alone: where more has changed, it is looked at first.
    """
    user = current_user(request)
    require_sms(user)
    distribution = distribution_of(request, pk)
    people = _number(request.POST.get("people", ""))
    reviewed = fingerprint.read(request.POST.get("fingerprint", ""))
    if reviewed is None and distribution.needs_somebody and not services.says_everything(distribution):
        messages.warning(request, _("More has changed than that. Look at it first: this is what would go now."))
        return redirect("admin:distributions_distribution_change", pk)
    try:
        services.take_over(distribution, user, people, reviewed)
    except services.Changed as refusal:
        request._distribution = None  # type: ignore[attr-defined]  # it is read anew
        distribution = distribution_of(request, pk)
        if distribution.needs_somebody:
            return _progress_page(request, distribution, changed=refusal.differences, status=409)
    except LaunchRefused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("admin:distributions_distribution_change", pk)


@require_POST
def edit_planned(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the clock of a planned distribution and change it. Raises MissingRight."""
    try:
        editing.begin(distribution_of(request, pk), current_user(request))
    except editing.Gone as gone:
        messages.error(request, str(gone))
        return redirect("admin:distributions_distribution_change", pk)
    return redirect("admin:distributions_distribution_edit", pk)


@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave a planned distribution as it was before somebody began to change it. Raises MissingRight."""
    try:
        editing.keep(distribution_of(request, pk), current_user(request))
    except editing.Gone as gone:
        messages.error(request, str(gone))
    return redirect("admin:distributions_distribution_change", pk)


def _doing(service: Callable[[Distribution, User], None]) -> Callable[[HttpRequest, int], HttpResponse]:
    @require_POST
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        service(distribution_of(request, pk), current_user(request))
        return redirect("admin:distributions_distribution_change", pk)

    return view


pause = _doing(services.pause)
resume = _doing(services.resume)
cancel = _doing(services.cancel)


@require_POST
def send_the_rest(request: HttpRequest, pk: int) -> HttpResponse:
    """Through the account that is in use now, from whichever number. Raises MissingRight."""
    try:
        services.send_the_rest(distribution_of(request, pk), current_user(request))
    except NoRoute as refusal:
        messages.error(request, refusal.reason)
    return redirect("admin:distributions_distribution_change", pk)


@require_POST
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    """A new draft with the same method, recipients, survey and text. Raises MissingRight."""
    user = current_user(request)
    require_sms(user)
    old = distribution_of(request, pk)
    new = Distribution.objects.create(
        organization=old.organization,
        name=_("Copy of %(name)s")[:100] % {"name": old.name[:80]},
        survey=old.survey,
        contact_list=old.contact_list,
        method=old.method,
        message_text=old.message_text,
        created_by=user,
    )
    audit.record(COPIED, organization=old.organization, request=request, target=old)
    return redirect("admin:distributions_distribution_edit", new.pk)


# --- progress ---------------------------------------------------------------------------------------------------------


@require_GET
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """What is becoming of a distribution; a draft is edited instead."""
    distribution = distribution_of(request, pk)
    if distribution.state == State.DRAFT:
        if missing_sms(current_user(request)):
            return redirect("admin:distributions_distribution_review", pk)
        return redirect("admin:distributions_distribution_edit", pk)
    return _progress_page(request, distribution)


def _progress_page(
    request: HttpRequest, distribution: Distribution, changed: Sequence[Difference] = (), *, status: int = 200
) -> HttpResponse:
    """With `changed`, what differs from what somebody has looked at who wanted to take it over."""
    context = _progress(request, distribution)
    return page(
        request,
        "progress",
        status=status,
        title=distribution.name,
        address=reverse("admin:distributions_distribution_change", args=[distribution.pk]),
        **context,
        **_to_take_over(distribution, context),
        changed=changed,
    )


def _to_take_over(distribution: Distribution, context: dict[str, Any]) -> dict[str, Any]:
    """What would go if it were taken over now, and what of it is otherwise than it was planned."""
    if not context["takes_over"]:
        return {}
    now = fingerprint.of(distribution)
    differing = fingerprint.since_reviewed(distribution, now)
    return {"would_go": now, "fingerprint": fingerprint.sign(now), "differences": differing}


@require_GET
def show_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """What changes on the progress page while it is looked at."""
    distribution = distribution_of(request, pk)
    context = _progress(request, distribution)
    context["controls_changed"] = request.GET.get("phase") != context["phase"]
    if context["controls_changed"]:
        context |= _to_take_over(distribution, context)
    return page(request, "_progress", **context)


def _progress(request: HttpRequest, distribution: Distribution) -> dict[str, Any]:
    user = current_user(request)
    tally = getattr(distribution, "tally", None)
    running = distribution.state in (State.LAUNCHING, State.SENDING) and not distribution.paused_at
    finished_at = distribution.finished_at
    awaited = tally.accepted + tally.sent + tally.uncertain if tally else 0
    awaited += distribution.is_interactive  # replies come for some time
    followed = bool(awaited and finished_at and finished_at > timezone.now() - FOLLOWED)
    halt = "paused" if distribution.paused_at else "held" if distribution.held_at else "on"
    missing = missing_sms(user)
    every = 2 if running else 10 if followed or distribution.state == State.SCHEDULED or distribution.paused_at else 0
    return {
        "distribution": distribution,
        "tally": tally,
        "sums": Sums.of(tally),
        "running": running,
        "remaining": remaining(distribution),
        "every": every,
        "phase": f"{distribution.state}-{halt}{'-alarm' if distribution.needs_somebody else ''}"
        + ("-running" if distribution.answers_until else ""),
        "may_edit": distribution.state == State.SCHEDULED,
        "may_cancel": distribution.state in (State.SCHEDULED, State.LAUNCHING, State.SENDING),
        "people": people_of(distribution) if distribution.needs_somebody else None,
        "takes_over": not missing and _would_begin_for(distribution, user),
        "missing": missing,
        "may_export": may_see_numbers(request),
        "route": distribution.account and Carrier.of(distribution.account),
        "rest_route": _rest_route(distribution),
    }


def _would_begin_for(distribution: Distribution, user: User) -> bool:
    """Whether nothing is in the way of a planned distribution but who answers for it, so that this user may do so."""
    if distribution.held_at is not None:
        return True  # why not is said to whoever tries
    if not distribution.needs_somebody:
        return False
    try:
        ready(distribution, user)
    except (NoRoute, Obstacle, MissingRight):
        return False
    return True


def _rest_route(distribution: Distribution) -> Route | None:
    """What could carry the rest of a distribution that is held; None where nothing is held or nothing could."""
    if not distribution.problem or not leaving.is_held(distribution):
        return None
    try:
        return route_for(distribution.organization)
    except NoRoute:
        return None


@require_GET
def show_reasons(request: HttpRequest, pk: int) -> HttpResponse:
    """How many messages did not arrive for which reason. One pass over the distribution's messages.

    What a conversation goes on with is told apart: the states on the page count everybody's first text.
    """
    distribution = distribution_of(request, pk)
    rows = (
        Message.objects.filter(distribution=distribution)
        .exclude(reason="")
        .values("status", "reason", is_first=Q(conversation=None))
        .annotate(number=Count("pk"))
        .order_by("-is_first", "-number")
    )
    reasons = [(Status(row["status"]).label, wording.explain(row["status"], row["reason"]), row) for row in rows]
    return page(request, "_reasons", distribution=distribution, reasons=reasons)


@require_GET
def show_carriers(request: HttpRequest, pk: int) -> HttpResponse:
    """How many people's texts have left through which account, and wait on it; nothing where there is but one.

    One pass over the distribution's messages, and one over those that wait, by the ranges they are sent in.
    """
    distribution = distribution_of(request, pk)
    firsts = Message.objects.filter(distribution=distribution, conversation=None).order_by()
    left = dict(
        firsts.exclude(status__in=[*NOT_LEFT, Status.SENDING])
        .exclude(account=None)
        .values_list("account")
        .annotate(number=Count("pk"))
    )
    waiting = _waiting_on(distribution)
    found = _carriers({*left, *waiting})
    rows = [(carrier, left.get(pk, 0), waiting.get(pk, 0)) for pk, carrier in found.items()]
    rows.sort(key=lambda row: (-row[1], -row[2]))
    return page(request, "_carriers", rows=rows if len(rows) > 1 else [])


def _waiting_on(distribution: Distribution) -> Counter[int]:
    """How many texts wait on which account."""
    in_range = Message.objects.filter(
        distribution=OuterRef("distribution"),
        pk__range=(OuterRef("first_id"), OuterRef("last_id")),
        conversation=None,
        status__in=WAITING,
    )
    number = in_range.order_by().values("distribution").annotate(number=Count("pk")).values("number")
    left = distribution.chunks.filter(state=Chunk.State.OPEN, priority=Chunk.Priority.BULK)
    waiting: Counter[int] = Counter()
    for account_id, texts in left.values_list("account").annotate(texts=Subquery(number)).order_by():
        waiting[account_id] += texts or 0
    return +waiting


# --- history ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carrier:
    """Which account carried a message, as it is named in the history for ever (R9, R26)."""

    name: str
    provider: str
    sender: str
    is_default: bool
    is_deleted: bool

    @classmethod
    def of(cls, account: ProviderAccount) -> Carrier:
        return cls(
            account.name,
            account.provider_name,
            account.sender,
            account.organization_id is None,
            account.deleted_at is not None,
        )

    def __str__(self) -> str:
        if self.is_default:
            return _("default provider of this installation (%(provider)s)") % {"provider": self.provider}
        if self.is_deleted:
            return _("%(name)s (%(provider)s), since deleted") % {"name": self.name, "provider": self.provider}
        return f"{self.name} ({self.provider})"


@dataclass(frozen=True, slots=True)
class Row:
    """One message in the history."""

    message: Message
    contact: Contact | None  # None where it has been deleted since
    person: str
    number: str
    explanation: str
    badge: str
    carrier: Carrier | None
    replies: int = 0
    conversation: str = ""  # where a survey by text stands
    conversation_badge: str = ""


def _carriers(account_ids: set[int]) -> dict[int, Carrier]:
    accounts = ProviderAccount.objects.filter(pk__in=account_ids).defer("credentials")
    return {account.pk: Carrier.of(account) for account in accounts}


def _row(
    message: Message,
    contact: Contact | None,
    carriers: dict[int, Carrier],
    *,
    whole_number: bool,
    replies: int = 0,
    begun: Conversation | None = None,
) -> Row:
    """The message as a row; without `whole_number` its texts show no number either."""
    if not whole_number:
        message.text, message.error = mask_numbers(message.text), mask_numbers(message.error)
    names = (contact.first_name, contact.last_name) if contact else ()
    by_text = message.distribution.is_interactive
    return Row(
        message,
        contact,
        " ".join(filter(None, names)) or _("without a name"),
        message.to if whole_number else mask_number(message.to),
        wording.explain(message.status, message.reason),
        wording.BADGES.get(message.status, ""),
        carriers.get(message.account_id) if message.account_id else None,
        replies,
        wording.standing(message, begun, replies) if by_text else "",
        wording.CONVERSATION_BADGES.get(begun.state, "") if begun else "",
    )


@require_GET
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """Every recipient, a page at a time in the order of sending. Pages follow each other by key, not by number."""
    distribution = distribution_of(request, pk)
    rows = Message.objects.filter(distribution=distribution, conversation=None)
    state = request.GET.get("state", "")
    if state in Status.values:
        rows = rows.filter(status=state)
    whole = may_see_numbers(request)
    number, wrong_number = request.GET.get("number", "").strip()[:40] if whole else "", ""
    if number:
        try:
            rows = rows.filter(to=_looked_for(number, distribution.organization.default_region))
        except numbers.InvalidNumber as error:
            rows, wrong_number = rows.none(), str(error)

    # By contact and not by the message's own key: the index on (distribution, contact) is the order of sending too.
    before, after = key_of(request, "before"), key_of(request, "after")
    if before:
        found = list(rows.filter(contact_id__lt=before).order_by("-contact_id")[: ROWS + 1])
        more_before, more_after = len(found) > ROWS, True
        found = found[:ROWS][::-1]
    else:
        found = list(rows.filter(contact_id__gt=after or 0).order_by("contact_id")[: ROWS + 1])
        more_before, more_after = bool(after), len(found) > ROWS
        found = found[:ROWS]
    contacts = _contacts_of(found)
    begun = _begun_with(distribution, found)
    for message in found:
        message.distribution = distribution
    replies = dict(
        InboundMessage.objects.filter(message_id__in=[message.pk for message in found])
        .values_list("message_id")
        .annotate(number=Count("pk"))
        .order_by()
    )
    carriers = _carriers({message.account_id for message in found if message.account_id})
    query = request.GET.copy()
    query.pop("before", None)
    query.pop("after", None)
    return page(
        request,
        "history",
        title=_("Recipients"),
        distribution=distribution,
        rows=[
            _row(
                message,
                contacts.get(message.contact_id),
                carriers,
                whole_number=whole,
                replies=replies.get(message.pk, 0),
                begun=begun.get(message.pk),
            )
            for message in found
        ],
        states=Status.choices,
        state=state,
        number=number,
        wrong_number=wrong_number,
        may_export=whole,  # and filter by number
        filtered=bool(state or number),
        query=query.urlencode(),
        before=found[0].contact_id if found and more_before else None,
        after=found[-1].contact_id if found and more_after else None,
    )


def _looked_for(number: str, region: str) -> str:
    """The number as it is stored. Nobody is texted, so it may be one of abroad too. Raises InvalidNumber."""
    try:
        return numbers.read(number, region).e164
    except numbers.ForeignNumber:
        return numbers.read(number, region, with_country_code=True).e164


def key_of(request: HttpRequest, name: str) -> int:
    """The key after or before which a page begins; 0 if the address names none."""
    return _number(request.GET.get(name, "")) or 0


def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None


def _contacts_of(found: Iterable[Message]) -> dict[int | None, Contact]:
    """Who the messages went to, by key; a contact that has been deleted since is missing."""
    return {**Contact.objects.in_bulk({message.contact_id for message in found if message.contact_id})}


def _begun_with(distribution: Distribution, found: Iterable[Message]) -> dict[int, Conversation]:
    """The conversations that these messages began, by message."""
    if not distribution.is_interactive:
        return {}
    rows = Conversation.objects.filter(message_id__in=[message.pk for message in found])
    return {row.message_id: row for row in rows}


@require_GET
def history_file(request: HttpRequest, pk: int) -> FileResponse:
    """Every recipient as a file. Raises MissingRight."""
    distribution = _for_a_file(request, pk, EXPORTED)
    account_ids = distribution.chunks.values_list("account_id", flat=True).distinct()
    carriers = _carriers({*account_ids, *([distribution.account_id] if distribution.account_id else [])})
    return download(f"{distribution.name}.csv", _history_rows(distribution, carriers))


def _for_a_file(request: HttpRequest, pk: int, exported: str) -> Distribution:
    """The distribution about which a file is downloaded, which is written down. Raises MissingRight."""
    distribution = distribution_of(request, pk)
    require_sight(current_user(request))
    audit.record(exported, organization=distribution.organization, request=request, target=distribution)
    return distribution


HISTORY_COLUMNS = (
    "FirstName",
    "LastName",
    "ExternalDataReference",
    "Phone",
    "SurveyReference",
    "State",
    "Reason",
    "Explanation",
    "ProviderWords",
    "ProviderMessageID",
    "Account",
    "Provider",
    "Sender",
    "Segments",
    "SegmentsSent",
    "Cost",
    "Attempted",
    "Accepted",
    "Settled",
    "Clicked",
    "Conversation",
)


def _history_rows(distribution: Distribution, carriers: dict[int, Carrier]) -> Iterator[tuple[Any, ...]]:
    """By contact: the index on (distribution, contact) is the order of sending too."""
    yield HISTORY_COLUMNS
    for found in pages(Message.objects.filter(distribution=distribution).defer("text"), key="contact_id", size=BATCH):
        contacts = again(partial(_contacts_of, found))
        begun = again(partial(_begun_with, distribution, found))
        sent = again(partial(segments_sent, found))
        for message in found:
            conversation = begun.get(message.pk)
            contact = contacts.get(message.contact_id)
            carrier = carriers.get(message.account_id or 0)
            yield (
                contact.first_name if contact else "",
                contact.last_name if contact else "",
                contact.external_reference if contact else "",
                message.to,
                reference(message.pk),
                message.status,
                message.reason,
                wording.explain(message.status, message.reason),
                message.error,
                message.provider_message_id,
                carrier.name if carrier else "",
                carrier.provider if carrier else "",
                carrier.sender if carrier else "",
                message.segments,
                sent[message.pk],
                0,  # with an account of one's own every message is shown at zero cost (R5)
                *(_stamp(moment) for moment in (message.attempted_at, message.accepted_at, message.settled_at)),
                _stamp(message.clicked_at),
                conversation.state if conversation else "",
            )


def _stamp(moment: datetime | None) -> str:
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else ""


@require_GET
def answers_file(request: HttpRequest, pk: int) -> FileResponse:
    """What people answered by text, a row for each of them. Raises MissingRight."""
    distribution = _for_a_file(request, pk, EXPORTED_ANSWERS)
    return download(f"{distribution.name}-{_('answers')}.csv", _answer_rows(distribution))


ANSWER_COLUMNS = ("FirstName", "LastName", "ExternalDataReference", "Phone", "State", "Started", "Ended")


def _answer_rows(distribution: Distribution) -> Iterator[tuple[Any, ...]]:
    """Questions have the number that they have in the survey; a statement has no answer, and no column."""
    questions: dict[int, Question] = {}
    columns = []
    for number, question in enumerate(distribution.survey.questions.all(), 1):
        if question.kind != Kind.STATEMENT:
            questions[question.pk] = question
            columns.append(f"Q{number}")
    yield (*ANSWER_COLUMNS, *columns)
    conversations = Conversation.objects.filter(distribution=distribution).select_related("message")
    for found in pages(conversations.defer("message__text"), size=BATCH):
        contacts, words = again(partial(_answers_of, found, questions))
        for conversation in found:
            contact = contacts.get(conversation.message.contact_id)
            yield (
                contact.first_name if contact else "",
                contact.last_name if contact else "",
                contact.external_reference if contact else "",
                conversation.phone,
                conversation.state,
                _stamp(conversation.created_at),
                _stamp(conversation.ended_at),
                *(words.get((conversation.response_id or 0, question_id), "") for question_id in questions),
            )


def _answers_of(
    found: list[Conversation], questions: dict[int, Question]
) -> tuple[dict[int | None, Contact], dict[tuple[int, int], str]]:
    """Who held these conversations, and what was answered in them by response and question."""
    contacts = _contacts_of(conversation.message for conversation in found)
    response_ids = [conversation.response_id for conversation in found if conversation.response_id]
    words = {
        (given.response_id, given.question_id): wording.answer(questions[given.question_id], given)
        for given in Answer.objects.filter(response_id__in=response_ids)
    }
    return contacts, words


# --- one message ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of a message's story."""

    at: datetime
    what: str
    detail: str = ""


def _message_of(request: HttpRequest, pk: int, message_pk: int) -> Message:
    distribution = distribution_of(request, pk)
    rows = Message.objects.filter(distribution=distribution, pk=message_pk)
    found: Message | None = rows.select_related("conversation").annotate(salt=SALT).first()
    if found is None:
        raise Http404(_("There is no such message."))
    found.distribution = distribution
    return found


@require_GET
def show_message(request: HttpRequest, pk: int, message_pk: int) -> HttpResponse:
    """One message: its text, its story, and what came back. What a conversation goes on with is on the first's page."""
    message = _message_of(request, pk, message_pk)
    if message.conversation is not None:
        first = reverse("admin:distributions_distribution_message", args=[pk, message.conversation.message_id])
        return redirect(f"{first}#text-{message.pk}")
    user = current_user(request)
    whole = may_see_numbers(request)
    replies = list(message.replies.order_by("received_at", "pk")[:TURNS])
    events = list(message.events.all()[:200])
    if not whole:
        _hide(replies, events)
    carriers = _carriers({message.account_id} if message.account_id else set())
    contact = _contacts_of([message]).get(message.contact_id)
    begun = _begun_with(message.distribution, [message]).get(message.pk)
    by_text = message.distribution.is_interactive
    return page(
        request,
        "message",
        title=_("One text") if not by_text else _("One conversation"),
        distribution=message.distribution,
        row=_row(message, contact, carriers, whole_number=whole, replies=len(replies), begun=begun),
        length=segments.count(message.text),
        reference=reference(message.pk, getattr(message, "salt", None)),
        replies=replies,
        transcript=_transcript(message, begun, replies, whole=whole) if by_text else [],
        answers=_answers(begun) if whole else [],
        story=_story(message, events, [] if by_text else replies, begun),
        is_uncertain=message.status == Status.UNCERTAIN,
        missing=missing_sms(user),
    )


def _hide(replies: Iterable[InboundMessage], events: Iterable[MessageEvent] = ()) -> None:
    """What people wrote and which numbers providers name, for somebody who may not see it."""
    for reply in replies:
        reply.text = str(HIDDEN)
    for event in events:
        event.error = mask_numbers(event.error)


@dataclass(frozen=True, slots=True)
class Line:
    """A text of a conversation: ours if it has a message, else the person's."""

    at: datetime | None  # None: not sent so far, or never
    text: str
    read_as: str
    badge: str
    message: Message | None = None
    explanation: str = ""
    mark: str = ""  # what of the person's text deserves a second look

    @property
    def is_uncertain(self) -> bool:
        return self.message is not None and self.message.status == Status.UNCERTAIN


UNDER_WAY = (Status.SENDING, Status.ACCEPTED, Status.SENT, Status.DELIVERED)  # in need of no explanation


def _why(message: Message) -> str:
    return " ".join(filter(None, (wording.explain(message.status, message.reason), message.error)))


def _transcript(
    first: Message, begun: Conversation | None, replies: list[InboundMessage], *, whole: bool
) -> list[Line]:
    """What was said, in the order of time; what has not left comes last."""
    turns = list(begun.turns.order_by("pk")[:TURNS]) if begun else []
    if not whole:
        for turn in turns:
            turn.text, turn.error = mask_numbers(turn.text), mask_numbers(turn.error)
    lines = [
        Line(
            message.attempted_at,
            message.text,
            message.get_status_display(),
            wording.BADGES.get(message.status, ""),
            message,
            "" if message is first or message.status in UNDER_WAY else _why(message),
        )
        for message in (first, *turns)
    ]
    lines += [
        Line(
            reply.received_at,
            reply.text,
            reply.get_meaning_display(),
            wording.MEANING_BADGES.get(reply.meaning, ""),
            mark=wording.mark_of(reply),
        )
        for reply in replies
    ]
    now = timezone.now()
    return sorted(lines, key=lambda line: (line.at is None, line.at or now))


def _answers(begun: Conversation | None) -> list[tuple[str, str]]:
    """Each question that was answered, and the answer in words."""
    if begun is None or begun.response_id is None:
        return []
    given = Answer.objects.filter(response_id=begun.response_id).select_related("question")
    rows = given.order_by("question__position", "question_id")
    return [(row.question.text, wording.answer(row.question, row)) for row in rows]


def _story(
    message: Message, events: list[MessageEvent], replies: list[InboundMessage], begun: Conversation | None
) -> list[Moment]:
    """What happened, in the order in which it happened."""
    ended = _("The conversation ended: %(state)s.") % {"state": begun.get_state_display()} if begun else ""
    story = [
        Moment(at, what)
        for at, what in (
            (message.distribution.launched_at, _("The distribution was launched.")),
            (
                message.attempted_at,
                _("It was handed to the provider (attempt %(number)s).") % {"number": message.attempt},
            ),
            (message.accepted_at, _("The provider accepted it.")),
            (message.clicked_at, _("The person opened the link to the survey.")),
            (begun and begun.created_at, _("The person replied for the first time.")),
            (begun and begun.ended_at, ended),
        )
        if at
    ]
    labels = dict(Status.choices)
    for event in events:
        what = f"{MessageEvent.Source(event.source).label}: {labels.get(event.status, event.status)}"
        if event.part:
            what += " " + _("(part %(number)s)") % {"number": event.part}
        reason = str(wording.REASONS.get(event.category, ""))
        story.append(Moment(event.at, what, " ".join(filter(None, (reason, event.error)))))
    story += [Moment(reply.received_at, _("The person replied."), reply.text) for reply in replies]
    return sorted(story, key=lambda moment: moment.at)


@require_POST
def send_again(request: HttpRequest, pk: int, message_pk: int) -> HttpResponse:
    """Send an uncertain message once more: a person's decision, since it may arrive twice. Raises MissingRight."""
    message = _message_of(request, pk, message_pk)
    if services.send_again(message, current_user(request)):
        messages.success(request, _("The text is sent once more."))
    else:
        messages.info(request, _("Nothing was sent: what became of the text is known by now."))
    return redirect("admin:distributions_distribution_message", pk, message_pk)


# --- one person -------------------------------------------------------------------------------------------------------


@require_GET
def of_contact(request: HttpRequest, pk: int) -> HttpResponse:
    """The latest texts to and from a contact's number; part of the contact's page."""
    user = current_user(request)
    contact = Contact.objects.visible_to(user).filter(pk=pk).first()
    if contact is None:
        raise Http404(_("There is no such contact."))
    found, inbound = [], []
    if contact.phone:
        texts = Message.objects.filter(organization_id=contact.organization_id, to=contact.phone)
        found = list(texts.select_related("distribution").order_by("-pk")[:OF_CONTACT])
        inbound = list(InboundMessage.objects.visible_to(user).filter(_from(contact.phone))[:OF_CONTACT])
    whole = may_see_numbers(request)
    if not whole:
        _hide(inbound)
    return page(
        request,
        "_of_contact",
        contact=contact,
        rows=[_row(message, contact, {}, whole_number=whole) for message in found],
        inbound=inbound,
    )


def _from(phone: str) -> Q:
    return Q(sender__in=[phone, phone.removeprefix("+")])  # some providers leave out the plus
