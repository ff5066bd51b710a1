"""The database's clock, which decides what is due, whose lease is over and what has run out.

Machines' own clocks go wrong by hours (a restored image, a bad time server). All of them share one database, so what
one writes and another compares is read from its clock. On SQLite there is one machine, whose clock it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Value
from django.db.models.functions import Now
from django.utils import timezone


def now() -> Any:
    """For a filter or an update: what the clock says when the statement begins. Add and subtract timedeltas."""
    return Now() if connection.vendor == "postgresql" else timezone.now()


def column() -> Any:
    """The moment beside the columns of a query, which needs no statement of its own."""
    return Now() if connection.vendor == "postgresql" else Value(timezone.now(), output_field=DateTimeField())


def later(seconds: float) -> Any:
    """So many seconds after that."""
    return now() + timedelta(seconds=seconds)


def read() -> datetime:
    """The moment itself; costs a statement."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def in_sql(seconds: float = 0.0) -> tuple[str, list[Any]]:
    """For a statement of one's own: the expression for so many seconds after its beginning, and its parameters."""
    if connection.vendor == "postgresql":
        return (
            ("statement_timestamp() + %s * interval '1 second'", [seconds])
            if seconds
            else ("statement_timestamp()", [])
        )
    return "%s", [connection.ops.adapt_datetimefield_value(timezone.now() + timedelta(seconds=seconds))]
