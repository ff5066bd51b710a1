"""The demo's verdict: the simulated providers' book beside our rows. Was a text lost, or sent twice?"""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contacts.models import Contact
from distributions.engine.references import message_id_of_reference
from distributions.models import Distribution, Message
from distributions.states import FINAL, NOT_REACHED, TAKEN, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a distribution, by our rows and by the provider's book."""

    recipients: int
    states: Mapping[str, int]
    lost: int
    duplicated: int
    unknown: int  # texts that none of our messages stands for

    @property
    def delivered(self) -> int:
        return self.states.get(Status.DELIVERED, 0)

    @property
    def failed(self) -> int:
        return sum(self.states.get(state, 0) for state in NOT_REACHED)

    @property
    def skipped(self) -> int:
        return self.states.get(Status.SKIPPED, 0)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unknown)

    def __str__(self) -> str:
        return (
            f"{self.recipients} recipients, {self.delivered} delivered, {self.failed} failed, {self.skipped} skipped, "
            f"{self.lost} lost, {self.duplicated} duplicated"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Messages by key beside a provider's book. What is in the book with no message of ours has the key None."""

    texts: Counter[int | None]  # how often the provider has taken each
    missing: list[int]  # said to be taken, and in no book
    repeated: list[int | None]  # taken more than once
    refused: list[int]  # said to be refused, and in the book


def compare(statuses: Mapping[int, str], book: Iterable[Mapping[str, Any]]) -> Comparison:
    """What of these messages is lost, or was sent twice, by the book of whoever took them."""
    texts = Counter(message_id_of_reference(str(entry["reference"])) for entry in book)
    return Comparison(
        texts=texts,
        missing=[key for key, status in statuses.items() if status in TAKEN and not texts[key]],
        repeated=[key for key, often in texts.items() if often > 1],
        refused=[key for key, status in statuses.items() if status == Status.FAILED and texts[key]],
    )


def judge(distribution: Distribution, book: Iterable[Mapping[str, Any]]) -> Verdict:
    """Lost are contacts without a message, messages without an end, and taken ones that no book knows."""
    statuses = dict(Message.objects.filter(distribution=distribution).values_list("pk", "status"))
    recipients = Contact.objects.filter(contact_list_id=distribution.contact_list_id).count()
    found = compare(statuses, book)
    unfinished = sum(status not in FINAL for status in statuses.values())
    lost = sum(statuses[key] in FINAL for key in found.missing) + recipients - len(statuses) + unfinished
    return Verdict(
        recipients=recipients,
        states=Counter(statuses.values()),
        lost=lost,
        duplicated=sum(max(0, found.texts[key] - 1) for key in statuses),
        unknown=sum(
            often
            for key, often in found.texts.items()
            if key is None or statuses.get(key, Status.SKIPPED) == Status.SKIPPED
        ),
    )


def ledger(simulator_url: str) -> list[dict[str, Any]]:
    """Every text the simulated providers have accepted."""
    with urllib.request.urlopen(f"{simulator_url}/_/ledger", timeout=30) as answer:  # noqa: S310 (our own simulator)
        entries: list[dict[str, Any]] = json.load(answer)["entries"]
    return entries
