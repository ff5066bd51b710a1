"""The database's clock decides what is due.

A machine whose own clock is an hour wrong begins nothing early, takes nothing from others, ends and deletes nothing too
soon, and does what is due.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from contacts.importing import service as importing
from contacts.models import ContactImport
from distributions import services
from distributions.engine import due, outbox, quiet
from distributions.engine.references import link_token
from distributions.models import Chunk, Conversation, Distribution
from distributions.planning import starting, taking_back
from distributions.replies import conversations, inbound
from distributions.states import Status
from extensions import health, kept
from extensions.contract import InboundSms
from extensions.models import AccountState, KeptSecret
from keeping import retention
from organizations import clock
from tests import factories
from tests.talks import arrive, held
from watching import mails
from watching.models import Fact, Kind, Mail
from webhooks import applying, inbox
from webhooks.models import Callback

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]

HOUR = timedelta(hours=1)
SOON = timedelta(minutes=30)
_keys = count(1)
State = Distribution.State


@pytest.fixture(params=[HOUR, -HOUR], ids=["an hour fast", "an hour slow"])
def wrong(request, monkeypatch):
    """From when it is called on, this process's clock is wrong."""
    right = timezone.now

    def set_wrong():
        monkeypatch.setattr(timezone, "now", lambda: right() + request.param)

    return set_wrong


@pytest.fixture
def account(clinic):
    return factories.account(clinic, "infobip", sender="447491163443")


@pytest.fixture
def sending(clinic, account):
    """A distribution with one chunk that is due."""
    made = factories.distribution(
        clinic, recipients=2, account=account, state=State.SENDING, launched_at=timezone.now()
    )
    keys = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=keys[0], last_id=keys[-1])
    return made


def test_what_is_planned_begins_when_it_is_time(clinic, account, wrong):
    planner = factories.user(clinic, use_sms_distributions="enabled")
    later, now = (
        services.launch(factories.distribution(clinic, contact_list=people, send_at=timezone.now() + SOON), planner)
        for people in (factories.contact_list(clinic, 3), factories.contact_list(clinic, 3))
    )
    Distribution.objects.filter(pk=now.pk).update(send_at=timezone.now() - timedelta(seconds=1))
    wrong()

    starting.start_due()

    assert dict(Distribution.objects.values_list("pk", "state")) == {later.pk: State.SCHEDULED, now.pk: State.LAUNCHING}
    starting.expand(now.pk)
    assert due.accounts_due() == [account.pk], "what was launched is due at once"


def test_texts_are_due_when_it_is_time(account, sending, wrong):
    wrong()
    assert due.accounts_due() == [account.pk]

    Chunk.objects.update(not_before=clock.later(SOON.total_seconds()))

    assert due.accounts_due() == []
    assert outbox.claim(account.pk, "me", 5) == []


def test_what_another_has_claimed_is_taken_by_nobody(account, sending, wrong):
    assert outbox.claim(account.pk, "another", 5)
    wrong()

    assert due.accounts_due() == []
    assert outbox.claim(account.pk, "me", 5) == []
    Distribution.objects.update(state=State.CANCELLED)
    assert not taking_back.step(sending.pk), "cancelled or not"
    assert set(sending.messages.values_list("status", flat=True)) == {Status.QUEUED}


def test_a_pause_lasts_as_long_as_was_asked_for(account, sending, wrong):
    wrong()

    health.trip(account, clock.later(60))
    health.slow_down(account, 10.0, clock.later(60))

    state = AccountState.objects.get(account=account)
    assert due.accounts_due() == []
    for moment in (state.open_until, state.next_slot_at):
        assert abs((moment - clock.read()).total_seconds() - 60) < 30


def test_the_quiet_hours_are_those_of_the_right_clock(clinic, account, sending, wrong):
    """They end within the hour, or began within it."""
    local = clock.read()
    for begins, ends, is_quiet in ((-SOON, SOON, True), (SOON, 2 * SOON + SOON, False), (-3 * SOON, -SOON, False)):
        clinic.time_zone, clinic.quiet_from, clinic.quiet_until = "UTC", (local + begins).time(), (local + ends).time()
        clinic.save()
        Chunk.objects.update(not_before=clock.read() - timedelta(seconds=1))
        wrong()

        quiet.postpone(account)

        assert bool(due.accounts_due()) is not is_quiet


