"""`manage.py simulator`: the same as `python -m simulator`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from simulator import server
from simulator.options import Options, add_arguments


class Command(BaseCommand):
    help = "Run the simulator: a process that speaks the providers' wire formats and keeps a ledger."
    requires_system_checks: list[str] = []  # noqa: RUF012 (as Django declares it)

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        server.serve(Options(**{name: options[name] for name in Options.names()}))
