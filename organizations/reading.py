"""Reading many rows without holding anything while it lasts: no transaction, no cursor, no memory for all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.models import Max, QuerySet

logger = logging.getLogger(__name__)

Found = TypeVar("Found")

PAGE = 2_000  # rows of one statement
PAUSES = (0.0, 0.2, 1.0, 3.0)  # seconds before a page is asked for again


def pages(rows: QuerySet, *columns: str, key: str = "pk", size: int = PAGE) -> Iterator[list[Any]]:
    """The rows as they are there now, in pages by ascending key; with `columns`, their values instead of objects.

    Each page is a short statement of its own, so it does not matter which connection answers it (PgBouncer hands out
    another one for each transaction). A row that is added meanwhile is left out, one that is deleted is missing, and
    none comes twice. A page whose connection is lost is read again; raises OperationalError where that does not help.
    """
    found = again(partial(_page, rows, columns, key, 0, None, size), rows.db)
    last = None
    if len(found) == size:  # there may be more: those that are there now
        last = again(lambda: rows.order_by().aggregate(last=Max(key))["last"], rows.db)
    while found:
        after = found[-1][0] if columns else getattr(found[-1], key)
        yield [values[1:] for values in found] if columns else found
        more = last is not None and after < last
        found = again(partial(_page, rows, columns, key, after, last, size), rows.db) if more else []


def _page(rows: QuerySet, columns: tuple[str, ...], key: str, after: int, last: int | None, size: int) -> list[Any]:
    page = rows.filter(**{f"{key}__gt": after}).order_by(key)
    if last is not None:
        page = page.filter(**{f"{key}__lte": last})
    return list((page.values_list(key, *columns) if columns else page)[:size])


def again(read: Callable[[], Found], using: str = "default") -> Found:
    """What `read` gives; it only reads, so it is asked again, on a new connection, where the database went away."""
    for pause in PAUSES:
        try:
            return read()
        except (OperationalError, InterfaceError) as error:
            connection = connections[using]
            if connection.in_atomic_block:  # what the transaction has read so far is lost with its connection
                raise
            logger.warning("Reading again on a new connection: %s", type(error).__name__)
            connection.close()
            time.sleep(pause)
    return read()
