"""The pages for "not understood", "not allowed" and "not found": in the admin site's frame for whoever is logged in."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from organizations.models import User
from organizations.permissions import MissingRight, whom_to_ask


def bad_request(request: HttpRequest, exception: Exception | None = None, *, sentence: str = "") -> HttpResponse:
    """Says what was wrong with an address or a form; nothing was done.

    Under a host name that is not ours no page is made; the test of the webhooks knows this answer.
    """
    if isinstance(exception, DisallowedHost):
        return HttpResponse("Bad Request (400)", status=400, content_type="text/plain")
    sentence = sentence or _("Something in this address or form could not be understood. Nothing was changed.")
    return error_page(request, 400, _("Not understood"), sentence)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Says which right is missing and whom to ask, also where a view gave no reason."""
    sentence = str(exception)
    user = getattr(request, "user", None)
    if isinstance(user, User) and not isinstance(exception, MissingRight):
        role = _("Your role is %(role)s, which does not allow this.") % {"role": user.get_role_display()}
        sentence = f"{sentence or role} {whom_to_ask(user.organization)}"
    return error_page(request, 403, _("Not allowed"), sentence or _("You may not do this."))


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    """Tells nothing about rows of others: what one may not see does not exist."""
    if _in_the_frame(request):
        sentence = _(
            "There is nothing at this address. It may be mistyped, what was here is gone, or it belongs to another "
            "organisation."
        )
    else:
        sentence = _("There is nothing at this address. It may be mistyped, or what was here is gone.")
    return error_page(request, 404, _("Not found"), sentence)


def error_page(request: HttpRequest, status: int, title: str, sentence: str) -> HttpResponse:
    template, context = "error.html", {"title": title, "sentence": sentence}
    if _in_the_frame(request):
        template, context = "admin/error.html", {**admin.site.each_context(request), **context}
    return HttpResponse(render_to_string(template, context, request), status=status)


def _in_the_frame(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and isinstance(getattr(request, "user", None), User)
