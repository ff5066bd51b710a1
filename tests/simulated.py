"""For tests of the pump: the simulator as one test sees it, and distributions that are on their way."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from datetime import timedelta

from django.utils import timezone

from distributions.engine import settling, worker_process
from distributions.models import Distribution
from distributions.planning import starting
from extensions.models import AccountState
from tests import factories


class Simulator:
    """The running simulator as one test sees it: its own faults, and what was accepted since it began."""

    def __init__(self, running):
        self.base_urls = running.base_urls()
        self._url = running.url
        self.heal()
        self._since = self._call("GET", "ledger")["last"]

    def _call(self, method, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"{self._url}/_/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def fail(self, kind, provider="twilio", **fields):
        self._call("POST", "faults", {"kind": kind, "rate": 1.0, "provider": provider, **fields})

    def heal(self):
        self._call("DELETE", "faults")

    @property
    def hits(self):
        """How many requests the faults have answered: none of those was accepted."""
        return sum(fault["hits"] for fault in self._call("GET", "faults")["faults"])

    @property
    def ledger(self):
        return self._call("GET", f"ledger?since={self._since}")["entries"]


def connected(running, settings):
    """For a fixture: this test's simulator, and an engine of its own. `running` may serve many tests."""
    made = Simulator(running)
    settings.PROVIDER_BASE_URLS = made.base_urls
    settings.SEND_SLICE = 3
    settings.LOOKUP_AFTER = 1
    yield made
    worker_process.close()  # the next test's engine reads its own settings


def launched(provider="twilio", recipients=30, *, phone="+4477009{:05d}", **state):
    """A distribution through a fresh account, its messages written."""
    clinic = factories.organization()
    account = factories.account(clinic, provider)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=5000, max_in_flight=16, **state)
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, recipients, phone=phone),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return Distribution.objects.get(pk=made.pk)


def look_up(distribution):
    """Settle the distribution's uncertain messages, as if enough time had passed since their attempts."""
    distribution.messages.update(attempted_at=timezone.now() - timedelta(seconds=1.5))
    return settling.settle(distribution.account_id)


def statuses(distribution):
    return Counter(distribution.messages.values_list("status", flat=True))
