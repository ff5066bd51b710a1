"""Two addresses for whatever runs the processes: whether this one lives, and whether it may be sent requests."""

from __future__ import annotations

from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

ALIVE, READY = "/livez", "/readyz"


class ProbeMiddleware:
    """Answers ALIVE and READY before everything else: they are asked on the machine, by no name of ours, without TLS.

    200 or 503, with the reason in a word or two. The web process lives without a database; it is ready once that
    answers and has all migrations.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._is_migrated = False  # true for good: neither this code nor its migrations change while it runs

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info not in (ALIVE, READY):
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        problem = self.problem() if request.path_info == READY else ""
        answer = HttpResponse(problem or "ok", status=503 if problem else 200, content_type="text/plain")
        answer["Cache-Control"] = "no-store"
        answer["Content-Length"] = str(len(answer.content))
        return answer

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
