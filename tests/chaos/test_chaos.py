"""Nothing is lost and nothing is sent twice, whatever dies in the middle of a send.

Real processes throughout: two Celery workers, beat, web server, PostgreSQL, Valkey, and the simulator as provider.
"""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from config.celery import app
from distributions import tasks
from distributions.models import Distribution, Message
from distributions.states import STOPPED, WAITING, Status
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from organizations.models import Licence
from tests import factories
from tests.chaos.judge import call, judge, wait_for
from tests.processes import Beat, Web, Worker

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

IN_FLIGHT = 32  # requests of the account at once, all workers together
MARK_GROUP = 12  # messages that one of its two pumps marks at once: three quarters of its share of them


at_50_ms = pytest.mark.parametrize(
    "simulator", [{"latency_ms": 50, "report_delay_ms": 300}], indirect=True, ids=["50ms"]
)


@pytest.fixture
def fast_recovery(settings):
    """The shipped proportions, shorter: lease > slice + time-out, look-up after the lease."""
    settings.SEND_TIMEOUT = 3
    settings.SEND_SLICE = 2
    settings.SEND_LEASE = 7
    settings.LOOKUP_AFTER = 8
    settings.SWEEP_EVERY = 1


@pytest.fixture
def running(settings, simulator, start, fast_recovery):
    """Starts the system: web, two workers, beat. Returns the workers."""

    def begin():
        settings.PUBLIC_URL = start(Web).url
        workers = [start(Worker, "one"), start(Worker, "two")]
        start(Beat)
        return workers

    return begin


@pytest.fixture
def send(running):
    """Launches a distribution on the running system. Returns it and the workers."""

    def launch(recipients, provider="twilio"):
        workers = running()
        made = launched(recipients, provider)
        return made, workers

    return launch


def launched(recipients, provider="twilio", *, number=0, rate=5000):
    """A distribution of an organisation of its own, which is being written; `number` is its account's and people's."""
    clinic = factories.organization()
    credentials = factories.CREDENTIALS[provider]
    if number:
        credentials = credentials | {"account_sid": f"AC{number:032x}"}
    account = factories.account(clinic, provider, credentials=credentials)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=rate, max_in_flight=IN_FLIGHT)
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, recipients, phone=f"+44770{number}{{:06d}}"),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    tasks.expand.delay(made.pk)
    return made


def sent(distribution):
    return Message.objects.filter(distribution=distribution).exclude(status=Status.QUEUED).count()


def settled(distribution):
    open_ones = [*WAITING, Status.UNCERTAIN]
    started = Message.objects.filter(distribution=distribution).exists()
    return started and not Message.objects.filter(distribution=distribution, status__in=open_ones).exists()


def assert_all_arrived(simulator, distribution, recipients):
    verdict = judge(simulator, distribution)
    assert verdict.lost == verdict.duplicated == verdict.false_failed == [], verdict
    assert (verdict.uncertain, verdict.stranded) == (0, 0), verdict
    assert sum(verdict.statuses.values()) == recipients
    assert len(call(simulator, "GET", "ledger")["entries"]) == recipients, verdict


@at_50_ms
def test_killing_a_worker_three_times_loses_nothing_and_sends_nothing_twice(simulator, send, start):
    made, workers = send(5_000)

    for number, threshold in enumerate((800, 2_000, 3_200)):
        wait_for(lambda threshold=threshold: sent(made) >= threshold, 90, f"{threshold} messages")
        workers.pop(0).kill()
        workers.append(start(Worker, f"again{number}"))
    wait_for(
        lambda: not Message.objects.filter(distribution=made, status=Status.QUEUED).exists(), 90, "the queue to end"
    )
    wait_for(
        lambda: not Message.objects.filter(distribution=made, status=Status.SENDING).exists(), 30, "the leases to end"
    )
    most_uncertain = made.messages.filter(events__category=STOPPED).distinct().count()
    wait_for(lambda: settled(made), 60, "the uncertain to be settled")

    assert 0 < most_uncertain <= 3 * 2 * IN_FLIGHT
    assert_all_arrived(simulator, made, 5_000)


