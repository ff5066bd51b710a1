"""A new organisation with everything it needs to begin: licence, extensions, user types, an administrator."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from extensions.contract import Provider
from extensions.models import EnabledExtension
from organizations.models import Licence, Organization, User, UserType
from organizations.permissions import Setting

PASSWORD_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0O1lI"))  # read aloud without doubt
PASSWORD_GROUPS = 4


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was made. `password` is nowhere else: show it once."""

    organization: Organization
    administrator: User
    password: str


def provision(organization: Organization, email: str, providers: Sequence[type[Provider]] = ()) -> Provisioned:
    """Save `organization` with a licence for SMS, these extensions, two user types and an administrator.

    Raises ValidationError with the fields that are wrong; then nothing is saved.
    """
    with transaction.atomic():
        organization.full_clean()
        organization.save()
        Licence.objects.create(organization=organization, sms=True)
        EnabledExtension.objects.bulk_create(
            EnabledExtension(organization=organization, provider=provider.key) for provider in providers
        )
        administrators = UserType.objects.create(
            organization=organization, name="Administrator", use_sms_distributions=Setting.ENABLED
        )
        UserType.objects.create(organization=organization, name="Basic")
        password = new_password()
        administrator = User(
            email=User.objects.normalize_email(email).lower(),
            organization=organization,
            role=User.Role.ADMINISTRATOR,
            user_type=administrators,
            language=organization.language,
        )
        validate_password(password, administrator)
        administrator.set_password(password)
        administrator.full_clean()
        administrator.save()
    return Provisioned(organization, administrator, password)


def new_password() -> str:
    """Four groups of five characters, about 115 bits."""
    groups = ("".join(secrets.choice(PASSWORD_ALPHABET) for _position in range(5)) for _group in range(PASSWORD_GROUPS))
    return "-".join(groups)
