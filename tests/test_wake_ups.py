"""Workers are woken once what they are to look at is committed, and never for what was rolled back."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery.signals import before_task_publish
from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from config import wakes
from config.celery import app
from distributions import services
from distributions.engine import outbox, wake
from distributions.engine.outbox import Change
from distributions.engine.wake import EXPAND, PUMP
from distributions.models import Chunk, Distribution
from distributions.planning import leaving
from distributions.replies import inbound
from distributions.states import Status
from extensions.contract import InboundSms
from extensions.models import ProviderAccount
from tests import factories
from tests.processes import Worker

pytestmark = pytest.mark.django_db(transaction=True)

State = Distribution.State


@pytest.fixture
def woken():
    """The tasks that are handed to the broker, as (name, arguments)."""
    published = []

    def note(sender=None, body=None, **_more):
        published.append((sender, *body[0]))

    before_task_publish.connect(note)
    yield published
    before_task_publish.disconnect(note)


@pytest.fixture
def sender(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


def sending(clinic, account, **fields):
    fields = {"state": State.SENDING, "recipients": 2, **fields}
    made = factories.distribution(clinic, account=account, **fields)
    ids = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=ids[0], last_id=ids[-1])
    return made


def launch(clinic, account, sender):
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    services.launch(made, sender)
    return [(EXPAND, made.pk)]


def resume(clinic, account, sender):
    services.resume(sending(clinic, account, paused_at=timezone.now()), sender)
    return [(PUMP, account.pk)]


def send_again(clinic, account, sender):
    message = sending(clinic, account).messages.first()
    outbox.mark([message.pk], account.pk)
    outbox.apply([Change(message.pk, Status.UNCERTAIN)])
    message.refresh_from_db()
    assert services.send_again(message, sender)
    return [(PUMP, account.pk)]


def hand_over(clinic, account, sender):
    made = sending(clinic, account)
    other = factories.account(clinic)
    assert leaving.hand_over(made, Chunk.objects.filter(distribution=made), other) == 1
    return [(PUMP, other.pk)]


def answer(clinic, account, sender):
    asked = factories.interactive(clinic, account)
    sms = InboundSms("SM1", asked.messages.get().to, f"+{account.sender}", "9")
    assert inbound.apply_inbound(account, clinic, sms)
    return [(PUMP, account.pk)]


ACTIONS = [launch, resume, send_again, hand_over, answer]


@pytest.mark.parametrize("act", ACTIONS)
def test_a_worker_is_woken_after_the_commit_for_what_it_is_about(woken, clinic, account, sender, act):
    """Whoever is woken earlier looks at rows that are not there yet, and sleeps again."""
    with transaction.atomic():
        expected = act(clinic, account, sender)
        assert woken == []

    assert woken == expected


@pytest.mark.parametrize("act", ACTIONS)
def test_nobody_is_woken_for_what_was_rolled_back(woken, clinic, account, sender, act):
    with transaction.atomic():
        act(clinic, account, sender)
        transaction.set_rollback(True)

    assert woken == []


def test_what_is_planned_for_later_wakes_nobody(woken, clinic, account, sender):
    made = factories.distribution(clinic, recipients=0, send_at=timezone.now() + timedelta(hours=1))
    made.contact_list = factories.contact_list(clinic, 2)
    made.save()

    services.launch(made, sender)

    made.refresh_from_db()
    assert made.state == State.SCHEDULED
    assert woken == []


def test_a_second_launch_and_what_was_not_paused_wake_nobody(woken, clinic, account, sender):
    launch(clinic, account, sender)
    made, other = Distribution.objects.get(), sending(clinic, account)
    woken.clear()

    services.launch(made, sender)
    services.resume(other, sender)
    certain = other.messages.first()
    assert services.send_again(certain, sender) is False

    assert woken == []


def test_who_has_no_account_to_go_on_with_wakes_nobody(woken, clinic, account, sender):
    made = sending(clinic, account, paused_at=timezone.now())
    Distribution.objects.update(account=None)
    made.refresh_from_db()

    services.resume(made, sender)

    assert woken == []


def test_conversations_that_go_over_wake_the_account_that_has_their_number(woken, clinic, account, sender):
    answer(clinic, account, sender)
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    successor = factories.account(clinic, sender=account.sender)
    woken.clear()

    inbound.conversations.carry_over()

    assert woken == [(PUMP, successor.pk)]


def test_many_who_ask_at_once_are_one_wake_up_and_the_last_of_them_is_not_forgotten(woken):
    """The first at once, one more for all that came meanwhile, once the first is taken."""
    for _callback in range(50):
        wake.wake_soon("webhooks.tasks.apply")
    assert woken.count(("webhooks.tasks.apply",)) == 1

    app.begins("webhooks.tasks.apply", (), {})
    time.sleep(3 * wake.EVERY)
    assert woken.count(("webhooks.tasks.apply",)) == 2

    app.begins("webhooks.tasks.apply", (), {})
    wake.wake_soon("webhooks.tasks.apply")
    assert woken.count(("webhooks.tasks.apply",)) == 3, "after a pause it is woken at once again"


# --- at most one waits ------------------------------------------------------------------------------------------------


def test_of_one_kind_and_account_one_waits_at_most_until_somebody_takes_it(woken):
    for _text in range(200):
        wake.wake(PUMP, 7)
        wake.wake(PUMP, 8)
    assert sorted(woken) == [(PUMP, 7), (PUMP, 8)]

    app.begins(PUMP, [7], {})  # a worker is about to look at the rows: what comes now is news to it
    wake.wake(PUMP, 7)
    wake.wake(PUMP, 8)
    assert sorted(woken) == [(PUMP, 7), (PUMP, 7), (PUMP, 8)]


def test_one_that_is_lost_holds_up_the_next_for_seconds_only(woken):
    wake.wake(PUMP, 7)

    assert 0 < app.client().ttl(wakes.PREFIX + wakes.name_of(PUMP, (7,), {})) <= wakes.LIFE


def test_without_the_broker_s_memory_everything_is_sent(woken, monkeypatch):
    def away(*_arguments, **_options):
        raise BrokerError("gone")

    monkeypatch.setattr(app, "client", away)
    wake.wake(PUMP, 7)
    wake.wake(PUMP, 7)
    app.begins(PUMP, [7], {})

    assert woken == [(PUMP, 7), (PUMP, 7)]


AGE = """
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
    local left = redis.call('PTTL', key) - tonumber(ARGV[2])
    if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end
