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


def crowd_of(webs, account, number):
    """So many requests from as many sides as threads: pages, right callbacks, and forged ones. Returns the most
    connections at any moment, besides those that there were, and the answers' statuses."""
    before, most = others(), 0
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


def documented():
    """Connections of a web process besides those of its threads, as the table says."""
    row = re.search(r"16 threads .*?, one that .*?, one that .*?: (\d+) \|", (ROOT / "docs/connections.md").read_text())
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
