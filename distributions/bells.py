"""Ringing without waiting. A bell that cannot be rung is rung by the sweeper: the rows are the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

logger = logging.getLogger(__name__)

PUMP = "distributions.tasks.pump"  # by name: the tasks import those who ring it


def quietly(bell: Callable[[], object]) -> None:
    """Ring a bell; if the broker is away, the sweeper will ring it later."""
    try:
        bell()
    except (BrokerError, OSError) as error:
        logger.warning("The broker is away (%s); the sweeper will ring.", type(error).__name__)


def ring(bell: Callable[[], object]) -> None:
    """Ring after the commit."""
    transaction.on_commit(lambda: quietly(bell))


def ring_pump(account_id: int) -> None:
    """Look at this account after the commit: there is something to send."""
    ring(lambda: current_app.tasks[PUMP].delay(account_id))
