"""Many tenants side by side while workers die, stand still, and providers hang or take less.

Each has an account and a pace of its own, so what one suffers must not reach the others.

Bounds leave room for another test beside this one; a machine that does nothing else keeps closer ones.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict

import pytest
from django.utils import timezone

from distributions import tasks
from distributions.engine import expansion
from distributions.models import Distribution, Message
from distributions.planning import starting
from distributions.states import WAITING, Status
from extensions.models import AccountState
from simulator.faults import Kind
from tests import factories
from tests.chaos.judge import call, judge, wait_for
from tests.processes import Beat, Worker

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

TENANTS = 12
RATE = 5.0  # texts a second of each
TEXTS = 120  # of each

quiet_at_50_ms = pytest.mark.parametrize(
    "simulator", [{"latency_ms": 50, "reports": False}], indirect=True, ids=["50ms"]
)


@pytest.fixture(autouse=True)
def fast_recovery(settings, monkeypatch):
    """The shipped proportions, shorter: a chunk is what an account sends in a lease."""
    settings.SEND_TIMEOUT = 2
    settings.SEND_SLICE = 2
    settings.SEND_LEASE = 6
    settings.LOOKUP_AFTER = 7
    settings.SWEEP_EVERY = 1
    monkeypatch.setattr(expansion, "CHUNK", 20)


def tenant(number, *, texts=TEXTS, rate=RATE, provider="twilio"):
    """An organisation whose messages are written; none has left."""
    clinic = factories.organization()
    credentials = factories.CREDENTIALS[provider]
    if provider == "twilio":
        credentials = credentials | {"account_sid": f"AC{number:032x}"}
    account = factories.account(clinic, provider, credentials=credentials)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=rate)
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, texts, phone=f"+447{number:02d}{{:05d}}00"),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return made


def wake(tenants):
    for made in tenants:
        tasks.pump.delay(made.account_id)


def open_ones(tenants):
    return Message.objects.filter(distribution__in=tenants, status__in=[*WAITING, Status.UNCERTAIN])


def taken(simulator):
    """When each account's texts were accepted, in seconds since 1970."""
    times = defaultdict(list)
    for entry in call(simulator, "GET", "ledger")["entries"]:
        times[entry["account"]].append(entry["time"])
    return {account: sorted(found) for account, found in times.items()}


def most_in_a_second(times):
    return max(sum(at <= other < at + 1 for other in times) for at in times)


def shares(simulator, tenants, began):
    """What part of its own pace each account had, until all but a tenth of its texts were accepted."""
    found = {}
    for account, times in taken(simulator).items():
        most = int(0.9 * len(times))
        found[account] = most / (times[most - 1] - began) / RATE
    assert len(found) == len(tenants)
    return found


def assert_each_text_arrived_once(simulator, tenants):
    for made in tenants:
        verdict = judge(simulator, made)  # the ledger is everybody's: so are the doubled
        assert verdict.lost == verdict.duplicated == verdict.false_failed == [], verdict
        assert (verdict.uncertain, verdict.stranded) == (0, 0), verdict


@quiet_at_50_ms
def test_two_sets_of_workers_killed_in_turn_lose_and_double_nothing_and_keep_each_pace(simulator, start, pgbouncer):
    """Under two host names, each with a beat of its own, behind PgBouncer in transaction mode."""
    database = {"DATABASE_URL": pgbouncer.database_url}

    def workers_of(host):
        return [
            start(Worker, "sender", host=host, queues="send", **database),
            start(Worker, "worker", host=host, queues="launch,receive,default", concurrency=1, **database),
        ]

    began = time.monotonic()
    hosts = {host: workers_of(host) for host in ("first", "second")}
    to_start = time.monotonic() - began
    for _host in hosts:
        start(Beat, **database)
    # However slow the machine is, there are texts left when the second set of workers is there again.
    texts = max(TEXTS, int(RATE * (8 + 3 * to_start)))
    tenants = [tenant(number, texts=texts) for number in range(TENANTS)]
    began = time.time()
    wake(tenants)

    for host in ("first", "second"):
        time.sleep(4)
        assert open_ones(tenants).exists(), "it is in the middle"
        for worker in hosts[host]:
            worker.kill()
        hosts[host] = workers_of(host)
    wait_for(lambda: not open_ones(tenants).exists(), 3 * texts / RATE, "the end")

    assert_each_text_arrived_once(simulator, tenants)
    assert sum(map(len, taken(simulator).values())) == TENANTS * texts
    for times in taken(simulator).values():
        assert most_in_a_second(times) <= 3 * RATE  # a block of half a second may meet one that is late
    # A killed pump's chunks wait for the end of their lease, 6 of at least 24 seconds.
    assert min(shares(simulator, tenants, began).values()) >= 0.4


