"""The public addresses that providers call. They are typed into providers' consoles, so they never change."""

from __future__ import annotations

from django.conf import settings

from extensions.contract import Kind, Provider
from organizations.models import Organization


def webhook_url(kind: Kind, provider: type[Provider], organization: Organization) -> str:
    """Where `provider` reports delivery ("status") or hands over inbound messages ("message") for `organization`."""
    path = f"/distribution-providers/v1/receive/distribution/{kind}/{provider.slug}/{organization.public_id}"
    return f"{settings.PUBLIC_URL}{path}"
