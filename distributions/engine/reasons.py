"""For which reasons how many texts of a distribution stand where they stand: kept, and so never counted.

Whoever moves a message, the database appends what has changed about its reason: +1 here, -1 there. Most texts arrive
and never have one, and nobody waits for a row that others count on. What was appended is added up now and then
(`fold`); a number is the sum of its rows, as exact as the messages that the same statement sees.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from distributions.models import Distribution, ReasonChange
from organizations.triggers import Triggers, row_triggers

FOLDED_AT_ONCE = 5_000  # rows

_COLUMNS = "distribution_id, status, reason, is_first, texts, is_sum"


def _append(row: str, number: int) -> str:
    return f"""INSERT INTO distributions_reasonchange ({_COLUMNS}) SELECT {row}.distribution_id, {row}.status,
        {row}.reason, {row}.conversation_id IS NULL, {number}, false WHERE {row}.reason <> '';"""


_MOVED = "(NEW.reason <> '' OR OLD.reason <> '') AND (NEW.reason <> OLD.reason OR NEW.status <> OLD.status)"
_WRITTEN = {
    "reasons_added": ("INSERT", "NEW.reason <> ''", _append("NEW", 1)),
    "reasons_changed": ("UPDATE OF status, reason", _MOVED, _append("OLD", -1) + _append("NEW", 1)),
    "reasons_removed": ("DELETE", "OLD.reason <> ''", _append("OLD", -1)),
}
_FORGOTTEN = {
    "reasons_forgotten": ("DELETE", "", "DELETE FROM distributions_reasonchange WHERE distribution_id = OLD.id;")
}

# In one statement, and so of one moment: what is there, less what has been counted of it already.
_RECOUNT = f"""
    INSERT INTO distributions_reasonchange ({_COLUMNS})
    SELECT distribution_id, status, reason, is_first, sum(texts), true FROM (
        SELECT distribution_id, status, reason, conversation_id IS NULL AS is_first, count(*) AS texts
        FROM distributions_message WHERE reason <> '' GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT distribution_id, status, reason, is_first, -sum(texts)
        FROM distributions_reasonchange GROUP BY 1, 2, 3, 4
    ) counted GROUP BY 1, 2, 3, 4 HAVING sum(texts) <> 0
"""  # noqa: S608 (no value from outside)

_POSTGRESQL, _SQLITE = row_triggers("distributions_message", _WRITTEN)
_POSTGRESQL_OF_ALL, _SQLITE_OF_ALL = row_triggers("distributions_distribution", _FORGOTTEN)

TRIGGERS = Triggers(
    table="distributions_reasonchange",
    postgresql=_POSTGRESQL + _POSTGRESQL_OF_ALL,
    functions=(*_WRITTEN, *_FORGOTTEN),
    sqlite=_SQLITE | _SQLITE_OF_ALL,
    recount=_RECOUNT,
)


def of(distribution: Distribution) -> QuerySet[Any, Any]:
    """Rows of `status`, `reason`, `is_first` (not what a conversation goes on with) and `number`, the largest first."""
    rows = ReasonChange.objects.filter(distribution=distribution).order_by().values("status", "reason", "is_first")
    return rows.annotate(number=Sum("texts")).filter(number__gt=0).order_by("-is_first", "-number")


def fold() -> int:
    """Add up what was appended; returns how many rows. Nobody who reads or writes waits for it."""
    pending = ReasonChange.objects.filter(is_sum=False).order_by().values_list("distribution", flat=True)
    with transaction.atomic():
        rows = ReasonChange.objects.filter(distribution__in=set(pending[:FOLDED_AT_ONCE])).order_by("pk")
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        taken = list(rows[:FOLDED_AT_ONCE])
        sums: Counter[tuple[int, str, str, bool]] = Counter()
        for row in taken:
            sums[row.distribution_id, row.status, row.reason, row.is_first] += row.texts
        ReasonChange.objects.filter(pk__in=[row.pk for row in taken]).delete()
        there = set(Distribution.objects.filter(pk__in={key[0] for key in sums}).values_list("pk", flat=True))
        ReasonChange.objects.bulk_create(
            ReasonChange(
                distribution_id=key[0], status=key[1], reason=key[2], is_first=key[3], texts=number, is_sum=True
            )
            for key, number in sums.items()
            if number and key[0] in there
        )
    return len(taken)
