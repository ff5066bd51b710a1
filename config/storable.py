"""Refuses requests that hold what no database can: before any view sees them, or where a view meets it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DataError, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from config.middleware import API, CALLBACKS
from config.portal.errors import bad_request, changed_meanwhile, page_not_found
from intake.text import storable

logger = logging.getLogger(__name__)

# They answer for themselves: the API names the field in its own form, a NUL is not a reason to refuse a provider's
# callback (extensions/contract/ makes it storable), and of a respondent's link only letters and digits are read.
ANSWER_THEMSELVES = (API, CALLBACKS, "/s/", "/o/")


class StorableRequestMiddleware:
    """Refuses what no database holds. Nothing is done.

    A NUL in an address or a cookie, before any view. In a form it is an error at its field, as everything else that is
    wrong there; in what no form reads it is refused where it is met, as are numbers and dates beyond what a column
    holds: with the same page, instead of an error of the server.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(ANSWER_THEMSELVES):
            cookies, query = request.META.get("HTTP_COOKIE", ""), request.META.get("QUERY_STRING", "")
            name = "Cookie" if "\0" in cookies else ""
            if "%00" in query or "\0" in query:
                name = _unstorable(request.GET.lists())
            if name or "\0" in request.path_info:
                with translation.override(translation.get_language_from_request(request)):
                    return (
                        bad_request(request, sentence=_sentence(name)) if name else page_not_found(request, Http404())
                    )
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A value that its column does not hold, in an address or a field that no form of ours has asked about.

        And what was free, or there, when a form has asked about it, and was taken or deleted before it was saved.
        """
        if request.path_info.startswith(ANSWER_THEMSELVES):
            return None
        if isinstance(exception, IntegrityError):
            logger.warning("%s %s: contradicts what is stored", request.method, request.path, exc_info=exception)
            return changed_meanwhile(request)
        name = _unstorable(request.POST.lists()) if isinstance(exception, ValueError | DataError) else ""
        if not name and not isinstance(exception, DataError | OverflowError):
            return None
        logger.warning("%s %s: a value is out of range (%s)", request.method, request.path, type(exception).__name__)
        return bad_request(request, sentence=_sentence(name) if name else "")


def _unstorable(fields: Iterable[tuple[str, list[Any]]]) -> str:
    """The name of the first field that has a NUL in its name or in a value; "" if none has."""
    for name, values in fields:
        if "\0" in name or any(isinstance(value, str) and "\0" in value for value in values):
            return storable(name) or "?"
    return ""


def _sentence(name: str) -> str:
    return _("“%(name)s” contains a character that cannot be stored (U+0000). Remove it and try again.") % {
        "name": name[:100]
    }
