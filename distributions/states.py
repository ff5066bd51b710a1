"""A message's life, written down once: its states, what each is to pages, sums and files, and what follows which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from extensions.contract import Delivery

REPEATED = "repeated"  # the reason of a queued message that was uncertain before
STOPPED = "stopped"  # of an uncertain one whose worker ended before it could say what the answer was
RESTORED = "restored"  # of an uncertain one that a backup brought back: only a person sends it again


class Status(models.TextChoices):
    QUEUED = "queued", _("queued")  # waiting for a worker
    SENDING = "sending", _("sending")  # marked by one attempt, its request may have left
    UNCERTAIN = "uncertain", _("uncertain")  # the provider may have it; never sent again on its own
    ACCEPTED = "accepted", _("accepted")  # the provider has it and gave us an id
    SENT = "sent", _("sent")  # handed to the carrier
    DELIVERED = "delivered", _("delivered")  # confirmed by the handset
    UNDELIVERED = "undelivered", _("undelivered")  # the carrier gave up
    FAILED = "failed", _("failed")  # refused, by us or by the provider
    EXPIRED = "expired", _("expired")  # its validity ran out on the way
    SKIPPED = "skipped", _("skipped")  # never due: opted out, no number …
    CANCELLED = "cancelled", _("cancelled")  # taken back before it left


@dataclass(frozen=True, slots=True)
class Row:
    """All that there is to know of a state; everything else derives from it.

    Reports come late, twice and in any order, so a report only moves a message up the ladder of `rank`: whatever the
    order, the result is the highest rung. "Delivered" is on top: it is evidence, the others are its absence. None
    stands beside the ladder. `counted` is the column of the tally that counts people whose text is in the state,
    `segments` the fate of its segments: "taken" ones are what a provider may ask money for. `may_have_left` says
    whether the person may have got it, or may yet.
    """

    sentence: str | Promise
    rank: int | None
    counted: str
    segments: Literal["waiting", "uncertain", "taken", "failed", "skipped", "cancelled"]
    is_final: bool = False
    may_have_left: bool = True
    is_answerable: bool = False  # whoever was sent a text that is in it can reply to it
    is_reached: bool | None = None  # True: the provider has it and nothing has gone wrong so far; False: something has
    badge: str = ""  # CSS class


STATES: dict[str, Row] = {
    Status.QUEUED: Row(_("Waiting to be sent."), 0, "waiting", "waiting", may_have_left=False),
    Status.SENDING: Row(_("On its way to the provider."), 1, "waiting", "waiting", is_answerable=True),
    Status.UNCERTAIN: Row(
        _("The provider may or may not have it: its answer never came. It is not sent again on its own."),
        2,
        "uncertain",
        "uncertain",
        is_answerable=True,
        badge="is-warning",
    ),
    Status.ACCEPTED: Row(
        _("The provider has it."), 3, "accepted", "taken", is_answerable=True, is_reached=True, badge="is-info"
    ),
    Status.SENT: Row(
        _("Handed to the mobile network."), 4, "sent", "taken", is_answerable=True, is_reached=True, badge="is-info"
    ),
    Status.EXPIRED: Row(
        _("The phone could not be reached in time."),
        5,
        "expired",
        "taken",
        is_final=True,
        is_reached=False,
        badge="is-bad",
    ),
    Status.FAILED: Row(_("Refused."), 6, "failed", "failed", is_final=True, is_reached=False, badge="is-bad"),
    Status.UNDELIVERED: Row(
        _("The mobile network could not deliver it."),
        7,
        "undelivered",
        "taken",
        is_final=True,
        is_reached=False,
        badge="is-bad",
    ),
    Status.DELIVERED: Row(
        _("Confirmed by the phone."),
        8,
        "delivered",
        "taken",
        is_final=True,
        is_answerable=True,
        is_reached=True,
        badge="is-good",
    ),
    Status.SKIPPED: Row(_("Not sent."), None, "skipped", "skipped", is_final=True, may_have_left=False),
    Status.CANCELLED: Row(
        _("Cancelled before it was sent."), None, "cancelled", "cancelled", is_final=True, may_have_left=False
    ),
}

# What the tally counts, in the order of the bar, from best to still open.
COLUMNS: dict[str, str | Promise] = {
    **{
        status.value: status.label
        for status in (
            Status.DELIVERED,
            Status.SENT,
            Status.ACCEPTED,
            Status.UNCERTAIN,
            Status.UNDELIVERED,
            Status.FAILED,
            Status.EXPIRED,
            Status.SKIPPED,
            Status.CANCELLED,
        )
    },
    "waiting": _("waiting"),  # queued and sending
}


def _of(is_meant: Callable[[Row], bool | None]) -> frozenset[str]:
    return frozenset(status for status, row in STATES.items() if is_meant(row))


def with_segments(*fates: str) -> frozenset[str]:
    """The states whose segments have one of these fates."""
    return _of(lambda row: row.segments in fates)


RANK: dict[str, int] = {status: row.rank for status, row in STATES.items() if row.rank is not None}
FINAL = _of(lambda row: row.is_final)
WAITING = with_segments("waiting")
TAKEN = with_segments("taken")  # by a provider
ANSWERABLE = _of(lambda row: row.is_answerable)
NOT_LEFT = _of(lambda row: not row.may_have_left)
NOT_REACHED = _of(lambda row: row.is_reached is False)

TRANSITIONS: dict[str, frozenset[str]] = {
    status: frozenset(later for later, later_rank in RANK.items() if later_rank > rank) for status, rank in RANK.items()
} | {Status.SKIPPED: frozenset(), Status.CANCELLED: frozenset()}
# Besides the ladder: out of the queue without ever being sent, and back into it when nothing has left for certain.
TRANSITIONS[Status.QUEUED] |= {Status.SKIPPED, Status.CANCELLED}
TRANSITIONS[Status.SENDING] |= {Status.QUEUED}
TRANSITIONS[Status.UNCERTAIN] |= {Status.QUEUED}

REPORTED: dict[Delivery, Status] = {
    Delivery.QUEUED: Status.ACCEPTED,
    Delivery.SENT: Status.SENT,
    Delivery.DELIVERED: Status.DELIVERED,
    Delivery.READ: Status.DELIVERED,
    Delivery.UNDELIVERED: Status.UNDELIVERED,
    Delivery.FAILED: Status.FAILED,
    Delivery.EXPIRED: Status.EXPIRED,
}


def sources(to: str) -> list[str]:
    """The states from which a message may move to this one."""
    return [status for status, later in TRANSITIONS.items() if to in later]
