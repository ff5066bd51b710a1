"""Lists callbacks that were set aside, and has them applied once more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Count

from organizations.commands import DatabaseCommand
from organizations.models import Organization
from webhooks import quarantine


class Command(DatabaseCommand):
    help = (
        "Lists the callbacks that were set aside, by organisation and reason; with --again they are applied once more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", metavar="ID", help="only those of this organisation")
        parser.add_argument("--again", action="store_true", help="apply them once more")

    def handle(self, *args: Any, **options: Any) -> None:
        callbacks = quarantine.set_aside()
        if options["organization"]:
            if not Organization.objects.filter(public_id=options["organization"]).exists():
                raise CommandError(f"There is no organisation {options['organization']}.")
            callbacks = callbacks.filter(account__organization__public_id=options["organization"])
        places = callbacks.order_by().values_list(
            "account__organization__public_id", "account__provider", "kind", "error"
        )
        for organization, provider, kind, reason, count in places.annotate(count=Count("pk")):
            self.stdout.write(f"{organization or '(installation)'}  {provider}  {kind}  {count}  {reason}")
        if options["again"]:
            self.stdout.write(f"{quarantine.try_again(callbacks)} callbacks are being tried again.")
