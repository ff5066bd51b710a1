"""What the vendor has sold and switched on: the licence and the enabled extensions (R12, R14)."""

from __future__ import annotations

from extensions.models import EnabledExtension
from organizations.models import Licence, Organization


def has_sms(organization: Organization) -> bool:
    """Whether the organisation's licence has the SMS add-on."""
    return Licence.objects.filter(organization=organization, sms=True).exists()


def enabled_keys(organization: Organization) -> frozenset[str]:
    """The keys of the providers whose extension is enabled for this organisation."""
    return frozenset(EnabledExtension.objects.filter(organization=organization).values_list("provider", flat=True))
