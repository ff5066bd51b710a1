from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")

    def ready(self) -> None:
        from extensions import traffic
        from webhooks import quarantine, refusals

        traffic.register(refusals.of_provider)
        traffic.register_set_aside(quarantine.of_provider)
