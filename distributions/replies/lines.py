"""Whose reply it is. The signature proves an account at a provider; the number that was written to finds the line.

A line is a number of ours, or a service that picks its numbers itself, at one provider account. Most lines belong to
one organisation. The installation's own account is shared, and so is a number that two organisations added with the
same credentials: there a reply belongs to whoever texted the person last, and nobody else learns of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db.models import F, Q

from distributions.models import Message
from extensions.models import ProviderAccount, UnreadableCredentials
from extensions.senders import is_number, spellings
from organizations.models import Organization

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """Who has a number: accounts of one organisation, or of several that share it.

    `believed` are all accounts that the call proves itself for; within their `provider_identity` its ids count once.
    """

    accounts: tuple[ProviderAccount, ...]
    believed: tuple[ProviderAccount, ...]
    is_known: bool  # an account has the number as its sender

    @property
    def owners(self) -> set[int | None]:
        """The organisations' keys; None for the installation."""
        return {account.organization_id for account in self.accounts}

    @property
    def is_shared(self) -> bool:
        return self.owners != {self.accounts[0].organization_id} or None in self.owners

    @property
    def identities(self) -> set[str]:
        return {account.provider_identity for account in self.believed}


@dataclass(frozen=True, slots=True)
class Route:
    """Whose reply it is, and the account it counts for. `others` texted this person on the same line before."""

    account: ProviderAccount
    organization: Organization
    others: tuple[Organization, ...] = ()


def line_of(account: ProviderAccount, recipient: str) -> Line:
    """The line that `recipient` is, of those that a call proves itself for which `account` has verified.

    An organisation's line never gains anything from another's: only accounts that hold the very same credentials share.
    Its own count however long ago they were deleted: their secrets prove nothing more, their numbers are still read.
    """
    own = Q(organization=account.organization_id)
    at_provider = ProviderAccount.objects.filter(provider=account.provider)
    reach = Q(sender__in=spellings(recipient)) | Q(sender__in=at_provider.filter(own).values("sender"))
    believed_elsewhere = ProviderAccount.objects.verifying().filter(reach, provider=account.provider)
    nearby = (at_provider.filter(own) | believed_elsewhere).select_related("organization")
    mine = [one for one in nearby if one.organization_id == account.organization_id and one.is_proven_with(account)]
    mine = mine or [account]
    theirs = [one for one in nearby if one.organization_id != account.organization_id and _holds_the_same(one, mine)]
    believed = tuple(sorted((*mine, *theirs), key=_rank))
    named = tuple(one for one in believed if recipient and recipient in spellings(one.sender))
    if named:
        return Line(named, believed, is_known=True)
    # No account has this number: a service has picked it. Services that are shared are one line, too.
    services = {one.sender for one in mine if not spellings(one.sender)[0].isdecimal()}
    owner = account.organization_id
    unnamed = tuple(one for one in believed if one.organization_id == owner or one.sender in services)
    return Line(unnamed, believed, is_known=False)


def _holds_the_same(stranger: ProviderAccount, mine: Sequence[ProviderAccount]) -> bool:
    try:
        secrets = stranger.secrets()
        return bool(secrets) and any(secrets == one.secrets() for one in mine)
    except PermissionDenied:
        logger.error("account %s holds another organisation's credentials", stranger.public_id)
        return False
    except UnreadableCredentials:
        return False


def _rank(account: ProviderAccount) -> tuple[bool, bool, float, int]:
    """In use first, then what waits behind it, then the leaving and deleted, the latest first; never granted last."""
    gone = account.deleted_at or account.retiring_at
    order = account.listed_at.timestamp() if gone is None else -gone.timestamp()
    return (account.granted_at is None, gone is not None, order, account.pk)


def route(line: Line, called: Organization | None, phone: str, at: datetime) -> Route | None:
    """Whose a text from `phone` is that arrived at `at`; None if nobody has texted that person on a shared line.

    `called` is the organisation at whose address the provider delivered it.
    """
    texts = _texts(line, phone, at) if line.is_shared or not line.is_known else []
    owners = {one.organization_id: one.organization for one in line.accounts if one.organization is not None}
    if called is not None and called.pk in owners:
        owners[called.pk] = called
    if not texts:
        if not owners or (len(owners) > 1 and (called is None or called.pk not in owners)):
            return None
        owner = called.pk if called is not None and called.pk in owners else next(iter(owners))
        account = next(one for one in line.accounts if one.organization_id == owner)
        return Route(account, owners[owner])
    last, *before = texts
    senders = {one.pk: one for one in line.accounts}
    assert last.account_id is not None  # it was found by it
    account = senders[last.account_id]
    if line.is_known:  # its sender may be gone: of those who have its number now, the first
        account = next(one for one in line.accounts if one.organization_id == account.organization_id)
    organizations = {message.organization_id: message.organization for message in texts}
    if called is not None and called.pk in organizations:
        organizations[called.pk] = called
    others = tuple(organizations[message.organization_id] for message in before)
    return Route(account, organizations[last.organization_id], others)


def _texts(line: Line, phone: str, at: datetime) -> list[Message]:
    """The last text of each organisation that has texted this person on this line, the very last first."""
    if not is_number(phone):
        return []
    left = Message.objects.left(at).filter(to=phone, account__in=[one.pk for one in line.accounts])
    newest = F("attempted_at").desc(nulls_last=True)
    texts: dict[int, Message] = {}
    for message in left.select_related("organization").only("account_id", "organization").order_by(newest, "-pk"):
        texts.setdefault(message.organization_id, message)
    return list(texts.values())
