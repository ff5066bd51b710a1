from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExtensionsConfig(AppConfig):
    name = "extensions"
    verbose_name = _("Extensions")

    def ready(self) -> None:
        from extensions import (  # noqa: F401
            kept,  # connects its receiver: whoever logs out leaves no secret behind
            organization_admin,  # adds its field to the operators' organisation page
        )
