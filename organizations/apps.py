from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OrganizationsConfig(AppConfig):
    name = "organizations"
    verbose_name = _("Organisation")

    def ready(self) -> None:
        from organizations import signals  # noqa: F401  (connects its receivers; models exist only now)
