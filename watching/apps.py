import importlib

from django.apps import AppConfig


class WatchingConfig(AppConfig):
    """Does everything run, and who is told where it does not?"""

    name = "watching"

    def ready(self) -> None:
        for name in ("signs", "failing", "standing_in"):
            importlib.import_module(f"watching.{name}")  # connects the workers' signals
