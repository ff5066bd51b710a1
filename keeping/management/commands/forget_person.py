from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from contacts import numbers
from extensions.management.commands.send_test import find_organization
from keeping import forgetting
from organizations.commands import DatabaseCommand


class Command(DatabaseCommand):
    help = "Forgets a person in one organisation: everything by and about their number. It cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="their number with its country code, for example +4915112345678")
        parser.add_argument("--organization", help="the organisation's ID; needed where there are several")
        parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(
        self, *args: Any, number: str, organization: str | None, yes: bool, dry_run: bool, **options: Any
    ) -> None:
        theirs = find_organization(organization)
        try:
            phone = numbers.read(number, theirs.default_region).e164
            forgetting.require_possible(theirs, phone)
        except (numbers.InvalidNumber, forgetting.NotPossible) as problem:
            raise CommandError(f"{number}: {problem}") from problem
        for name, count in forgetting.what_goes(theirs, phone).items():
            self.stdout.write(f"{name.replace('_', ' ')}: {count}")
        self.stdout.write("Every other text of the organisation is searched for the number, and it is taken out.")
        if dry_run:
            return
        if not yes and input(f"Forget this person in {theirs.name}? It cannot be undone. Type yes: ") != "yes":
            raise CommandError("Nothing was changed.")
        row = forgetting.begin(theirs, phone, None)
        if forgetting.go_on(row):
            self.stdout.write("Done.")
        else:
            self.stdout.write("A text to this person is just leaving, or callbacks wait. A worker does the rest.")
