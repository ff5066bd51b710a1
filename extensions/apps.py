from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExtensionsConfig(AppConfig):
    name = "extensions"
    verbose_name = _("Extensions")

    def ready(self) -> None:
        from extensions import organization_admin  # noqa: F401  (adds its field to the operators' organisation page)
