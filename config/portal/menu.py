"""The menu of the admin site: what there is, and for whom. Each user sees what their rights lead to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from organizations.models import User


def has_sms(user: User) -> bool:
    """Whether the licence of the user's organisation has the SMS add-on (R12)."""
    return bool(user.organization and user.organization.has_sms)


def anybody(user: User) -> bool:
    return True


def administers(user: User) -> bool:
    return user.is_administrator


def operates(user: User) -> bool:
    return user.is_operator


def administers_sms(user: User) -> bool:
    return user.is_administrator and has_sms(user)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the menu: a model of the admin site, or a page by its path. `icon` is a Material Symbol."""

    icon: str
    model: str = ""
    path: str = ""
    title: Any = ""
    shown: Callable[[User], bool] = anybody


MENU: tuple[tuple[Any, tuple[Entry, ...]], ...] = (
    (
        "",
        (
            Entry("home", path="/admin/", title=_("Home")),
            Entry("campaign", model="distributions.Distribution", shown=has_sms),
            Entry("inbox", model="distributions.InboundMessage", title=_("Inbound messages"), shown=has_sms),
            Entry("contacts", model="contacts.ContactList"),
            Entry("do_not_disturb_on", model="contacts.OptOut"),
            Entry("quiz", model="surveys.Survey"),
        ),
    ),
    (
        pgettext_lazy("menu", "Admin"),
        (
            Entry("extension", path="/admin/extensions/", title=_("Extensions"), shown=administers_sms),
            Entry("person", model="organizations.User", shown=administers),
            Entry("group", model="organizations.UserGroup", shown=administers),
            Entry("badge", model="organizations.UserType", shown=administers),
            Entry(
                "domain",
                path="/admin/organisation/",
                title=_("Organisation"),
                shown=administers,
            ),
            Entry("auto_delete", path="/admin/keeping/periods/", title=_("Retention periods"), shown=administers),
            Entry("person_remove", model="keeping.Forgetting", shown=administers),
            Entry(
                "history",
                model="organizations.AuditEvent",
                title=_("Audit trail"),
                shown=administers,
            ),
        ),
    ),
    (
        _("Platform"),
        (
            Entry("apartment", model="organizations.Organization", shown=operates),
            Entry("person", model="organizations.User", shown=operates),
            Entry("history", model="organizations.AuditEvent", title=_("Audit trail"), shown=operates),
            Entry("report", model="webhooks.Callback", title=_("Set-aside callbacks"), shown=operates),
        ),
    ),
)
