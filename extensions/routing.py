"""Which account carries an organisation's messages: one rule for launch, screens and API.

One account per organisation is in use, across all extensions: the first in the list that may carry traffic (R21, R22).
"""

from __future__ import annotations

import enum
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from extensions import entitlements, registry, services
from extensions.forms import AccountForm
from extensions.models import EnabledExtension, ProviderAccount
from intake.sentences import joined
from intake.sentences import said as _
from organizations.models import Organization

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Badge:
    """A short fact; `tone` is a class of switchboard.css that only repeats what the words say."""

    text: str
    tone: str = ""


class Standing(enum.Enum):
    """Where an account stands in its organisation's list."""

    IN_USE = "in_use"
    WAITING = "waiting"  # may carry traffic, but another one comes first
    UNFINISHED = "unfinished"  # its set-up lacks a step
    REFUSED = "refused"  # the provider refuses its credentials
    SWITCHED_OFF = "switched_off"  # its extension is not (or no longer) enabled


@dataclass(frozen=True, slots=True)
class Place:
    """An account's place in the list (`number`, from 1), and the sentence that explains where it stands."""

    account: ProviderAccount
    standing: Standing
    reason: str
    number: int

    @property
    def in_use(self) -> bool:
        return self.standing is Standing.IN_USE

    @property
    def is_ready(self) -> bool:
        """Whether it may carry traffic: now, or as the first in the list."""
        return self.standing in (Standing.IN_USE, Standing.WAITING)

    @property
    def badge(self) -> Badge:
        """Its standing in a word; in green only what is in use and known to work."""
        state = getattr(self.account, "state", None)
        if self.standing is Standing.IN_USE and state is not None and state.stopped_at is not None:
            return Badge(_("In use, but stopped"), "is-bad")
        if self.standing is Standing.IN_USE and self.account.check_ok is None:
            return Badge(_("In use, credentials unproved"), "is-warning")
        return BADGES[self.standing]()


BADGES = {
    Standing.IN_USE: lambda: Badge(_("In use"), "is-good"),
    Standing.WAITING: lambda: Badge(_("Waiting"), "is-info"),
    Standing.UNFINISHED: lambda: Badge(_("Set-up unfinished"), "is-warning"),
    Standing.REFUSED: lambda: Badge(_("Credentials refused"), "is-bad"),
    Standing.SWITCHED_OFF: lambda: Badge(_("Not enabled")),
}


@dataclass(frozen=True, slots=True)
class Route:
    """The account that carries a message. `is_default` means the installation's own account (R8, R9)."""

    account: ProviderAccount
    is_default: bool


class NoRoute(Exception):
    """No account may carry this organisation's messages; `reason` names the unfinished step (R10)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def places(organization: Organization, enabled: frozenset[str] | None = None) -> list[Place]:
    """Every living account in the order of the list, with the one in use marked and why the others are not.

    `enabled` saves a query where the caller has `enabled_keys` already. The licence is not looked at.
    """
    enabled = entitlements.enabled_keys(organization) if enabled is None else enabled
    accounts = ProviderAccount.objects.alive().filter(organization=organization).select_related("state")
    return _placed(accounts.defer("credentials"), enabled)


def _placed(accounts: Iterable[ProviderAccount], enabled: frozenset[str]) -> list[Place]:
    first: ProviderAccount | None = None
    found: list[Place] = []
    for account in accounts:
        standing, reason = _stand(account, first, enabled)
        if standing is Standing.IN_USE:
            first = account
        found.append(Place(account, standing, reason, len(found) + 1))
    return found


def _stand(account: ProviderAccount, first: ProviderAccount | None, enabled: frozenset[str]) -> tuple[Standing, str]:
    if account.provider not in enabled or registry.find(account.provider) is None:
        return Standing.SWITCHED_OFF, _("This extension is not enabled for your organisation.")
    if account.is_refused:
        return Standing.REFUSED, missing_step(account)
    if account.granted_at is None:
        return Standing.UNFINISHED, missing_step(account)
    if first is not None:
        return Standing.WAITING, _("“%(name)s” comes before it in the list, and only one account is in use.") % {
            "name": first.name
        }
    sentences = [_("All SMS distributions of your organisation are sent through this account.")]
    if account.check_ok is None:
        sentences.append(_("It is not certain that its credentials work: the provider has not confirmed them."))
    return Standing.IN_USE, joined(sentences)


def missing_step(account: ProviderAccount) -> str:
    """The next step without which this account carries no traffic (R34), as a request to the administrator."""
    if account.check_ok is None:
        return _("Next: verify the credentials, then grant access to all users.")
    if account.is_refused:
        return _("The provider refused the credentials, so nothing is sent through it. Replace it, or verify again.")
    return _("Next: grant access to all users.")


def account_in_use(organization: Organization) -> ProviderAccount | None:
    """The one account that carries this organisation's messages, None if there is none (R21–R23)."""
    if not entitlements.has_sms(organization):
        return None
    return next((place.account for place in places(organization) if place.in_use), None)


