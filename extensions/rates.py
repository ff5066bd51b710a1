"""How fast an account may send: what its provider is known to take, and what people have set."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from extensions.contract import SenderKind
from extensions.models import AccountState, ProviderAccount
from organizations import audit
from organizations.models import User

PACED = gettext_noop("set the sending rate of")
SLOWEST = 0.1  # segments per second that an account may be set to


def documented_rate(account: ProviderAccount) -> float:
    """Segments per second that the provider is known to take of such a sender."""
    return account.provider_class.rate(SenderKind(account.sender_kind))


def set_rate(account: ProviderAccount, user: User, rate: float | None, *, request: HttpRequest | None = None) -> None:
    """Let the account send at most `rate` segments per second; None: as many as its provider is known to take.

    No detail of the account (R24). Never above the known rate: what is too fast fails later at some providers, instead
    of being refused. Raises ValueError for a rate out of SLOWEST to `documented_rate`.
    """
    if rate is not None and not SLOWEST <= rate <= documented_rate(account):
        raise ValueError(f"{rate} segments per second are out of range")
    with transaction.atomic():
        state, _made = AccountState.objects.select_for_update(no_key=True).get_or_create(account=account)
        if state.messages_per_second == rate:
            return
        AccountState.objects.filter(pk=account.pk).update(messages_per_second=rate)
        audit.record(
            PACED,
            organization=account.organization,
            actor=user,
            request=request,
            target=account,
            rate=f"{rate or documented_rate(account):.10g}",
        )
