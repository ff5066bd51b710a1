"""The installation's figures for Prometheus, worked out from the database at each scrape.

So they are the same whichever web process is asked, outlive restarts, and no worker needs a port. No label names
anything of an organisation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from django.db.models import Count, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from distributions.models import Distribution, Doubt, Tally
from extensions.models import AccountState, ProviderAccount
from watching import broker, health
from watching.models import FailingStep
from webhooks.models import Callback, RefusedCallback

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(version: str) -> bytes:
    """All figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(version))
    return generate_latest(registry)


class Figures(Collector):
    def __init__(self, version: str) -> None:
        self.version = version

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("switchboard_build", "Which Switchboard this is.", {"version": self.version})
        checks = health.checks()
        yield from _of_health(checks)
        unanswered = GaugeMetricFamily(
            "switchboard_unanswered", "1 for each group of figures that could not be worked out.", labels=["group"]
        )
        groups: list[Callable[[], Iterator[Metric]]] = [
            _wake_ups,
            _steps,
            _accounts,
            _texts,
            _distributions,
            _callbacks,
        ]
        is_away = not checks[0].ok
        for group in groups:
            name = group.__name__.removeprefix("_")
            try:
                found = list(group()) if group is _wake_ups else [] if is_away else _answered(group)
            except Exception as error:  # the others' figures are told all the same
                logger.warning("No figures of %s: %s", name, type(error).__name__, exc_info=error)
                unanswered.add_metric([name], 1)
                found = []
            unanswered.add_metric([name], not found)
            yield from found
        yield unanswered


def _answered(group: Callable[[], Iterator[Metric]]) -> list[Metric]:
    with health.bounded():
        return list(group())


def _gauge(name: str, said: str, **values: float) -> Metric:
    """A gauge with one label, `state`."""
    made = GaugeMetricFamily(f"switchboard_{name}", said, labels=["state"])
    for state, value in values.items():
        made.add_metric([state], value)
    return made


AGES = {
    "clock": ("clock_difference_seconds", "This machine's clock less the database's."),
    "periodic_check": ("periodic_check_age_seconds", "Since the periodic check ran."),
    "sending": (
        "texts_due_age_seconds",
        "Since when the account that waits longest has had texts due that nobody sends.",
    ),
    "callbacks": ("callbacks_due_age_seconds", "Since when the callback that waits longest has been due."),
}


def _of_health(checks: list[health.Check]) -> Iterator[Metric]:
    well = GaugeMetricFamily(
        "switchboard_check_ok", "1 where a check of /health is well, 0 where not.", labels=["check"]
    )
    seen = GaugeMetricFamily(
        "switchboard_worker_processes", "Processes of workers, by the queue they serve.", labels=["queue", "state"]
    )
    for check in checks:
        well.add_metric([check.name], check.ok)
        if check.name in AGES and check.seconds is not None:
            name, said = AGES[check.name]
            yield GaugeMetricFamily(f"switchboard_{name}", said, value=check.seconds)
        if check.processes is not None and check.silent is not None:
            queue = check.name.removeprefix("queue.")
            seen.add_metric([queue, "alive"], check.processes)
            seen.add_metric([queue, "silent"], check.silent)
    yield well
    yield seen


def _wake_ups() -> Iterator[Metric]:
    made = GaugeMetricFamily("switchboard_wake_ups_waiting", "Wake-ups that no worker has taken yet.", labels=["queue"])
    for queue, waiting in broker.waiting().items():
        made.add_metric([queue], waiting)
    yield made


def _steps() -> Iterator[Metric]:
    made = GaugeMetricFamily(
        "switchboard_failing_steps",
        "How often in a row a step of what is done again and again failed.",
        labels=["step"],
    )
    for name, times in FailingStep.objects.order_by("name").values_list("name", "times"):
        made.add_metric([name], times)
    yield made


def _accounts() -> Iterator[Metric]:
    now = timezone.now()
    accounts = ProviderAccount.objects.alive().aggregate(
        all=Count("pk"),
        granted=Count("pk", filter=Q(granted_at__isnull=False)),
        refused=Count("pk", filter=Q(check_ok=False)),
    )
    states = AccountState.objects.filter(account__deleted_at=None).aggregate(
        stopped=Count("pk", filter=Q(stopped_at__isnull=False)), pausing=Count("pk", filter=Q(open_until__gt=now))
    )
    yield _gauge(
        "accounts",
        "Accounts at providers: in lists, granted, refused by the provider, stopped, pausing. One may be several.",
        **accounts,
        **states,
    )


def _texts() -> Iterator[Metric]:
    columns = Tally.COLUMNS
    sums = Tally.objects.aggregate(**{f"all_{column}": Sum(column) for column in columns})
    yield _gauge(
        "texts",
        "Texts by what became of them, of all distributions that are kept.",
        **{column: sums[f"all_{column}"] or 0 for column in columns},
    )


def _distributions() -> Iterator[Metric]:
    counted = dict(Distribution.objects.order_by().values_list("state").annotate(Count("pk")))
    yield _gauge(
        "distributions", "Distributions by state.", **{s: counted.get(s, 0) for s in Distribution.State.values}
    )
    yield GaugeMetricFamily(
        "switchboard_distributions_stuck",
        "Distributions that wait for somebody.",
        value=Distribution.objects.stuck().count(),
    )
    yield GaugeMetricFamily(
        "switchboard_doubts", "Replies that await a decision.", value=Doubt.objects.undecided().order_by().count()
    )


def _callbacks() -> Iterator[Metric]:
    refused = RefusedCallback.objects.filter(day=timezone.now().date()).aggregate(times=Sum("count"))["times"] or 0
    set_aside = Callback.objects.filter(state=Callback.State.UNREADABLE).count()
    yield _gauge(
        "callbacks",
        "Callbacks that were refused today, and those that are set aside.",
        refused=refused,
        set_aside=set_aside,
    )
