"""One step that fails keeps none of the others from being done, and is told: in the log, by /health, by the figures."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery import signals
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection
from django.utils import timezone

from contacts import counts, removing
from contacts import tasks as contacts_tasks
from contacts.models import ContactList
from distributions import tasks
from distributions.engine import closing, due, identity, outbox
from distributions.models import Chunk, Distribution, InboundPart
from distributions.planning import leaving, starting, taking_back, working_out
from distributions.replies import conversations, inbound
from extensions import asking
from extensions import health as extension_health
from extensions.models import AccountState, ProviderAccount
from keeping import forgetting, retention
from keeping.models import Forgetting, Walk
from organizations import steps
from tests import factories
from tests.test_sweeping import under_way
from tests.test_watching import ask, figures, problems, sign
from watching import facts, health, mails, metrics, standing_in, wording
from watching import tasks as watching_tasks
from watching.models import Fact, FailingStep, Kind, Mail, Mark

State = Distribution.State


class Broken(Exception):
    """What no code expects."""


def broken(*_arguments, **_options):
    raise Broken("of +447700900123")


def done(made, name):
    def do(*_arguments):
        made.append(name)

    do.__name__, do.__module__ = name, "module"
    return do


# --- steps and rows ---------------------------------------------------------------------------------------------------


def test_each_step_is_done_although_one_before_it_fails_and_the_end_says_which(caplog):
    made = []

    with pytest.raises(steps.SomeFailed) as told:
        steps.run(done(made, "first"), broken, done(made, "last"))

    assert made == ["first", "last"]
    assert told.value.names == ["test_steps.broken"]
    [line] = [record for record in caplog.records if record.exc_info]
    assert "test_steps.broken" in line.getMessage()


def test_where_all_is_well_nothing_is_raised():
    steps.run(done([], "first"))
    steps.for_each([1, 2], lambda row: row, "look at")


def test_each_row_has_its_turn_and_the_log_names_the_one_that_fails(caplog):
    made = []

    with pytest.raises(steps.SomeFailed, match="of 3 times “look at” 1 failed"):
        steps.for_each([1, 0, 2], lambda row: made.append(2 / row), "look at")

    assert made == [2, 1]
    assert "look at 0" in caplog.text


def test_a_task_whose_time_is_over_ends_and_begins_no_further_step():
    made = []

    def slow(*_arguments):
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        steps.run(slow, done(made, "last"))
    with pytest.raises(SoftTimeLimitExceeded):
        steps.for_each([1, 2], slow, "look at")

    assert made == []


def test_without_a_database_the_rest_is_left_out_since_it_would_fail_too(monkeypatch):
    made = []

    def away():
        raise OperationalError("connection refused")

    monkeypatch.setattr(steps, "_is_away", lambda: True)
    with pytest.raises(OperationalError):
        steps.run(away, done(made, "last"))
    assert made == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_a_step_has_lost_is_made_anew_for_the_next():
    def lose():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    found = []
    with pytest.raises(steps.SomeFailed):
        steps.run(lose, lambda: found.append(Distribution.objects.count()))

    assert found == [0]


# --- the periodic check -----------------------------------------------------------------------------------------------

SWEPT = [
    (starting, "start_due"), (starting, "look_ahead"), (leaving, "follow"), (leaving, "retire"),
    (closing, "close_finished"), (taking_back, "resume"), (inbound, "join_forgotten_parts"),
    (conversations, "carry_over"), (conversations, "expire"), (working_out, "purge"),
    (tasks, "_wake_expansions"), (tasks, "_wake_pumps"), (tasks, "_wake_settling"),
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("failing", [name for _module, name in SWEPT])
def test_the_periodic_check_does_the_rest_whichever_step_fails(monkeypatch, failing):
    identity.remember_first()
    made = []
    for module, name in SWEPT:
        monkeypatch.setattr(module, name, broken if name == failing else done(made, name))

    with pytest.raises(steps.SomeFailed):
        tasks.sweep()

    assert made == [name for _module, name in SWEPT if name != failing]


def as_a_worker(task, *arguments):
    """Run a task, and say what a worker's process says when it ends."""
    try:
        task(*arguments)
    except Exception as error:
        signals.task_failure.send(sender=task, exception=error)
    else:
        signals.task_success.send(sender=task, result=None)


