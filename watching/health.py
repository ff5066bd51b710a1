"""Whether the installation makes progress: what has waited for how long, and who has been seen. No tenant's data.

Each question is one short statement by an index, with a time limit, so that asking costs next to nothing however many
rows there are and whatever else the database is doing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from distributions.engine import due, identity
from extensions.models import ProviderAccount
from intake.sentences import amount, in_english, joined
from intake.sentences import said as _
from organizations.encrypted import Unreadable
from watching import broker, mails
from watching.models import FailingStep, Mark, WorkerSign
from watching.signs import EVERY
from webhooks import applying

logger = logging.getLogger(__name__)

LONGEST = 2_000  # milliseconds that one question may take
SKEW = 2.0  # seconds between this machine's clock and the database's: more than any rule of ours allows for
WAITING = 60.0  # seconds that something due may wait
SILENT = 4 * EVERY + 2  # seconds after which a process of a worker counts as silent
TAKES_NOTHING = 25.0  # seconds in which none of a queue's processes has taken a wake-up; one comes every ten
FORGOTTEN = 900.0  # seconds after which a process that was never heard of again is not an alarm any more
FAILED_OFTEN = 3  # times that a step has failed one after another
LOOKED_AT = 100  # accounts whose credentials are opened for one question
LATE = 15.0  # seconds; beside the periodic check's own interval


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer. `seconds` is the age or difference that was measured, None where there is none."""

    name: str
    problem: str = ""  # a sentence of ours, for whoever runs the installation; "" if all is well
    seconds: float | None = None
    limit: float | None = None
    processes: int | None = None  # of a queue: how many have been heard of just now
    silent: int | None = None  # of a queue: how many have not

    @property
    def ok(self) -> bool:
        return not self.problem

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"ok": self.ok}
        if self.seconds is not None:
            found["seconds"] = round(self.seconds, 3)
        for name in ("limit", "processes", "silent"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return {**found, "problem": in_english(self.problem)} if self.problem else found


def checks() -> list[Check]:
    """All of them, in the order in which to look for a cause: the database first."""
    try:
        first = _clock()
    except Error as error:
        connection.close()
        return [Check("database", _("The database is away: %(error)s.") % {"error": type(error).__name__})]
    ask: list[Callable[[], list[Check]]] = [
        _restored,
        _broker,
        _periodic_check,
        _steps,
        _queues,
        _sending,
        _keys,
        _callbacks,
        _mail,
    ]
    found = [Check("database"), first]
    for question in ask:
        try:
            with bounded():
                found += question()
        except Exception as error:  # the others are asked all the same
            name = question.__name__.removeprefix("_")
            logger.warning("The question after %s was not answered: %s", name, type(error).__name__, exc_info=error)
            found.append(Check(name, _("Not answered: %(error)s.") % {"error": type(error).__name__}))
    return found


@contextmanager
def bounded() -> Iterator[None]:
    """Statements that give up after LONGEST; they change nothing."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {LONGEST}")
        yield


def database_now() -> datetime:
    """The database's clock."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]
        cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')")
        return parse_datetime(cursor.fetchone()[0]) or timezone.now()


def clock_difference() -> float:
    """Seconds by which this machine's clock is ahead of the database's; half the time that the question took aside."""
    database_now()  # a connection is made
    began = time.monotonic()
    there = database_now()
    took = time.monotonic() - began
    return (timezone.now() - there).total_seconds() - took / 2


def _clock() -> Check:
    difference = clock_difference()
    problem = ""
    if abs(difference) > SKEW:
        problem = _("This machine's clock is %(seconds)s s beside the database's: set both by NTP.") % {
            "seconds": amount(f"{difference:.1f}")
        }
    return Check("clock", problem, seconds=difference, limit=SKEW)


def _restored() -> list[Check]:
    held = identity.is_held()
    problem = _("Nothing is sent: the database was restored, copied or moved. Run after_restore.") if held else ""
    return [Check("restored", problem)]


def _broker() -> list[Check]:
    try:
        broker.waiting()
    except broker.BrokerAway as error:
        logger.warning("The broker does not answer: %s", error)
        return [Check("broker", _("The broker does not answer: texts and callbacks wait, nothing is lost."))]
    return [Check("broker")]


def _periodic_check() -> list[Check]:
    never = Check("periodic_check", _("The periodic check has never run: are beat and a worker running?"))
    return [periodic_check() or never]


def periodic_check() -> Check | None:
    """Whether the periodic check runs; None before it has for the first time."""
    limit = 2 * settings.SWEEP_EVERY + LATE
    at = Mark.objects.filter(name=Mark.PERIODIC_CHECK).values_list("at", flat=True).first()
    if at is None:
        return None
    age = _age(at)
    problem = _("The periodic check ran %(seconds)s s ago: beat, or the worker of “default”, does not work.") % {
        "seconds": round(age)
    }
    return Check("periodic_check", problem if age > limit else "", seconds=age, limit=limit)


def _steps() -> list[Check]:
    """What is done again and again and has failed each time lately; once may be a chance."""
    failing = list(FailingStep.objects.filter(times__gte=FAILED_OFTEN).order_by("name"))
    if not failing:
        return [Check("steps")]
    steps = ", ".join(f"{step.name} ({step.times}×, {step.error})" for step in failing)
    said = _("These fail each time, and the rest goes on: %(steps)s. The log says why.") % {"steps": steps}
    return [Check("steps", said)]


def _queues() -> list[Check]:
    """For each queue whether some process takes what comes, and whether any is silent that should not be."""
    now = database_now()
    signs = [(sign, (now - sign.seen_at).total_seconds()) for sign in WorkerSign.objects.all()]
    signs = [(sign, age) for sign, age in signs if age < FORGOTTEN]
    found = []
    for queue in settings.CELERY_TASK_QUEUES:
        mine = [(sign, age) for sign, age in signs if queue.name in sign.queues]
        alive = [(sign, age) for sign, age in mine if age <= SILENT]
        silent = [(sign, age) for sign, age in mine if age > SILENT]
        idle = [age + sign.idle_seconds for sign, age in alive if not sign.is_busy]
        problems = [_said(sign, age) for sign, age in mine if age > SILENT or sign.problem]
        if not alive:
            problems = [_("No process takes from this queue."), *problems]
        elif len(idle) == len(alive) and min(idle) > TAKES_NOTHING:
            nothing = _("Nothing was taken for %(seconds)s s: beat, or the way to the broker, does not work.")
            problems.append(nothing % {"seconds": round(min(idle))})
        found.append(Check(f"queue.{queue.name}", joined(problems), processes=len(alive), silent=len(silent)))
    return found


def _said(sign: WorkerSign, age: float) -> str:
    who = {"worker": sign.worker, "pid": str(sign.pid)}
    if age > SILENT:
        return _("%(worker)s, process %(pid)s, has been silent for %(seconds)s s.") % {**who, "seconds": round(age)}
    if sign.problem == WorkerSign.Problem.MAIN:
        return _("%(worker)s, process %(pid)s: its main process stands still.") % who
    return _("%(worker)s, process %(pid)s: its work stands still.") % who


def _sending() -> list[Check]:
    return [
        _waits("sending", due.waiting_since(), _("An account has had texts due for %(seconds)s s, and none is sent."))
    ]


def _keys() -> list[Check]:
    """Whether a pump has met an account that none of our keys opens."""
    number = len(unreadable_accounts())
    problem = _(
        "The stored credentials of %(number)s accounts or more that have texts to send cannot be read: a key is "
        "missing in FERNET_KEYS."
    )
    return [Check("keys", problem % {"number": number} if number else "")]


def unreadable_accounts() -> list[ProviderAccount]:
    """Of the accounts that pause since nothing could be sent: those whose credentials cannot be read, some at most."""
    pausing = ProviderAccount.objects.usable().filter(state__failures__gt=0, state__open_until__isnull=False)
    found = pausing.order_by("-state__failures", "pk")[:LOOKED_AT]
    return [account for account in found if isinstance(account.credentials, Unreadable)]


def _callbacks() -> list[Check]:
    return [_waits("callbacks", applying.due_since(), _("A callback has waited for %(seconds)s s to be applied."))]


def _mail() -> list[Check]:
    said = mails.trouble()
    problem = _("Mails have waited for a quarter of an hour: %(error)s. Look at EMAIL_URL.") % {"error": said}
    return [Check("mail", problem if said else "")]


def _waits(name: str, since: datetime | None, problem: str) -> Check:
    age = max(0.0, _age(since)) if since else 0.0
    return Check(name, problem % {"seconds": round(age)} if age > WAITING else "", seconds=age, limit=WAITING)


def _age(moment: datetime) -> float:
    """Seconds since then, by the database's clock."""
    return (database_now() - moment).total_seconds()
