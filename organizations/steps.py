"""What is done one after another, of which one that fails does not keep the rest from being done.

Each error is logged with the name of what it belongs to; when all is done, one is raised that says which have failed,
so that whoever looks at logs, Sentry or /health learns of it. Only where the database itself is away, or the task's
time is over, the rest is left out: it would fail in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error, connection

logger = logging.getLogger(__name__)
T = TypeVar("T")


class SomeFailed(Exception):
    """Some of what was to be done has failed, and is logged; the others were done."""

    names: Sequence[str] = ()  # of steps: words of our own, nobody's name or key


def run(*steps: Callable[[], Any]) -> None:
    """Do each step. Raises SomeFailed with the names of those that failed."""
    failed = _each((_name(step), step) for step in steps)
    if failed:
        error = SomeFailed(f"of {len(steps)} steps {len(failed)} failed: {', '.join(failed)}")
        error.names = failed
        raise error


def for_each(rows: Iterable[T], do: Callable[[T], Any], what: str) -> None:
    """Do this for each row, whoever's it is. `what` says in the log what was to be done. Raises SomeFailed."""
    found = list(rows)
    failed = _each((f"{what} {_key(row)}", partial(do, row)) for row in found)
    if failed:
        raise SomeFailed(f"of {len(found)} times “{what}” {len(failed)} failed")


def _key(row: Any) -> Any:
    return getattr(row, "public_id", None) or getattr(row, "pk", row)


def _each(named: Iterable[tuple[str, Callable[[], Any]]]) -> list[str]:
    failed = []
    for name, do in named:
        try:
            do()
        except SoftTimeLimitExceeded:  # the task is to end, not to go on with the next step until it is killed
            raise
        except SomeFailed as error:  # each of them is logged
            logger.error("%s: %s", name, error)
            failed.append(name)
        except Exception as error:
            if isinstance(error, Error) and _is_away():
                raise
            logger.exception("%s failed; the rest goes on.", name)
            failed.append(name)
    return failed


def _name(step: Callable[[], Any]) -> str:
    """“starting.start_due” for that function of distributions/planning/starting.py."""
    module, name = getattr(step, "__module__", ""), getattr(step, "__name__", repr(step))
    return f"{module.rpartition('.')[2]}.{name.lstrip('_')}"


def _is_away() -> bool:
    """Whether no connection to the database can be had any more; one that was lost is made anew."""
    if connection.in_atomic_block:
        return False  # whoever opened the transaction sees to it
    try:
        connection.close_if_unusable_or_obsolete()
        connection.ensure_connection()
    except Error:
        return True
    return False
