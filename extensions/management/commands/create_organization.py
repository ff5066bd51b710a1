from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from extensions import registry
from extensions.contract import Provider
from extensions.provisioning import provision
from organizations import languages
from organizations.commands import DatabaseCommand
from organizations.models import Organization


class Command(DatabaseCommand):
    help = "Creates an organisation with a licence for SMS, its extensions, two user types and an administrator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        keys = ",".join(provider.key for provider in registry.all())
        parser.add_argument("--id", help="part of every webhook URL: 4 to 32 of A-Z a-z 0-9 - _ (default: a new one)")
        parser.add_argument("--name", required=True)
        parser.add_argument("--admin-email", required=True, help="logs in with it; the password is printed once")
        parser.add_argument(
            "--extensions", default="", help=f"separated by commas, of: {keys}; or “all” (default: none)"
        )
        spoken = [code for code, _name in languages.offered()]
        parser.add_argument("--language", default="en", choices=spoken, help="(default: %(default)s)")
        parser.add_argument("--time-zone", default="UTC", help="such as Europe/Berlin (default: %(default)s)")
        parser.add_argument(
            "--region", required=True, help="the country whose numbers are written without a country code, such as DE"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        providers = find_providers(options["extensions"])
        organization = Organization(
            name=options["name"],
            language=options["language"],
            time_zone=options["time_zone"],
            default_region=options["region"],
            **({"public_id": options["id"]} if options["id"] else {}),
        )
        try:
            made = provision(organization, options["admin_email"], providers)
        except ValidationError as error:
            raise CommandError(explain(error, options)) from error
        self.stdout.write(f"organisation  {made.organization.public_id}  {made.organization.name}")
        self.stdout.write(f"extensions    {', '.join(provider.key for provider in providers) or 'none'}")
        self.stdout.write(f"log-in        {made.administrator.email}")
        self.stdout.write(f"password      {made.password}  (shown only now)")


def find_providers(text: str) -> list[type[Provider]]:
    """The providers with these keys, each once. Raises CommandError that names the unknown and the known."""
    if text.strip() == "all":
        return registry.all()
    found = []
    for key in dict.fromkeys(part.strip() for part in text.split(",") if part.strip()):
        provider = registry.find(key)
        if provider is None:
            known = ", ".join(sorted(each.key for each in registry.all()))
            raise CommandError(f"--extensions: there is no provider “{key}”. There are: {known}.")
        found.append(provider)
    return found


OPTIONS = {
    "public_id": "id",
    "name": "name",
    "email": "admin_email",
    "time_zone": "time_zone",
    "default_region": "region",
    "language": "language",
}


def explain(error: ValidationError, options: dict[str, Any]) -> str:
    """Each fault with the option it is in and the value it has."""
    sentences = []
    for field, messages in error.message_dict.items():
        option = OPTIONS.get(field)
        where = f"--{option.replace('_', '-')} {options[option]}: " if option else ""
        sentences += [f"{where}{message}" for message in messages]
    return "\n".join(sentences)
