"""What went wrong while a callback was applied: the moment's fault, or the callback's own."""

from __future__ import annotations

import traceback
from pathlib import PurePath

from celery.exceptions import SoftTimeLimitExceeded
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.utils.translation import gettext_noop as _

from extensions.contract import ProviderError
from extensions.models import UnreadableCredentials

# SQLSTATEs, or their classes, that say nothing about the statement: no connection, read-only after a failover, rolled
# back, no resources, locked, cancelled, system. Not among them: 54, a statement that is too big or too deep each time.
PASSING = ("08", "25006", "40", "53", "55", "57", "58")
SQLITE_ERROR = 1  # "SQL logic error": too many variables, too deep; the others are about locks, disk and memory

# The reasons are for people, so none holds any part of the callback. The first class that fits tells.
REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((PermissionDenied, ImproperlyConfigured), _("The credentials of its account cannot be used.")),
    ((RecursionError,), _("It is nested too deeply.")),
    ((UnicodeError, DataError), _("It contains a value that cannot be stored.")),
    ((IntegrityError,), _("It contradicts what is already stored.")),
    ((DatabaseError,), _("The database did not accept it.")),
    (
        (ProviderError, ValueError, LookupError, TypeError, AttributeError),
        _("It is not in the form that was expected."),
    ),
    ((Exception,), _("Something unexpected happened while it was being applied.")),
)


def is_passing(error: BaseException) -> bool:
    """Whether the same callback may well be applied another time: nothing about it is to blame.

    A deadlock, a serialisation failure, a lost connection, a lock or a time limit, a full disk; a key that this process
    does not have, or not yet.
    """
    if isinstance(error, SoftTimeLimitExceeded | InterfaceError | OSError | MemoryError | UnreadableCredentials):
        return True
    driver = error.__cause__ if isinstance(error, DatabaseError) else None
    state = getattr(driver, "sqlstate", None)
    if state is not None:
        return state.startswith(PASSING)
    if isinstance(error, OperationalError):
        return getattr(driver, "sqlite_errorcode", None) != SQLITE_ERROR
    # A statement after a swallowed failure fails too ("the transaction is aborted"): what was swallowed tells.
    return error.__cause__ is not None and is_passing(error.__cause__)


def reason(error: Exception) -> str:
    """Why a callback was set aside: a sentence to be translated where it is shown."""
    return next(sentence for classes, sentence in REASONS if isinstance(error, classes))


def described(error: BaseException) -> str:
    """The error for the log: its class and place. Its message may hold what a person wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
