"""Writes the audit trail, and words it. What is written are codes: names of columns, and values as they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateField, DateTimeField, DecimalField, Field, FloatField, Model, TimeField
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_time
from django.utils.formats import date_format, time_format
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, pgettext_lazy

from intake import figures
from intake.sentences import worded
from organizations.models import AuditEvent, Organization, User

# Where the request being answered comes from; None outside a request (organizations/middleware.py sets it).
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)

ADDED = gettext_noop("added")
CHANGED = gettext_noop("changed")
DELETED = gettext_noop("deleted")
LICENCE_CHANGED = gettext_noop("changed the licence")

# Never written down, whatever form they come from.
SECRET_FIELDS = frozenset({"password", "password1", "password2", "credentials", "digest"})
# Written down as changed, without their values: personal data or text.
PRIVATE_FIELDS = frozenset({"phone", "email", "fields", "message_text", "text"})


def record(
    action: str,
    *,
    organization: Organization | None,
    actor: User | None = None,
    request: HttpRequest | None = None,
    target: Model | None = None,
    **detail: Any,
) -> AuditEvent:
    """Write down that `actor` (or the request's user) did `action` to `target`. `detail` must hold no secret.

    The address is the request's; a service that is handed none writes that of the request it works for.
    """
    if actor is None and request is not None and isinstance(request.user, User):
        actor = request.user
    return AuditEvent.objects.create(
        organization=organization,
        actor=actor,
        actor_email=actor.email if actor else "",
        action=action,
        object_type=str(target._meta.model_name) if target else "",
        object_id=str(getattr(target, "public_id", None) or target.pk) if target else "",
        object_name=str(target)[:200] if target else "",
        detail=detail,
        address=request.META.get("REMOTE_ADDR") if request is not None else client_address.get(),
    )


def changes(form: ModelForm) -> dict[str, list[Any]]:
    """What a valid form changes: field name -> [old, new], as text; without values where they are private."""
    found: dict[str, list[Any]] = {}
    for name in form.changed_data:
        if name in SECRET_FIELDS:
            continue
        if name in PRIVATE_FIELDS:
            found[name] = []
            continue
        before = form.get_initial_for_field(form.fields[name], name)
        pair = [_shown(form, name, before), _shown(form, name, form.cleaned_data.get(name))]
        if pair[0] != pair[1]:  # what was left out stays as it was
            found[name] = pair
    return found


# What stands beside an action, and the codes among its values, in words.
DETAILS: dict[str, str | Promise] = {
    "added": pgettext_lazy("trail", "added"),
    "by": pgettext_lazy("trail", "by"),
    "callback": pgettext_lazy("trail", "callback"),
    "changed": pgettext_lazy("trail", "changed"),
    "count": pgettext_lazy("trail", "count"),
    "decision": pgettext_lazy("trail", "decision"),
    "deleted": pgettext_lazy("trail", "deleted"),
    "distributions": pgettext_lazy("trail", "distributions"),
    "left_out": pgettext_lazy("trail", "left out"),
    "new": pgettext_lazy("trail", "new"),
    "number": pgettext_lazy("trail", "number"),
    "provider": pgettext_lazy("trail", "provider"),
    "rate": pgettext_lazy("trail", "segments per second"),
    "reason": pgettext_lazy("trail", "reason"),
    "replaces": pgettext_lazy("trail", "replaces"),
    "result": pgettext_lazy("trail", "result"),
    "secrets": pgettext_lazy("trail", "secrets"),
    "sender": pgettext_lazy("trail", "sender"),
    "skipped": pgettext_lazy("trail", "left as they were"),
    "to": pgettext_lazy("trail", "to"),
    "uncertain": pgettext_lazy("trail", "uncertain"),
    "updated": pgettext_lazy("trail", "updated"),
    "why": pgettext_lazy("trail", "why"),
}
CODES: dict[str, dict[str, str | Promise]] = {
    "decision": {
        "answer": pgettext_lazy("trail", "taken as the answer"),
        "neither": pgettext_lazy("trail", "neither"),
        "opt_out": pgettext_lazy("trail", "opted out"),
        "person": pgettext_lazy("trail", "decided by the person"),
    },
    "result": {
        "good": pgettext_lazy("trail", "good"),
        "not good": pgettext_lazy("trail", "not good"),
        "refused": pgettext_lazy("trail", "refused"),
        "not asked": pgettext_lazy("trail", "not asked"),
        "status": pgettext_lazy("trail", "delivery reports"),
        "message": pgettext_lazy("trail", "inbound messages"),
        "queued": pgettext_lazy("trail", "with the provider"),
        "sent": pgettext_lazy("trail", "sent"),
        "delivered": pgettext_lazy("trail", "delivered"),
        "undelivered": pgettext_lazy("trail", "not delivered"),
        "failed": pgettext_lazy("trail", "failed"),
        "expired": pgettext_lazy("trail", "expired"),
        "read": pgettext_lazy("trail", "read"),
        "unknown": pgettext_lazy("trail", "unknown"),
    },
    "secrets": {"ended at once": pgettext_lazy("trail", "revoked at once")},
    "why": {"restored from a backup": pgettext_lazy("trail", "restored from a backup")},
}
FIGURES, IDS = ("rate",), ("callback",)  # kept as text; and a number that counts nothing
HIDDEN = "account"  # the throttle's key says nothing to people


def sentence(event: AuditEvent) -> str:
    """The detail of an event in the reader's words: "name: Old → New; phone". What has no word is shown as it is."""
    parts = []
    for name, value in event.detail.items():
        if name == "changes" and isinstance(value, dict):
            parts += [_changed(event.object_type, column, pair) for column, pair in value.items()]
        elif name != HIDDEN:
            shown = figures.exact(value) if name in FIGURES else _worded(value, CODES.get(name, {}))
            shown = str(value) if name in IDS else shown
            parts.append(f"{DETAILS.get(name, name.replace('_', ' '))}: {shown}")
    return "; ".join(parts)


def _changed(object_type: str, column: str, pair: list[Any]) -> str:
    field = _field(object_type, column)
    label = field.verbose_name if field else column.replace("_", " ")
    codes = dict(field.flatchoices) if field else {}
    if len(pair) != 2:
        return str(label)
    before, after = (_worded(_read(field, value), codes) for value in pair)
    return f"{label}: {before} → {after}"


# How a column's value is read back from the text that `_shown` has made of it.
_READERS: tuple[tuple[type[Field], Callable[[str], Any]], ...] = (
    (DateTimeField, parse_datetime),
    (DateField, parse_date),
    (TimeField, parse_time),
    (FloatField, float),
    (DecimalField, Decimal),
)


def _read(field: Field | None, value: Any) -> Any:
    """A stored value as its column has it: a time is a time again; what cannot be read stays as it was written."""
    reader = next((reader for kind, reader in _READERS if isinstance(field, kind)), None)
    if reader is None or not isinstance(value, str):
        return value
    try:
        return reader(value) or value
    except (ValueError, ArithmeticError):
        return value


@cache
def _field(object_type: str, name: str) -> Field | None:
    """The column of this name, of the model itself or of one that is a part of it, as a licence is."""
    for model in apps.get_models():
        if model._meta.model_name == object_type:
            parts = [relation.related_model for relation in model._meta.related_objects if relation.one_to_one]
            for part in (model, *parts):
                with suppress(FieldDoesNotExist):
                    field = part._meta.get_field(name)
                    if isinstance(field, Field):
                        return field
    return None


def _worded(value: Any, codes: Mapping[Any, str | Promise]) -> str:
    """A stored value in words; of several codes, as in "status: good, message: good", each."""
    if value in (None, ""):
        return "–"
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if isinstance(value, list):
        return ", ".join(_worded(item, codes) for item in value)
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value) if timezone.is_aware(value) else value, "SHORT_DATETIME_FORMAT")
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    if isinstance(value, time):
        return time_format(value, "TIME_FORMAT")
    if isinstance(value, int | float | Decimal) and value not in codes:
        return figures.exact(value)
    text = worded(str(value))
    if text in codes or not codes:
        return str(codes.get(text, text))
    return "".join(str(codes.get(part, part)) for part in re.split(r"(, |: )", text))


def _shown(form: ModelForm, name: str, value: Any) -> Any:
    """A value as JSON can hold it: related rows by their names."""
    if value is None or isinstance(value, bool | int | str):
        try:
            related = form._meta.model._meta.get_field(name).related_model
        except FieldDoesNotExist:
            return value
        if isinstance(related, type) and issubclass(related, Model) and value is not None:
            return str(related._base_manager.filter(pk=value).first() or "")
        return value
    if isinstance(value, Model):
        return str(value)
    if hasattr(value, "__iter__"):
        return ", ".join(sorted(str(item) for item in value))
    return str(value)
