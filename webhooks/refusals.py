"""Refused calls, as the extension's pages show them."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Max, Sum
from django.utils import timezone

from extensions.contract import Provider
from extensions.traffic import Refusal
from organizations.models import Organization
from webhooks.models import RefusedCallback

SHOWN_FOR = timedelta(days=30)


def of_provider(organization: Organization, provider: type[Provider]) -> list[Refusal]:
    """Calls on this provider's addresses that were refused lately, one row for each route, reason and fault (R100)."""
    refused = RefusedCallback.objects.filter(
        organization=organization,
        slug__in=(provider.slug, *provider.aliases),
        day__gte=(timezone.now() - SHOWN_FOR).date(),
    )
    rows = refused.order_by().values("reason", "fault", "kind").annotate(calls=Sum("count"), latest=Max("last_at"))
    return [
        Refusal(reason=row["reason"], fault=row["fault"], kind=row["kind"], count=row["calls"], last_at=row["latest"])
        for row in rows
    ]
