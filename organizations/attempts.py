"""The store of attempts at secrets: counters in the database, shared by all web processes. CACHES names it.

The database is chosen because nobody can log in without it: there is no state in which the throttle is away and its
door is open. Django's own database cache counts in two steps, so that many guesses at once would pass as one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.db.models import F
from django.utils import timezone

from organizations.models import Attempts

# One statement, so that PostgreSQL and SQLite count guesses that come at once one after the other. A row whose time is
# over begins anew; a full one is left as it is, and nothing is returned.
_RESERVE = """
INSERT INTO {table} AS known (key, count, until) VALUES (%s, 1, %s)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN known.until <= %s THEN 1 ELSE known.count + 1 END,
    until = CASE WHEN known.until <= %s THEN excluded.until ELSE known.until END
WHERE known.until <= %s OR known.count < %s
RETURNING count
"""


class AttemptCache(BaseCache):
    """Counts up to a limit within a time. What a cache can do beside that is not offered."""

    def __init__(self, location: str, params: Mapping[str, Any]) -> None:
        super().__init__(dict(params))

    def reserve(self, key: str, limit: int, within: timedelta) -> int:
        """Count one attempt, before it is made. Returns 0, or the seconds to wait where `limit` is reached."""
        now = timezone.now()
        with connection.cursor() as cursor:
            prepare = connection.ops.adapt_datetimefield_value
            moment, end = prepare(now), prepare(now + within)
            statement = _RESERVE.format(table=connection.ops.quote_name(Attempts._meta.db_table))
            cursor.execute(statement, [self.make_key(key), end, moment, moment, moment, limit])
            if cursor.fetchone():
                return 0
        until = Attempts.objects.filter(key=self.make_key(key)).values_list("until", flat=True).first()
        # `now` may be from before others were counted, for whom this one has waited.
        left = math.ceil((until - now).total_seconds()) if until else 1
        return max(1, min(left, math.ceil(within.total_seconds())))

    def release(self, key: str) -> None:
        """Take back one attempt: it was an honest one."""
        Attempts.objects.filter(key=self.make_key(key), count__gt=0).update(count=F("count") - 1)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """How many attempts count at present."""
        row = Attempts.objects.filter(key=self.make_key(key, version), until__gt=timezone.now()).first()
        return row.count if row else default

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(Attempts.objects.filter(key=self.make_key(key, version)).delete()[0])

    def clear(self) -> None:
        Attempts.objects.all().delete()

    def forget(self) -> int:
        """Delete what no longer counts. Returns the number of rows."""
        return Attempts.objects.filter(until__lte=timezone.now()).delete()[0]


def store() -> AttemptCache:
    return cast(AttemptCache, caches["attempts"])
