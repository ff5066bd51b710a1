import importlib

from django.contrib.admin.apps import AdminConfig

from config.ops import logs, private


class SwitchboardAdminConfig(AdminConfig):
    """The one admin site is ours, so that `@admin.register` and autodiscovery work as everywhere in Django."""

    default_site = "config.portal.site.SwitchboardAdminSite"

    def ready(self) -> None:
        super().ready()
        private.keep_private()
        logs.mask_uncaught()
        importlib.import_module("config.ops.checks")  # registers the checks; settings are complete only now
