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
    return _page(request, "400.html", 400, {"title": _("Not understood"), "sentence": sentence})


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Says which right is missing and whom to ask, also where a view gave no reason."""
    sentence = str(exception)
    user = getattr(request, "user", None)
    if isinstance(user, User) and not isinstance(exception, MissingRight):
        role = _("Your role is %(role)s, which does not allow this.") % {"role": user.get_role_display()}
        sentence = f"{sentence or role} {whom_to_ask(user.organization)}"
    return _page(request, "403.html", 403, {"title": _("Not allowed"), "sentence": sentence})


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    """Tells nothing about rows of others: what one may not see does not exist."""
    return _page(request, "404.html", 404, {"title": _("Not found")})


def _page(request: HttpRequest, template: str, status: int, context: dict[str, object]) -> HttpResponse:
    user = getattr(request, "user", None)
    if request.path.startswith("/admin/") and isinstance(user, User):
        context = {**admin.site.each_context(request), **context}
        template = f"admin/{template}"
    return HttpResponse(render_to_string(template, context, request), status=status)
