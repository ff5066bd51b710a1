"""Errors are sent to Sentry, or to what speaks its protocol, where SENTRY_DSN names it. No package is needed otherwise.

Nothing of people leaves with them: no values of variables, forms, cookies, headers, log lines or statements. Of what an
exception says the first line is left, since a database's error quotes whole rows after it; numbers are masked.
"""

from __future__ import annotations

import importlib
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.version import VERSION
from intake.masking import mask_numbers

LONGEST = 200  # characters of what an exception says
KEPT = ("method", "url")  # of a request; the address without its query


def begin(**options: Any) -> None:
    """Raises ImproperlyConfigured where the package is missing. `options` go to the package as they are."""
    if not settings.SENTRY_DSN:
        return
    try:
        sentry_sdk = importlib.import_module("sentry_sdk")
    except ImportError as error:
        raise ImproperlyConfigured(
            "SENTRY_DSN is set, but sentry-sdk is not installed: "
            ".venv/bin/pip install --require-hashes -r requirements-sentry.txt"
        ) from error
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        release=VERSION,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        before_send=scrub,
        **options,
    )


def scrub(event: dict[str, Any], hint: Any = None) -> dict[str, Any]:
    """What may be sent of an event."""
    for name in ("user", "breadcrumbs", "extra", "modules", "spans"):
        event.pop(name, None)
    if request := event.pop("request", None):
        event["request"] = {name: _address(request[name]) for name in KEPT if request.get(name)}
    if logged := event.pop("logentry", None):
        event["logentry"] = {"message": str(logged.get("message", ""))[:LONGEST]}  # without what fills it in
    for raised in (event.get("exception") or {}).get("values", []):
        raised["value"] = str(raised.get("value") or "").partition("\n")[0][:LONGEST]
        for frame in (raised.get("stacktrace") or {}).get("frames", []):
            frame.pop("vars", None)
    contexts = event.get("contexts") or {}
    event["contexts"] = {name: contexts[name] for name in ("runtime", "trace") if name in contexts}
    masked = _masked({name: value for name, value in event.items() if name not in ("event_id", "timestamp")})
    return {**event, **masked}


def _address(text: str) -> str:
    """Without the query, and of a link that people have been sent without its secret."""
    path = urlsplit(text)
    if not path.scheme:
        return text
    secret = path.path[:3] in ("/s/", "/o/") or "/invitation/" in path.path
    shown = path.path[:3] + "…" if secret else path.path
    return f"{path.scheme}://{path.netloc}{shown}"


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_numbers(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value
