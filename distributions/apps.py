from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class DistributionsConfig(AppConfig):
    name = "distributions"
    verbose_name = _("Distributions")

    def ready(self) -> None:
        from distributions import signals  # noqa: F401  (connects its receivers; models exist only now)
        from distributions.own_phone import barrier
        from distributions.planning import commitments
        from distributions.replies.conversations import under_way
        from distributions.services import Traffic
        from distributions.sums import by_country
        from extensions import traffic

        traffic.register_under_way(under_way)
        commitments.register()
        traffic.register_traffic(Traffic())
        traffic.register_countries(by_country)
        traffic.register_barrier(barrier)
        post_migrate.connect(_keep_writing, sender=self)


def _keep_writing(using: str, **_kwargs: Any) -> None:
    from distributions.engine import reasons, uncertain  # after the models

    for triggers in (uncertain.TRIGGERS, reasons.TRIGGERS):
        triggers.keep(connections[using])
