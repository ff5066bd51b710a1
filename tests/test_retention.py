"""What was kept long enough loses its wording and its number, or goes; what is open stays; counts stay."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.models import ContactImport
from distributions.engine import outbox
from distributions.models import Conversation, Distribution, Doubt, InboundMessage, Message, MessageEvent, Tally
from distributions.states import Status
from distributions.sums import Sums
from keeping import retention
from keeping.models import PERIODS, Retention, Walk
from organizations import audit
from organizations.models import AuditEvent
from surveys.models import Answer, Response
from tests import factories, talks
from tests.test_applying import kept
from webhooks.models import Callback

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return factories.organization()


def run():
    Walk.objects.all().delete()  # another day
    return retention.run(rest=lambda _seconds: None)


def ago(days):
    return timezone.now() - timedelta(days=days)


def ended(clinic, days, *, state=Conversation.State.COMPLETED):
    """A survey by text that one person answered, and that was over so many days ago."""
    account = factories.account(clinic, "infobip")
    asked = factories.interactive(clinic, account, recipients=2)
    first = asked.messages.first()
    talks.held(asked, first, replies=[("9 please", "answer")], values=["9"], state=state)
    Response.objects.update(state=Response.State.OPEN if state == "open" else Response.State.COMPLETED)
    MessageEvent.objects.create(message=first, source="report", status="delivered", error="said 4711")
    outbox.recount(asked.pk)
    Distribution.objects.filter(pk=asked.pk).update(finished_at=ago(days))
    InboundMessage.objects.update(received_at=ago(days))
    Answer.objects.update(answered_at=ago(days))
    MessageEvent.objects.update(at=ago(days))
    Conversation.objects.update(created_at=ago(days))
    return asked


def test_a_year_later_the_wording_is_gone_and_every_sum_is_what_it_was(clinic):
    asked = ended(clinic, 366)
    before = Sums.of(Tally.objects.get(distribution=asked))

    run()

    assert set(Message.objects.values_list("text", flat=True)) == {""}
    assert InboundMessage.objects.get().text == ""
    assert Answer.objects.exists()
    assert "" not in Message.objects.values_list("to", flat=True)
    outbox.recount(asked.pk)
    assert Sums.of(Tally.objects.get(distribution=asked)) == before


def test_three_years_later_numbers_answers_and_events_are_gone_and_rows_stay(clinic):
    asked = ended(clinic, 1_100)

    run()

    assert set(Message.objects.values_list("to", flat=True)) == {""}
    assert (InboundMessage.objects.get().sender, Conversation.objects.get().phone) == ("", "")
    assert not Answer.objects.exists()
    assert not MessageEvent.objects.exists()
    assert asked.messages.count() == 3
    assert Response.objects.count() == 1


def test_what_is_younger_stays(clinic):
    ended(clinic, 364)

    run()

    assert "" not in Message.objects.values_list("text", flat=True)
    assert InboundMessage.objects.get().text


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENDING, Status.UNCERTAIN])
def test_a_text_that_is_open_is_never_touched(clinic, status):
    asked = ended(clinic, 1_100)
    waits = asked.messages.filter(conversation=None).last()
    Message.objects.filter(pk=waits.pk).update(status=status)

    run()

    waits.refresh_from_db()
    assert waits.text
    assert waits.to


def test_an_open_conversation_is_never_touched(clinic):
    ended(clinic, 1_100, state=Conversation.State.OPEN)

    run()

    assert Conversation.objects.get().phone
    assert InboundMessage.objects.get().text
    assert Answer.objects.exists()
    assert Message.objects.filter(begun__isnull=False).get().to
    assert Message.objects.filter(conversation__isnull=False).get().text


def test_an_open_distribution_is_never_touched(clinic):
    asked = ended(clinic, 1_100)
    Distribution.objects.filter(pk=asked.pk).update(state=Distribution.State.SENDING)

    run()

    assert "" not in Message.objects.values_list("text", flat=True)


def test_a_reply_in_doubt_is_never_touched(clinic):
    ended(clinic, 1_100)
    reply = InboundMessage.objects.get()
    doubt = Doubt.objects.create(
        organization=clinic, account=reply.account, line="1", phone=reply.sender, created_at=ago(1_100)
    )
    InboundMessage.objects.update(doubt=doubt)

    run()

    assert InboundMessage.objects.get().text
    assert Doubt.objects.get().phone


def test_each_organisation_has_its_own_periods(clinic):
    other = factories.organization()
    Retention.objects.create(organization=other, texts=30, replies=30)
    ours, theirs = ended(clinic, 40), ended(other, 40)

    run()

    assert "" not in ours.messages.values_list("text", flat=True)
    assert set(theirs.messages.values_list("text", flat=True)) == {""}


@pytest.mark.parametrize(
    ("state", "days", "goes"),
    [("applied", 31, True), ("applied", 29, False), ("unreadable", 31, True), ("new", 99, False)],
)
def test_raw_callbacks_go_once_they_are_dealt_with(clinic, state, days, goes):
    callback = kept(factories.account(clinic, "infobip"), [])
    Callback.objects.filter(pk=callback.pk).update(state=state, received_at=ago(days))

    run()

    assert Callback.objects.exists() is not goes


def test_imports_and_the_audit_trail_go_after_their_periods(clinic):
    ada = factories.administrator(clinic)
    patients = factories.contact_list(clinic)
    for days in (364, 366):
        made = ContactImport(organization=clinic, contact_list=patients, file_name=f"{days}", imported_at=ago(days))
        made.save()
    for days in (1_094, 1_096):
        AuditEvent.objects.create(organization=clinic, action="login", at=ago(days))
    audit.record("now", organization=clinic, actor=ada)

    run()

    assert ContactImport.objects.get().file_name == "364"
    assert AuditEvent.objects.count() == 2


def test_sessions_that_have_run_out_end_and_unused_ones_as_the_organisation_says(clinic):
    other = factories.organization()
    Retention.objects.create(organization=other, sessions=1)
    for person in (factories.administrator(clinic), factories.administrator(other)):
        session = SessionStore()
        session["_auth_user_id"] = str(person.pk)
        session.save()
    Session.objects.update(expire_date=timezone.now() + timedelta(days=12))  # used two days ago
    gone = SessionStore()
    gone.save()
    Session.objects.filter(session_key=gone.session_key).update(expire_date=ago(1))

    run()

    assert Session.objects.get().get_decoded()["_auth_user_id"] == str(clinic.users.get().pk)


def test_the_sessions_are_walked_through_once_a_day(clinic):
    run()
    session = SessionStore()
    session.save()
    Session.objects.update(expire_date=ago(1))

    retention.run(rest=lambda _seconds: None)
    assert Session.objects.exists()

    run()
    assert not Session.objects.exists()


def test_a_walk_that_was_stopped_goes_on_where_it_was_and_the_next_is_a_day_later(clinic, monkeypatch):
    ended(clinic, 366)
    monkeypatch.setattr(retention, "WINDOW", 1)
    assert not retention.run(until=0, rest=lambda _seconds: None)
    due = retention._cutoffs("texts", timezone.now())
    first = retention.RULES[0]
    assert retention._window(first, due, timezone.now()) == 1
    place = Walk.objects.get(name="texts").place
    assert place == Message.objects.order_by("pk").first().pk

    changed = retention.run(rest=lambda _seconds: None)

    assert changed["texts"] == Message.objects.count() - 1
    assert Walk.objects.get(name="texts").changed == Message.objects.count()
    ended(clinic, 366)
    assert not retention.run(rest=lambda _seconds: None)["texts"], "once a day"


def test_every_statement_is_about_one_window(clinic, monkeypatch):
    """However many rows there are: a range of keys, and never more rows than WINDOW."""
    monkeypatch.setattr(retention, "WINDOW", 3)
    ended(clinic, 1_100)
    ended(clinic, 1_100)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        run()

    for query in captured.captured_queries:
        sql = query["sql"]
        keys = re.search(r'"id" IN \(([^)]*)\)', sql) if sql.startswith(("UPDATE", "DELETE")) else None
        assert keys is None or keys[1].count(",") < 3, sql


@pytest.mark.parametrize("period", PERIODS)
def test_the_page_keeps_the_bounds(clinic, client, period):
    client.force_login(factories.administrator(clinic))
    default, shortest, longest = PERIODS[period]
    values = {name: str(days) for name, (days, _shortest, _longest) in PERIODS.items()}
    assert shortest <= default <= longest
    for wrong in (shortest - 1, longest + 1, "-1", "", "a year", "1e9", "9" * 40):
        assert client.post("/admin/keeping/periods/", {**values, period: wrong}).status_code == 422, wrong
    assert not Retention.objects.exists()

    assert client.post("/admin/keeping/periods/", {**values, period: shortest}).status_code == 302

    assert getattr(Retention.objects.get(), period) == shortest
    events = AuditEvent.objects.filter(object_type="retention")
    assert [event.detail["changes"] for event in events] == [{period: [default, shortest]}]


def test_an_upgrade_removes_nothing_that_nobody_asked_to_be_removed(clinic):
    """Organisations from before there were periods keep all until somebody chooses; new ones have the defaults."""
    chosen = factories.organization()
    Retention.objects.create(organization=chosen, texts=30)
    migration = import_module("keeping.migrations.0003_keep_what_is_there")

    migration.keep(apps, None)

    kept_back = Retention.objects.get(organization=clinic)
    assert {name: getattr(kept_back, name) for name in PERIODS} == {
        name: default if name in ("callbacks", "sessions") else longest
        for name, (default, _shortest, longest) in PERIODS.items()
    }
    assert Retention.objects.get(organization=chosen).texts == 30
