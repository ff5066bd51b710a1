from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ContactsConfig(AppConfig):
    name = "contacts"
    verbose_name = _("Contacts")

    def ready(self) -> None:
        post_migrate.connect(_keep_counting, sender=self)


def _keep_counting(using: str, **_kwargs: Any) -> None:
    from contacts import counts  # models can be imported from here on

    counts.TRIGGERS.keep(connections[using])
