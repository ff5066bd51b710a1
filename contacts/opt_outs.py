"""Opting people out and in again."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from contacts import forgotten
from contacts.models import Contact, OptOut
from organizations.models import Organization


def opt_out(organization: Organization, phone: str, source: str, evidence: str = "") -> bool:
    """Stop every text of the organisation to this number; False if it was stopped already. Marks its contacts too.

    Of a number that was forgotten nothing is stored anew, unless a person enters it: it is stopped already.
    """
    with transaction.atomic():
        if source != OptOut.Source.ADMINISTRATOR and forgotten.known(organization.pk, [phone]):
            return False
        _row, created = OptOut.objects.get_or_create(
            organization=organization,
            phone=phone,
            ended_at=None,
            defaults={"source": source, "evidence": evidence[:200]},
        )
        forgotten.drop(organization.pk, [phone])
        _contacts(organization, phone).filter(opted_out_at=None).update(opted_out_at=timezone.now())
    return created


def opt_in(organization: Organization, phone: str) -> bool:
    """Let this number be texted again; False if it was not stopped."""
    with transaction.atomic():
        forgotten.drop(organization.pk, [phone])
        ended = OptOut.objects.active().filter(organization=organization, phone=phone).update(ended_at=timezone.now())
        _contacts(organization, phone).filter(opted_out_at__isnull=False).update(opted_out_at=None)
    return bool(ended)


def _contacts(organization: Organization, phone: str) -> QuerySet[Contact]:
    """The number's contacts, locked in the order of their keys: it may be on many lists."""
    contacts = Contact.objects.filter(organization=organization, phone=phone).order_by("pk")
    keys = contacts.select_for_update(no_key=True).values_list("pk", flat=True)
    return Contact.objects.filter(pk__in=list(keys))
