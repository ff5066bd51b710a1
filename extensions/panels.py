"""What other apps know about an organisation's webhooks, shown on the pages of this one.

The app that receives callbacks imports this app, not the other way round, so it registers here what it has to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypedDict

from extensions.contract import Provider
from organizations.models import Organization


class Refusal(TypedDict):
    """Calls to one route that were refused for one reason."""

    reason: str
    kind: str  # the route: "status" or "message"
    count: int
    last_at: datetime


Source = Callable[[Organization, type[Provider]], list[Refusal]]
_sources: list[Source] = []


def register(source: Source) -> None:
    """Have `source` asked for refused calls; registering it twice changes nothing."""
    if source not in _sources:
        _sources.append(source)


def refusals(organization: Organization, provider: type[Provider]) -> list[Refusal]:
    """Refused calls of this provider to this organisation, the latest first."""
    found = [refusal for source in _sources for refusal in source(organization, provider)]
    return sorted(found, key=lambda refusal: refusal["last_at"], reverse=True)