def test_a_survey_by_text_waits_as_long_as_it_says(clinic, account, wrong):
    asked = factories.interactive(clinic, account)
    first = asked.messages.get()
    conversation = held(asked, first)
    Conversation.objects.update(expires_at=timezone.now() + SOON)
    arrive()
    wrong()

    conversations.expire()
    assert Conversation.objects.get(pk=conversation.pk).state == Conversation.State.OPEN
    sms = InboundSms(message_id="one", sender=first.to, recipient=f"+{account.sender}", text="9")
    inbound.apply_inbound(account, clinic, sms)

    conversation.refresh_from_db()
    assert (conversation.state, conversation.position) == (Conversation.State.OPEN, 1), "it was an answer"
    waits = timedelta(hours=asked.survey.wait_hours)
    assert abs(conversation.expires_at - clock.read() - waits) < timedelta(minutes=5)


def test_a_link_leads_to_its_survey_until_it_has_ended(clinic, account, sending, wrong):
    message = sending.messages.first()
    Distribution.objects.update(link_expires_at=timezone.now() + SOON)
    wrong()
    assert Client().get(f"/s/{link_token(message.pk)}").status_code == 302

    Distribution.objects.update(link_expires_at=clock.read() - SOON)

    assert Client().get(f"/s/{link_token(message.pk)}").status_code == 410


def test_a_callback_is_applied_at_once_whoever_took_it(account, wrong, monkeypatch):
    """The web server's clock is wrong, then the worker's is."""
    right = timezone.now

    def taken():
        key = f"{next(_keys):064d}"
        fields = {"kind": "message", "method": "POST", "url": "/", "content_type": "application/json", "body": b"{}"}
        inbox.writer.write(Callback(account=account, dedupe_key=key, **fields))
        return Callback.objects.get(dedupe_key=key)

    by_right = taken()
    wrong()
    by_wrong = taken()
    assert abs(by_wrong.received_at - by_right.received_at) < timedelta(minutes=5)
    assert applying.apply_due() == 2
    monkeypatch.setattr(timezone, "now", right)

    parked = taken()
    Callback.objects.filter(pk=parked.pk).update(not_before=right() + SOON)
    wrong()

    assert applying.apply_due() == 0


def test_a_mail_that_another_is_sending_is_sent_once(account, wrong, mailoutbox, settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:25"
    operator, now = factories.operator(), timezone.now()
    fact = Fact.objects.create(
        kind=Kind.HEALTH, key="clock", names={"check": "clock", "problem": "It is wrong."}, began_at=now, seen_at=now
    )
    Mail.objects.create(fact=fact, user=operator, made_at=now, not_before=now + mails.UNDER_WAY, tries=1)
    wrong()
    assert mails.post() == 0

    Mail.objects.update(not_before=clock.read())

    assert mails.post() == 1


def test_nothing_is_deleted_early(clinic, account, wrong):
    """A secret that somebody is just typing, a file that they uploaded, a callback of nearly thirty days ago."""
    now, day = timezone.now(), timedelta(days=1)
    KeptSecret.objects.create(
        handle="one",
        session="x",
        organization=clinic,
        provider="infobip",
        field="api_key",
        value={},
        expires_at=now + SOON,
    )
    upload = ContactImport.objects.create(
        organization=clinic, contact_list=factories.contact_list(clinic), file_name="a.csv"
    )
    ContactImport.objects.filter(pk=upload.pk).update(created_at=now - day + SOON)
    received = now - 30 * day + SOON
    Callback.objects.create(account=account, dedupe_key="one", body=b"", state="applied", received_at=received)
    wrong()

    kept.purge()
    importing.purge()
    retention.run(rest=lambda _seconds: None)

    assert [KeptSecret.objects.count(), ContactImport.objects.count(), Callback.objects.count()] == [1, 1, 1]


def test_the_clock_is_the_database_s(wrong):
    wrong()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        there = cursor.fetchone()[0]

    assert abs(clock.read() - there) < timedelta(minutes=5)
    assert abs(timezone.now() - there) > timedelta(minutes=50), "and the process's is wrong"
