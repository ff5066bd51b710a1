"""(R100) Forged calls are counted in memory and written down once a second, so that many cost the others nothing."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from tests import factories
from webhooks import counting, inbox
from webhooks.counting import Counter, Refused
from webhooks.models import RefusedCallback

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/distribution-providers/v1/receive/distribution/status/twilio-sms/{}"


@pytest.fixture(autouse=True)
def fresh_cache():
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()
    counting.counter.flush()


def refused(clinic, reason="wrong signature"):
    return Refused(clinic.pk, "twilio-sms", "status", reason, timezone.now().date())


def written(times):
    deadline = time.monotonic() + 20
    while sum(RefusedCallback.objects.values_list("count", flat=True)) < times:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return sorted(RefusedCallback.objects.values_list("reason", "count"))


def test_many_forged_calls_at_once_are_all_counted(clinic, account, monkeypatch, caplog):
    statements = []
    writing = counting.write
    monkeypatch.setattr(counting, "write", lambda *arguments: statements.append(1) or writing(*arguments))

    def forge(_number):
        try:
            return Client().post(ADDRESS.format(clinic.public_id), {"MessageSid": "SM1"}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as crowd:
        assert set(crowd.map(forge, range(120))) == {401}
    [(_reason, count)] = written(120)

    assert count == 120
    assert len(statements) < 60
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == len(statements), "no line for each call"
    assert sum(int(re.match(r"Refused callbacks: (\d+) ", line)[1]) for line in lines) == 120


def test_two_processes_add_to_one_row(clinic):
    first, second = Counter(), Counter()
    for counter in (first, second, first):
        counter.add(refused(clinic), "secret")
    first.flush()
    second.flush()

    assert written(3) == [("wrong signature", 3)]


def test_while_the_database_is_away_nothing_is_forgotten(clinic, monkeypatch):
    counter = Counter()
    monkeypatch.setattr(counter, "_thread", threading.current_thread())  # this test writes itself
    writing = counting.write

    def away(*_arguments):
        raise DatabaseError("gone")

    monkeypatch.setattr(counting, "write", away)
    monkeypatch.setattr(counter, "_is_first", lambda refused: False)
    counter.add(refused(clinic), "secret")
    counter.flush()
    counter.add(refused(clinic), "secret")
    counter.add(refused(clinic, "too old"), "clock")
    counter.flush()
    monkeypatch.setattr(counting, "write", writing)
    counter.flush()
    counter.flush()

    assert written(3) == [("too old", 1), ("wrong signature", 2)]


def test_the_first_is_written_at_once_and_what_follows_a_second_later(clinic):
    counter = Counter()
    counter.add(refused(clinic), "secret")
    assert RefusedCallback.objects.get().count == 1
    counter.add(refused(clinic), "secret")
    counter.add(refused(clinic), "secret")

    assert written(3) == [("wrong signature", 3)]


def test_an_organisation_that_is_gone_meanwhile_holds_up_no_other(clinic, monkeypatch):
    counter = Counter()
    monkeypatch.setattr(counter, "_is_first", lambda refused: False)
    other = factories.organization()
    counter.add(refused(other), "secret")
    counter.add(refused(clinic), "secret")
    other.delete()
    counter.flush()

    assert written(1) == [("wrong signature", 1)]
