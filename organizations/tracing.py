"""The trace: a short word that all log lines of one request have in common, and of the work that it leads to.

A web request gets one. It goes with each wake-up that the request sends, and is kept with each callback, so that what
becomes of a callback can be followed from the web through the worker to the message.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

LENGTH = 12
LETTERS = "bcdfghjkmnpqrstvwxz"  # no digits, which the logs would mask, and no words
HEADER = "X-Request-ID"

current: ContextVar[str] = ContextVar("trace", default="")


# A byte for each letter, some of which come a little more often: no two traces of a day should be the same, no more.
_LETTER_OF = bytes(ord(LETTERS[number % len(LETTERS)]) for number in range(256))


def new() -> str:
    return secrets.token_bytes(LENGTH).translate(_LETTER_OF).decode()


@contextmanager
def under(trace: str) -> Iterator[None]:
    """Have what is logged inside belong to `trace`; to what it belonged to before, if that is empty."""
    before = current.set(trace or current.get())
    try:
        yield
    finally:
        current.reset(before)


class TraceMiddleware:
    """Gives each request its trace, and tells the caller: never one that the caller has made up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        trace = new()
        with under(trace):
            response = self.get_response(request)
        response.headers[HEADER] = trace
        return response
