"""The Celery application. A task is a wake-up: "look at the rows"; the rows are the queue."""

from __future__ import annotations

import logging
import logging.config
import os
from typing import Any

from celery import signals
from django.conf import settings
from django.db import connections

from config.ops import private
from config.wakes import WakeUps
from organizations import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = WakeUps("switchboard")
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


_parents_pools: list[Any] = []


@signals.worker_process_init.connect
def leave_parents_pool(**options: Any) -> None:
    """With DB_POOL, a process that is made later inherits the main process's pool, whose sockets are not its own.

    They are kept, since closing them here would end them there.
    """
    for connection in connections.all(initialized_only=True):
        pools = getattr(connection, "_connection_pools", {})
        _parents_pools.extend(pools.values())
        pools.clear()


@signals.task_prerun.connect
def reconnect(**options: Any) -> None:
    """After the database was restarted: Django itself looks at a kept connection when a request begins only."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


@signals.before_task_publish.connect
def hand_on_trace(headers: dict[str, Any] | None = None, **options: Any) -> None:
    """What a wake-up leads to belongs to the request that sent it."""
    if headers is not None and (trace := tracing.current.get()):
        headers["trace"] = trace


@signals.task_prerun.connect
def begin(task: Any = None, args: Any = None, kwargs: Any = None, **options: Any) -> None:
    """Before the task looks at any row."""
    app.begins(task.name, args, kwargs)


@signals.task_revoked.connect
def forget_expired(sender: Any = None, request: Any = None, **options: Any) -> None:
    """One that came too late to be worth anything: the next need not wait for it."""
    app.begins(sender.name, request.args, request.kwargs)


@signals.task_prerun.connect
def take_up_trace(task: Any = None, **options: Any) -> None:
    tracing.current.set(getattr(task.request, "trace", None) or tracing.new())


@signals.task_postrun.connect
def leave_trace(**options: Any) -> None:
    tracing.current.set("")
