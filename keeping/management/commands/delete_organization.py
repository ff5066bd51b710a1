from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from extensions.management.commands.send_test import find_organization
from keeping import leaving
from organizations.commands import DatabaseCommand


class Command(DatabaseCommand):
    help = "Writes everything of an organisation to a zip file, then deletes the organisation. It cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="the organisation's ID")
        parser.add_argument("--export", metavar="FILE", help="where to write its data: a new .zip file")
        parser.add_argument("--no-export", action="store_true", help="delete without writing a file")
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument("--confirm", metavar="ID", help="the ID once more, for scripts; else it asks")

    def handle(
        self,
        *args: Any,
        id: str,
        export: str | None,
        no_export: bool,
        dry_run: bool,
        confirm: str | None,
        **options: Any,
    ) -> None:
        organization = find_organization(id)
        for name, number in leaving.counts(organization).items():
            self.stdout.write(f"{name}: {number}")
        if dry_run:
            self.stdout.write("Nothing was changed.")
            return
        if bool(export) is no_export:
            raise CommandError("Say where its data go with --export FILE, or that nobody wants them with --no-export.")
        typed = confirm if confirm is not None else input(f"To delete {organization.name} for good, type its ID: ")
        if typed != organization.public_id:
            raise CommandError(f"Nothing was changed: “{typed}” is not the ID {organization.public_id}.")
        if export:
            self._export(organization, Path(export))
        try:
            number = leaving.delete(organization, lambda name, count: self.stdout.write(f"deleted {name}: {count}"))
        except leaving.StillLeaving as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"Done: {number} rows.")

    def _export(self, organization: Any, path: Path) -> None:
        try:
            number = leaving.export(organization, path)
        except FileExistsError as problem:
            raise CommandError(f"{path} exists already; nothing was changed. Name a new file.") from problem
        except OSError as problem:
            raise CommandError(f"{path} cannot be written ({problem.strerror}); nothing was changed.") from problem
        self.stdout.write(f"{number} rows were written to {path}.")
