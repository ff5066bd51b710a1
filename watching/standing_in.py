"""Who looks where the usual one does not: the worker of “default”, beat or the broker may be what stands still.

Usually a task looks what is so and mails it (watching/tasks.py). It marks that it has; where that mark grows old, one
of the processes of any worker does it in a thread of its own, without beat and without the broker.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from organizations import steps
from watching import facts, mails, signs
from watching.models import Mark

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=10)  # the task's interval
OVERDUE = timedelta(seconds=25)


def watch() -> None:
    """What the task does: note that it does, and look and tell."""
    Mark.objects.bulk_create(
        [Mark(name=Mark.WATCHED, at=Now())], update_conflicts=True, unique_fields=["name"], update_fields=["at"]
    )
    look_and_tell()


def look_and_tell() -> None:
    """Look what is so, and tell who should know. Harmless however often it runs, and however many at once."""
    steps.run(facts.look, mails.tell, mails.post)


def is_my_turn() -> bool:
    """Whether nobody has watched for a while. Of several processes that ask, one is told so, and again when due."""
    return bool(Mark.objects.filter(name=Mark.WATCHED, at__lt=Now() - OVERDUE).update(at=Now() - OVERDUE + EVERY))


def look_after() -> None:
    """Have a thread watch if nobody else does: a mail server may take its time, and signs of life may not be late."""
    if is_my_turn():
        logger.warning("Nobody has watched for %d s: this process does.", OVERDUE.total_seconds())
        threading.Thread(target=_stand_in, name=f"{signs.THREAD}-standing-in", daemon=True).start()


signs.beside.append(look_after)


def _stand_in() -> None:
    try:
        look_and_tell()
    except Exception as error:
        logger.warning("Standing in failed: %s", type(error).__name__, exc_info=error)
    finally:
        connection.close()