@at_50_ms
def test_flushing_the_broker_in_the_middle_loses_nothing_and_sends_nothing_twice(simulator, send):
    made, _workers = send(3_000)

    for threshold in (500, 1_500):
        wait_for(lambda threshold=threshold: sent(made) >= threshold, 90, f"{threshold} messages")
        with app.connection_for_write() as broker:
            broker.default_channel.client.flushall()
    wait_for(lambda: settled(made), 90, "the end")

    assert_all_arrived(simulator, made, 3_000)


UNCLEAR = ("accept_drop", "accept_hang", "accept_500", "accept_garbage")


@at_50_ms
@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_unclear_answers_of_four_kinds_are_settled_without_a_second_text(simulator, send, provider):
    """Most reports arrive and settle; one in five messages has to be looked up or repeated besides."""
    for seed, kind in enumerate(UNCLEAR, start=7):
        call(simulator, "POST", "faults", {"kind": kind, "rate": 0.05, "provider": provider, "seed": seed})
    made, _workers = send(2_000, provider)

    wait_for(lambda: settled(made), 120, "the end")

    assert_all_arrived(simulator, made, 2_000)


@at_50_ms
def test_wake_ups_sent_three_times_over_make_no_extra_call(simulator, send):
    made, _workers = send(1_000)

    for _time in range(20):
        for _copy in range(3):
            tasks.pump.delay(made.account_id)
            tasks.expand.delay(made.pk)
            tasks.sweep.delay()
    wait_for(lambda: settled(made), 90, "the end")

    assert_all_arrived(simulator, made, 1_000)
    assert call(simulator, "GET", "stats")["total"]["accepted"] == 1_000


@at_50_ms
def test_stopping_a_worker_in_the_middle_leaves_nothing_uncertain(simulator, send, start):
    made, workers = send(2_000)

    wait_for(lambda: sent(made) >= 500, 90, "500 messages")
    workers[0].stop()
    workers[1].stop()
    counts = judge(simulator, made)
    start(Worker, "later")
    wait_for(lambda: settled(made), 90, "the end")

    assert counts.uncertain == counts.statuses[Status.SENDING] == 0, counts
    assert_all_arrived(simulator, made, 2_000)


ENDS = {
    "deleted": lambda account: ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now()),
    "withdrawn": lambda account: ProviderAccount.objects.filter(pk=account.pk).update(granted_at=None),
    "switched off": lambda account: EnabledExtension.objects.filter(
        organization=account.organization, provider=account.provider
    ).delete(),
    "licence": lambda account: Licence.objects.filter(organization=account.organization).update(sms=False),
}


@at_50_ms
def test_accounts_that_may_send_no_more_send_what_was_leaving_and_nothing_else(simulator, running):
    """At 100 texts a second; nothing goes out from the number of the next account either, unless somebody says so."""
    running()
    sending = {end: launched(1_500, number=number, rate=100) for number, end in enumerate(ENDS, start=1)}
    for made in sending.values():
        factories.account(made.organization, "infobip", sender="447700900777")
    wait_for(lambda: all(sent(made) >= 300 for made in sending.values()), 90, "300 messages of each")

    marked = {}
    for end, made in sending.items():
        ENDS[end](ProviderAccount.objects.get(pk=made.account_id))
        marked[end] = sent(made)
    wait_for(
        lambda: all(Distribution.objects.get(pk=made.pk).problem for made in sending.values()), 30, "all to say so"
    )
    wait_for(lambda: not Message.objects.filter(status=Status.SENDING).exists(), 30, "what was leaving")
    time.sleep(2)

    ledger = call(simulator, "GET", "ledger")["entries"]
    assert {entry["provider"] for entry in ledger} == {"twilio"}
    for number, (end, made) in enumerate(sending.items(), start=1):
        left = sum(entry["account"] == f"AC{number:032x}" for entry in ledger)
        assert left <= marked[end] + 2 * MARK_GROUP, end
        assert made.messages.filter(status=Status.QUEUED).count() == 1_500 - left, end
