"""What other apps know about an organisation's webhooks and accounts, shown on the pages of this one.

Those apps import this one, not the other way round, so they register here what they have to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypedDict

from extensions.contract import Provider
from extensions.models import ProviderAccount
from organizations.models import Organization


class Refusal(TypedDict):
    """Calls to one route that were refused for one reason."""

    reason: str
    kind: str  # the route: "status" or "message"
    count: int
    last_at: datetime


Source = Callable[[Organization, type[Provider]], list[Refusal]]
Counter = Callable[[ProviderAccount], int]
_sources: list[Source] = []
_counters: list[Counter] = []


def register(source: Source) -> None:
    """Have `source` asked for refused calls; registering it twice changes nothing."""
    if source not in _sources:
        _sources.append(source)


def refusals(organization: Organization, provider: type[Provider]) -> list[Refusal]:
    """Refused calls of this provider to this organisation, the latest first."""
    found = [refusal for source in _sources for refusal in source(organization, provider)]
    return sorted(found, key=lambda refusal: refusal["last_at"], reverse=True)


def register_under_way(counter: Counter) -> None:
    """Have `counter` asked for conversations under way; registering it twice changes nothing."""
    if counter not in _counters:
        _counters.append(counter)


def under_way(account: ProviderAccount) -> int:
    """How many people are in the middle of answering on this account's number: what deleting it would interrupt."""
    return sum(counter(account) for counter in _counters)