def sweep():
    as_a_worker(tasks.sweep)


@pytest.mark.django_db
def test_a_step_that_fails_each_time_is_told_by_health_and_by_the_figures_until_it_does_not(monkeypatch, caplog):
    identity.remember_first()
    sign()
    with monkeypatch.context() as patched:
        patched.setattr(conversations, "expire", broken)
        sweep()
        assert problems() == {}, "once may be a chance; and the periodic check has run"
        for _time in range(health.FAILED_OFTEN - 1):
            sweep()

        assert problems().keys() == {"steps"}
        assert "distributions.sweep test_steps.broken (3×, SomeFailed)" in problems()["steps"]
        assert figures(ask("/metrics"))["switchboard_failing_steps", "distributions.sweep test_steps.broken"] == 3
        assert Mark.objects.filter(name=Mark.PERIODIC_CHECK).exists()
        assert any(record.exc_info and record.exc_info[0] is Broken for record in caplog.records)

    sweep()
    assert problems() == {}
    assert not FailingStep.objects.exists()


@pytest.mark.django_db
def test_what_stops_failing_is_forgotten_while_something_else_fails(monkeypatch):
    identity.remember_first()
    for name in ("expire", "carry_over"):
        with monkeypatch.context() as patched:
            failing = done([], name)
            patched.setattr(conversations, name, lambda failing=failing: broken())
            sweep()
    [step] = FailingStep.objects.all()
    assert step.times == 2, "the same name here, and twice in a row"

    FailingStep.objects.update(name="distributions.sweep another")
    with monkeypatch.context() as patched:
        patched.setattr(conversations, "expire", broken)
        sweep()

    assert [(step.name, step.times) for step in FailingStep.objects.all()] == [
        ("distributions.sweep test_steps.broken", 1)
    ]


@pytest.mark.django_db
def test_a_task_of_the_schedule_that_fails_as_a_whole_is_told_too_and_a_pump_is_not(monkeypatch):
    identity.remember_first()
    monkeypatch.setattr(mails, "forget", broken)
    as_a_worker(watching_tasks.purge)
    monkeypatch.setattr(tasks.crew, "serve", broken)
    as_a_worker(tasks.pump, 7)

    assert [step.name for step in FailingStep.objects.all()] == ["watching.purge"]


# --- rows of many organisations ---------------------------------------------------------------------------------------


def fails_for(function, key):
    """The function, which breaks for this one."""

    def call(row, *more, **options):
        if getattr(row, "pk", row) == key:
            broken()
        return function(row, *more, **options)

    return call


@pytest.fixture
def first(db):
    return under_way()


@pytest.fixture
def second(db):
    return under_way()


def test_what_is_left_of_one_distribution_keeps_no_other_from_going_on(first, second, monkeypatch):
    ProviderAccount.objects.filter(pk__in=[first.account_id, second.account_id]).update(deleted_at=timezone.now())
    other = factories.account(second.organization)
    monkeypatch.setattr(leaving, "route_of", fails_for(leaving.route_of, first.pk))

    with pytest.raises(steps.SomeFailed):
        leaving.follow()

    assert second.chunks.get().account == other


def test_one_that_cannot_be_finished_keeps_no_other_from_its_end(first, second, monkeypatch):
    Chunk.objects.update(state=Chunk.State.DONE)
    monkeypatch.setattr(outbox, "recount", fails_for(outbox.recount, first.pk))

    with pytest.raises(steps.SomeFailed):
        closing.close_finished()

    assert dict(Distribution.objects.values_list("pk", "state")) == {
        first.pk: State.SENDING,
        second.pk: State.FINISHED,
    }


