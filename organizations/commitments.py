"""What is promised: rows that a launched or planned distribution relies on.

Who may not send must not decide what is texted, where it leads and whom it reaches by changing such a row afterwards.
The apps that launch import those of contacts and surveys, not the other way round, so they register here how to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _

from organizations.models import User
from organizations.permissions import MissingRight, missing_sms

Check = Callable[[Any], bool]
Lookout = Callable[[int], None]
_checks: dict[type[Model], Check] = {}
_lookouts: list[Lookout] = []


def register(model: type[Model], check: Check) -> None:
    """Have `check` asked whether a row of `model` is relied on; registering again replaces it."""
    _checks[model] = check


def register_lookout(lookout: Lookout) -> None:
    """Have `lookout` told of organisations (by key) in which something has changed that a plan may rely on."""
    if lookout not in _lookouts:
        _lookouts.append(lookout)


def changed(organization_id: int | None) -> None:
    """Something of this organisation was changed or deleted: what is planned may not go as planned any more.

    Called in the transaction of the change, so that both or neither can be seen. A change of which nobody tells is
    found a little later, by the periodic check.
    """
    if organization_id is not None:
        for lookout in _lookouts:
            lookout(organization_id)


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
