"""The database's disk is full in the middle of a send: everybody is told to come again, and nothing is lost.

Each statement that writes a text, a chunk or a callback fails as PostgreSQL's do then, with the code 53100.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone

from distributions.models import Message
from distributions.states import Status
from extensions.webhook_urls import webhook_url
from tests.chaos.judge import call, wait_for
from tests.chaos.test_chaos import assert_all_arrived, at_50_ms, fast_recovery, running, send, sent, settled  # noqa: F401
from webhooks.models import Callback

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]

TABLES = ("distributions_message", "distributions_chunk", "webhooks_callback")
FULL_FOR = 6.0  # seconds; longer than a slice of sending


@contextmanager
def full_disk():
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        for table in TABLES:
            cursor.execute(
                f"CREATE TRIGGER disk_is_full BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION disk_is_full()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION disk_is_full() CASCADE")


def answer_of(url, body=None, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


@at_50_ms
def test_a_full_disk_in_the_middle_loses_nothing_and_sends_nothing_twice(simulator, send, settings):  # noqa: F811
    made, _workers = send(3_000)
    account = made.account
    provider, web = account.open(), settings.PUBLIC_URL
    url = f"{web}{urlsplit(webhook_url('message', type(provider), account.organization)).path}"
    reply = provider.sample_callback("message", url, now=timezone.now())
    wait_for(lambda: sent(made) >= 500, 90, "500 texts")

    with full_disk():
        time.sleep(1)
        before = Callback.objects.count()
        assert answer_of(url, reply.body, dict(reply.headers)) == 503, "the provider comes again"
        assert answer_of(f"{web}/admin/login/") == 200
        time.sleep(FULL_FOR)
        assert Callback.objects.count() == before
        taken = len(call(simulator, "GET", "ledger")["entries"])
        time.sleep(2)
        assert len(call(simulator, "GET", "ledger")["entries"]) == taken, "nothing leaves that cannot be written down"
    assert answer_of(url, reply.body, dict(reply.headers)) in (200, 204)
    wait_for(lambda: settled(made), 120, "the end")

    assert not Message.objects.filter(distribution=made, status=Status.UNCERTAIN).exists()
    assert_all_arrived(simulator, made, 3_000)
