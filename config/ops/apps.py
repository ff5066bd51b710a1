import importlib

from django.apps import AppConfig

from config.ops import logs, private, sentry


class OpsConfig(AppConfig):
    """The commands that run an installation, and what is decided for every process of one."""

    name = "config.ops"

    def ready(self) -> None:
        private.keep_private()
        logs.mask_uncaught()
        sentry.begin()
        importlib.import_module("config.ops.checks")  # registers the checks; settings are complete only now
