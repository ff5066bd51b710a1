"""What the provider is asked beside its verdict on the credentials: the numbers, the balance, the webhooks.

Each only where the API has it (`Provider.offers`). No transaction is open while a provider is being called.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop

from extensions import client, registry, tokens
from extensions.contract import OwnNumber, Provider, ProviderError, WebhookChange
from extensions.entries import fits
from extensions.models import AccountState, ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations import audit, steps
from organizations.models import User

logger = logging.getLogger(__name__)

SET_WEBHOOKS = gettext_noop("set the webhooks of")
MOST_NUMBERS = 100
BALANCE_LIFE = timedelta(hours=6)  # after it the periodic check asks again
MOST_BALANCES = 200  # asked for at one time


def own_numbers(provider: type[Provider], values: Mapping[str, str]) -> list[OwnNumber]:
    """The senders of an account that is not saved yet, as the provider lists them; each is one that the form takes.

    Raises Refused, NotTaken or Unclear.
    """
    opened = provider(values)
    if provider.needs_token:
        opened = provider(values, token=opened.parse_token(client.call(opened, opened.build_token())).value)
    listed = opened.parse_numbers(client.call(opened, opened.build_numbers()))
    found: dict[str, OwnNumber] = {}
    for number in listed:
        for sender in (number.sender, f"+{number.sender}"):  # some forms take a plus, some do not
            if fits(provider.clean_sender, sender):
                found.setdefault(sender, OwnNumber(sender, number.about))
                break
    return list(found.values())[:MOST_NUMBERS]


# --- balance ----------------------------------------------------------------------------------------------------------


def ask_balance(account: ProviderAccount) -> None:
    """Ask for the balance and keep it. Raises Refused, NotTaken or Unclear: then what is known stays."""
    provider = account.open(tokens.token_for(account))
    balance = provider.parse_balance(client.call(provider, provider.build_balance()))
    AccountState.objects.filter(pk=account.pk).update(
        balance=balance.amount, balance_unit=balance.unit, balance_at=timezone.now()
    )


def ask_balances() -> int:
    """Ask for those balances that are old, of accounts that may carry traffic; returns how many were told."""
    telling = [provider.key for provider in registry.all() if provider.offers(Provider.build_balance)]
    old = Q(state__balance_at=None) | Q(state__balance_at__lt=timezone.now() - BALANCE_LIFE)
    accounts = ProviderAccount.objects.usable().filter(old, provider__in=telling, organization__isnull=False)
    told: list[int] = []

    def ask(account: ProviderAccount) -> None:
        try:
            ask_balance(account)
        except ProviderError as problem:  # it is asked again; whoever wants to know why presses the button
            logger.info("the balance of %s was not told: %s", account.public_id, problem)
            AccountState.objects.filter(pk=account.pk, balance=None).update(balance_at=timezone.now())
        else:
            told.append(account.pk)

    asked = accounts.select_related("organization").order_by("state__balance_at", "pk")[:MOST_BALANCES]
    steps.for_each(asked, ask, "ask for the balance of the account")
    return len(told)


# --- webhooks ---------------------------------------------------------------------------------------------------------


def webhook_changes(account: ProviderAccount) -> list[WebhookChange]:
    """What is still to be written at the provider so that it calls us, [] for nothing. Raises as `own_numbers`."""
    return _changes(account, account.open(tokens.token_for(account)))


def _changes(account: ProviderAccount, provider: Provider) -> list[WebhookChange]:
    assert account.organization is not None
    answer = client.call(provider, provider.build_webhooks())
    urls = [webhook_url(kind, account.provider_class, account.organization) for kind in ("status", "message")]
    return provider.webhook_changes(answer, *urls)


def set_webhooks(
    account: ProviderAccount, user: User, *, request: HttpRequest | None = None
) -> tuple[int, ProviderError | None]:
    """Write what is missing now; how many webhooks were written, and what stopped it, if anything.

    What is written stays written: asked again, it goes on with the rest.
    """
    written, problem = 0, None
    try:
        provider = account.open(tokens.token_for(account))
        for change in _changes(account, provider):
            provider.parse_webhook_change(client.call(provider, change.request))
            written += 1
    except ProviderError as error:
        problem = error
    audit.record(
        SET_WEBHOOKS,
        organization=account.organization,
        actor=user,
        request=request,
        target=account,
        result=f"{written} written{', then it stopped' if problem else ''}",
    )
    return written, problem
