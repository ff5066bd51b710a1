"""What the pages of distributions share: their frame, the distribution they are about, what is shown to whom."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from distributions.models import Distribution
from organizations.current import current_user
from organizations.permissions import may_see_recipients


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A page in the admin's frame; a fragment (its name starts with an underscore) without it."""
    if not template.startswith("_"):
        context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/distributions/distribution/{template}.html", context, status=status)


def distribution_of(request: HttpRequest, pk: int) -> Distribution:
    """The organisation's own distribution, read once per request. Raises Http404 for any other."""
    known: Distribution | None = getattr(request, "_distribution", None)
    if known is not None and known.pk == pk:
        return known
    rows = Distribution.objects.visible_to(current_user(request))
    rows = rows.select_related("organization__licence", "survey__organization", "contact_list", "account", "tally")
    found: Distribution | None = rows.select_related("created_by", "launched_by").filter(pk=pk).first()
    if found is None:
        raise Http404(_("There is no such distribution."))
    request._distribution = found  # type: ignore[attr-defined]
    return found


def may_see_numbers(request: HttpRequest) -> bool:
    """Whether numbers are shown whole, and what people wrote at all; worked out once per request."""
    known: bool | None = getattr(request, "_sees_recipients", None)
    if known is None:
        known = may_see_recipients(current_user(request))
        request._sees_recipients = known  # type: ignore[attr-defined]
    return known


HIDDEN = gettext_lazy("Not shown: it needs the permission “See recipients”.")


def key_of(request: HttpRequest, name: str) -> int:
    """The key after or before which a page begins; 0 if the address names none."""
    return number_in(request.GET.get(name, "")) or 0


def number_in(value: str) -> int | None:
    """A key or a count that somebody sent, None if it is none."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None
