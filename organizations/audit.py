"""Writes the audit trail."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_noop

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


def sentence(event: AuditEvent) -> str:
    """The detail of an event in words: "name: Old → New; phone"."""
    parts = []
    for name, value in event.detail.items():
        if name == "changes" and isinstance(value, dict):
            for field, pair in value.items():
                label = field.replace("_", " ")
                parts.append(f"{label}: {_word(pair[0])} → {_word(pair[1])}" if len(pair) == 2 else label)
        elif name != "account":  # the throttle's key says nothing to people
            parts.append(f"{name.replace('_', ' ')}: {_word(value)}")
    return "; ".join(parts)


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "–" if value in (None, "") else str(value)


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
