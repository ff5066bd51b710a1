"""The phones of the simulated people: what has arrived on each, and what was written there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from simulator.numbers import Fate
from simulator.world import Account, Message, World

MOST_PHONES = 50
MOST_TEXTS = 60  # on one phone, from one of our numbers; the newest
OUTSTANDING = (None, Fate.QUEUED, Fate.SENT)


def has_arrived(message: Message) -> bool:
    """Whether the person can read it: also where no report ever says so."""
    is_unreported = message.fate in OUTSTANDING and not message.ending.final_report
    return message.ending.fate is Fate.DELIVERED and (is_unreported or message.fate is Fate.DELIVERED)


def owner_of(account: Account) -> str:
    """The customer whose callbacks these are: the last part of their address."""
    return (account.inbound_url or account.reports_url).partition("?")[0].rstrip("/").rpartition("/")[2]


def phones(world: World, owner: str, *, most: int = MOST_PHONES, search: str = "") -> list[dict[str, Any]]:
    """The phones on which texts of `owner`'s accounts have arrived, the newest first; `search` is part of a number."""
    wanted = "".join(filter(str.isdigit, search))
    found = []
    for account in world.accounts.values():
        if owner_of(account) == owner:
            found += list(islice(_threads(account, wanted), most))
    found.sort(key=lambda phone: phone["time"], reverse=True)
    return found[:most]


def _threads(account: Account, wanted: str) -> Iterator[dict[str, Any]]:
    """The account's phones by their last text, the newest first; each once."""
    seen: set[str] = set()
    latest = (
        *((message.time, message.to) for message in reversed(account.messages) if has_arrived(message)),
        *((heard.time, heard.number) for heard in reversed(account.heard)),
    )
    for moment, number in sorted(latest, reverse=True):
        if number in seen or wanted not in number:
            continue
        seen.add(number)
        yield _phone(account, number, moment)


def _phone(account: Account, number: str, moment: float) -> dict[str, Any]:
    arrived = [message for message in account.sent_to.get(number, ()) if has_arrived(message)]
    written = [heard for heard in account.heard if heard.number == number]
    texts = [
        *({"text": message.text, "time": message.time, "is_theirs": False} for message in arrived),
        *({"text": heard.text, "time": heard.time, "is_theirs": True} for heard in written),
    ]
    texts.sort(key=lambda text: float(str(text["time"])))
    return {
        "provider": account.provider,
        "account": account.id,
        "number": number,
        "ours": arrived[-1].sender if arrived else written[-1].ours,
        "time": moment,
        "texts": texts[-MOST_TEXTS:],
    }
