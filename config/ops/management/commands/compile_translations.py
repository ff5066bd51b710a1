from typing import Any

from django.core.management.base import BaseCommand

from config.ops import translations


class Command(BaseCommand):
    help = "Compiles the translations that have changed; needs no gettext tools."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for catalogue in translations.compile_stale():
            self.stdout.write(f"compiled {catalogue.relative_to(translations.ROOT)}")
