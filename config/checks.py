"""`manage.py check --deploy`: what must not go into production."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connection

from distributions import identity
from distributions.models import KnownDatabase


@register(Tags.security, deploy=True)
def simulated_providers(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Texts that go to a simulator reach nobody, and the guard against private addresses is off for it."""
    if not settings.PROVIDER_BASE_URLS:
        return []
    keys = ", ".join(sorted(settings.PROVIDER_BASE_URLS))
    return [
        Error(
            f"PROVIDER_BASE_URLS sends the traffic of {keys} to a simulator.",
            hint="Remove PROVIDER_BASE_URLS from the environment.",
            id="switchboard.E001",
        )
    ]


@register(Tags.security, deploy=True)
def public_url(app_configs: Any, **options: Any) -> list[CheckMessage]:
    if settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        Error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}: log-ins, callbacks and survey links would travel unencrypted.",
            hint="Set PUBLIC_URL to the https address that people and providers use.",
            id="switchboard.E002",
        )
    ]


@register(Tags.security, deploy=True)
def debug(app_configs: Any, **options: Any) -> list[CheckMessage]:
    if not settings.DEBUG:
        return []
    return [Error("DEBUG is on: error pages would show settings and code.", hint="Unset DEBUG.", id="switchboard.E003")]


@register()
def lease(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """At every start: with a lease that ends during a request, a second worker could send the same message."""
    longest = settings.SEND_SLICE + settings.SEND_TIMEOUT
    if longest < settings.SEND_LEASE:
        return []
    return [
        Error(
            f"SEND_LEASE is {settings.SEND_LEASE} s, but a request can be under way for "
            f"SEND_SLICE + SEND_TIMEOUT = {longest} s.",
            hint="Raise SEND_LEASE above that sum.",
            id="switchboard.E004",
        )
    ]


@register(Tags.database, deploy=True)
def database(app_configs: Any, **options: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        return []
    return [
        Warning(
            "The database is SQLite, which lets one process write at a time.",
            hint="Set DATABASE_URL to a PostgreSQL database for more than a try-out.",
            id="switchboard.W001",
        )
    ]


@register(Tags.database)
def restored_database(app_configs: Any, databases: Any = None, **options: Any) -> list[CheckMessage]:
    """With `check --database default`. A warning: `migrate` must run before `after_restore` can."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    if KnownDatabase._meta.db_table not in connection.introspection.table_names() or not identity.is_held():
        return []
    return [
        Warning(
            "Nothing is sent: the database was restored from a backup, copied or moved.",
            hint="Run `manage.py after_restore`; docs/backup.md says more.",
            id="switchboard.W002",
        )
    ]