def test_one_that_cannot_begin_keeps_no_other_from_beginning(first, second, monkeypatch):
    Distribution.objects.update(state=State.SCHEDULED, send_at=timezone.now())
    begun = []
    monkeypatch.setattr(starting, "start", fails_for(begun.append, first.pk))

    with pytest.raises(steps.SomeFailed):
        starting.start_due()

    assert begun == [second]


def test_one_text_in_parts_keeps_no_other_from_being_joined(account, monkeypatch):
    for key in ("a", "b"):
        InboundPart.objects.create(
            account=account,
            organization=account.organization,
            provider_identity="x",
            key=key,
            part=1,
            total=2,
            provider_message_id=key,
            sender="+447700900123",
            text="Hello",
            received_at=timezone.now() - timedelta(days=1),
        )
    joined = []

    def join(parts):
        if parts[0].key == "a":
            broken()
        joined.append(parts[0].key)

    monkeypatch.setattr(inbound, "_join", join)
    with pytest.raises(steps.SomeFailed):
        inbound.join_forgotten_parts()

    assert joined == ["b"]


def test_one_account_keeps_no_other_from_being_asked_for_its_balance(first, second, monkeypatch):
    asked = []
    monkeypatch.setattr(asking, "ask_balance", fails_for(asked.append, first.account_id))

    with pytest.raises(steps.SomeFailed):
        asking.ask_balances()

    assert asked == [second.account]


def test_one_who_cannot_be_forgotten_keeps_no_other_from_it(clinic, monkeypatch):
    rows = [forgetting.begin(clinic, phone, None) for phone in ("+447700900121", "+447700900122")]
    monkeypatch.setattr(forgetting, "go_on", fails_for(forgetting.go_on, rows[0].pk))

    with pytest.raises(steps.SomeFailed):
        forgetting.go_on_with_all(until=time.monotonic() + 60)

    assert list(Forgetting.objects.filter(finished_at=None)) == [rows[0]]


def test_one_table_keeps_no_other_from_its_daily_walk(db, monkeypatch):
    walk = retention._window

    def window(rule, *more):
        return broken() if rule.name == "replies" else walk(rule, *more)

    monkeypatch.setattr(retention, "_window", window)
    with pytest.raises(steps.SomeFailed):
        retention.run(rest=lambda _seconds: None)

    walked = set(Walk.objects.exclude(finished_at=None).values_list("name", flat=True))
    assert walked == {rule.name for rule in retention.RULES} - {"replies"} | {"sessions"}


def test_one_list_keeps_no_other_from_being_removed(clinic, monkeypatch):
    first, second = (factories.contact_list(clinic, 1) for _number in range(2))
    ContactList.every.update(removed_at=timezone.now())
    monkeypatch.setattr(removing, "_remove_people", fails_for(removing._remove_people, first.pk))

    with pytest.raises(steps.SomeFailed):
        removing.go_on()

    assert list(ContactList.every.all()) == [first]
    assert second.pk != first.pk


def test_lists_are_removed_although_numbers_cannot_be_added_up(monkeypatch):
    woken = []
    monkeypatch.setattr(counts, "fold", broken)
    monkeypatch.setattr(removing, "is_anything_left", lambda: True)
    monkeypatch.setattr(removing, "wake", lambda: woken.append(1))

    with pytest.raises(steps.SomeFailed):
        contacts_tasks.add_up()

    assert woken == [1]


# --- who watches ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_facts(account, administrator, settings, monkeypatch):
    """Two things of which an administrator is to be mailed."""
    monkeypatch.setattr(health, "checks", lambda: [])
    settings.EMAIL_URL = "smtp://localhost:25"
    extension_health.stop(account, "auth_failed")
    account.organization.licence.sms = False
    account.organization.licence.save()
    return account