"""  # what the broker forgets in so many milliseconds


def pass_time(seconds):
    for prefix in (wakes.PREFIX, wakes.COUNTED):
        app.client().eval(AGE, 0, prefix, seconds * 1000)


def held():
    """How many wake-ups the broker holds."""
    return sum(app.client().llen(queue.name) for queue in django_settings.CELERY_TASK_QUEUES)


@pytest.fixture
def empty_broker():
    app.client().flushdb()
    yield
    app.client().flushdb()


@pytest.mark.once
def test_an_hour_without_a_worker_leaves_less_than_a_thousand_wake_ups(empty_broker, settings):
    """In the real broker. Beat goes on by its schedule, callbacks come, 200 accounts have texts all the time, each with
    a distribution that is being written and a file that is being imported."""
    accounts, every = range(200), 20
    for second in range(0, 3600, every):
        app.send_task("webhooks.tasks.apply", ())
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            if second % entry["schedule"] < every:
                app.send_task(entry["task"], entry.get("args", ()), **entry.get("options", {}))
        for account in accounts:
            wake.wake(PUMP, account)
            if second % 60 == 0:
                wake.wake(EXPAND, account)
        pass_time(every)

    names = len(settings.CELERY_BEAT_SCHEDULE) + 2 * len(accounts)
    assert names * 0.9 < held() <= 1_000, "each of them waits, and hardly any twice"


@pytest.mark.parametrize("others", [0, 1, wakes.SHORT - 1])
def test_one_that_is_lost_is_sent_again_while_its_queue_is_short(empty_broker, others):
    """Where there are more accounts than workers others wait all the time: no sign that it still stands there."""
    wake.wake(PUMP, 7)
    app.client().delete("send")  # a failover that lost it, and kept its key
    for account in range(others):
        wake.wake(PUMP, 100 + account)
    wake.wake(PUMP, 7)
    assert held() == others

    pass_time(wakes.LIFE)
    wake.wake(PUMP, 7)
    assert held() == others + 1


def test_one_that_is_lost_is_sent_again_in_the_end_although_its_queue_is_always_long(empty_broker, monkeypatch):
    monkeypatch.setattr(wakes, "SHORT", 1)
    wake.wake(PUMP, 7)
    app.client().delete("send")
    wake.wake(PUMP, 8)
    for _time in range(wakes.SURELY):
        pass_time(wakes.LONGEST)
        wake.wake(PUMP, 7)

    assert held() == 2


@pytest.mark.once
@pytest.mark.parametrize("kind", ["taken", "too late"])
def test_a_worker_that_takes_one_lets_the_next_in(start, woken, kind):
    """Also one that has waited for longer than it is worth anything, which is thrown away."""
    app.send_task("watching.tasks.ping", ("send",), queue="send", **({"expires": 0.1} if kind == "too late" else {}))
    time.sleep(0.3)
    app.send_task("watching.tasks.ping", ("send",), queue="send")
    assert len(woken) == 1
    key = wakes.PREFIX + wakes.name_of("watching.tasks.ping", ("send",), {})
    app.client().expire(key, 3600)

    start(Worker, "w1")

    deadline = time.monotonic() + 30
    while app.client().exists(key):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_different_tasks_do_not_wait_for_each_other(woken):
    wake.wake_soon("webhooks.tasks.apply")
    wake.wake_soon("webhooks.tasks.purge")

    assert ("webhooks.tasks.purge",) in woken
