from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DistributionsConfig(AppConfig):
    name = "distributions"
    verbose_name = _("Distributions")

    def ready(self) -> None:
        from distributions import signals  # noqa: F401  (connects its receivers; models exist only now)
        from distributions.planning import commitments
        from distributions.replies.conversations import under_way
        from distributions.services import Traffic
        from extensions import traffic

        traffic.register_under_way(under_way)
        commitments.register()
        traffic.register_traffic(Traffic())