def old():
    Fact.objects.update(began_at=timezone.now() - timedelta(minutes=1))


def test_a_fact_that_cannot_be_found_leaves_the_others(two_facts, monkeypatch):
    monkeypatch.setitem(facts.FINDERS, Kind.ACCOUNT_STOPPED, broken)

    with pytest.raises(steps.SomeFailed):
        facts.look()

    assert [fact.kind for fact in Fact.objects.all()] == [Kind.LICENCE_ENDED]


def test_a_fact_that_nobody_can_be_told_leaves_the_others(two_facts, monkeypatch):
    facts.look()
    old()
    monkeypatch.setattr(mails, "readers", fails_for(mails.readers, Fact.objects.order_by("pk").first().pk))

    with pytest.raises(steps.SomeFailed):
        mails.tell()

    assert Mail.objects.count() == 1


def test_a_mail_that_cannot_be_written_is_put_off_and_the_others_leave(two_facts, mailoutbox, monkeypatch):
    """One whose subject has a line break is refused by Django itself."""
    facts.look()
    old()
    mails.tell()
    subject = wording.subject
    monkeypatch.setattr(
        wording, "subject", lambda fact: subject(fact) + "\n" * (fact.kind == Kind.ACCOUNT_STOPPED) + "x"
    )

    mails.post()

    assert len(mailoutbox) == 1
    left = Mail.objects.get(sent_at=None)
    assert left.error == "BadHeaderError"
    assert left.not_before > timezone.now() + timedelta(seconds=30)


def test_mails_leave_although_nothing_can_be_looked_at(two_facts, mailoutbox, monkeypatch):
    facts.look()
    old()
    monkeypatch.setattr(facts, "look", broken)

    with pytest.raises(steps.SomeFailed):
        standing_in.watch()

    assert len(mailoutbox) == 2


@pytest.mark.django_db
def test_a_question_of_health_that_breaks_leaves_the_others(monkeypatch):
    sign()
    monkeypatch.setattr(due, "waiting_since", broken)

    found = {check.name: check.problem for check in health.checks()}

    assert found["sending"] == "Not answered: Broken."
    assert "mail" in found


@pytest.mark.django_db
@pytest.mark.parametrize("model", [AccountState, Distribution])
def test_a_group_of_figures_that_breaks_leaves_the_others(monkeypatch, model):
    monkeypatch.setattr(metrics, model.__name__, None)

    found = figures(ask("/metrics"))

    group = {AccountState: "accounts", Distribution: "distributions"}[model]
    assert found["switchboard_unanswered", group] == 1
    assert found["switchboard_unanswered", "texts"] == 0
    assert ("switchboard_texts", "waiting") in found


# --- who looks where the usual one does not ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_another_process_looks_once_nobody_has_for_a_while_and_of_several_one_does():
    assert not standing_in.is_my_turn(), "an installation that has never run is no emergency"
    standing_in.watch()
    assert not standing_in.is_my_turn()

    Mark.objects.filter(name=Mark.WATCHED).update(at=timezone.now() - standing_in.OVERDUE - timedelta(seconds=1))
    assert [standing_in.is_my_turn() for _process in range(3)] == [True, False, False]

    Mark.objects.update(at=timezone.now() - standing_in.OVERDUE - timedelta(seconds=1))
    standing_in.watch()
    assert not standing_in.is_my_turn(), "whoever usually looks is back"


@pytest.mark.django_db
def test_standing_in_says_so_and_survives_what_goes_wrong(monkeypatch, caplog):
    looked = []
    monkeypatch.setattr(standing_in, "_stand_in", lambda: looked.append(1))
    Mark.objects.create(name=Mark.WATCHED, at=timezone.now() - timedelta(hours=1))
    standing_in.look_after()
    deadline = time.monotonic() + 20
    while not looked:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Nobody has watched for 25 s" in caplog.text
