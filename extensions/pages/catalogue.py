"""All providers of the installation, and one of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from extensions import catalogue, entitlements, registry, routing, traffic
from extensions.contract import Provider
from extensions.models import ProviderAccount
from extensions.pages.frame import explained, for_administrators, organization_of, page, set_up
from organizations.models import Organization


@require_safe
@for_administrators
def show_catalogue(request: HttpRequest) -> HttpResponse:
    organization = organization_of(request)
    query = request.GET.get("q", "").strip()[:100]
    enabled = entitlements.enabled_keys(organization)
    places = routing.places(organization, enabled)
    found = catalogue.search(registry.all(), query)
    cards = [catalogue.card(provider, places, enabled) for provider in found]
    fragment = request.headers.get("HX-Target") == "extension-cards"
    return page(
        request,
        "_cards" if fragment else "catalogue",
        title=_("Extensions"),
        query=query,
        cards=cards,
        total=len(registry.all()),
        in_use=next((place for place in places if place.in_use), None),
        places=places,
        default=routing.installation_account(),
    )


@require_safe
@for_administrators
def show_extension(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    organization = organization_of(request)
    enabled = entitlements.enabled_keys(organization)
    places = routing.places(organization, enabled)
    mine = [place for place in places if place.account.provider == provider.key]
    return page(
        request,
        "extension",
        title=provider.name,
        card=catalogue.card(provider, places, enabled),
        enabled=provider.key in enabled,
        places=mine,
        listed=len(places),
        finishing=finishing_at(organization, provider),
        elsewhere=next((p.account for p in places if p.in_use and p.account.provider != provider.key), None),
        refusals=explained(traffic.refusals(organization, provider), provider),
        set_aside=traffic.set_aside(organization, provider),
        **set_up(provider, organization),
    )


def finishing_at(organization: Organization, provider: type[Provider]) -> list[tuple[ProviderAccount, int]]:
    """Accounts out of the list that still send what they have begun, and how many texts each has left."""
    accounts = ProviderAccount.objects.filter(
        organization=organization, provider=provider.key, retiring_at__isnull=False, deleted_at=None
    )
    return [(account, traffic.waiting(account)) for account in accounts.defer("credentials")]
