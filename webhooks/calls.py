"""Single callbacks of an account, as an administrator opens them: without secrets, and to be applied once more.

What is stored is what was received, for CALLBACK_RETENTION_DAYS, without headers but the content type: no signature and
no log-in is kept. A secret of the account that stands in an address or a body all the same is not shown.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import partial
from urllib.parse import quote, quote_plus

from django.db import transaction
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from distributions.engine.wake import wake_soon
from extensions.models import ProviderAccount
from intake.data import NotReadable, read_json
from intake.text import storable
from organizations import audit, clock
from organizations.models import User
from webhooks.inbox import APPLY
from webhooks.models import Callback

MOST = 50  # on the page
WINDOW = 100_000  # of the newest callbacks of all accounts, in which those of one are looked for: no index is needed
LONGEST = 20_000  # characters of a body that are shown
SHORTEST_SECRET = 6  # characters; what is shorter is found by chance
LEFT_OUT = "•••"
REPLAYED = gettext_noop("replayed a callback of")


def newest(account: ProviderAccount) -> QuerySet[Callback]:
    """The account's newest callbacks, without their content."""
    last = Callback.objects.aggregate(last=Max("pk"))["last"] or 0
    mine = Callback.objects.filter(account=account, pk__gt=last - WINDOW).order_by("-pk")
    return mine.defer("body", "url", "pending")[:MOST]


def without_secrets(account: ProviderAccount, text: str) -> str:
    """The text without any secret of the account that may stand in it, however it is written there."""
    found = {
        spelling
        for secret in account.secrets().values()
        if len(secret) >= SHORTEST_SECRET
        for spelling in _spellings(secret)
    }
    if not found:
        return text
    longest_first = sorted(found, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), LEFT_OUT, text)


def _spellings(secret: str) -> set[str]:
    """A secret as it is, in JSON, and in an address or a form, whose percent codes have capitals or none."""
    in_json = {json.dumps(secret, ensure_ascii=only_ascii)[1:-1] for only_ascii in (True, False)}
    in_json |= {text.replace("/", r"\/") for text in in_json}
    coded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    small = {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), text) for text in coded}
    in_base64 = {b64encode(secret.encode()).decode()}
    return {secret, *in_json, *coded, *small, *in_base64}


def body_of(account: ProviderAccount, callback: Callback) -> str:
    """The body as text, JSON laid out; without secrets."""
    raw = bytes(callback.body)
    try:
        shown = json.dumps(read_json(raw), ensure_ascii=False, indent=2)
    except NotReadable:
        shown = raw.decode(errors="replace")
    shown = without_secrets(account, storable(shown))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def replay(callback: Callback, account: ProviderAccount, user: User, request: HttpRequest | None = None) -> bool:
    """Have it applied once more; False where it is waiting to be applied anyway.

    A report moves a message only where its state allows it, and a reply that is known is not an answer twice.
    """
    again = {"state": Callback.State.NEW, "tries": 0, "error": "", "pending": None, "not_before": clock.now()}
    with transaction.atomic():
        done = Callback.objects.filter(
            pk=callback.pk, account=account, state__in=(Callback.State.APPLIED, Callback.State.UNREADABLE)
        )
        if not done.update(**again):
            return False
        audit.record(
            REPLAYED,
            organization=account.organization,
            actor=user,
            request=request,
            target=account,
            callback=callback.pk,
        )
        transaction.on_commit(partial(wake_soon, APPLY))
    return True
