"""The set-up of an account as a list of steps, each with what was seen and what is to do next."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from django.utils.translation import gettext as _

from extensions.contract import Delivery
from extensions.diagnosis import summarise
from extensions.models import AccountState, ProviderAccount, TestMessage
from extensions.traffic import Refusal

# How far a test message has come, as a sentence.
TEST_WORDS = {
    Delivery.UNKNOWN: lambda: _("Nothing is known about the message yet."),
    Delivery.QUEUED: lambda: _("The provider has accepted the message. Waiting for its delivery report."),
    Delivery.SENT: lambda: _("Handed to the carrier. Waiting for the last delivery report."),
    Delivery.DELIVERED: lambda: _("Delivered."),
    Delivery.READ: lambda: _("Delivered and read."),
    Delivery.UNDELIVERED: lambda: _("The carrier could not deliver it."),
    Delivery.FAILED: lambda: _("The provider did not send it."),
    Delivery.EXPIRED: lambda: _("It expired before it was delivered."),
}


class Mark(enum.Enum):
    """How far a step has come."""

    DONE = "done"
    OPEN = "open"
    FAILED = "failed"
    UNDER_WAY = "under_way"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One webhook route: when it was last called rightly, and the latest call that was refused."""

    kind: str
    label: str
    seen_at: datetime | None
    refusal: Refusal | None

    @property
    def why(self) -> str:
        return summarise(self.refusal["fault"]) if self.refusal else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the list. `key` names the part of the page that shows its action."""

    key: str
    title: str
    mark: Mark
    detail: str = ""
    at: datetime | None = None
    sightings: Sequence[Sighting] = field(default=())

    WORDS: ClassVar = {
        Mark.DONE: lambda: _("Done"),
        Mark.OPEN: lambda: _("To do"),
        Mark.FAILED: lambda: _("Problem"),
        Mark.UNDER_WAY: lambda: _("Under way"),
        Mark.NOT_NEEDED: lambda: _("Not needed"),
    }

    @property
    def word(self) -> str:
        return str(self.WORDS[self.mark]())


def steps(
    account: ProviderAccount, state: AccountState, refusals: Sequence[Refusal], test: TestMessage | None
) -> list[Step]:
    """The five steps of setting up `account`. `refusals` come latest first; `test` is the latest test message."""
    return [
        Step("saved", _("Fields saved"), Mark.DONE, at=account.created_at),
        _verified(account),
        _webhooks(account, state, refusals),
        _granted(account),
        tested(test, account),
    ]


def _verified(account: ProviderAccount) -> Step:
    title = _("Credentials verified")
    if account.checked_at is None:
        return Step(
            "verify", title, Mark.OPEN, _("The provider has not been asked yet whether the credentials are valid.")
        )
    mark = {True: Mark.DONE, False: Mark.FAILED, None: Mark.OPEN}[account.check_ok]
    detail = account.answer
    if account.check_ok is None:
        unproved = _("So it is not certain that the credentials work.")
        detail = f"{detail} {unproved}"
    return Step("verify", title, mark, detail, account.checked_at)


def _webhooks(account: ProviderAccount, state: AccountState, refusals: Sequence[Refusal]) -> Step:
    title = _("Webhooks seen")
    if not account.routes:
        detail = _("%(provider)s calls no address here: it reports neither deliveries nor replies.")
        return Step("webhooks", title, Mark.NOT_NEEDED, detail % {"provider": account.provider_name})
    latest = {refusal["kind"]: refusal for refusal in reversed(refusals)}
    known = (
        Sighting("status", _("Delivery reports"), state.reports_seen_at, latest.get("status")),
        Sighting("message", _("Inbound messages"), state.inbound_seen_at, latest.get("message")),
    )
    routes = [route for route in known if route.kind in account.routes]
    seen = [route.seen_at for route in routes if route.seen_at]
    troubled = any(_is_newer(route.refusal, route.seen_at) for route in routes)
    mark = Mark.FAILED if troubled else Mark.DONE if len(seen) == len(routes) else Mark.UNDER_WAY if seen else Mark.OPEN
    if troubled:
        detail = _("Calls were refused: the addresses or the secret at the provider are probably not right.")
    elif mark is Mark.DONE:
        detail = ""
    elif len(routes) == len(known):
        detail = _("Send a test message for the delivery report, and answer it for the inbound message.")
    elif routes[0].kind == "message":
        detail = _("Send a test message and answer it: the inbound message should be seen here.")
    else:
        detail = _("Send a test message: its delivery report should be seen here.")
    return Step("webhooks", title, mark, detail, max(seen, default=None), routes)


def _is_newer(refusal: Refusal | None, seen_at: datetime | None) -> bool:
    return refusal is not None and (seen_at is None or refusal["last_at"] > seen_at)


def _granted(account: ProviderAccount) -> Step:
    title = _("Access granted")
    if account.granted_at is not None and account.is_refused:
        detail = _("Nothing is sent through this account until its credentials are valid.")
        return Step("grant", title, Mark.DONE, detail, account.granted_at)
    if account.granted_at is not None:
        return Step("grant", title, Mark.DONE, _("All users may send through this account."), account.granted_at)
    detail = _("Until then this account carries no traffic.")
    if account.is_unanswered:
        unproved = _("The provider has not said whether the credentials work: it is asked again when you grant access.")
        detail = f"{detail} {unproved}"
    return Step("grant", title, Mark.OPEN, detail)


def tested(test: TestMessage | None, account: ProviderAccount) -> Step:
    """The last step: what became of `test`, the latest test message."""
    reports = account.capabilities.delivery_reports
    title = _("Test message delivered") if reports else _("Test message accepted")
    if test is None:
        return Step("test", title, Mark.OPEN, _("Send a message to your own phone to see that it really arrives."))
    status = Delivery(test.status)
    words = TEST_WORDS[status]()
    if status is Delivery.QUEUED and not reports:
        mark = Mark.DONE
        words = _("The provider has accepted the message and reports nothing more: check whether it has arrived.")
    elif status in (Delivery.DELIVERED, Delivery.READ):
        mark = Mark.DONE
    elif status in (Delivery.QUEUED, Delivery.SENT, Delivery.UNKNOWN):
        mark = Mark.UNDER_WAY
    else:
        mark = Mark.FAILED
    return Step("test", title, mark, f"{test.to}: {words} {test.detail}".strip(), test.sent_at)
