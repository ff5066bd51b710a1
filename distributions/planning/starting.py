"""Planned distributions when their time comes: all that was right when they were planned is asked once more.

What only lacks a route goes on by itself when there is one. Anything else holds the distribution until somebody with
the right takes it over: whoever planned it may be gone, or did not mean so many people.

Before its time the same is asked again and again (`look_ahead`), so that what would be in the way is an alarm while
there is time to act. Nothing is held by it: an alarm goes as soon as what it is about has been put right.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from itertools import chain
from operator import attrgetter

from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from distributions.engine import expansion
from distributions.models import Distribution
from distributions.planning import editing
from distributions.planning.review import Facts, FactsOfMany, Obstacle, obstacle, people_of, ready
from extensions.routing import NoRoute
from intake.sentences import said as _
from intake.sentences import stored
from organizations import audit, clock, steps
from organizations.commitments import Plan
from organizations.models import User
from organizations.permissions import MissingRight

logger = logging.getLogger(__name__)

State = Distribution.State

LATE = timedelta(hours=12)  # a morning's text is not sent at night, nor last week's today, unless a person says so
FEW = 10  # so many people more than planned, or
SHARE = 20  # one in so many, are not a mistake
LOOK_EVERY = timedelta(seconds=30)  # at what is planned and has no alarm
LOOKED_AT_ONCE = 500
HELD = gettext_noop("held")


class Doubt(Exception):
    """A person has to look at it first; the exception's text says why."""


def start_due() -> None:
    """Begin what is due. One that cannot even be looked at keeps none of the others from beginning."""
    due = Distribution.objects.filter(
        state=State.SCHEDULED, paused_at=None, held_at=None, send_at__lte=clock.now()
    ).select_related("organization__licence", "survey__organization", "launched_by__organization__licence")
    steps.for_each(due.order_by("send_at"), start, "begin the planned distribution")


def start(distribution: Distribution) -> None:
    """Begin, hold, or say which route is missing."""
    waiting = Distribution.objects.filter(
        pk=distribution.pk, state=State.SCHEDULED, paused_at=None, held_at=None, send_at__lte=clock.now()
    )
    try:
        route = ready(distribution, _launcher(distribution))
        _compare(distribution)
    except NoRoute as refusal:
        waiting.exclude(problem=refusal.reason).update(problem=refusal.reason)
    except (Doubt, Obstacle, MissingRight) as refusal:
        hold(distribution, str(refusal))
    else:
        waiting.update(state=State.LAUNCHING, account=route.account, problem="")


def look_ahead(organization_id: int | None = None) -> list[Plan]:
    """Say of planned distributions what would keep them from beginning, as `start` would find it if it were now.

    For one organisation: all of them, because something has just changed there; those that are being changed as they
    were planned. For all: those with an alarm, and those at which nobody has looked for a while; at most so many at
    once, in a few statements.

    Returns those of which nothing of the kind was known before, the first to come first.
    """
    now = clock.now()
    rows = Distribution.objects.filter(state=State.SCHEDULED, held_at=None)
    rows = rows.filter(Q(send_at__gt=now) | Q(paused_at__isnull=False))  # the others begin in this moment
    if organization_id is not None:
        rows |= Distribution.objects.filter(state=State.DRAFT, plan__isnull=False)
        rows = rows.filter(organization=organization_id)
    else:
        rows = rows.filter(Q(looked_at=None) | Q(looked_at__lt=now - LOOK_EVERY) | ~Q(problem=""))
    planner = ("launched_by__organization__licence", "launched_by__user_type")
    rows = rows.select_related("organization__licence", "survey__organization", *planner)
    rows = rows.prefetch_related("launched_by__groups", "survey__questions")
    looked_at = list(rows.order_by(F("looked_at").asc(nulls_first=True), "pk")[:LOOKED_AT_ONCE])
    editing.as_planned(looked_at)
    planned = [row for row in looked_at if row.held_at is None]
    facts = FactsOfMany(planned)
    found: dict[str, list[Distribution]] = defaultdict(list)
    fresh: list[Plan] = []
    for row in planned:
        problem = _would_hold(row, facts)
        found[problem].append(row)
        if problem and not row.problem:
            fresh.append(plan_of(row, problem))
    _note(found)
    return sorted(fresh, key=attrgetter("due_at"))


def plan_of(distribution: Distribution, problem: str = "") -> Plan:
    """A planned distribution as other apps know it."""
    link = reverse("admin:distributions_distribution_change", args=[distribution.pk])
    assert distribution.due_at is not None  # it is planned
    return Plan(distribution.name, link, distribution.due_at, problem, distribution.plan is not None)


