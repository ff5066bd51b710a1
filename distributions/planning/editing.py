"""A planned distribution that is being changed: its clock stands until it is planned again, or kept as it was.

It is a draft meanwhile, so nothing begins it, and its plan is kept beside it. Planning it again goes through the review
like any other launch; nobody has to look again at what is kept as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from contacts.models import ContactList
from distributions.models import Distribution
from intake.sentences import said as _
from intake.sentences import stored, worded
from organizations import audit
from organizations.models import User
from organizations.permissions import require_sms
from surveys.models import Survey

State = Distribution.State

# What a person may change, and what is said of it in the meantime.
OF_THE_FORM = (
    "name",
    "method",
    "message_text",
    "contact_list_id",
    "survey_id",
    "send_at",
    "link_expires_at",
    "time_zone",
)
OF_ITS_STATE = ("paused_at", "held_at", "problem")
CHANGING = gettext_noop("began to change")
KEPT = gettext_noop("kept as it was")


class Gone(Exception):
    """It is not there any more as it was; the exception's text says why."""


def begin(distribution: Distribution, user: User) -> None:
    """Stop the clock, so that it can be changed in peace. Raises MissingRight, or Gone if it has begun already.

    Where its time comes in this very moment, either it has begun or its clock stands: both are decided on the row.
    """
    require_sms(user)
    with transaction.atomic():
        planned = Distribution.objects.filter(pk=distribution.pk, state=State.SCHEDULED, cursor=0)
        row = planned.select_for_update(no_key=True).first()
        if row is None:
            raise Gone(_("It has begun in the meantime, so it can no longer be changed."))
        plan = {name: _as_text(getattr(row, name)) for name in (*OF_THE_FORM, *OF_ITS_STATE)}
        Distribution.objects.filter(pk=row.pk).update(
            state=State.DRAFT,
            plan={**plan, "by": user.name or user.email},
            edited_at=timezone.now(),
            paused_at=None,
            held_at=None,
            problem="",
        )
        audit.record(CHANGING, organization=distribution.organization, actor=user, target=distribution)


def keep(distribution: Distribution, user: User) -> None:
    """Let the clock go on with everything as it was. What should have begun meanwhile is held: a person decides.

    Raises MissingRight, or Gone. Where nobody is changing it, nothing happens.
    """
    require_sms(user)
    with transaction.atomic():
        edited = Distribution.objects.select_for_update(no_key=True).filter(pk=distribution.pk, state=State.DRAFT)
        row = edited.filter(edited_at__isnull=False).first()
        if row is None or row.plan is None:
            return
        as_planned([row])
        if row.survey_id is None:
            raise Gone(without_survey())
        kept = {name: getattr(row, name) for name in (*OF_THE_FORM, *OF_ITS_STATE)}
        now = timezone.now()
        if not kept["held_at"] and not kept["paused_at"] and kept["send_at"] <= now:
            kept["held_at"] = now
            kept["problem"] = _("Its time passed while it was being changed. Decide whether it is still to be sent.")
        Distribution.objects.filter(pk=row.pk).update(state=State.SCHEDULED, plan=None, edited_at=None, **kept)
        audit.record(KEPT, organization=distribution.organization, actor=user, target=distribution)


def as_planned(rows: Iterable[Distribution]) -> None:
    """Have these be, in memory, what was planned: that is what they are if they are kept as they were.

    What was deleted since is None, the survey included.
    """
    plans = [(row, row.plan) for row in rows if row.plan is not None]
    there: dict[str, set[int]] = {}
    for name, model in (("contact_list_id", ContactList), ("survey_id", Survey)):
        keys = {plan[name] for _row, plan in plans} - {None}
        there[name] = set(model._default_manager.filter(pk__in=keys).values_list("pk", flat=True))
    for row, plan in plans:
        for name in (*OF_THE_FORM, *OF_ITS_STATE):
            value = _as_value(name, plan[name])
            setattr(row, name, None if name in there and value not in there[name] else value)


def without_survey() -> str:
    """What to say of a plan whose survey is not there any more."""
    return _("The planned survey has since been deleted. Choose another one and plan it again.")


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return stored(value)  # its problem is a sentence
    return value.isoformat() if isinstance(value, datetime) else value


def _as_value(name: str, value: Any) -> Any:
    if value and name.endswith("_at"):
        return datetime.fromisoformat(value)
    return worded(value) if name == "problem" else value
