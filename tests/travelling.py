"""Journeys in time on which every clock goes along, the database's too (organizations/clock.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

import time_machine
from django.utils import timezone

from organizations import clock


def _everywhere() -> datetime:
    return timezone.now()


@contextmanager
def travel(moment: datetime, *, tick: bool = True) -> Iterator[Any]:
    """As time_machine.travel; statements that read the database's clock themselves stay where they are."""
    with (
        time_machine.travel(moment, tick=tick) as traveller,
        mock.patch.object(clock, "now", _everywhere),
        mock.patch.object(clock, "read", _everywhere),
    ):
        yield traveller
