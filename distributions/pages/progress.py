"""What is becoming of a distribution: its states, reasons and carriers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from distributions import wording
from distributions.engine import reasons
from distributions.history import (
    Carrier,
    carriers_of,
)
from distributions.models import Chunk, Distribution, Message
from distributions.pages.frame import distribution_of, may_see_numbers, page
from distributions.planning import fingerprint, leaving
from distributions.planning.fingerprint import Difference
from distributions.planning.remaining import remaining
from distributions.planning.review import (
    Obstacle,
    people_of,
    ready,
)
from distributions.states import NOT_LEFT, WAITING, Status
from distributions.sums import Sums
from extensions.routing import NoRoute, Route, route_for
from organizations.current import current_user
from organizations.models import User
from organizations.permissions import MissingRight, missing_sms

State = Distribution.State
Method = Distribution.Method

FOLLOWED = timedelta(hours=1)  # how long a finished distribution's page goes on looking for reports


@require_safe
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """What is becoming of a distribution; a draft is edited instead."""
    distribution = distribution_of(request, pk)
    if distribution.state == State.DRAFT:
        if missing_sms(current_user(request)):
            return redirect("admin:distributions_distribution_review", pk)
        return redirect("admin:distributions_distribution_edit", pk)
    return progress_page(request, distribution)


def progress_page(
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


@require_safe
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
    sums = Sums.of(tally)
    taken_back = distribution.state == State.CANCELLED and sums.states["waiting"] > 0
    every = (
        2
        if running or taken_back
        else 10
        if followed or distribution.state == State.SCHEDULED or distribution.paused_at
        else 0
    )
    return {
        "distribution": distribution,
        "tally": tally,
        "sums": sums,
        "being_taken_back": sums.states["waiting"] if taken_back else 0,
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


@require_safe
def show_reasons(request: HttpRequest, pk: int) -> HttpResponse:
    """How many messages did not arrive for which reason.

    What a conversation goes on with is told apart: the states on the page count everybody's first text.
    """
    distribution = distribution_of(request, pk)
    found = [
        (Status(row["status"]).label, wording.explain(row["status"], row["reason"]), row)
        for row in reasons.of(distribution)
    ]
    return page(request, "_reasons", distribution=distribution, reasons=found)


@require_safe
def show_carriers(request: HttpRequest, pk: int) -> HttpResponse:
    """How many people's texts have left through which account, and wait on it; nothing where there is but one.

    If there may be several, it is one pass over the distribution's messages, and one over those that wait, by the
    ranges they are sent in.
    """
    distribution = distribution_of(request, pk)
    if not distribution.had_other_accounts:
        return page(request, "_carriers", rows=[])
    firsts = Message.objects.filter(distribution=distribution, conversation=None).order_by()
    left = dict(
        firsts.exclude(status__in=[*NOT_LEFT, Status.SENDING])
        .exclude(account=None)
        .values_list("account")
        .annotate(number=Count("pk"))
    )
    waiting = _waiting_on(distribution)
    found = carriers_of({*left, *waiting})
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
