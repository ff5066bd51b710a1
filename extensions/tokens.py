"""Bearer tokens of providers that need one: kept per account until they run out, fetched by one worker for all."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from extensions import client
from extensions.contract import NotTaken, Unclear
from extensions.models import AccessToken, ProviderAccount
from intake.sentences import said as _

MARGIN = 60.0  # seconds before its end a token counts as run out
LEASE = client.TOTAL_TIMEOUT + 15  # seconds for the worker that fetches; after it, no call of its can be under way
WAIT = 20.0  # seconds the others wait for it
POLL = 0.1  # seconds


def token_for(account: ProviderAccount) -> str:
    """The account's bearer token, "" where the provider needs none.

    One worker fetches a new one, the others wait for it. Raises Refused (bad credentials) or NotTaken (try later).
    """
    if not account.provider_class.needs_token:
        return ""
    AccessToken.objects.get_or_create(account=account)
    deadline = time.monotonic() + WAIT
    while True:
        kept = _kept(account)
        if kept:
            return kept
        if _claim(account):
            return _fetch(account)
        if time.monotonic() > deadline:
            raise NotTaken(_("another worker is still fetching the access token"))
        time.sleep(POLL)


def forget(account: ProviderAccount) -> None:
    """Drop the token: the provider no longer takes it."""
    AccessToken.objects.filter(account=account).update(value=None, expires_at=None)


def _kept(account: ProviderAccount) -> str:
    row = AccessToken.objects.get(account=account)
    if not row.value or row.expires_at is None or row.expires_at <= timezone.now():
        return ""
    if row.value["account"] != account.public_id:  # a value copied from another row opens nothing
        return ""
    return str(row.value["token"])


def _claim(account: ProviderAccount) -> bool:
    """True for one worker only, until it has fetched the token or its lease has ended."""
    now = timezone.now()
    free = Q(fetching_until=None) | Q(fetching_until__lte=now)
    claimed = AccessToken.objects.filter(free, account=account).update(fetching_until=now + timedelta(seconds=LEASE))
    return bool(claimed)


def _fetch(account: ProviderAccount) -> str:
    """Ask the provider, keep the answer, let the others go on. No transaction is open meanwhile."""
    mine = AccessToken.objects.filter(account=account)
    kept = _kept(account)  # somebody may have fetched it between our look and our claim
    if kept:
        mine.update(fetching_until=None)
        return kept
    provider = account.open()
    try:
        token = provider.parse_token(client.call(provider, provider.build_token()))
    except Unclear as error:  # asking for a token again is harmless: no message has left
        mine.update(fetching_until=None)
        raise NotTaken(error.detail) from error
    except BaseException:
        mine.update(fetching_until=None)
        raise
    life = max(token.expires_in - MARGIN, token.expires_in / 2)
    row = mine.get()
    row.value = {"account": account.public_id, "token": token.value}
    row.expires_at = timezone.now() + timedelta(seconds=life)
    row.fetching_until = None
    row.save(update_fields=["value", "expires_at", "fetching_until"])
    return token.value
