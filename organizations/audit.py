"""Writes the audit trail, and words it. What is written are codes: names of columns, and values as they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, pgettext_lazy

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
    "changed": pgettext_lazy("trail", "changed"),
    "count": pgettext_lazy("trail", "count"),
    "decision": pgettext_lazy("trail", "decision"),
    "deleted": pgettext_lazy("trail", "deleted"),
    "distributions": pgettext_lazy("trail", "distributions"),
    "new": pgettext_lazy("trail", "new"),
    "number": pgettext_lazy("trail", "number"),
    "provider": pgettext_lazy("trail", "provider"),
    "reason": pgettext_lazy("trail", "reason"),
    "replaces": pgettext_lazy("trail", "replaces"),
    "result": pgettext_lazy("trail", "result"),
    "secrets": pgettext_lazy("trail", "secrets"),
    "sender": pgettext_lazy("trail", "sender"),
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
    "secrets": {"ended at once": pgettext_lazy("trail", "ended at once")},
    "why": {"restored from a backup": pgettext_lazy("trail", "restored from a backup")},
}
HIDDEN = "account"  # the throttle's key says nothing to people


def sentence(event: AuditEvent) -> str:
    """The detail of an event in the reader's words: "name: Old → New; phone". What has no word is shown as it is."""
    parts = []
    for name, value in event.detail.items():
        if name == "changes" and isinstance(value, dict):
            parts += [_changed(event.object_type, column, pair) for column, pair in value.items()]
        elif name != HIDDEN:
            parts.append(f"{DETAILS.get(name, name.replace('_', ' '))}: {_worded(value, CODES.get(name, {}))}")
    return "; ".join(parts)


def _changed(object_type: str, column: str, pair: list[Any]) -> str:
    field = _field(object_type, column)
    label = field.verbose_name if field else column.replace("_", " ")
    codes = dict(field.flatchoices) if field else {}
    return f"{label}: {_worded(pair[0], codes)} → {_worded(pair[1], codes)}" if len(pair) == 2 else str(label)


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
