"""What is done again and again and fails: each step of it has a row while it does, which /health and /metrics read.

A task of the schedule that ends well has no rows; one that raises SomeFailed (organizations/steps.py) has one for each
step that failed, any other error one for the whole.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error, connection
from django.db.models import F
from django.db.models.functions import Now

from organizations.steps import SomeFailed
from watching import signs
from watching.models import FailingStep

logger = logging.getLogger(__name__)


def _is_periodic(task: Any) -> bool:
    return any(entry["task"] == getattr(task, "name", "") for entry in settings.CELERY_BEAT_SCHEDULE.values())


@signals.task_success.connect
def forget(sender: Any = None, **_more: object) -> None:
    if _is_periodic(sender):
        _write(sender.name, [], "")


@signals.task_failure.connect
def note(sender: Any = None, exception: BaseException | None = None, **_more: object) -> None:
    if _is_periodic(sender):
        names = exception.names if isinstance(exception, SomeFailed) else ()
        _write(sender.name, list(names) or [""], type(exception).__name__)


def _write(task: str, steps: list[str], error: str) -> None:
    short = task.replace(".tasks.", ".")
    names = [f"{short} {step}".strip()[:120] for step in steps]
    try:
        over = FailingStep.objects.filter(task=task).exclude(name__in=names)
        if over.exists():
            over.delete()
        for name in names:
            if not FailingStep.objects.filter(name=name).update(times=F("times") + 1, error=error):
                step = FailingStep(name=name, task=task, error=error, since=Now())
                FailingStep.objects.bulk_create([step], ignore_conflicts=True)
    except Error as problem:
        logger.warning("Whether %s fails could not be written down: %s", short, type(problem).__name__)
    finally:
        if os.getpid() == signs.main_pid():  # of a task that was ended from there; it keeps no connection
            connection.close()
