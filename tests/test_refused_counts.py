"""(R100) Forged calls are counted in memory and written down once a second, so that many cost the others nothing."""

from __future__ import annotations

import base64
import hmac
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from extensions.contract import InvalidSignature, WebhookRequest
from tests import factories
from webhooks import counting, explaining, inbox
from webhooks.counting import Counter, Refused
from webhooks.explaining import Explanations
from webhooks.models import RefusedCallback

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = factories.CREDENTIALS["twilio"]["auth_token"]
ADDRESS = "/distribution-providers/v1/receive/distribution/status/twilio-sms/{}"


@pytest.fixture(autouse=True)
def fresh_cache():
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()
    inbox.writer.close()
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


# --- what is wrong with a signature ----------------------------------------------------------------------------------


@pytest.fixture
def looked_into(monkeypatch, settings):
    """How often other addresses were tried."""
    settings.PUBLIC_URL = "https://surveys.example.com"
    tried = []
    one_by_one = WebhookRequest._other_urls
    monkeypatch.setattr(WebhookRequest, "_other_urls", lambda request: tried.append(1) or one_by_one(request))
    monkeypatch.setattr(inbox, "explanations", Explanations())
    return tried


REPORT = {
    "AccountSid": factories.CREDENTIALS["twilio"]["account_sid"],
    "MessageSid": "SM1",
    "MessageStatus": "sent",
}


def post(clinic, signature, address="192.0.2.1"):
    answer = Client().post(
        ADDRESS.format(clinic.public_id),
        urlencode(REPORT),
        "application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
        REMOTE_ADDR=address,
    )
    return answer.status_code


def signature_for(clinic, scheme):
    """As Twilio makes it where our address was entered with this scheme."""
    url = f"{scheme}://surveys.example.com{ADDRESS.format(clinic.public_id)}"
    signed = url + "".join(f"{name}{REPORT[name]}" for name in sorted(REPORT))
    return base64.b64encode(hmac.new(TOKEN.encode(), signed.encode(), "sha1").digest()).decode()


@pytest.mark.parametrize("is_forged", [True, False], ids=["forged", "of another address"])
def test_of_many_calls_a_second_some_are_looked_into_and_all_are_counted_for_the_same_reason(
    clinic, account, looked_into, monkeypatch, is_forged
):
    monkeypatch.setattr(explaining, "SECOND", 3600.0)
    signature = signature_for(clinic, "http")

    assert {post(clinic, "forged" if is_forged else signature) for _number in range(100)} == {401}

    [(reason, count)] = written(100)
    assert count == 100
    assert ("signed for another address" in reason) is not is_forged
    assert len(looked_into) == explaining.FREELY


def test_a_second_later_and_from_another_caller_it_is_looked_into_again(clinic, account, looked_into, monkeypatch):
    signature, now = signature_for(clinic, "http"), [100.0]
    monkeypatch.setattr(explaining.time, "monotonic", lambda: now[0])
    for _number in range(explaining.FREELY + 1):
        post(clinic, "forged")
    assert len(looked_into) == explaining.FREELY

    post(clinic, signature, address="192.0.2.2")
    now[0] += explaining.SECOND
    post(clinic, signature)

    assert len(looked_into) == explaining.FREELY + 2
    written(explaining.FREELY + 3)
    faults = RefusedCallback.objects.values_list("fault", "count")
    assert sorted(faults) == [("address", 2), ("secret", explaining.FREELY + 1)]


def test_what_is_wrong_in_another_way_is_never_taken_for_a_wrong_signature(clinic, account, looked_into):
    for _number in range(explaining.FREELY + 1):
        post(clinic, "forged")

    post(clinic, "")

    written(explaining.FREELY + 2)
    assert set(RefusedCallback.objects.values_list("fault", flat=True)) == {"secret", "unsigned"}


def test_whoever_has_sent_many_wrong_signatures_is_believed_with_a_right_one(clinic, account, looked_into):
    for _number in range(explaining.FREELY + 1):
        post(clinic, "forged")

    assert post(clinic, signature_for(clinic, "https")) == 200


def test_a_crowd_of_callers_does_not_fill_the_memory(looked_into, monkeypatch):
    monkeypatch.setattr(explaining, "MOST", 10)
    memory = Explanations()
    for number in range(100):
        memory.add(("ORG", "twilio-sms", "status", f"192.0.2.{number}"), InvalidSignature())
    assert len(memory._seconds) <= 10
