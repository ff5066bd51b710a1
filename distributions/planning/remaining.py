"""How long the rest of a distribution takes: at the pace of its account, after what stands in line before it.

An estimate for people who look at the page; nothing is decided by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Min, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from distributions.engine import quiet
from distributions.engine.pacing import UNPACED
from distributions.models import Chunk, Distribution, Tally
from distributions.planning.review import finish
from distributions.sums import Sums
from extensions.contract import SenderKind
from extensions.models import ProviderAccount
from intake import figures

State = Distribution.State

SOON = timedelta(seconds=30)  # so much later is still at once
MINUTES = 90  # up to so many, the time is told in minutes
HOURS = 48


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left. `seconds` are those of sending alone, without rests; None if it cannot be said.

    `rate` is in segments per second. `waits_for` names an account that cannot send at present, else "".
    """

    seconds: float | None = None
    rate: float = 0.0
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    waits_for: str = ""

    @property
    def is_later(self) -> bool:
        """Whether nothing leaves just now, because it is night or the provider asked for a pause."""
        return self.begins_at is not None and self.begins_at > timezone.now() + SOON

    @property
    def rests(self) -> bool:
        """Whether it is interrupted on its way, so that the end says more than how long it takes."""
        if self.ends_at is None or self.begins_at is None or self.seconds is None:
            return False
        return self.is_later or self.ends_at > self.begins_at + timedelta(seconds=self.seconds) + SOON

    @property
    def duration(self) -> str:
        """For example “about 15 min”."""
        minutes = math.ceil((self.seconds or 0) / 60)
        if minutes <= 1:
            return _("about a minute")
        if minutes <= MINUTES:
            return ngettext("about %(number)s min", "about %(number)s min", minutes) % {"number": minutes}
        hours = math.ceil(minutes / 60)
        if hours <= HOURS:
            return ngettext("about %(number)s hour", "about %(number)s hours", hours) % {"number": hours}
        days = math.ceil(hours / 24)
        return ngettext("about %(number)s day", "about %(number)s days", days) % {"number": figures.whole(days)}


def remaining(distribution: Distribution) -> Remaining | None:
    """What is left of a distribution that is being sent; None where nothing is, or nothing is known of it so far."""
    waiting = Sums.of(getattr(distribution, "tally", None)).segments["waiting"]
    if distribution.state != State.SENDING or distribution.paused_at is not None or waiting <= 0:
        return None
    left = _left(Q(distribution=distribution))
    lines = left.values("account").annotate(
        texts=Sum(F("last_id") - F("first_id") + 1), first=Min("pk"), due_at=Min("not_before")
    )
    mine = {line["account"]: line for line in lines}
    if not mine:
        return None
    accounts = ProviderAccount.objects.usable().select_related("state").defer("credentials").in_bulk(mine)
    stopped = [
        pk
        for pk in mine
        if pk not in accounts or accounts[pk].state.stopped_at or not distribution.organization.has_sms
    ]
    if stopped:
        names = ProviderAccount.objects.filter(pk__in=stopped).defer("credentials")
        return Remaining(waits_for=str(names[0].name))
    texts = sum(line["texts"] for line in mine.values())
    found = [
        _through(distribution, accounts[pk], waiting * line["texts"] / texts, line["first"], line["due_at"])
        for pk, line in mine.items()
    ]
    return max(found, key=lambda one: one.ends_at or timezone.now())


def _left(chunks: Q) -> QuerySet[Chunk]:
    return Chunk.objects.filter(chunks, state=Chunk.State.OPEN, priority=Chunk.Priority.BULK).order_by()


def _through(
    distribution: Distribution, account: ProviderAccount, segments: float, first: int, due_at: datetime
) -> Remaining:
    """What is left of it through one account."""
    state, own = account.state, account.provider_class.rate(SenderKind(account.sender_kind))
    rate = min(filter(None, (state.messages_per_second or own, state.throttled_rate)))
    begins_at = max(filter(None, (timezone.now(), due_at, state.open_until)))
    clinic = distribution.organization
    begins_at = quiet.ends_at(begins_at, clinic.quiet_from, clinic.quiet_until, clinic.time_zone) or begins_at
    if rate >= UNPACED:  # no limit is kept: the provider's own speed decides, which nobody knows
        return Remaining(begins_at=begins_at)
    before = _left(Q(account=account, pk__lt=first)).exclude(distribution=distribution)
    others = Distribution.objects.filter(
        pk__in=before.values("distribution"), state__in=(State.LAUNCHING, State.SENDING), paused_at=None
    )
    ahead = Tally.objects.filter(pk__in=others.values("pk")).aggregate(segments=Sum("segments_waiting", default=0))
    seconds = (segments + ahead["segments"]) / rate
    return Remaining(
        seconds=seconds,
        rate=rate,
        begins_at=begins_at,
        ends_at=finish(begins_at, seconds, clinic),
    )
