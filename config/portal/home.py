"""What each person needs at a glance: the context of the home page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Sum, When
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.portal.guide import guide_for
from contacts.models import OptOut
from distributions.engine import identity
from distributions.models import Distribution, Doubt, Tally
from distributions.sums import Sums
from extensions import entitlements, registry, routing
from extensions.diagnosis import summarise
from extensions.models import ProviderAccount
from extensions.routing import Place, Standing
from intake import figures
from organizations.models import Organization, User
from organizations.permissions import may_see_recipients, missing_sms
from watching import facts, health, wording
from webhooks.models import RefusedCallback

State = Distribution.State

RECENT = 6  # distributions shown
PROBLEMS = 5
PERIOD = timedelta(days=30)  # for figures
WEEK = timedelta(days=7)  # for refused callbacks


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do, and where."""

    text: str
    link: str
    urgent: bool = False
    take_over: str = ""  # where one click takes over a held distribution
    is_guided: bool = False  # a step of the guide


@dataclass(frozen=True, slots=True)
class Connection:
    """An account as the home page shows it. `kind` is that of a badge: good, warning or bad."""

    place: Place
    badge: str
    kind: str
    detail: str


def context_for(user: User) -> dict[str, Any]:
    """What the home page shows this user."""
    if user.organization is None:
        return {"platform": _platform(), "is_held": identity.is_held(), "tasks": list(_news(user))}
    lacking = missing_sms(user)
    context: dict[str, Any] = {
        "is_held": user.is_administrator and identity.is_held(),
        "distributions": [
            {"distribution": row, "sums": Sums.of(getattr(row, "tally", None))} for row in _recent(user.organization)
        ],
        "lacking": lacking,
        "doubts": 0 if lacking or not may_see_recipients(user) else Doubt.objects.visible_to(user).undecided().count(),
    }
    problems = list(_problems(user.organization, may_send=not lacking)) if user.is_administrator or not lacking else []
    context["tasks"] = problems
    guide = guide_for(user)
    context["guide"] = guide if user.guide_dismissed_at is None else None
    context["guide_is_hidden"] = guide is not None and context["guide"] is None
    if user.is_administrator:
        context |= _administrator(user, user.organization)
        tasks = [task for task in context["tasks"] if not (task.is_guided and context["guide"])]
        context["tasks"] = [*problems, *_news(user), *tasks]
    return context


def _news(user: User) -> Iterator[Task]:
    """What is so at present, and stands nowhere else on this page."""
    for fact in facts.present(user):
        link = wording.path(fact) if fact.organization_id else ""  # operators mend it outside the portal
        yield Task(wording.sentence(fact), link, urgent=True)
    if user.is_operator:
        late = health.periodic_check()
        if late and not late.ok:
            yield Task(
                _("The background work is not running: %(problem)s") % {"problem": late.problem}, "", urgent=True
            )


def _problems(organization: Organization, *, may_send: bool) -> Iterator[Task]:
    """Distributions that do not go on before somebody has done something: what should be on its way, then by time."""
    stuck = Distribution.objects.stuck().filter(organization=organization)
    now = timezone.now()
    later = Case(When(state=State.SCHEDULED, held_at=None, send_at__gt=now, then="send_at"))
    rows = stuck.order_by(later.asc(nulls_first=True), "-created_at", "-pk")
    named = list(rows.only("name", "state", "problem", "held_at", "send_at", "time_zone", "plan")[: PROBLEMS + 1])
    for row in named[:PROBLEMS]:
        if row.plan is not None:
            yield _edited(row)
            continue
        names = {"name": row.name, "problem": row.problem}
        if row.held_at is None and row.state == State.SCHEDULED and row.send_at and row.send_at > now:
            text = _("“%(name)s”, planned for %(moment)s, cannot begin as things stand: %(problem)s") % {
                **names,
                "moment": row.planned_for,
            }
        else:
            text = _("“%(name)s” is waiting: %(problem)s") % names
        yield Task(
            text,
            reverse("admin:distributions_distribution_change", args=[row.pk]),
            urgent=True,
            take_over=reverse("admin:distributions_distribution_take_over", args=[row.pk])
            if may_send and row.held_at
            else "",
        )
    if len(named) > PROBLEMS:
        others = stuck.count() - PROBLEMS
        yield Task(
            ngettext(
                "%(number)d more distribution is waiting or cannot begin.",
                "%(number)d more distributions are waiting or cannot begin.",
                others,
            )
            % {"number": others},
            reverse("admin:distributions_distribution_changelist") + "?needs=somebody",
            urgent=True,
        )


def _edited(row: Distribution) -> Task:
    """A planned one whose clock stands, so that a change that was given up is neither lost nor sent."""
    assert row.plan is not None
    names = {"name": row.name, "by": row.plan["by"], "moment": row.planned_before}
    return Task(
        _("“%(name)s”, planned for %(moment)s, is being changed by %(by)s. It is not sent until it is planned again.")
        % names
        if row.planned_before
        else _("“%(name)s” is being changed by %(by)s. It is not sent until it is planned again.") % names,
        reverse("admin:distributions_distribution_edit", args=[row.pk]),
        urgent=True,
    )


def _recent(organization: Organization) -> QuerySet[Distribution]:
    return (
        Distribution.objects.filter(organization=organization)
        .with_answers()
        .select_related("tally", "survey", "contact_list")
        .defer("message_text")[:RECENT]
    )


