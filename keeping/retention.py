"""The daily walk: what was kept long enough loses its wording, its number, or goes.

Once a day each table is walked through by key, a window of rows at a time, each in a transaction of its own that also
remembers how far it came. A window is a range of keys, so a statement is as short on the ten-millionth row as on the
first, whoever the rows belong to; between two windows the walk rests, so that sending goes on beside it. What is open
(a text that waits or is uncertain, a conversation, a doubt, a callback to be applied) is skipped until it is not,
and every walk begins at the first row again. Counts stay: rows that are counted are emptied, not deleted.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from contacts.models import ContactImport
from distributions.models import Conversation, Distribution, Doubt, InboundMessage, Message, MessageEvent
from distributions.states import Status
from extensions.models import TestMessage
from keeping.models import PERIODS, Forgetting, Retention, Walk
from organizations import clock, steps
from organizations.models import AuditEvent, User
from surveys.models import Answer, Response
from webhooks.models import Callback

logger = logging.getLogger(__name__)

WINDOW = 2_000  # rows of one statement
DAILY = timedelta(hours=20)  # after this long a walk begins anew
LONGEST_REST = 5.0  # seconds between two windows; else as long as the window took, however busy the database is

_OPEN = (Status.QUEUED, Status.SENDING, Status.UNCERTAIN)
_ENDED = (Distribution.State.FINISHED, Distribution.State.CANCELLED)


@dataclass(frozen=True)
class Rule:
    """What becomes of a table's rows: `since` is the date that counts, `owner` leads to the organisation.

    `fields` are what they are set to, None deletes them. `keep` are rows that are skipped.
    """

    name: str
    model: type[Model]
    period: str
    since: str
    owner: str = "organization"
    fields: dict[str, Any] | None = None
    only: Q = field(default_factory=Q)
    keep: Q = field(default_factory=partial(Q, pk__in=[]))


def _rules() -> tuple[Rule, ...]:
    gone: dict[str, Any] = {"text": "", "error": ""}  # of a text
    left = Q(status__in=_OPEN) | Q(begun__state="open") | Q(conversation__state="open")
    of_texts: dict[str, Any] = {"model": Message, "since": "distribution__finished_at", "keep": left}
    talking = Q(message__begun__state="open") | Q(doubt__isnull=False, doubt__decided_at=None)
    of_replies: dict[str, Any] = {"model": InboundMessage, "since": "received_at", "keep": talking}
    ended, named = Q(distribution__state__in=_ENDED), ~Q(phone="")
    to_apply = Q(state__in=(Callback.State.NEW, Callback.State.PARKED))
    open_answers, open_texts = Q(response__state=Response.State.OPEN), Q(message__status__in=_OPEN)
    no_phone: dict[str, Any] = {"phone": ""}
    return (
        Rule("texts", period="texts", fields=gone, only=ended & ~Q(text="", error=""), **of_texts),
        Rule("replies", period="replies", fields={"text": ""}, only=~Q(text=""), **of_replies),
        Rule("answers", Answer, "answers", "answered_at", "response__organization", keep=open_answers),
        Rule("events", MessageEvent, "history", "at", "message__organization", keep=open_texts),
        Rule("numbers", period="history", fields={"to": "", **gone}, only=ended & ~Q(to=""), **of_texts),
        Rule("senders", period="history", fields={"sender": "", "text": ""}, only=~Q(sender=""), **of_replies),
        Rule("conversations", Conversation, "history", "created_at", fields=no_phone, only=named, keep=Q(state="open")),
        Rule("doubts", Doubt, "history", "created_at", fields=no_phone, only=named, keep=Q(decided_at=None)),
        Rule("test messages", TestMessage, "history", "sent_at", "account__organization"),
        Rule("callbacks", Callback, "callbacks", "received_at", "account__organization", keep=to_apply),
        Rule("imports", ContactImport, "imports", "imported_at"),
        Rule("forgotten", Forgetting, "audit", "finished_at"),
        Rule("audit", AuditEvent, "audit", "at"),
    )


RULES = _rules()


def run(until: float | None = None, *, rest: Callable[[float], None] = time.sleep) -> dict[str, int]:
    """Go on with what is due today, until nothing is or until then (time.monotonic()); how many rows changed, by rule.

    Several at once take turns, window by window.
    """
    changed: dict[str, int] = defaultdict(int)
    now = clock.read()
    cutoffs = {name: _cutoffs(name, now) for name in PERIODS if name != "sessions"}

    def walk_through(name: str) -> None:
        rule = next((rule for rule in RULES if rule.name == name), None)
        while until is None or time.monotonic() <= until:
            began = time.monotonic()
            number = _window(rule, cutoffs[rule.period], now) if rule else _sessions(now)
            if number is None:
                return
            changed[name] += number
            rest(min(LONGEST_REST, time.monotonic() - began))

    steps.for_each([*(rule.name for rule in RULES), "sessions"], walk_through, "walk through")
    return changed


def _sessions(now: datetime) -> int | None:
    """All log-ins at once; None if they were dealt with today."""
    walk, _is_new = Walk.objects.get_or_create(name="sessions")
    if walk.finished_at is not None and walk.finished_at > now - DAILY:
        return None
    ended = _end_sessions(now)
    Walk.objects.filter(pk=walk.pk).update(changed=ended, finished_at=now)
    return ended


def portion(name: str) -> int | None:
    """One window of the rule of this name; how many rows changed, None if its walk is over for today."""
    rule, now = next(rule for rule in RULES if rule.name == name), clock.read()
    return _window(rule, _cutoffs(rule.period, now), now)


def _default(period: str) -> int:
    if period == "callbacks":
        return int(settings.CALLBACK_RETENTION_DAYS)
    return PERIODS[period][0]


def days_of(period: str) -> dict[int, list[int]]:
    """The organisations (keys) that have chosen a period of their own, by its days."""
    found: dict[int, list[int]] = defaultdict(list)
    for key, days in Retention.objects.values_list("pk", period):
        found[days].append(key)
    return found


def _cutoffs(period: str, now: datetime) -> Callable[[Rule], Q]:
    own = days_of(period)
    everybody = [key for keys in own.values() for key in keys]

    def due(rule: Rule) -> Q:
        before = f"{rule.since}__lt"
        # Without an organisation (the installation's own): the default, too.
        others = ~Q(**{f"{rule.owner}__in": everybody}) | Q(**{rule.owner: None}) if everybody else Q()
        found = Q(others, **{before: now - timedelta(days=_default(period))})
        for days, keys in own.items():
            found |= Q(**{f"{rule.owner}__in": keys, before: now - timedelta(days=days)})
        return found

    return due


def _window(rule: Rule, due: Callable[[Rule], Q], now: datetime) -> int | None:
    """Deal with the next rows; how many were changed. None if the walk is at its end, or another worker is at it."""
    Walk.objects.get_or_create(name=rule.name)
    with transaction.atomic():
        walk = Walk.objects.select_for_update(skip_locked=True).filter(name=rule.name).first()
        if walk is None or (walk.finished_at is not None and walk.finished_at > now - DAILY):
            return None
        if walk.finished_at is not None or walk.began_at is None:
            walk.place, walk.changed, walk.began_at, walk.finished_at = 0, 0, now, None
        rows: QuerySet[Any] = QuerySet(rule.model)
        last = _last(rows, walk.place)
        number = 0
        if last is None:
            walk.finished_at = now
            logger.info("%s: %d rows were kept long enough", rule.name, walk.changed)
        else:
            found = rows.filter(rule.only, due(rule), pk__gt=walk.place, pk__lte=last).exclude(rule.keep)
            keys = list(found.order_by("pk").values_list("pk", flat=True).distinct())
            number = _apply(rule, keys)
            walk.place, walk.changed = last, walk.changed + number
        walk.save()
    return number


def _last(rows: QuerySet[Any], after: int) -> int | None:
    keys = rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    found = list(keys[WINDOW - 1 : WINDOW]) or list(keys.reverse()[:1])
    return int(found[0]) if found else None


def _apply(rule: Rule, keys: Sequence[int]) -> int:
    """Change or delete rows that were found, unless they have been opened again meanwhile."""
    if not keys:
        return 0
    rows: QuerySet[Any] = QuerySet(rule.model).filter(pk__in=keys)
    if rule.fields is None:
        return int(rows._raw_delete(rows.db))
    if rule.model is Message:
        rows = rows.exclude(status__in=_OPEN)
    return rows.update(**rule.fields)


# --- log-ins ----------------------------------------------------------------------------------------------------------


@cache
def _life() -> timedelta:
    return timedelta(seconds=settings.SESSION_COOKIE_AGE)


def _end_sessions(now: datetime, size: int = 500) -> int:
    """Delete sessions that have run out, and those of people whose organisation ends them sooner."""
    ended, key = 0, ""
    shorter = days_of("sessions")
    while True:
        page = list(Session.objects.filter(session_key__gt=key).order_by("session_key")[:size])
        if not page:
            return ended
        key = page[-1].session_key
        out = [one.session_key for one in page if one.expire_date <= now or _is_unused(one, shorter, now)]
        ended += Session.objects.filter(session_key__in=out).delete()[0]


def _is_unused(session: Session, shorter: dict[int, list[int]], now: datetime) -> bool:
    if not shorter:
        return False
    person = session.get_decoded().get(SESSION_KEY)
    owner = User.objects.filter(pk=person).values_list("organization", flat=True).first() if person else None
    age = now - (session.expire_date - _life())
    return any(owner in keys and age > timedelta(days=days) for days, keys in shorter.items())
