"""Guesses at the user name and password of a webhook address: at most LIMIT a minute from one address are compared.

A caller whose log-in was right before, from the same address, is compared whatever strangers at that address do; any
other caller there waits until the minute is over. Nothing sleeps: who has to wait is told so at once.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from datetime import timedelta

from extensions.contract import Provider, WebhookCheck, WebhookRequest
from organizations.attempts import store
from organizations.throttle import network_of

LIMIT = 20
WINDOW = timedelta(minutes=1)
KNOWN_FOR = 24 * 3600.0  # seconds for which a right log-in is remembered
MOST_KNOWN = 10_000  # in the memory of one web process


class TooManyGuesses(Exception):
    """Nothing was compared; `seconds` is how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many wrong log-ins from one address: try again in {seconds} s")
        self.seconds = seconds


_known: OrderedDict[bytes, float] = OrderedDict()  # who was right before -> until when that counts


class Guess:
    """One call's log-in, counted before it is compared."""

    def __init__(self, provider: type[Provider], organization_id: str, request: WebhookRequest, address: str) -> None:
        authorization = request.header("Authorization")
        self._counts = provider.webhook_check is WebhookCheck.BASIC and bool(authorization)
        if not self._counts:
            return
        network = network_of(address)
        self._key = f"webhook-address:{network}"
        self._who = hashlib.sha256("\0".join((network, organization_id, provider.key, authorization)).encode()).digest()
        self._is_known = _known.get(self._who, 0.0) > time.monotonic()

    def admit(self) -> None:
        """Raises TooManyGuesses."""
        if self._counts and not self._is_known:
            self._reserve()

    def was_right(self) -> None:
        if self._counts and not self._is_known:
            store().release(self._key)
            _known[self._who] = time.monotonic() + KNOWN_FOR
            while len(_known) > MOST_KNOWN:
                _known.popitem(last=False)

    def was_wrong(self) -> None:
        """It stays counted; whoever was right before and is not any more counts from now on."""
        if self._counts and self._is_known:
            _known.pop(self._who, None)

    def _reserve(self) -> None:
        if seconds := store().reserve(self._key, LIMIT, WINDOW):
            raise TooManyGuesses(seconds)
