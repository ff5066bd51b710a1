"""What the pages behind Admin → Extensions share: who comes in, their frame, and what several of them show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from extensions import catalogue, entitlements, traffic
from extensions.contract import Provider
from extensions.diagnosis import explain, summarise
from extensions.models import ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations.current import current_user
from organizations.models import Organization, User

View = Callable[..., HttpResponse]
MOST_REFUSALS = 10  # on one page


def for_administrators(view: View) -> View:
    """Only administrators of an organisation (R11); without the SMS add-on they are told whom to ask (R12, R13)."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = current_user(request)
        if not user.is_administrator or user.organization is None:
            raise PermissionDenied(_("Only administrators of an organisation can set up extensions."))
        if not entitlements.has_sms(user.organization):
            return page(request, "no_licence", title=_("Extensions"), status=403)
        return view(request, *args, **kwargs)

    return guarded


def organization_of(request: HttpRequest) -> Organization:
    organization = current_user(request).organization
    assert organization is not None  # for_administrators has seen to it
    return organization


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A page in the admin's frame; a fragment (its name starts with an underscore) without it."""
    user: User = current_user(request)
    context.setdefault("organization", user.organization)
    if not template.startswith("_"):
        context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/extensions/{template}.html", context, status=status)


def account_of(request: HttpRequest, public_id: str, *, finishing: bool = False) -> ProviderAccount:
    """The organisation's own account in the list; also one that is `finishing`. Raises Http404 for any other."""
    listed = ProviderAccount.objects.filter(deleted_at=None) if finishing else ProviderAccount.objects.alive()
    accounts = listed.visible_to(current_user(request))
    account = accounts.select_related("organization", "state", "replaces").filter(public_id=public_id).first()
    if account is None:
        raise Http404(_("There is no such account; it may have been deleted."))
    return account


def explained(refusals: Sequence[traffic.Refusal], provider: type[Provider]) -> list[dict[str, Any]]:
    """The latest refused calls, each with what is likely wrong."""
    return [
        {
            **refusal,
            "summary": summarise(refusal["fault"]),
            "advice": explain(refusal["fault"], provider),
        }
        for refusal in refusals[:MOST_REFUSALS]
    ]


def set_up(provider: type[Provider], organization: Organization) -> dict[str, Any]:
    """What the administrator enters at the provider: the two addresses, and the steps with them filled in."""
    reports_url = webhook_url("status", provider, organization)
    inbound_url = webhook_url("message", provider, organization)
    text = str(provider.setup).replace("{reports_url}", reports_url).replace("{inbound_url}", inbound_url)
    return {
        "provider": provider({}),  # without credentials: a template would call a class
        "reports_url": reports_url,
        "inbound_url": inbound_url,
        "datacenter_id": settings.DATACENTER_ID,
        "sets_webhooks": provider.offers(Provider.build_webhooks),
        "set_up_text": text,
        "set_up_blocks": catalogue.blocks(text, (reports_url, inbound_url)),
    }
