"""Whether the installation makes progress, as /health says it: what waits, who has been seen, and who may ask."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from kombu import Connection
from prometheus_client.parser import text_string_to_metric_families

from distributions.engine import due, identity
from distributions.models import Chunk, Distribution
from extensions import health as extension_health
from extensions.models import AccountState
from tests import factories
from tests.processes import ROOT, Beat, Web, Worker
from watching import broker, health, signs
from watching.models import FailingStep, Mark, WorkerSign
from webhooks import applying
from webhooks.models import Callback

QUEUES = [queue.name for queue in django_settings.CELERY_TASK_QUEUES]


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def sign(worker="sender@here", pid=1, **fields):
    fields = {"queues": QUEUES, "seen_at": timezone.now(), **fields}
    return WorkerSign.objects.create(worker=worker, pid=pid, **fields)


@pytest.fixture
def well(db):
    """An installation in which everything runs and nothing waits."""
    identity.remember_first()
    Mark.objects.create(name=Mark.PERIODIC_CHECK, at=timezone.now())
    return sign()


def problems():
    return {check.name: check.problem for check in health.checks() if not check.ok}


def test_where_all_runs_and_nothing_waits_nothing_is_wrong(well):
    assert problems() == {}
    assert [check.name for check in health.checks()] == [
        "database",
        "clock",
        "restored",
        "broker",
        "periodic_check",
        "steps",
        *(f"queue.{name}" for name in QUEUES),
        "sending",
        "keys",
        "callbacks",
        "mail",
    ]


def test_an_installation_whose_workers_never_ran_is_not_well(db):
    assert {"periodic_check", *(f"queue.{name}" for name in QUEUES)} <= problems().keys()


# --- who works --------------------------------------------------------------------------------------------------------


def test_what_stands_still_is_told_within_thirty_seconds():
    """The longest that each way of standing still can stay unseen: what it takes to show, and one sign."""
    assert health.SILENT + signs.EVERY <= 30
    assert signs.MAIN_STANDS + signs.EVERY <= 30
    assert signs.TASK_STANDS + signs.EVERY <= 30
    assert health.TAKES_NOTHING + signs.EVERY <= 30


def test_a_process_that_gives_no_sign_is_named_also_where_another_serves_its_queue(well):
    sign(pid=2, queues=["send"], seen_at=ago(health.SILENT + 3))

    found = problems()

    assert found.keys() == {"queue.send"}
    assert "sender@here, process 2, has been silent for" in found["queue.send"]


def test_one_that_was_never_heard_of_again_is_forgotten_in_time(well):
    sign(pid=2, seen_at=ago(health.FORGOTTEN + 1))

    assert problems() == {}


def test_a_queue_that_nobody_serves_is_told(well):
    well.queues = [name for name in QUEUES if name != "receive"]
    well.save()

    assert problems() == {"queue.receive": "No process takes from this queue."}


@pytest.mark.parametrize(("problem", "said"), [("main", "its main process stands still"), ("task", "its work stands")])
def test_a_process_that_says_itself_what_is_wrong_is_believed(well, problem, said):
    sign(pid=2, queues=["send"], problem=problem)

    assert said in problems()["queue.send"]


def test_idle_processes_that_take_nothing_are_told_and_busy_ones_are_not(well):
    WorkerSign.objects.update(idle_seconds=health.TAKES_NOTHING + 1)
    assert problems().keys() == {f"queue.{name}" for name in QUEUES}

    WorkerSign.objects.update(is_busy=True)
    assert problems() == {}


def test_the_periodic_check_is_late_when_it_has_not_run_for_a_while(well, settings):
    Mark.objects.update(at=ago(2 * settings.SWEEP_EVERY + health.LATE + 2))

    assert problems().keys() == {"periodic_check"}


# --- what waits -------------------------------------------------------------------------------------------------------


def waiting(clinic, account, seconds, **state):
    made = factories.distribution(clinic, account=account, state=Distribution.State.SENDING, recipients=1)
    message = made.messages.get()
    AccountState.objects.filter(pk=account.pk).update(**{"next_slot_at": ago(seconds), **state})
    return Chunk.objects.create(
        distribution=made, account=account, first_id=message.pk, last_id=message.pk, not_before=ago(seconds)
    )


def test_texts_that_are_due_and_that_nobody_sends_are_told(well, clinic, account):
    waiting(clinic, account, health.WAITING + 5)

    assert problems().keys() == {"sending"}


@pytest.mark.parametrize(
    "state",
    [
        {"next_slot_at": timezone.now()},  # its rate is being used up: a long list is being sent
        {"stopped_at": timezone.now()},
        {"open_until": timezone.now() + timedelta(days=1)},  # worked out when tests are collected
    ],
    ids=["sending", "stopped", "pausing"],
)
def test_texts_that_wait_for_a_reason_are_no_alarm(well, clinic, account, state):
    if "next_slot_at" in state:
        state = {"next_slot_at": timezone.now()}
    waiting(clinic, account, health.WAITING + 5, **state)

    assert problems() == {}


def test_a_chunk_whose_pump_died_counts_from_the_end_of_its_lease(well, clinic, account):
    chunk = waiting(clinic, account, 3600)
    Chunk.objects.filter(pk=chunk.pk).update(lease_until=ago(10))
    assert problems() == {}
    assert 9 < (timezone.now() - due.waiting_since()).total_seconds() < 12


def callback(account, number, **fields):
    return Callback.objects.create(
        account=account, kind="status", method="POST", url="https://x", body=b"", dedupe_key=str(number), **fields
    )


def test_a_callback_that_nobody_applies_is_told(well, account):
    callback(account, 1, not_before=ago(health.WAITING + 5))

    assert problems().keys() == {"callbacks"}


def test_callbacks_that_are_applied_or_not_due_wait_for_nobody(well, clinic, account):
    assert applying.due_since() is None
    callback(account, 1, not_before=ago(900), state=Callback.State.APPLIED)
    callback(account, 2, not_before=timezone.now() + timedelta(minutes=5), state=Callback.State.PARKED)
    assert applying.due_since() is None
    callback(factories.account(clinic), 3, not_before=ago(20))
    callback(account, 4, not_before=ago(10))
    assert 19 < (timezone.now() - applying.due_since()).total_seconds() < 23


def test_clocks_that_differ_are_told(well, monkeypatch):
    there = health.database_now
    monkeypatch.setattr(health, "database_now", lambda: there() - timedelta(seconds=health.SKEW + 1))
    assert health.clock_difference() > health.SKEW

    assert "clock" in problems()


def test_a_restored_database_is_told(well, monkeypatch):
    monkeypatch.setattr(identity, "is_held", lambda: True)

    assert problems().keys() == {"restored"}


def test_a_database_that_is_away_is_all_that_is_told(well, monkeypatch):
    def refuse():
        raise OperationalError("connection refused")

    monkeypatch.setattr(health, "database_now", refuse)
    monkeypatch.setattr(connection, "close", lambda: None)

    assert problems() == {"database": "The database is away: OperationalError."}


@pytest.mark.postgresql
def test_a_question_that_takes_too_long_is_given_up_and_the_others_are_asked(well, monkeypatch):
    def sleep():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(health, "LONGEST", 50)
    monkeypatch.setattr(due, "waiting_since", sleep)

    assert problems() == {"sending": "Not answered: OperationalError."}
    assert "callbacks" in [check.name for check in health.checks()]


def test_a_broker_that_is_away_is_told(well, monkeypatch, settings, tmp_path):
    gone = Connection(f"redis+socket://{tmp_path / 'none.sock'}")
    monkeypatch.setattr(current_app, "connection_for_read", lambda: gone)

    assert problems().keys() == {"broker"}


def test_a_broker_that_takes_the_call_and_says_nothing_is_not_waited_for(well, monkeypatch, tmp_path):
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)
        mute.listen()
        monkeypatch.setattr(broker, "PATIENCE", 0.2)
        monkeypatch.setattr(current_app, "connection_for_read", lambda: Connection(f"redis+socket://{path}"))
        began = time.monotonic()

        with pytest.raises(broker.BrokerAway):
            broker.waiting()

    assert time.monotonic() - began < 30


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_production(settings):
    settings.ALLOWED_HOSTS = ["surveys.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def ask(path="/health", address="10.0.0.9", **headers):
    return Client(SERVER_NAME="10.0.0.7", REMOTE_ADDR=address).get(path, headers=headers)


def test_it_is_told_by_any_name_and_without_tls(well, in_production):
    answer = ask()

    assert (answer.status_code, answer["Cache-Control"], answer["Content-Type"]) == (
        200,
        "no-store",
        "application/json",
    )
    assert answer.json()["status"] == "ok"
    assert answer.json()["checks"]["queue.send"] == {"ok": True, "processes": 1, "silent": 0}


def test_what_is_wrong_is_503_and_named(well, in_production):
    WorkerSign.objects.all().delete()
    answer = ask()

    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert answer.json()["checks"]["queue.send"]["problem"] == "No process takes from this queue."


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "172.20.0.4", "192.168.7.7", "::ffff:10.1.2.3"])
def test_private_addresses_are_told(well, in_production, address):
    assert ask(address=address).status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "8.8.8.8", "2600::1", "::ffff:8.8.8.8", "", "nonsense"])
def test_nobody_else_is(well, in_production, address):
    answer = ask(address=address)
    public = address != "203.0.113.9"  # kept for documents, and private by the standard

    assert (answer.status_code == 403) == public
    assert not public or b"queue" not in answer.content


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"])
def test_what_comes_through_a_proxy_is_not_told_whatever_its_address(well, in_production, settings, header):
    settings.CLIENT_ADDRESS_HEADER = "CF-Connecting-IP"

    assert ask(address="127.0.0.1", **{header: "10.0.0.1"}).status_code == 403


@pytest.mark.parametrize(
    ("said", "status"),
    [("Bearer s3cret-token", 200), ("bearer  s3cret-token ", 200), ("Bearer s3cret", 401), ("Basic x", 401), ("", 401)],
)
def test_a_token_opens_from_anywhere_and_nothing_else_does(well, in_production, settings, said, status):
    settings.WATCH_TOKEN = "s3cret-token"

    assert ask(address="8.8.8.8", Authorization=said).status_code == status
    assert ask(address="10.0.0.9", Authorization=said).status_code == status


def test_asking_often_asks_the_database_once(well, in_production, django_assert_num_queries):
    client = Client(REMOTE_ADDR="127.0.0.1")
    first = client.get("/health")

    with django_assert_num_queries(0):
        assert all(client.get("/health").content == first.content for _ in range(20))


def test_no_tenant_is_named(well, clinic, account, administrator):
    waiting(clinic, account, 3600)
    told = ask().content.decode()

    for word in (clinic.name, clinic.public_id, account.name, account.public_id, account.sender, administrator.email):
        assert word not in told


# --- the figures ------------------------------------------------------------------------------------------------------


def figures(answer):
    """(name, its one or two labels' values) -> value."""
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_prometheus_is_told_the_same_by_each_web_process(well, in_production, clinic, account):
    waiting(clinic, account, 90)
    found = figures(ask("/metrics"))

    assert found["switchboard_check_ok", "sending"] == 0
    assert found["switchboard_check_ok", "queue.send"] == 1
    assert found["switchboard_texts_due_age_seconds",] > 89
    assert found["switchboard_worker_processes", "send", "alive"] == 1
    assert found["switchboard_wake_ups_waiting", "send"] >= 0
    assert found["switchboard_accounts", "all"] == 1
    assert found["switchboard_texts", "waiting"] == 1
    assert found["switchboard_distributions", "sending"] == 1
    assert {value for (name, *_more), value in found.items() if name == "switchboard_unanswered"} == {0}


def test_the_stop_of_an_account_is_a_figure_and_a_line_in_the_log(well, in_production, account, caplog):
    extension_health.stop(account, "credentials: refused for +447700900123")

    assert figures(ask("/metrics"))["switchboard_accounts", "stopped"] == 1
    [line] = [record.getMessage() for record in caplog.records if "is stopped" in record.getMessage()]
    assert account.public_id in line

    extension_health.stop(account, "credentials: refused again")
    assert len([record for record in caplog.records if "is stopped" in record.getMessage()]) == 1

    extension_health.resume(account)
    assert figures(ask("/metrics"))["switchboard_accounts", "stopped"] == 0
    assert any("sends again" in record.getMessage() for record in caplog.records)


def test_no_figure_names_a_tenant(well, clinic, account, administrator):
    waiting(clinic, account, 3600)
    told = ask("/metrics").content.decode()

    for word in (clinic.name, clinic.public_id, account.name, account.public_id, account.sender, administrator.email):
        assert word not in told


def test_the_documents_name_every_figure(well):
    FailingStep.objects.create(name="distributions.sweep", task="distributions.tasks.sweep", since=timezone.now())
    told = set(re.findall(r"`(switchboard_\w+)`", (ROOT / "docs/watching.md").read_text()))

    assert {name for name, *_more in figures(ask("/metrics"))} - {"switchboard_build_info"} == told


def test_figures_are_told_to_whom_health_is_told(well, in_production):
    assert ask("/metrics", address="8.8.8.8").status_code == 403


def test_without_a_database_what_is_known_is_told(well, monkeypatch):
    def refuse():
        raise OperationalError("connection refused")

    monkeypatch.setattr(health, "database_now", refuse)
    monkeypatch.setattr(connection, "close", lambda: None)

    found = figures(ask("/metrics"))
    assert found["switchboard_check_ok", "database"] == 0
    assert found["switchboard_unanswered", "texts"] == 1
    assert found["switchboard_unanswered", "wake_ups"] == 0


# --- the real processes -----------------------------------------------------------------------------------------------

WITHIN = 90.0  # seconds; a loaded machine is late, what is promised is thirty


def told_by(web):
    try:
        with urllib.request.urlopen(f"{web.url}/health", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def until(web, status, said="", **figures):
    """Waits for what is told of the queue “send”: the status is that, its problem says so and its figures are these."""
    deadline = time.monotonic() + WITHIN
    while True:
        found, told = told_by(web)
        send = told["checks"]["queue.send"]
        if found == status and said in send.get("problem", "") and figures.items() <= send.items():
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.5)


@pytest.fixture
def running(start):
    """A web, a sender, a worker for everything else, and beat."""
    web = start(Web)
    sender = start(Worker, "sender", queues="send")
    start(Worker, "other", queues=",".join(name for name in QUEUES if name != "send"))
    start(Beat)
    until(web, 200)
    return web, sender


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_senders_that_are_stopped_turn_it_red_and_green_again_when_they_go_on(running):
    web, sender = running

    os.killpg(sender.pid, signal.SIGSTOP)
    until(web, 503, "silent", silent=2)
    assert told_by(web)[1]["checks"]["queue.receive"]["ok"]

    os.killpg(sender.pid, signal.SIGCONT)
    until(web, 200)

    os.kill(sender.pid, signal.SIGSTOP)  # the main process alone: those that send live and are given nothing
    until(web, 503, "main process")
    os.kill(sender.pid, signal.SIGCONT)
    until(web, 200)

    sender.stop()  # takes its leave
    until(web, 503, "No process", silent=0)
