"""Who may do what: three-valued permissions, resolved user > groups > user type > no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import models
from django.utils.translation import gettext_lazy

from intake.sentences import joined
from intake.sentences import said as _

if TYPE_CHECKING:
    from organizations.models import Organization, User


class Setting(models.TextChoices):
    """What one level says about a permission."""

    INHERIT = "inherit", gettext_lazy("As inherited")
    ENABLED = "enabled", gettext_lazy("Enabled")
    DISABLED = "disabled", gettext_lazy("Disabled")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a permission holds, and the sentence that explains it."""

    allowed: bool
    explanation: str


def resolve(user: str, groups: Sequence[tuple[str, str]], user_type: tuple[str, str] | None) -> Decision:
    """The effective value of a permission that is off where nobody says anything; as `said` otherwise."""
    nobody = Decision(False, _("Not enabled for this user, any group or the user type."))
    return said(user, groups, user_type) or nobody


def said(user: str, groups: Sequence[tuple[str, str]], user_type: tuple[str, str] | None) -> Decision | None:
    """What the levels say about a permission, None if all of them inherit.

    `user` is the user's own Setting, `groups` and `user_type` are pairs of (name, Setting). Of several groups that say
    something, one that disables wins: the safe reading.
    """
    if user != Setting.INHERIT:
        if user == Setting.ENABLED:
            return Decision(True, _("Enabled for this user."))
        return Decision(False, _("Disabled for this user."))
    disabling = next((name for name, setting in groups if setting == Setting.DISABLED), None)
    if disabling is not None:
        return Decision(False, _("Disabled by group “%(name)s”.") % {"name": disabling})
    enabling = next((name for name, setting in groups if setting == Setting.ENABLED), None)
    if enabling is not None:
        return Decision(True, _("Enabled by group “%(name)s”.") % {"name": enabling})
    if user_type is not None and user_type[1] != Setting.INHERIT:
        if user_type[1] == Setting.ENABLED:
            return Decision(True, _("Enabled by user type “%(name)s”.") % {"name": user_type[0]})
        return Decision(False, _("Disabled by user type “%(name)s”.") % {"name": user_type[0]})
    return None


def inherited_sight(user: User, sms: Decision) -> Decision:
    """Whether this user sees recipients where nobody says anything about it: whoever may text them, and administrators.

    `sms` is the decision about "Use SMS distributions".
    """
    if user.is_administrator:
        return Decision(True, _("As an administrator, unless it is disabled."))
    if user.organization is not None and user.organization.has_sms:
        return Decision(sms.allowed, _("As for “Use SMS distributions”: %(why)s") % {"why": sms.explanation})
    return Decision(False, _("As for “Use SMS distributions”: the licence does not include SMS."))


class MissingRight(PermissionDenied):
    """Somebody may not do what they asked for. Its text is what they are shown: what is missing, and whom to ask."""


def whom_to_ask(organization: Organization | None, reader: User | None = None) -> str:
    """A sentence that ends every refusal. It never sends `reader` to themselves."""
    contact = organization.support_contact if organization is not None else ""
    if contact and not (reader is not None and is_named(reader, contact)):
        return _("Please ask %(contact)s.") % {"contact": contact}
    if organization is None or reader is None or not reader.is_administrator:
        return _("Please ask an administrator of your organisation.")
    others = organization.users.filter(role=reader.role, is_active=True).exclude(pk=reader.pk)
    if others.exists():
        return _("Please ask another administrator of your organisation.")
    return _("Please ask whoever runs this installation.")


def is_named(reader: User, contact: str) -> bool:
    """Whether a text such as “Ada Lovelace, ada@example.org” names this person."""
    names = (re.escape(name.casefold()) for name in (reader.email, reader.name) if name)
    return any(re.search(rf"(?<![\w.+-]){name}(?![\w-])", contact.casefold()) for name in names)


def missing_sms(user: User) -> str:
    """What `user` lacks for distributing by SMS, as a sentence that says whom to ask; "" if nothing."""
    organization = user.organization
    if organization is None:
        return _("Platform operators do not send texts: that is done by the people of an organisation.")
    if not organization.has_sms:
        missing = _("The licence of %(organization)s does not include SMS.") % {"organization": organization}
        return joined((missing, whom_to_ask(organization, user)))
    decision = user.sms_permission()
    if not decision.allowed:
        missing = _("You need the permission “Use SMS distributions”.")
        return joined((missing, decision.explanation, _whom_to_ask_for_a_right(user)))
    return ""


def _whom_to_ask_for_a_right(user: User) -> str:
    """As `whom_to_ask`, about what administrators can give: to themselves, too."""
    if user.is_administrator:
        return _("As an administrator you can give it to yourself, under Users.")
    return whom_to_ask(user.organization, user)


def require_sms(user: User) -> None:
    """Raises MissingRight unless the licence has SMS (R12) and the user has "Use SMS distributions" (R31–R33)."""
    if sentence := missing_sms(user):
        raise MissingRight(sentence)


def may_see_recipients(user: User) -> bool:
    """Whether numbers are shown whole to this user, and what people answered at all."""
    return user.organization is not None and user.recipients_permission().allowed


def missing_sight(user: User) -> str:
    """What `user` lacks for seeing recipients, as a sentence that says whom to ask; "" if nothing."""
    if may_see_recipients(user):
        return ""
    if user.organization is None:
        return _("Platform operators do not see the people an organisation texts.")
    missing = _("You need the permission “See recipients”.")
    return joined((missing, user.recipients_permission().explanation, _whom_to_ask_for_a_right(user)))


def require_sight(user: User) -> None:
    """Raises MissingRight unless the user has "See recipients"."""
    if sentence := missing_sight(user):
        raise MissingRight(sentence)


def require_role(user: User, *roles: str) -> None:
    """Raises MissingRight unless the user has one of these roles (R11)."""
    if user.role not in roles:
        names = " / ".join(str(user.Role(role).label) for role in roles)
        missing = _("This needs the role %(role)s; yours is %(own)s.") % {
            "role": names,
            "own": user.get_role_display(),
        }
        raise MissingRight(f"{missing} {whom_to_ask(user.organization, user)}")
