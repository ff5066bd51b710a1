from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from distributions import restoring
from organizations.commands import DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Lets the workers go on after the database was restored from a backup: moves all keys on, makes uncertain what "
        "may have left, pauses it and lists it. Does nothing where there was no restore."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be paused")
        parser.add_argument(
            "--nothing-lost",
            action="store_true",
            help="after a failover, an upgrade or a move that lost nothing: go on as if it were the same database",
        )
        parser.add_argument(
            "--restored",
            action="store_true",
            help="treat the database as restored although nothing shows it, such as after loading data into its tables",
        )

    def handle(self, *args: Any, dry_run: bool, nothing_lost: bool, restored: bool, **options: Any) -> None:
        if not restored and not restoring.is_needed():
            self.stdout.write("This is the database that was worked with before: there is nothing to do.")
        elif nothing_lost:
            if dry_run:
                self.stdout.write("Would go on with this database as it is.")
                return
            restoring.nothing_was_lost()
            self.stdout.write("The workers go on with this database as it is.")
        elif dry_run:
            self._list(restoring.affected(), "Would pause")
        else:
            self._list(restoring.after_restore(), "Paused")
            self.stdout.write("All keys were moved on. The workers go on with everything else.")

    def _list(self, found: list[restoring.Affected], what: str) -> None:
        for one in found:
            distribution = one.distribution
            fate = f"{one.uncertain} texts may have left" if one.uncertain else "nothing of it is waiting"
            if distribution.send_at and distribution.state == distribution.State.SCHEDULED:
                fate = f"was to be sent at {distribution.send_at:%Y-%m-%d %H:%M} UTC"
            organization = distribution.organization.public_id
            self.stdout.write(f"{what} {distribution.public_id} of {organization} ({distribution.name}): {fate}")
        if not found:
            self.stdout.write("Nothing was being sent at the time of the backup.")