def _administrator(user: User, organization: Organization) -> dict[str, Any]:
    now = timezone.now()
    enabled = entitlements.enabled_keys(organization)
    places = routing.places(organization, enabled) if organization.has_sms else []
    unreadable = ProviderAccount.objects.unreadable(place.account.pk for place in places)
    connections = [_connection(place, unreadable) for place in places]
    refused = list(
        RefusedCallback.objects.filter(organization=organization, day__gte=(now - WEEK).date())
        .values("slug", "reason", "fault")
        .annotate(times=Sum("count"))
        .order_by("-times")
    )
    stopped = OptOut.objects.active().filter(organization=organization)  # two counts, each of an index alone
    opt_outs = {"active": stopped.count(), "new": stopped.filter(created_at__gte=now - PERIOD).count()}
    recent = Tally.objects.filter(distribution__organization=organization, distribution__launched_at__gte=now - PERIOD)
    return {
        "connections": connections,
        "tasks": list(_tasks(user, organization, enabled, connections, refused)),
        "refused": [
            {**row, "provider": _provider_name(row["slug"]), "why": summarise(row["fault"])} for row in refused[:3]
        ],
        "refused_total": sum(row["times"] for row in refused),
        "opt_outs": opt_outs,
        "period": {"sums": Sums.all_of(recent), "days": PERIOD.days},
    }


def _provider_name(slug: str) -> str:
    """Whose address was called; the address itself where no provider of this installation has it."""
    own = [provider.name for provider in registry.all() if slug == provider.slug]
    also = [provider.name for provider in registry.all() if slug in provider.aliases]  # it may be another's own
    return (own + also + [slug])[0]


def _connection(place: Place, unreadable: Collection[int]) -> Connection:
    state = getattr(place.account, "state", None)
    if place.account.pk in unreadable:
        return Connection(place, _("Cannot be read"), "bad", place.account.why_unreadable)
    if state is not None and state.stopped_at is not None:
        return Connection(place, _("Stopped"), "bad", state.why_stopped)
    if place.account.check_ok is False:
        return Connection(place, _("Credentials refused"), "bad", place.account.answer or place.reason)
    if place.standing is Standing.IN_USE:
        if state is not None and state.open_until is not None and state.open_until > timezone.now():
            return Connection(place, _("Pausing"), "warning", _("The provider does not answer; we try again shortly."))
        return Connection(place, place.badge.text, place.badge.tone.removeprefix("is-"), place.reason)
    if place.standing is Standing.WAITING:
        return Connection(place, place.badge.text, "", place.reason)
    return Connection(place, place.badge.text, "warning", place.reason)


def _tasks(
    user: User,
    organization: Organization,
    enabled: frozenset[str],
    connections: Sequence[Connection],
    refused: Sequence[Mapping[str, Any]],
) -> Iterator[Task]:
    """What an administrator should do next, most urgent first."""
    extensions = "/admin/extensions/"
    if not organization.has_sms:
        yield Task(
            _("The licence does not include SMS. Ask whoever runs this installation for the add-on."),
            reverse("admin:organization_settings"),
            urgent=True,
            is_guided=True,
        )
        return
    for connection in connections:
        if connection.kind == "bad":
            yield Task(
                _("“%(name)s”: %(problem)s. %(detail)s")
                % {"name": connection.place.account, "problem": connection.badge, "detail": connection.detail},
                extensions,
                urgent=True,
            )
    if not enabled:
        text = _("No extension is enabled for your organisation. Ask whoever runs this installation.")
        yield Task(text, extensions, is_guided=True)
    elif not connections:
        text = _("Add an account at your SMS provider.")
        if settings.DEFAULT_PROVIDER:
            text += " " + _("Until then, texts go through the account of this installation.")
        yield Task(text, extensions, is_guided=True)
    elif not any(connection.place.in_use for connection in connections):
        unfinished = connections[0]
        yield Task(
            _("No account is in use yet. “%(name)s”: %(step)s")
            % {"name": unfinished.place.account, "step": unfinished.detail},
            extensions,
            is_guided=True,
        )
    if refused:
        times = sum(row["times"] for row in refused)
        yield Task(
            ngettext(
                "%(times)s callback of a provider was refused this week: check its webhook set-up.",
                "%(times)s callbacks of providers were refused this week: check the webhook set-up.",
                times,
            )
            % {"times": figures.whole(times)},
            extensions,
        )
    if not organization.support_contact:
        yield Task(_("Add a contact for people who lack a permission."), reverse("admin:organization_settings"))
    if not user.sms_permission().allowed:
        yield Task(
            _("You cannot send SMS yourself yet: give yourself the permission “Use SMS distributions”."),
            reverse("admin:organizations_user_change", args=[user.pk]),
            is_guided=True,
        )


def _platform() -> dict[str, Any]:
    """For operators: organisations and licences, nothing of what organisations do with them."""
    administrators = User.objects.filter(organization=OuterRef("pk"), role=User.Role.ADMINISTRATOR, is_active=True)
    organizations = Organization.objects.annotate(managed=Exists(administrators))
    return {
        **organizations.aggregate(
            count=Count("pk"),
            with_sms=Count("pk", filter=Q(licence__sms=True)),
            unmanaged=Count("pk", filter=Q(managed=False)),
        ),
        "newest": organizations.select_related("licence").order_by("-created_at")[:8],
    }
