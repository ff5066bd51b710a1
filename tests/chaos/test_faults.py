"""Everything that can go wrong on the way to a provider, all at once."""

from __future__ import annotations

import pytest

from config.celery import app
from simulator.faults import Kind
from tests.chaos.judge import call, wait_for
from tests.chaos.test_chaos import assert_all_arrived, at_50_ms, running, send, sent, settled
from tests.processes import Worker

__all__ = ["running", "send"]  # the fixtures

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

RATE = 0.1  # of the requests, for each kind: together every second one goes wrong
KINDS = (
    Kind.ACCEPT_DROP,
    Kind.ACCEPT_HANG,
    Kind.ACCEPT_500,
    Kind.ACCEPT_GARBAGE,
    Kind.DROP,
    Kind.HTTP_500,
    Kind.HTTP_429,
)
TEXTS = 1_500


@pytest.fixture
def fast_recovery(settings):
    settings.SEND_TIMEOUT = 4
    settings.SEND_SLICE = 2
    settings.SEND_LEASE = 12
    settings.LOOKUP_AFTER = 6
    settings.SWEEP_EVERY = 2


@at_50_ms
def test_seven_kinds_of_faults_three_kills_and_two_flushes_lose_and_double_nothing(simulator, send, start):
    for seed, kind in enumerate(KINDS, start=1):
        call(simulator, "POST", "faults", {"kind": kind, "rate": RATE, "provider": "twilio", "seed": seed})
    made, workers = send(TEXTS)

    for number, threshold in enumerate((300, 600, 1_000)):
        wait_for(lambda threshold=threshold: sent(made) >= threshold, 120, f"{threshold} messages")
        workers.pop(0).kill()
        workers.append(start(Worker, f"again{number}"))
        if number < 2:
            with app.connection_for_write() as broker:
                broker.default_channel.client.flushall()
    wait_for(lambda: settled(made), 180, "the end")

    assert_all_arrived(simulator, made, TEXTS)
