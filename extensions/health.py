"""Whether an account may send now: its circuit breaker, and the stop that only an administrator can lift."""

from __future__ import annotations

import logging
import random
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, F, QuerySet, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from extensions.models import AccountState, ProviderAccount

logger = logging.getLogger(__name__)

PATIENCE = 5  # messages in a row that were not taken before the account pauses
LONGEST_PAUSE = 60.0  # seconds


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, with jitter, so that workers do not come together."""
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 2.0 ** min(failures, 10))  # noqa: S311 (no secret)


def may_send(account: ProviderAccount) -> bool:
    """Whether nothing speaks against sending through this account now."""
    state = account.state
    return state.stopped_at is None and (state.open_until is None or state.open_until <= timezone.now())


def trip(account: ProviderAccount, until: Any) -> None:
    """The provider is away or asks for a pause: nothing is sent before `until`, by the database's clock."""
    _states(account).update(open_until=until, failures=F("failures") + 1)


def slow_down(account: ProviderAccount, rate: float | None, until: Any) -> None:
    """The provider takes `rate` segments per second at present (None: as many as it says), and none before `until`."""
    moment = Value(until, DateTimeField()) if isinstance(until, datetime) else until
    _states(account).update(throttled_rate=rate, next_slot_at=Greatest(F("next_slot_at"), moment))


def recover(account: ProviderAccount) -> None:
    """It works again."""
    _states(account).update(open_until=None, failures=0)


def stop(account: ProviderAccount, reason: str) -> None:
    """The provider refuses the account itself: nothing is sent until an administrator has verified it again."""
    stopped = _states(account).filter(stopped_at=None).update(stopped_at=timezone.now(), stopped_reason=reason[:500])
    if stopped:
        logger.error("Account %s is stopped: %s.", account.public_id, reason.partition(":")[0][:40])


def resume(account: ProviderAccount) -> None:
    """An administrator has verified the account: it sends again."""
    states = _states(account)
    if states.exclude(stopped_at=None).update(stopped_at=None, stopped_reason="", open_until=None, failures=0):
        logger.info("Account %s sends again.", account.public_id)
    else:
        states.update(open_until=None, failures=0)


def _states(account: ProviderAccount) -> QuerySet[AccountState]:
    return AccountState.objects.filter(pk=account.pk)
