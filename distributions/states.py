"""A message's life, written down once. Nothing else assigns `status`."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from extensions.contract import Delivery

REPEATED = "repeated"  # the reason of a queued message that was uncertain before
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


# Reports come late, twice and in any order, so a report only moves a message up this ladder: whatever the order,
# the result is the highest rung that was reported. "Delivered" is on top: it is evidence, the others are its absence.
RANK: dict[str, int] = {
    Status.QUEUED: 0,
    Status.SENDING: 1,
    Status.UNCERTAIN: 2,
    Status.ACCEPTED: 3,
    Status.SENT: 4,
    Status.EXPIRED: 5,
    Status.FAILED: 6,
    Status.UNDELIVERED: 7,
    Status.DELIVERED: 8,
}

FINAL = frozenset(
    {Status.DELIVERED, Status.UNDELIVERED, Status.FAILED, Status.EXPIRED, Status.SKIPPED, Status.CANCELLED}
)
WAITING = frozenset({Status.QUEUED, Status.SENDING})
# Whoever was sent a text in one of these states can reply to it.
ANSWERABLE = frozenset({Status.SENDING, Status.UNCERTAIN, Status.ACCEPTED, Status.SENT, Status.DELIVERED})
NOT_LEFT = frozenset({Status.QUEUED, Status.SKIPPED, Status.CANCELLED})
TAKEN = frozenset({Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED})  # by a provider

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
