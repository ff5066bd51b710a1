"""Which times can be given to a distribution: the same for the form, the API and the launch."""

from __future__ import annotations

from datetime import datetime, timedelta

from intake.sentences import said as _

AHEAD = timedelta(days=3660)


class Unusable(Exception):
    """The time cannot be used; the exception's text says why and what would be right."""


def check_send_at(moment: datetime, now: datetime) -> None:
    """Raises Unusable if the texts would be sent in a far future, which is a slip of the pen. Times are aware."""
    if moment > now + AHEAD:
        raise Unusable(_("This is more than ten years ahead. Give an earlier time."))


def check_expiry(moment: datetime, begins: datetime, now: datetime) -> None:
    """Raises Unusable if the link would have expired before the texts leave, or in a far future."""
    if moment <= max(now, begins):
        raise Unusable(_("The link would have expired before the texts are sent."))
    if moment > now + 2 * AHEAD:
        raise Unusable(_("This is too far ahead. Leave it out for a link without an end date."))
