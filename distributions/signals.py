"""What happens by itself."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from distributions.engine import identity
from distributions.models import KnownDatabase


@receiver(post_migrate)
def remember_database(sender: Any, using: str, **_signal: Any) -> None:
    """A new database is remembered as soon as it has tables, one from before this was kept at its upgrade."""
    if sender.name != "distributions" or using != DEFAULT_DB_ALIAS:
        return
    if KnownDatabase._meta.db_table in connection.introspection.table_names():
        identity.remember_first()