def route_for(organization: Organization) -> Route:
    """What carries this organisation's messages now: its own account, else the installation's (R8).

    Raises NoRoute, naming the unfinished step, if there is neither (R10).
    """
    if not entitlements.has_sms(organization):
        raise NoRoute(_without_licence())
    return _first(places(organization), installation_account)


def routes_for(
    organizations: Collection[Organization], switches: QuerySet[EnabledExtension] | None = None
) -> dict[int, Route | NoRoute]:
    """The same for many, by key, in a few statements. They come with their licences (`has_sms`).

    With `switches` as if only these extensions were enabled.
    """
    enabled: dict[int, set[str]] = defaultdict(set)
    switches = EnabledExtension.objects.all() if switches is None else switches
    those = switches.filter(organization__in=organizations).order_by()
    for organization_id, provider in those.values_list("organization_id", "provider"):
        enabled[organization_id].add(provider)
    accounts: dict[int | None, list[ProviderAccount]] = defaultdict(list)
    listed = ProviderAccount.objects.alive().filter(organization__in=organizations)
    for account in listed.select_related("state").defer("credentials"):
        accounts[account.organization_id].append(account)
    default = cache(installation_account)  # asked for once, and only if somebody needs it
    found: dict[int, Route | NoRoute] = {}
    for organization in organizations:
        try:
            if not organization.has_sms:
                raise NoRoute(_without_licence())
            standing = _placed(accounts[organization.pk], frozenset(enabled[organization.pk]))
            found[organization.pk] = _first(standing, default)
        except NoRoute as refusal:
            found[organization.pk] = refusal
    return found


def _without_licence() -> str:
    return _("SMS is an add-on, and your organisation's licence does not include it.")


def _first(standing: Sequence[Place], default: Callable[[], ProviderAccount | None]) -> Route:
    """The account in use, else the installation's. Raises NoRoute."""
    for place in standing:
        if place.in_use:
            return Route(place.account, is_default=False)
    if (account := default()) is not None:
        return Route(account, is_default=True)
    raise NoRoute(_unfinished(standing))


def _unfinished(standing: Sequence[Place]) -> str:
    if not standing:
        return _("No SMS account has been added yet. An administrator adds one under Extensions.")
    lacking = (Standing.UNFINISHED, Standing.REFUSED)
    place = next((place for place in standing if place.standing in lacking), standing[0])
    if place.standing is Standing.REFUSED:
        return f"“{place.account.name}” ({place.account.provider_name}): {place.reason}"
    return _("The set-up of the account “%(name)s” (%(provider)s) is not finished. %(step)s") % {
        "name": place.account.name,
        "provider": place.account.provider_name,
        "step": place.reason,
    }


# --- the installation's own account -----------------------------------------------------------------------------------


def installation_account() -> ProviderAccount | None:
    """The account that DEFAULT_PROVIDER describes, None if it is empty or wrong (which is logged).

    Its row is kept in step with the setting: the id is made from the setting's values, so a changed setting is a new
    account, the former one is deleted and keeps verifying its callbacks, and messages sent keep naming it.
    """
    chosen = settings.DEFAULT_PROVIDER
    if not chosen:
        return None
    public_id = _fingerprint(chosen)
    account = ProviderAccount.objects.alive().filter(organization=None, public_id=public_id).first()
    return account or _install(chosen, public_id)


def _fingerprint(chosen: Mapping[str, Any]) -> str:
    text = json.dumps(chosen, sort_keys=True)
    return "ACC_" + salted_hmac("extensions.routing.installation_account", text).hexdigest()[:20]


def _install(chosen: Mapping[str, Any], public_id: str) -> ProviderAccount | None:
    named = str(chosen.get("provider") or "")
    provider = registry.find(named) if named else registry.usual()
    if provider is None:
        logger.error("DEFAULT_PROVIDER names no provider of this installation; nothing is sent through it.")
        return None
    credentials = chosen.get("credentials")
    fields = credentials if isinstance(credentials, dict) else {}
    form = AccountForm(
        provider,
        {**fields, "name": provider.name, "sender": chosen.get("sender", ""), "confirm_one_way": "on"},
    )
    if not form.is_valid():
        logger.error("DEFAULT_PROVIDER is wrong in: %s; nothing is sent through it.", ", ".join(sorted(form.errors)))
        return None
    own = ProviderAccount.objects.filter(organization=None)
    try:
        with transaction.atomic():
            own.alive().exclude(public_id=public_id).update(deleted_at=timezone.now())
            if own.filter(public_id=public_id).update(deleted_at=None):  # the setting was changed back
                return own.get(public_id=public_id)
            return services.create_account(
                None,
                provider,
                name=form.name,
                sender=form.sender,
                sender_kind=form.sender_kind,
                values=form.values,
                public_id=public_id,
                granted_at=timezone.now(),
            )
    except IntegrityError:  # another process installed it in the same moment
        return own.get(public_id=public_id)
