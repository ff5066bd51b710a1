"""The providers' callbacks go past what only pages need: sessions, languages, CSRF tokens, messages, policies."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils import translation

from config.bodies import BodyLimitMiddleware
from config.middleware import CALLBACKS, ClientAddressMiddleware


class CallbackMiddleware:
    """Answers the callback addresses itself, by the same views, after the host, the caller and the size are looked at.

    A session, a language or a form is of no use to a provider; they took half the time of a callback. Stands behind the
    security headers, in front of everything else.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.door = ClientAddressMiddleware(BodyLimitMiddleware(_view))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(CALLBACKS):
            return self.get_response(request)
        try:
            request.resolver_match = resolve(request.path_info, "webhooks.urls")
        except Resolver404:
            return self.get_response(request)
        request.get_host()  # one that is not ours is refused, as everywhere
        if translation.get_language() == settings.LANGUAGE_CODE:
            response = self.door(request)
        else:  # this thread's last page was in another
            with translation.override(settings.LANGUAGE_CODE):
                response = self.door(request)
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'")
        response.headers.setdefault("X-Frame-Options", "DENY")
        return response


def _view(request: HttpRequest) -> HttpResponse:
    match = request.resolver_match
    assert match is not None
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    if not getattr(response, "is_rendered", True):  # a refusal of the REST framework's own
        response = response.render()  # type: ignore[attr-defined]
    return response