@quiet_at_50_ms
def test_a_limit_that_falls_from_100_a_second_to_5_and_comes_back_is_followed_within_ten_seconds(simulator, start):
    made = tenant(1, texts=3_000, rate=100)
    start(Worker, "sender", queues="send")
    start(Worker, "worker", queues="launch,default", concurrency=1)
    start(Beat)
    limit = {"provider": "twilio", "credentials": factories.CREDENTIALS["twilio"] | {"account_sid": f"AC{1:032x}"}}

    def accepted_and_refused():
        [account] = call(simulator, "GET", "stats")["providers"]["twilio"].values()
        return account["accepted"], account.get("over_rate", 0)

    def in_seconds(seconds):
        before, began = accepted_and_refused(), time.monotonic()
        time.sleep(seconds)
        after, took = accepted_and_refused(), time.monotonic() - began
        return [(now - then) / took for then, now in zip(before, after, strict=True)]

    call(simulator, "POST", "accounts", {**limit, "rate": 100})
    wake([made])
    wait_for(lambda: accepted_and_refused()[0] >= 300, 30, "the first 300")
    call(simulator, "POST", "accounts", {**limit, "rate": 5, "burst": 5})
    time.sleep(10)
    accepted, refused = in_seconds(8)
    assert accepted >= 0.3 * 5
    assert refused <= 10, "hardly more is asked for than is taken"

    call(simulator, "POST", "accounts", {**limit, "rate": 100, "burst": 100})
    time.sleep(10)
    accepted, _refused = in_seconds(4)
    assert accepted >= 0.4 * 100
    assert AccountState.objects.filter(stopped_at=None, open_until=None, failures=0).count() == 1

    Distribution.objects.update(state=Distribution.State.CANCELLED)
    wait_for(lambda: not made.messages.filter(status=Status.SENDING).exists(), 20, "what was leaving")
    verdict = judge(simulator, made)
    assert verdict.lost == verdict.duplicated == verdict.false_failed == [], verdict


@quiet_at_50_ms
def test_one_provider_that_answers_nothing_leaves_eleven_others_their_pace(simulator, start):
    call(simulator, "POST", "faults", {"kind": Kind.HANG, "provider": "infobip", "rate": 1.0})
    hung = tenant(99, provider="infobip", texts=1_000, rate=100)
    others = [tenant(number, texts=100) for number in range(TENANTS - 1)]
    AccountState.objects.filter(account=hung.account_id).update(max_in_flight=500)
    start(Worker, "sender", queues="send")
    start(Worker, "worker", queues="launch,default", concurrency=1)
    start(Beat)
    began = time.time()
    wake([hung, *others])

    wait_for(lambda: not open_ones(others).exists(), 60, "the others' end")

    assert min(shares(simulator, others, began).values()) >= 0.6
    assert_each_text_arrived_once(simulator, others)
    assert not hung.messages.filter(status=Status.ACCEPTED).exists()
    assert hung.messages.exclude(status=Status.QUEUED).exists(), "it was asked"


@quiet_at_50_ms
def test_a_sender_that_stands_still_for_longer_than_its_lease_sends_nothing_twice_when_it_goes_on(simulator, start):
    """What it had in line has been looked up, not found and sent by another one by then."""
    tenants = [tenant(number, rate=20, texts=250) for number in range(4)]
    stopped = start(Worker, "sender", host="first", queues="send", concurrency=1)
    start(Worker, "worker", queues="launch,default", concurrency=1)
    start(Beat)
    wake(tenants)
    wait_for(lambda: len(call(simulator, "GET", "ledger")["entries"]) >= 100, 30, "the first texts")

    os.killpg(stopped.pid, signal.SIGSTOP)
    try:
        in_line = set(Message.objects.filter(status=Status.SENDING).values_list("pk", flat=True))
        start(Worker, "sender", host="second", queues="send", concurrency=1)
        wake(tenants)
        again = Message.objects.filter(pk__in=in_line, attempt__gt=1)
        wait_for(lambda: again.exclude(status__in=WAITING).exists(), 40, "what stood in line to be sent by another")
    finally:
        os.killpg(stopped.pid, signal.SIGCONT)
    wait_for(lambda: not open_ones(tenants).exists(), 60, "the end")

    assert_each_text_arrived_once(simulator, tenants)
    assert len(call(simulator, "GET", "ledger")["entries"]) == 4 * 250
