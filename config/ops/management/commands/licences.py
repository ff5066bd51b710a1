from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.ops import licences


class Command(BaseCommand):
    help = "Lists the packages that Switchboard runs on, with their versions and licences."
    requires_system_checks: list[str] = []  # noqa: RUF012 (as Django has it)

    def handle(self, *args: Any, **options: Any) -> None:
        found = licences.packages()
        width = max(len(package.name) for package in found)
        for package in found:
            note = "" if package.is_allowed else "  (look at it: it is none of those that are known to do)"
            licence = package.licence or "says none"
            self.stdout.write(f"{package.name:{width}}  {package.version:14}  {licence}{note}")
