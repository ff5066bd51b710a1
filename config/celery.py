"""The Celery application. A task is a wake-up: "look at the rows"; the rows are the queue."""

from __future__ import annotations

import logging
import logging.config
import os
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.db import connections

from config.ops import private

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("switchboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def use_our_logging(loglevel: int | str | None = None, **options: Any) -> None:
    """Celery adds no handlers of its own, which would mask nothing; `-l` still sets the level."""
    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)
    # What is printed is logged, as where Celery sets the logging up itself; pool processes know levels by name only.
    app.log.redirect_stdouts("WARNING")  # type: ignore[arg-type]  # the stubs know numbers only


@signals.celeryd_init.connect
@signals.beat_init.connect
def keep_private(**options: Any) -> None:
    """Where the worker or beat is started by itself, as on a platform that reads the Procfile."""
    private.narrow()


@signals.task_prerun.connect
def reconnect(**options: Any) -> None:
    """After the database was restarted: Django itself looks at a kept connection when a request begins only."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
