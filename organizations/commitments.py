"""What is promised: rows that a launched or planned distribution relies on.

Who may not send must not decide what is texted, where it leads and whom it reaches by changing such a row afterwards.
The apps that launch import those of contacts and surveys, not the other way round, so they register here how to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from organizations.models import User
from organizations.permissions import MissingRight, missing_sms

NAMED = 5  # plans; of the others it is said how many


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned distribution; `problem` says why it cannot begin as things stand, "" if it can.

    While somebody is changing it, it is as it was planned: it may be kept so.
    """

    name: str
    link: str
    due_at: datetime | None
    problem: str = ""
    is_being_changed: bool = False

    def __str__(self) -> str:
        if self.due_at is None:
            return self.name
        moment = date_format(timezone.localtime(self.due_at), "SHORT_DATETIME_FORMAT")
        names = {"name": self.name, "moment": moment}
        return (
            _("%(name)s (%(moment)s, being changed)") % names
            if self.is_being_changed
            else _("%(name)s (%(moment)s)") % names
        )


@dataclass(frozen=True, slots=True)
class Depending:
    """Plans that rely on rows which somebody is about to delete: the first, how many, and what becomes of them."""

    plans: Sequence[Plan]
    number: int
    consequence: str

    @property
    def more(self) -> int:
        return self.number - len(self.plans)


Check = Callable[[Any], bool]
Lookout = Callable[[int], list[Plan]]
Dependents = Callable[[QuerySet[Any]], Depending]
_checks: dict[type[Model], Check] = {}
_lookouts: list[Lookout] = []
_dependents: dict[type[Model], Dependents] = {}


def register(model: type[Model], check: Check) -> None:
    """Have `check` asked whether a row of `model` is relied on; registering again replaces it."""
    _checks[model] = check


def register_lookout(lookout: Lookout) -> None:
    """Have `lookout` told of organisations (by key) in which something has changed that a plan may rely on.

    It answers with the plans that cannot begin any more.
    """
    if lookout not in _lookouts:
        _lookouts.append(lookout)


def changed(organization_id: int | None) -> list[Plan]:
    """Something of this organisation was changed or deleted: what is planned may not go as planned any more.

    The plans of which that is so since now, the first to come first. Called in the transaction of the change, so that
    both or neither can be seen. A change of which nobody tells is found a little later, by the periodic check.
    """
    if organization_id is None:
        return []
    return [plan for lookout in _lookouts for plan in lookout(organization_id)]


def tell(request: HttpRequest, *organization_ids: int) -> None:
    """Tell whoever has just changed something there which plans cannot begin now; an operator only how many."""
    plans = [plan for organization_id in organization_ids for plan in changed(organization_id)]
    if not plans or not isinstance(request.user, User):
        return
    number = len(plans)
    if request.user.is_operator:
        said = ngettext(
            "%(number)d planned distribution of the organisation cannot begin as things stand.",
            "%(number)d planned distributions of the organisation cannot begin as things stand.",
            number,
        )
        messages.warning(request, said % {"number": number})
        return
    said = ngettext(
        "This planned distribution cannot begin as things stand:",
        "These planned distributions cannot begin as things stand:",
        number,
    )
    messages.warning(request, format_html("{} {}. {}", said, named(plans[:NAMED], number), plans[0].problem))


def named(plans: Sequence[Plan], number: int) -> SafeString:
    """Their names, linked, and how many there are besides."""
    names = format_html_join(", ", '<a class="sb-link" href="{}">{}</a>', ((plan.link, str(plan)) for plan in plans))
    if number <= len(plans):
        return names
    return format_html(_("{names} and {number} more"), names=names, number=number - len(plans))


def register_dependents(model: type[Model], ask: Dependents) -> None:
    """Have `ask` asked which plans would not begin if rows of `model` were deleted."""
    _dependents[model] = ask


def depending(rows: QuerySet[Any]) -> Depending | None:
    """What relies on these rows, None if nothing does."""
    ask = _dependents.get(rows.model)
    found = ask(rows) if ask is not None else None
    return found if found is not None and found.number else None


def is_committed(row: Model) -> bool:
    """Whether a launched or planned distribution relies on this row."""
    check = _checks.get(type(row))
    return check is not None and row.pk is not None and check(row)


def obstacle(row: Model, user: User) -> str:
    """Why `user` may not change this row now, and whom to ask; "" if nothing is in the way."""
    missing = missing_sms(user)
    if not missing or not is_committed(row):
        return ""
    return _("It belongs to a distribution that is planned or has been launched. %(missing)s") % {"missing": missing}


def require_free(row: Model, user: User) -> None:
    """Raises MissingRight unless `user` may change this row now."""
    if sentence := obstacle(row, user):
        raise MissingRight(sentence)
