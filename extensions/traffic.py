"""What other apps know about an organisation's webhooks and accounts, shown on the pages of this one.

Those apps import this one, not the other way round, so they register here what they have to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypedDict

from extensions.contract import Provider
from extensions.models import ProviderAccount
from organizations.models import Organization, User


class Refusal(TypedDict):
    """Calls to one route that were refused for one reason."""

    reason: str
    fault: str  # a word of Fault, of this version or a newer one
    kind: str  # the route: "status" or "message"
    count: int
    last_at: datetime


class SetAside(TypedDict):
    """Genuine calls to one route that could not be applied, all for one reason: a sentence to be translated."""

    reason: str
    kind: str
    count: int
    last_at: datetime


class Traffic(Protocol):
    """What an account carries, of which another app knows; `waiting` is 0 where nothing has begun and is left."""

    def waiting(self, account: ProviderAccount) -> int:
        """How many texts of distributions that have begun are left on it."""

    def stop(self, account: ProviderAccount, user: User) -> None:
        """Cancel them."""

    def hand_over(self, account: ProviderAccount, to: ProviderAccount, user: User) -> None:
        """Have another account carry them."""


class Country(TypedDict):
    """What became of the newest texts to one country."""

    country: str  # calling code and region, such as "+44 GB"
    delivered: int
    failed: int
    open: int  # sent, and nothing final is known yet


class Countries(TypedDict):
    """`rows`, the largest first; `is_partial` if there are more texts than were counted, the newest."""

    rows: list[Country]
    is_partial: bool


Barrier = Callable[[Organization, str], str]
CountrySource = Callable[[ProviderAccount], Countries]
Source = Callable[[Organization, type[Provider]], list[Refusal]]
Counter = Callable[[ProviderAccount], int]
SetAsideSource = Callable[[Organization, type[Provider]], list[SetAside]]
_sources: list[Source] = []
_set_aside: list[SetAsideSource] = []
_counters: list[Counter] = []
_traffic: list[Traffic] = []
_countries: list[CountrySource] = []
_barriers: list[Barrier] = []


def register(source: Source) -> None:
    """Have `source` asked for refused calls; registering it twice changes nothing."""
    if source not in _sources:
        _sources.append(source)


def refusals(organization: Organization, provider: type[Provider]) -> list[Refusal]:
    """Refused calls of this provider to this organisation, the latest first."""
    found = [refusal for source in _sources for refusal in source(organization, provider)]
    return sorted(found, key=lambda refusal: refusal["last_at"], reverse=True)


def register_set_aside(source: SetAsideSource) -> None:
    """Have `source` asked for callbacks that were set aside; registering it twice changes nothing."""
    if source not in _set_aside:
        _set_aside.append(source)


def set_aside(organization: Organization, provider: type[Provider]) -> list[SetAside]:
    """Callbacks of this provider to this organisation that could not be applied, the latest first."""
    found = [row for source in _set_aside for row in source(organization, provider)]
    return sorted(found, key=lambda row: row["last_at"], reverse=True)


def register_under_way(counter: Counter) -> None:
    """Have `counter` asked for conversations under way; registering it twice changes nothing."""
    if counter not in _counters:
        _counters.append(counter)


def under_way(account: ProviderAccount) -> int:
    """How many people are in the middle of answering on this account's number: what deleting it would interrupt."""
    return sum(counter(account) for counter in _counters)


def register_traffic(traffic: Traffic) -> None:
    """Have `traffic` asked about what accounts carry; registering it twice changes nothing."""
    if traffic not in _traffic:
        _traffic.append(traffic)


def register_countries(source: CountrySource) -> None:
    """Have `source` asked to which countries an account delivers; registering it twice changes nothing."""
    if source not in _countries:
        _countries.append(source)


def countries(account: ProviderAccount) -> Countries:
    """What became of the account's texts of the last seven days, by country."""
    return next((source(account) for source in _countries), Countries(rows=[], is_partial=False))


def register_barrier(barrier: Barrier) -> None:
    """Have `barrier` asked before one text goes to a number (E.164); registering it twice changes nothing.

    It answers with a sentence that says why none may, "" if it knows of nothing.
    """
    if barrier not in _barriers:
        _barriers.append(barrier)


def barred(organization: Organization, phone: str) -> str:
    """Why no text of the organisation's may go to this number, not even a test; "" if nothing speaks against it."""
    return next(filter(None, (barrier(organization, phone) for barrier in _barriers)), "")


def waiting(account: ProviderAccount) -> int:
    """How many texts wait on this account that people may have begun to receive from its number."""
    return sum(traffic.waiting(account) for traffic in _traffic)


def stop(account: ProviderAccount, user: User) -> None:
    for traffic in _traffic:
        traffic.stop(account, user)


def hand_over(account: ProviderAccount, to: ProviderAccount, user: User) -> None:
    for traffic in _traffic:
        traffic.hand_over(account, to, user)
