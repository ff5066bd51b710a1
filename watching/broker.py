"""What the broker says of itself: whether it answers, and how many wake-ups wait in it."""

from __future__ import annotations

from typing import Any

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

PATIENCE = 2.0  # seconds


class BrokerAway(Exception):
    """The broker does not answer."""


def waiting() -> dict[str, int]:
    """Queue -> how many wake-ups wait. Raises BrokerAway."""
    connection: Any = current_app.connection_for_read()
    options = {**(connection.transport_options or {}), "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    with connection.clone(transport_options=options) as short:
        try:
            client = short.default_channel.client
            return {queue.name: int(client.llen(queue.name)) for queue in settings.CELERY_TASK_QUEUES}
        except (OperationalError, OSError, *short.connection_errors, *short.channel_errors) as error:
            raise BrokerAway(type(error).__name__) from error
