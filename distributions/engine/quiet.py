"""Quiet hours: no text leaves at night in the organisation's time zone."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta, tzinfo

from distributions.models import Chunk, Distribution
from extensions.models import ProviderAccount
from organizations import clock
from organizations.models import Organization

NIGHT = (time(21), time(8))


def ends_at(now: datetime, quiet_from: time | None, quiet_until: time | None, zone: str) -> datetime | None:
    """When the quiet time that `now` falls into ends, None if it is not quiet.

    `now` is aware; the times are local to `zone`. A quiet time may span midnight. Where the clock is put forward over
    the end, it lasts as long as it would have; where the clock is put back into it, it goes on.
    """
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return None
    local = now.astimezone(zoneinfo.ZoneInfo(zone))
    if not _is_quiet(now, quiet_from, quiet_until, local.tzinfo):
        return None
    ends = (
        datetime.combine(local.date() + timedelta(days=days), quiet_until, tzinfo=local.tzinfo)
        .replace(fold=fold)  # where the clock is put back, it shows the end twice
        .astimezone(UTC)
        for days in (-1, 0, 1, 2)
        for fold in (0, 1)
    )
    instant = now.astimezone(UTC)
    return min(end for end in ends if end > instant and not _is_quiet(end, quiet_from, quiet_until, local.tzinfo))


def is_night(moment: datetime, zone: str) -> bool:
    """Whether most people sleep, or want to be left alone, where these clocks are."""
    return _is_quiet(moment, *NIGHT, zoneinfo.ZoneInfo(zone))


def _is_quiet(moment: datetime, quiet_from: time, quiet_until: time, zone: tzinfo | None) -> bool:
    clock = moment.astimezone(zone).time()
    if quiet_from < quiet_until:
        return quiet_from <= clock < quiet_until
    return clock >= quiet_from or clock < quiet_until


def postpone(account: ProviderAccount) -> None:
    """Postpone this account's due chunks of organisations for which it is quiet now.

    Who writes at night is answered at night: the next question would otherwise come out of the blue in the morning.
    """
    waiting = Chunk.objects.filter(account=account, state=Chunk.State.OPEN, not_before__lte=clock.now())
    waiting = waiting.exclude(priority=Chunk.Priority.REPLY)
    organizations = Organization.objects.filter(quiet_from__isnull=False, quiet_until__isnull=False)
    if account.organization_id is not None:
        organizations = organizations.filter(pk=account.organization_id)
    for organization in organizations:
        until = ends_at(clock.read(), organization.quiet_from, organization.quiet_until, organization.time_zone)
        if until is not None:
            distributions = Distribution.objects.filter(organization=organization)
            waiting.filter(distribution__in=distributions, lease_until=None).update(not_before=until)