def _would_hold(distribution: Distribution, facts: Facts) -> str:
    """Why it would not begin, "" if it would."""
    if distribution.survey_id is None:
        return editing.without_survey()
    try:
        ready(distribution, _launcher(distribution), facts)
        return many_more(distribution, facts.people(distribution))
    except NoRoute as refusal:
        return refusal.reason
    except (Doubt, Obstacle, MissingRight) as refusal:
        return str(refusal)
    except Exception:  # one that cannot be looked at does not keep the others from it
        logger.exception("A planned distribution could not be looked at: %s", distribution.public_id)
        return distribution.problem


def _note(found: dict[str, list[Distribution]]) -> None:
    """Write down what was found. Rows that somebody is at work on are left to the next look: nobody waits for it."""
    planned = Distribution.objects.filter(state=State.SCHEDULED, held_at=None)
    being_changed = Distribution.objects.filter(state=State.DRAFT, plan__isnull=False)
    with transaction.atomic():
        looked_at = (planned | being_changed).filter(pk__in=[row.pk for row in chain.from_iterable(found.values())])
        locked = looked_at.order_by("pk").select_for_update(no_key=True, skip_locked=True)
        keys = set(locked.values_list("pk", flat=True))
        for problem, rows in found.items():
            mine = planned.filter(pk__in=keys.intersection(row.pk for row in rows))
            mine.exclude(problem=problem).update(problem=problem)
            for row in rows:
                if row.pk in keys and row.plan is not None and row.problem != problem:
                    same = being_changed.filter(pk=row.pk, edited_at=row.edited_at)
                    same.update(plan={**row.plan, "problem": stored(problem)})
        planned.filter(pk__in=keys).update(looked_at=timezone.now())


def hold(distribution: Distribution, reason: str) -> None:
    """Keep it from going out until a person takes it over."""
    before = Distribution.objects.filter(pk=distribution.pk, state__in=(State.SCHEDULED, State.LAUNCHING), held_at=None)
    if before.update(state=State.SCHEDULED, held_at=timezone.now(), problem=reason):
        audit.record(HELD, organization=distribution.organization, target=distribution, reason=stored(reason))


def _launcher(distribution: Distribution) -> User:
    """Whoever answers for it, and still may. Raises Doubt."""
    user = distribution.launched_by
    if user is None:
        raise Doubt(_("Whoever planned this distribution no longer has an account here. Somebody must take it over."))
    if not user.is_active:
        raise Doubt(
            _(
                "The account of %(name)s, who planned this distribution, has been switched off. Somebody must take "
                "it over."
            )
            % {"name": user.name or user.email}
        )
    if user.organization is not None and user.organization.has_sms and not user.sms_permission().allowed:
        raise Doubt(
            _(
                "%(name)s, who planned this distribution, no longer has the permission “Use SMS distributions”. "
                "Somebody who has it must take it over."
            )
            % {"name": user.name or user.email}
        )
    return user


def _compare(distribution: Distribution) -> None:
    """Raises Doubt if it is much later, or if there are many more people, than whoever planned it has seen."""
    due_at = max(filter(None, (distribution.send_at, distribution.confirmed_at)))
    if clock.read() - due_at > LATE:
        raise Doubt(
            _("It should have begun on %(moment)s and could not. Decide whether it is still to be sent.")
            % {"moment": distribution.planned_for}
        )
    if sentence := many_more(distribution):
        raise Doubt(sentence)


def expand(distribution_id: int, *, after_restore: bool = False) -> bool:
    """Write a launched distribution's next messages, as engine/expansion.py says; True if there are more to write."""
    return expansion.expand(distribution_id, _may_begin, after_restore=after_restore)


def _may_begin(distribution: Distribution, has_people: bool) -> bool:
    """Whether its list is as it was launched; where it is not, it is held."""
    reason = many_more(distribution) if has_people else obstacle(distribution)
    if not reason and has_people:
        return True
    hold(distribution, reason)
    return False


def many_more(distribution: Distribution, people: int | None = None) -> str:
    """What to say if there are many more people than whoever launched or planned it has seen; "" if there are not.

    `people` saves counting them where the caller has.
    """
    planned = distribution.planned_people
    people = people_of(distribution) if people is None else people
    if planned is None or not has_grown(planned, people):
        return ""
    if distribution.send_at is None:
        said = _("The list has grown since this was launched: from %(planned)s people to %(people)s. Review it again.")
    else:
        said = _("The list has grown since this was planned: from %(planned)s people to %(people)s. Review it again.")
    return said % {"planned": planned, "people": people}


def has_grown(planned: int, people: int) -> bool:
    """Whether there are more people than planned by more than the larger of 10 and 5 %."""
    more = people - planned
    return more > FEW and more * SHARE > planned
