"""Whoever is asked to stop finishes what is under way: a slow provider leaves nothing uncertain."""

from __future__ import annotations

import io
import os
import signal

import pytest
from django.utils import timezone

from config.ops import programs
from config.ops.supervisor import Supervisor
from distributions import tasks
from distributions.models import Distribution
from distributions.states import Status
from extensions.models import AccountState
from tests import factories
from tests.chaos.judge import call, judge, wait_for
from tests.processes import ROOT, Worker, environment

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SLOW = [{"latency_ms": 8_000, "reports": False}]  # to each request
RECIPIENTS = 1_000


def launched(provider):
    clinic = factories.organization()
    account = factories.account(clinic, provider)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=5000)
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, RECIPIENTS, phone="+44770{:07d}"),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    tasks.expand.delay(made.pk)
    return made


def under_way(made):
    return made.messages.filter(status=Status.SENDING).count()


def assert_nothing_is_uncertain(simulator, made):
    verdict = judge(simulator, made)
    assert verdict.uncertain == verdict.statuses[Status.SENDING] == 0, verdict
    assert verdict.lost == verdict.duplicated == [], verdict
    assert verdict.statuses[Status.ACCEPTED] == len(call(simulator, "GET", "ledger")["entries"]) > 0, verdict
    assert verdict.statuses[Status.QUEUED] > 0, verdict
    assert not made.chunks.exclude(lease_until=None).exists(), "chunks are given back"


@pytest.mark.parametrize("simulator", SLOW, indirect=True, ids=["8s"])
@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_ctrl_c_leaves_nothing_uncertain_although_the_provider_takes_eight_seconds(simulator, provider, monkeypatch):
    """`up` once killed the worker after six."""
    output = io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Supervisor(environment=environment(), folder=ROOT, output=output) as supervisor:
            supervisor.start(programs.worker(2))
            made = launched(provider)
            wait_for(lambda: under_way(made), 60, "the first requests")
            os.kill(os.getpid(), signal.SIGINT)
            supervisor.watch(60)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert "is killed" not in output.getvalue()
    assert_nothing_is_uncertain(simulator, made)


@pytest.mark.parametrize("simulator", SLOW, indirect=True, ids=["8s"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_to_every_process_leaves_nothing_uncertain(simulator, start, number):
    """Some platforms send SIGTERM to all, a terminal SIGINT."""
    worker = start(Worker, "all")
    made = launched("twilio")
    wait_for(lambda: under_way(made), 60, "the first requests")

    os.killpg(worker.pid, number)
    wait_for(lambda: not worker.is_running, 45, "the end of the worker")

    assert_nothing_is_uncertain(simulator, made)
