from django.contrib.admin.apps import AdminConfig


class SwitchboardAdminConfig(AdminConfig):
    """The one admin site is ours, so that `@admin.register` and autodiscovery work as everywhere in Django."""

    default_site = "config.portal.site.SwitchboardAdminSite"
