"""Workers are woken once what they are to look at is committed, and never for what was rolled back."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery.signals import before_task_publish
from django.db import transaction
from django.utils import timezone

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
    """The first at once, one more for all that came meanwhile."""
    for _callback in range(50):
        wake.wake_soon("webhooks.tasks.apply")
    assert woken.count(("webhooks.tasks.apply",)) == 1

    time.sleep(3 * wake.EVERY)
    assert woken.count(("webhooks.tasks.apply",)) == 2

    wake.wake_soon("webhooks.tasks.apply")
    assert woken.count(("webhooks.tasks.apply",)) == 3, "after a pause it is woken at once again"


def test_different_tasks_do_not_wait_for_each_other(woken):
    wake.wake_soon("webhooks.tasks.apply")
    wake.wake_soon("webhooks.tasks.purge")

    assert ("webhooks.tasks.purge",) in woken
