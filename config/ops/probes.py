"""The addresses for whatever runs and watches the processes, answered before everything else.

ALIVE and READY are about this web process, HEALTH and METRICS about the installation. All are asked on the machine or
in its network, by no name of ours, without TLS.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from config.version import VERSION
from watching import health, metrics

ALIVE, READY, HEALTH, METRICS = "/livez", "/readyz", "/health", "/metrics"
REMEMBERED = 1.0  # seconds for which an answer about the installation is given again, however often it is asked for
# What proxies write. A request that has none of them has come by no proxy: it was made by who it says.
BY_PROXY = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Via")


class ProbeMiddleware:
    """Answers with 200 or 503. A web process lives without a database; it is ready once that has all migrations."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._is_migrated = False  # true for good: neither this code nor its migrations change while it runs
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[float, HttpResponse]] = {}
        self._pages: dict[str, Callable[[], HttpResponse]] = {
            ALIVE: _alive,
            READY: self._ready,
            HEALTH: _health,
            METRICS: _metrics,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        page = self._pages.get(request.path_info)
        if page is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        if request.path_info in (ALIVE, READY):
            answer = page()
        elif refusal := refuses(request):
            answer = _text(refusal, 401 if settings.WATCH_TOKEN else 403)
            if settings.WATCH_TOKEN:
                answer["WWW-Authenticate"] = "Bearer"
        else:
            answer = self._remembered(request.path_info, page)
        answer["Cache-Control"] = "no-store"
        answer["Content-Length"] = str(len(answer.content))
        return answer

    def _remembered(self, path: str, page: Callable[[], HttpResponse]) -> HttpResponse:
        with self._lock:  # whoever asks meanwhile waits for the same answer
            made_at, answer = self._answers.get(path, (float("-inf"), None))
            if answer is None or time.monotonic() > made_at + REMEMBERED:
                answer = page()
                self._answers[path] = time.monotonic(), answer
            return answer

    def _ready(self) -> HttpResponse:
        problem = self.problem()
        return _text(problem or "ok", 503 if problem else 200)

    def problem(self) -> str:
        """Why no requests should be sent here now; "" if nothing speaks against it."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            if not self._is_migrated:
                executor = MigrationExecutor(connection)
                self._is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        except Error:
            connection.close()
            return "the database is away"
        return "" if self._is_migrated else "migrations are missing: run manage.py migrate"


def refuses(request: HttpRequest) -> str:
    """Why this caller is told nothing about the installation; "" if nothing speaks against it.

    With WATCH_TOKEN whoever brings it is answered, from anywhere; without, whoever calls from a private address and
    through no proxy: what comes through one may come from anywhere.
    """
    if settings.WATCH_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and constant_time_compare(token.strip(), settings.WATCH_TOKEN):
            return ""
        return "Send the token in WATCH_TOKEN as “Authorization: Bearer …”."
    if any(name in request.headers for name in (*BY_PROXY, settings.CLIENT_ADDRESS_HEADER)):
        return "Ask the web process itself and not its proxy, or set WATCH_TOKEN."
    try:
        caller = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return "Ask from a private address, or set WATCH_TOKEN."
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return "" if caller.is_private else "Ask from a private address, or set WATCH_TOKEN."


def _alive() -> HttpResponse:
    return _text("ok", 200)


def _health() -> HttpResponse:
    checks = health.checks()
    is_well = all(check.ok for check in checks)
    told = {
        "status": "ok" if is_well else "failing",
        "version": VERSION,
        "checks": {check.name: check.as_json() for check in checks},
    }
    body = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    return HttpResponse(body, status=200 if is_well else 503, content_type="application/json")


def _metrics() -> HttpResponse:
    return HttpResponse(metrics.exposition(VERSION), content_type=metrics.CONTENT_TYPE)


def _text(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
