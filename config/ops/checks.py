"""`manage.py check --deploy`: what must not go into production."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connection

from config.ops import private
from distributions.engine import identity
from distributions.models import KnownDatabase

NO_DATACENTER = "local"  # the default


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


@register(deploy=True)
def data_centre(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Instructions write webhook addresses as https://<data centre ID>.…: that name must be ours (R47, R96)."""
    label = (urlsplit(settings.PUBLIC_URL).hostname or "").partition(".")[0]
    if settings.DATACENTER_ID in ("", NO_DATACENTER) or settings.DATACENTER_ID.casefold() == label:
        return []
    return [
        Warning(
            f"DATACENTER_ID is {settings.DATACENTER_ID}, but PUBLIC_URL ({settings.PUBLIC_URL}) begins with {label}: "
            "an address that is put together from the data centre ID leads elsewhere.",
            hint=f"Set DATACENTER_ID={label}, change PUBLIC_URL, or leave DATACENTER_ID unset.",
            id="switchboard.W003",
        )
    ]


@register(Tags.security, deploy=True)
def tls_proxy(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """The web server speaks no TLS itself: with an https address there is a proxy, and its word must count."""
    if not settings.PUBLIC_URL.startswith("https://") or settings.SECURE_PROXY_SSL_HEADER:
        return []
    return [
        Error(
            "PUBLIC_URL is https, but BEHIND_TLS_PROXY is not set: every request counts as unencrypted and as coming "
            "from the proxy's address, so that all people share one limit of failed log-ins.",
            hint="Let the proxy overwrite X-Forwarded-Proto and X-Forwarded-For (see deploy/nginx.conf), then set "
            "BEHIND_TLS_PROXY=true.",
            id="switchboard.E010",
        )
    ]


@register()
def proxies(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """At every start: what says where a request comes from must be a header, and at least one proxy writes it."""
    found: list[CheckMessage] = []
    if settings.TRUSTED_PROXIES < 1:
        found.append(
            Error(
                f"TRUSTED_PROXIES is {settings.TRUSTED_PROXIES}.",
                hint="Set it to the number of your proxies that add an address, 1 or more; without a proxy leave "
                "BEHIND_TLS_PROXY unset.",
                id="switchboard.E011",
            )
        )
    if not re.fullmatch(r"[A-Za-z0-9-]+", settings.CLIENT_ADDRESS_HEADER):
        found.append(
            Error(
                f"CLIENT_ADDRESS_HEADER is {settings.CLIENT_ADDRESS_HEADER}, which is not the name of a header.",
                hint="Set it to a name of letters, digits and hyphens, for example X-Forwarded-For.",
                id="switchboard.E012",
            )
        )
    return found


@register(Tags.security, deploy=True)
def fernet_keys(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Whoever guesses the key reads every provider's credentials out of a copy of the database."""
    hint = 'Make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))". Put it in front, then rotate_keys.'
    if not settings.FERNET_KEYS:
        return [Error("FERNET_KEYS is empty: no credentials can be stored.", hint=hint, id="switchboard.E013")]
    return [
        Error(f"Key {number} in FERNET_KEYS {weakness}.", hint=hint, id="switchboard.E013")
        for number, key in enumerate(settings.FERNET_KEYS, 1)
        if (weakness := weakness_of(key))
    ]


SHORTEST_KEY = 32  # characters
LEAST_ENTROPY = 50  # bits, as counted from the key itself; random keys of that length have 70 and more
PLACEHOLDERS = re.compile(  # words of six letters and more: shorter ones occur in random keys
    r"change.?(me|this|it)|replace|example|placeholder|insecure|password|passwort|your.?(key|secret)|geheim|qwerty",
    re.IGNORECASE,
)


def weakness_of(key: str) -> str:
    """Why a key can be guessed, to follow on its name; "" if nothing speaks for it."""
    if len(key) < SHORTEST_KEY:
        return f"has {len(key)} characters; {SHORTEST_KEY} random ones are the least"
    if key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        return "is the same as SECRET_KEY: whoever learns one has both"
    if PLACEHOLDERS.search(key):
        return "looks like a placeholder"
    if _entropy(key) < LEAST_ENTROPY:
        return "is not random: it repeats itself or counts"
    return ""


def _entropy(key: str) -> float:
    """Bits of a text: of how many different characters it is made, without what repeats or counts up or down."""
    for length in range(1, len(key) // 2 + 1):
        if key == (key[:length] * (len(key) // length + 1))[: len(key)]:
            key = key[:length]
            break
    fresh = [letter for before, letter in pairwise(f" {key}") if abs(ord(letter) - ord(before)) > 1]
    counts = Counter(fresh).values()
    return -sum(count * math.log2(count / len(fresh)) for count in counts) if fresh else 0.0


@register(Tags.security, deploy=True)
def files(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Whoever has an account on the machine must not read secrets and numbers, whoever owns the file."""
    return [
        Error(
            f"{path} is open to others on this machine (mode {path.stat().st_mode & 0o777:o}).",
            hint=f"chmod {'700' if path.is_dir() else '600'} {path}",
            id="switchboard.E014",
        )
        for path in private.private_paths()
        if private.is_open_to_others(path)
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


@register()
def log_format(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """At every start: a misspelt format would be found out only when a program cannot read the logs."""
    if settings.LOG_FORMAT in ("line", "json"):
        return []
    return [
        Error(f"LOG_FORMAT is {settings.LOG_FORMAT}.", hint="Set it to line or json.", id="switchboard.E020"),
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
