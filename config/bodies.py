"""How much a request may bring, decided before anything of it is read or parsed. deploy/nginx.conf has the same sizes.

How long it may take is the proxy's to limit: granian waits for a body as long as its sender likes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from config.middleware import API, CALLBACKS
from config.portal.errors import page_before
from contacts.importing import MAX_BYTES as LARGEST_FILE
from organizations import api_base
from organizations.middleware import preferred_language
from organizations.models import User
from webhooks import views as webhooks

KB = 1024
SMALL = 16 * KB  # bytes; what people who have not logged in may send to a page
# Bytes of a body that does not tell its size, since it is read into memory; of callbacks, as many as of any.
MOST_CHUNKED = 256 * KB


@dataclass(frozen=True, slots=True)
class Limit:
    """`most` bytes for the paths that begin as `path` says, for those who have logged in; SMALL for strangers."""

    path: re.Pattern[str]
    most: int
    strangers: int = SMALL


# The first that fits counts.
LIMITS = (
    Limit(re.compile(CALLBACKS), webhooks.MAX_BODY, webhooks.MAX_BODY),
    Limit(re.compile(API), api_base.MAX_BODY, api_base.MAX_BODY),
    Limit(re.compile(r"/admin/(login|logout|language|invitation|password_change)/"), SMALL),
    Limit(re.compile(r"/admin/contacts/contactlist/\d+/import/$"), LARGEST_FILE + 64 * KB),  # the form around the file
    Limit(re.compile(r"/admin/"), settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
    Limit(re.compile(r""), SMALL),
)


class TooLarge(Exception):
    """`most` is the limit in bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class NotReadable(Exception):
    """The size of the body cannot be told. `status` is of HTTP, the message is for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyLimitMiddleware:
    """Answers what is too large at once with 413; gives bodies that come in chunks to the views like any other."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            measure(request)
        except TooLarge as large:
            with translation.override(language_of(request)):
                sentence = _("The request is too large: %(most)d KB are allowed here.") % {"most": large.most // KB}
                if request.path_info.startswith("/admin/"):
                    sentence += " " + _("Nothing was done. Go back, send less or a smaller file, and try again.")
                return refuse(request, 413, sentence)
        except NotReadable as problem:
            return refuse(request, problem.status, str(problem))
        return self.get_response(request)


def language_of(request: HttpRequest) -> str:
    """The reader's language: of the pages, of whoever is logged in; else what the request asks for."""
    user = request.user if request.path_info.startswith("/admin/") else None
    return (preferred_language(user) if isinstance(user, User) else "") or translation.get_language() or "en"


def most_of(request: HttpRequest, size: int) -> int:
    """How many bytes this request may bring; who sends it is looked up only where it matters."""
    limit = next(limit for limit in LIMITS if limit.path.match(request.path_info))
    if size <= limit.strangers or limit.most <= limit.strangers:
        return limit.most
    return limit.most if request.user.is_authenticated else limit.strangers


def measure(request: HttpRequest) -> None:
    """Raises TooLarge or NotReadable."""
    packed = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity")
    if packed and not request.path_info.startswith(CALLBACKS):  # there the door refuses, and writes it down
        raise NotReadable(415, _("The body must come as it is, without a Content-Encoding."))
    said = request.META.get("CONTENT_LENGTH") or ""
    in_chunks = bool(request.META.get("HTTP_TRANSFER_ENCODING"))
    if said and not in_chunks:
        if not re.fullmatch(r"[0-9]{1,15}", said):
            raise NotReadable(400, _("The header Content-Length must be a number of bytes."))
        if int(said) > (most := most_of(request, int(said))):
            raise TooLarge(most)
    elif in_chunks or request.method in ("POST", "PUT", "PATCH", "DELETE"):
        _read(request, in_chunks=in_chunks)


def _read(request: HttpRequest, *, in_chunks: bool) -> None:
    """Read a body whose size nobody has told, and put it where Django looks for one."""
    if not request.META.get("wsgi.input_terminated"):
        if in_chunks:  # the server below does not say where the body ends
            raise NotReadable(411, _("The request must state its size in the Content-Length header."))
        return
    longest = webhooks.MAX_BODY if request.path_info.startswith(CALLBACKS) else MOST_CHUNKED
    try:
        body = request.META["wsgi.input"].read(longest + 1)
    except (OSError, RuntimeError) as error:  # granian's word for a connection that ended
        raise NotReadable(400, _("The request did not arrive in full.")) from error
    most = most_of(request, len(body))
    if len(body) > most:
        raise TooLarge(most)
    if len(body) > longest:
        raise NotReadable(411, _("A request this large must state its size in the Content-Length header."))
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._stream = BytesIO(body)


def refuse(request: HttpRequest, status: int, sentence: str) -> HttpResponse:
    """The refusal as whoever calls there can read it: a program or a person."""
    if request.path_info.startswith(CALLBACKS):
        return webhooks.said("too large" if status == 413 else "cut short", sentence, status)
    if request.path_info.startswith(API):
        return api_base.refusal(status, sentence)
    context = {"title": _("Not accepted"), "sentence": sentence, "back": page_before(request)}
    return HttpResponse(render_to_string("error.html", context, request), status=status)
