from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import CommandError

from extensions import registry, services
from extensions.contract import Delivery
from extensions.models import ProviderAccount
from organizations.commands import DatabaseCommand
from organizations.models import Organization

TEXT = "This is a test message from Switchboard."
MEANING = {
    Delivery.FAILED: "The provider did not take the message",
    Delivery.UNKNOWN: "It is not clear whether the provider took the message",
}


class Command(DatabaseCommand):
    help = "Sends one real message through an organisation's account and prints what the provider answered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        keys = ", ".join(provider.key for provider in registry.all())
        parser.add_argument("provider", help=f"the provider's key: {keys}")
        parser.add_argument("number", help="the number to send to, for example +447400123456")
        parser.add_argument("--organization", help="the organisation's ID; needed where there are several")
        parser.add_argument("--text", default=TEXT, help="the text to send (default: %(default)s)")

    def handle(
        self, *args: Any, provider: str, number: str, organization: str | None, text: str, **options: Any
    ) -> None:
        account = find_account(provider, find_organization(organization))
        assert account.organization is not None
        try:
            to = services.read_number(number, account.organization)
            test = services.send_test(account, None, to, text)
        except ValidationError as problem:
            raise CommandError(f"{number}: {' '.join(problem.messages)}") from problem
        except PermissionDenied as problem:
            raise CommandError(str(problem)) from problem
        status = Delivery(test.status)
        if status in MEANING:
            raise CommandError(f"{MEANING[status]}: {test.detail or 'it gave no reason.'}")
        self.stdout.write(f"{account.provider_name} has the message; its ID there is {test.provider_message_id}.")


def find_organization(public_id: str | None) -> Organization:
    """Raises CommandError that names the choices."""
    if public_id is not None:
        found = Organization.objects.filter(public_id=public_id).first()
        if found is None:
            raise CommandError(f"There is no organisation with the ID {public_id}.")
        return found
    organizations = list(Organization.objects.all()[:2])
    if not organizations:
        raise CommandError("There is no organisation yet: create one with manage.py create_organization.")
    if len(organizations) > 1:
        raise CommandError("There are several organisations: name one with --organization.")
    return organizations[0]


def find_account(provider: str, organization: Organization) -> ProviderAccount:
    """The first of the organisation's accounts at this provider. Raises CommandError."""
    if registry.find(provider) is None:
        known = ", ".join(other.key for other in registry.all())
        raise CommandError(f"There is no provider {provider}; there are: {known}.")
    account = ProviderAccount.objects.alive().filter(organization=organization, provider=provider).first()
    if account is None:
        raise CommandError(f"{organization.name} has no account at this provider: add one under Admin, Extensions.")
    return account
