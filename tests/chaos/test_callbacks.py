"""Callbacks of one organisation never hold up another's, and two workers never wait for each other in a circle.

Real processes throughout, as in test_chaos.py.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from config.celery import app
from distributions import services
from distributions.engine.references import reference
from distributions.models import Conversation, Distribution, InboundMessage, Message, Tally
from distributions.states import Status
from extensions import registry
from extensions.models import AccountState
from extensions.webhook_urls import webhook_url
from tests import factories
from tests.chaos.judge import call, wait_for
from tests.processes import Beat, Web, Worker
from webhooks.models import Callback

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

State = Callback.State
PEOPLE = 200
LATE = 2.0  # seconds


def reports_of(account, messages):
    """A stored callback of Infobip for each message: delivered."""
    url = f"https://surveys.example.com/distribution-providers/v1/receive/distribution/status/infobip-sms/{account.pk}"
    status = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"}
    for pk in messages:
        body = json.dumps({"results": [{"messageId": reference(pk), "to": "447700900000", "status": status}]}).encode()
        yield Callback(account=account, kind="status", method="POST", url=url, body=body, dedupe_key=f"report {pk}")


def deadlocks():
    return Path(os.environ["TEST_POSTGRESQL_LOG"]).read_text(errors="replace").count("deadlock detected")


def test_two_tenants_and_two_workers_apply_eight_thousand_reports_without_a_deadlock(start):
    accounts = [factories.account(factories.organization(), "infobip") for _ in range(2)]
    made = [
        factories.distribution(
            account.organization, recipients=500, account=account, state=Distribution.State.SENDING,
            launched_at=timezone.now(),
        )
        for _ in range(8)
        for account in accounts
    ]  # fmt: skip
    Message.objects.update(status=Status.ACCEPTED, attempt=1)
    Tally.objects.update(waiting=0, accepted=500)
    before = deadlocks()
    callbacks = [
        callback
        for account in accounts
        for callback in reports_of(
            account, Message.objects.filter(account=account).order_by("?").values_list("pk", flat=True)
        )
    ]
    random.Random(7).shuffle(callbacks)
    Callback.objects.bulk_create(callbacks, batch_size=1_000)
    began = time.monotonic()

    start(Worker, "one")
    start(Worker, "two")
    waiting = Callback.objects.exclude(state=State.APPLIED)
    while waiting.exists():
        assert time.monotonic() - began < 120, waiting.count()
        for _time in range(4):
            app.send_task("webhooks.tasks.apply", ignore_result=True)
        time.sleep(0.2)

    assert deadlocks() - before == 0
    assert set(Message.objects.values_list("status", flat=True)) == {Status.DELIVERED}
    for distribution in made:
        distribution.tally.refresh_from_db()
        assert (distribution.tally.delivered, distribution.tally.accepted) == (500, 0)


@pytest.fixture
def asked(settings, simulator, start):
    """A survey by text to PEOPLE who answer at once, ready to launch on the running system: web, two workers, beat."""
    settings.SWEEP_EVERY = 1
    settings.PUBLIC_URL = start(Web).url
    clinic = factories.organization()
    account = factories.account(clinic, "twilio")
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=40, max_in_flight=16)
    call(
        simulator,
        "POST",
        "accounts",
        {
            "provider": "twilio",
            "credentials": factories.CREDENTIALS["twilio"],
            "inbound_url": webhook_url("message", registry.get("twilio"), clinic),
        },
    )
    phones = [f"+4477{number:04d}9930" for number in range(PEOPLE)]
    made = factories.interactive(clinic, contact_list=factories.contact_list(clinic, phones=phones), recipients=0)
    start(Worker, "one")
    start(Worker, "two")
    start(Beat)
    return made


@pytest.mark.parametrize("simulator", [{"latency_ms": 20, "report_delay_ms": 100}], indirect=True, ids=["20ms"])
def test_poison_in_one_organizations_callbacks_makes_no_other_conversation_late(asked):
    """200 people answer while another account's callbacks cannot be applied, each for a reason of its own."""
    poisoner = factories.account(factories.organization(), "infobip")
    url = "https://surveys.example.com/distribution-providers/v1/receive/distribution/message/infobip-sms/X"
    hostile = ("\ud800", "\0", "x" * 60_000, "c," * 20_000, "[" * 40_000, "\u202e" * 9_000, "9" * 5_000)
    bodies = [
        json.dumps({"results": [{"messageId": f"{number}{text}", "from": text, "to": text, "text": text}]}).encode()
        for number, text in ((number, hostile[number % len(hostile)]) for number in range(150))
    ] + [b"[" * 60_000, b'{"results": [' + b"9" * 5_000 + b"]}", b"\xff" * 10_000, b"null", b"{}"] * 10
    with connection.cursor() as cursor:  # what no reading can foresee: the database itself refuses some
        cursor.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.text LIKE 'c,c,%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON distributions_inboundmessage FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )

    def poison():
        for number, body in enumerate(bodies):
            Callback.objects.create(
                account=poisoner, kind="message", method="POST", url=url, body=body, dedupe_key=f"poison {number}"
            )
            time.sleep(0.05)
        connection.close()

    thread = threading.Thread(target=poison)
    try:
        services.launch(asked, factories.administrator(asked.organization))
        thread.start()
        completed = Conversation.objects.filter(state=Conversation.State.COMPLETED)
        wait_for(lambda: completed.count() == PEOPLE, 200, "the answers")
        thread.join()
        wait_for(lambda: not Callback.objects.filter(account=poisoner, state=State.NEW).exists(), 30, "the poison")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON distributions_inboundmessage; DROP FUNCTION refuse()")

    kept = Callback.objects.exclude(account=poisoner).filter(kind="message")
    arrived = {bytes(body): at for body, at in kept.values_list("body", "received_at")}
    late = []
    for message_id, applied_at in InboundMessage.objects.filter(organization=asked.organization).values_list(
        "provider_message_id", "received_at"
    ):
        [at] = [at for body, at in arrived.items() if message_id.encode() in body]
        late.append((applied_at - at).total_seconds())
    assert len(late) == 3 * PEOPLE
    assert max(late) < LATE, sorted(late)[-10:]
    assert Callback.objects.filter(account=poisoner, state=State.UNREADABLE).count() >= 20
