"""The pages of all that goes wrong: in the admin site's frame for whoever is logged in, where that can be made."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware import csrf
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views import defaults
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from config.middleware import API, is_fragment, page_around
from organizations import api_base, tracing
from organizations.models import User
from organizations.permissions import MissingRight, whom_to_ask

logger = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception | None = None, *, sentence: str = "") -> HttpResponse:
    """Says what was wrong with an address or a form; nothing was done.

    Under a host name that is not ours no page is made; the test of the webhooks knows this answer.
    """
    if isinstance(exception, DisallowedHost):
        return HttpResponse("Bad Request (400)", status=400, content_type="text/plain")
    sentence = sentence or _("Something in this address or form could not be understood. Nothing was changed.")
    if request.path_info.startswith(API):
        return api_base.refusal(400, sentence)
    return error_page(request, 400, _("Not understood"), sentence)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Says which right is missing and whom to ask, also where a view gave no reason."""
    sentence = str(exception)
    user = getattr(request, "user", None)
    if isinstance(user, User) and not isinstance(exception, MissingRight):
        role = _("Your role is %(role)s, which does not allow this.") % {"role": user.get_role_display()}
        sentence = f"{sentence or role} {whom_to_ask(user.organization, user)}"
    return error_page(request, 403, _("Not allowed"), sentence or _("You may not do this."))


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    """Tells nothing about rows of others: what one may not see does not exist."""
    if _in_the_frame(request):
        sentence = _(
            "There is nothing at this address. It may be mistyped, or what was here has been deleted or belongs to "
            "another organisation."
        )
    else:
        sentence = _("There is nothing at this address. It may be mistyped, or what was here has been deleted.")
    return error_page(request, 404, _("Not found"), sentence)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page in the reader's language; a file in two languages where even that cannot be made."""
    sentence = _("The fault is ours and has been logged. Nothing is known to be lost. Please try again in a moment.")
    is_away = isinstance(sys.exception(), api_base.AWAY)
    if request.path_info.startswith(API):
        away = api_base.database_is_away()
        return api_base.refusal(503, away, api_base.TRY_AGAIN) if is_away else api_base.refusal(500, sentence)
    context = {"title": _("Something went wrong"), "sentence": sentence}
    if request.path.startswith("/admin/"):
        context["trace"] = tracing.current.get()
    status, headers = 500, {}
    if is_away:
        context = {"title": _("Not available at the moment"), "sentence": api_base.database_is_away()}
        status, headers = 503, api_base.TRY_AGAIN
    if request.method == "GET":
        context["again"] = request.get_full_path()
    else:
        context["back"] = page_before(request)
    try:  # without the frame: it would ask the database, which may be what went wrong
        page = render_to_string("error.html", context, request)
    except Exception:
        logger.exception("the page for an error cannot be made")
        return defaults.server_error(request)
    return HttpResponse(page, status=status, headers=headers)


class WrongMethodMiddleware:
    """Somebody has opened an address that only takes what a button sends: a page says so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or response.content or not request.path.startswith("/admin/"):
            return response
        page = wrong_method(request)
        page["Allow"] = response["Allow"]
        return page


def wrong_method(request: HttpRequest) -> HttpResponse:
    sentence = _("This address only works from a button. Go back to the page and use the button there.")
    return error_page(request, 405, _("Nothing to see here"), sentence, back=page_before(request))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the proof that it is from a page of ours, such as one opened before somebody logged in anew.

    Nothing was done; a part of a page comes with the page once more.
    """
    if is_fragment(request):
        if request.user.is_authenticated:
            return HttpResponseClientRefresh()
        return HttpResponseClientRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': page_around(request)})}")
    if reason == csrf.REASON_NO_CSRF_COOKIE:
        sentence = _(
            "Your browser has sent no cookie of this site, so nothing was done. Allow cookies for it, go back to the "
            "page and send it again. What you had written is still there."
        )
    else:
        sentence = _(
            "This page is older than your log-in, so nothing was done. Go back to the page and send it again. What you "
            "had written is still there."
        )
    return error_page(request, 403, _("Please send it again"), sentence, back=page_before(request))


def changed_meanwhile(request: HttpRequest) -> HttpResponse:
    """Somebody else has changed or deleted what this is about, between the look at it and the saving."""
    sentence = _(
        "Somebody has changed or deleted something that this is about in the same moment. Go back, look at it anew and "
        "try again."
    )
    return error_page(request, 409, _("Changed meanwhile"), sentence, back=page_before(request))


def page_before(request: HttpRequest) -> str:
    """The address of the page of ours that the reader comes from, without its host; "" if it was none."""
    before = urlsplit(request.headers.get("Referer", ""))
    if before.netloc != request.get_host() or not before.path.startswith("/admin/"):
        return ""
    return f"{before.path}?{before.query}" if before.query else before.path


def error_page(request: HttpRequest, status: int, title: str, sentence: str, *, back: str = "") -> HttpResponse:
    template, context = "error.html", {"title": title, "sentence": sentence, "back": back, "keeps": bool(back)}
    if _in_the_frame(request):
        template, context = "admin/error.html", {**admin.site.each_context(request), **context}
    return HttpResponse(render_to_string(template, context, request), status=status)


def _in_the_frame(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and isinstance(getattr(request, "user", None), User)
