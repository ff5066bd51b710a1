"""A process has as many connections to PostgreSQL as docs/connections.md says, or as DB_POOL says, and works."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone

from config.celery import app
from extensions.webhook_urls import webhook_url
from tests import factories
from tests.processes import ROOT, Beat, Web, Worker
from tests.test_watching import told_by, until
from watching.models import WorkerSign

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

POOL = 3


def others():
    """Connections to the test database besides this test's own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def crowd_of(webs, account, number, *, before=None):
    """So many requests from as many sides as threads: pages, right callbacks, and forged ones. Returns the most
    connections at any moment, besides those that there were, and the answers' statuses."""
    before, most = others() if before is None else before, 0
    provider, organization = account.open(), account.organization

    def ask(turn):
        web = webs[turn % len(webs)]
        if turn % 3 == 0:
            call = urllib.request.Request(f"{web.url}/admin/login/")
        else:
            url = f"{web.url}{urlsplit(webhook_url('status', type(provider), organization)).path}"
            sample = provider.sample_callback("status", url, now=timezone.now())
            body = json.dumps({"results": [{"messageId": f"unknown-{turn}", "status": {"groupName": "PENDING"}}]})
            headers = dict(sample.headers) | ({"Authorization": "Basic eDp5"} if turn % 3 == 2 else {})
            call = urllib.request.Request(url, body.encode(), headers)
        try:
            with urllib.request.urlopen(call, timeout=120) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code

    with ThreadPoolExecutor(32 * len(webs)) as crowd:
        answers = [crowd.submit(ask, turn) for turn in range(number)]
        while not all(answer.done() for answer in answers):
            most = max(most, others() - before)
            time.sleep(0.02)
    return max(most, others() - before), Counter(answer.result() for answer in answers)


def document():
    return (ROOT / "docs/connections.md").read_text()


def documented():
    """Connections of a web process besides those of its threads, as the table says."""
    row = re.search(r"16 threads .*?, one that .*?, one that .*?: (\d+) \|", document())
    return int(row[1]) - 16


def test_under_load_a_web_process_has_no_more_connections_than_the_document_says(start):
    """However many people, providers and forgers come at once: as many as it has threads, and two."""
    account = factories.account(factories.organization(), "infobip")
    web = start(Web)

    most, answered = crowd_of([web], account, 600)

    assert answered[200] == 400, answered
    assert set(answered) <= {200, 401, 429}, "forged ones are refused, and later not even read"
    assert Web.THREADS / 2 <= most <= Web.THREADS + documented()


def test_a_process_has_no_more_connections_than_the_pool_and_its_threads_share_them(start):
    before = others()
    web = start(Web, DB_POOL=str(POOL))
    most = 0

    def open_page(_number):
        with urllib.request.urlopen(f"{web.url}/admin/login/", timeout=60) as answer:
            return answer.status

    with ThreadPoolExecutor(16) as crowd:
        answers = [crowd.submit(open_page, number) for number in range(200)]
        while not all(answer.done() for answer in answers):
            most = max(most, others() - before)
            time.sleep(0.02)

    assert {answer.result() for answer in answers} == {200}
    assert told_by(web)[0] == 503  # no worker yet, but the question is answered
    assert 0 < max(most, others() - before) <= POOL


def test_workers_with_a_pool_work_and_one_whose_process_is_killed_goes_on(start):
    """The process that takes its place is made by one that has a pool: it must not use that one's sockets."""
    web = start(Web, DB_POOL=str(POOL))
    worker = start(Worker, "all", DB_POOL="5")
    start(Beat, DB_POOL=str(POOL))
    until(web, 200)

    killed = set(WorkerSign.objects.values_list("pid", flat=True))
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(set(WorkerSign.objects.values_list("pid", flat=True)) - killed) < 2:
        assert time.monotonic() < deadline, worker.output()[-3000:]
        time.sleep(0.5)
    until(web, 200)

    assert "InterfaceError" not in worker.output()
    assert app.control.ping(destination=[worker.host], timeout=5)


def documented_for(machines_for_the_web):
    """Connections of a row of the table: all web processes', and all workers'."""
    words = {1: "one with everything", 4: "four for the web, two for workers"}[machines_for_the_web]
    row = re.search(rf"\| {words} \| (\d+) \+ (\d+) \|", document())
    return int(row[1]), int(row[2])


PROGRAMS = (
    ("send", 2),
    ("receive", 1),
    ("prepare", 1),
    ("launch,default", 1),
)  # queues and processes, as the Procfile has


@pytest.mark.parametrize("pool", [0, 6])
def test_four_web_sets_and_the_workers_stay_within_what_the_document_says(start, pool):
    """Pages, callbacks and forged ones at once, on four of the Procfile's web servers and its workers.

    On a busy machine a callback may be told to come again, and forgers' neighbours at one address may be; nobody hears
    of anything else.
    """
    text = " ".join(document().split())
    said = re.search(r"`DB_POOL=(\d+)`.*?Four machines for the web then hold (\d+) instead of (\d+)", text)
    pooled, unpooled = {int(said[1]): int(said[2])}, {0: int(said[3])}
    assert unpooled[0] == documented_for(4)[0]
    before = others()
    account = factories.account(factories.organization(), "infobip")
    webs = [start(Web, workers=2, threads=16, DB_POOL=str(pool)) for _machine in range(4)]
    for number, (queues, processes) in enumerate(PROGRAMS):
        start(Worker, f"of{number}", queues=queues, concurrency=processes, DB_POOL=str(pool))
    start(Beat, DB_POOL=str(pool))
    until(webs[0], 200)

    most, answered = crowd_of(webs, account, 600, before=before)

    assert set(answered) <= {200, 401, 429, 503}, answered
    assert answered[200] >= 200
    webs_hold, workers_hold = (pooled | unpooled)[pool], documented_for(1)[1]
    for_a_moment = len(PROGRAMS) + 1  # each worker's main process, and beat
    assert webs_hold / 3 < most <= webs_hold + workers_hold + for_a_moment
