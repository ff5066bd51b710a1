"""Applying callbacks: no account holds up another, the moment's faults are repeated, data's faults are set aside."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import count

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection
from django.utils import timezone

from contacts.models import Contact, OptOut
from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, Message
from distributions.states import Status
from keeping import retention
from tests import factories
from webhooks import applying
from webhooks.models import Callback

pytestmark = pytest.mark.django_db

State = Callback.State
_keys = count(1)


def kept(account, body, *, kind="status", content_type="application/json"):
    """A verified callback, as the door keeps it."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = (
        f"https://surveys.example.com/distribution-providers/v1/receive/distribution/{kind}/x/{account.organization_id}"
    )
    return Callback.objects.create(
        account=account, kind=kind, method="POST", url=url, content_type=content_type, body=body,
        dedupe_key=f"{next(_keys):064d}",
    )  # fmt: skip


def report_on(message, *, message_id="id-1", name="DELIVERED"):
    """Infobip's report, as the fields of its documentation have it."""
    group = {"PENDING": 1, "UNDELIVERABLE": 2, "DELIVERED": 3}[name]
    status = {"groupName": name, "name": name, "groupId": group}
    error = {"groupName": "HANDSET_ERRORS", "id": 1, "name": "EC_POISON"} if name == "UNDELIVERABLE" else {}
    report = {"messageId": reference(message.pk), "to": message.to, "status": status, "error": error}
    return {"results": [report | {"bulkId": message_id}]}


def reply_from(phone, text, *, message_id):
    return {"results": [{"messageId": message_id, "from": phone.lstrip("+"), "to": "447491163443", "text": text}]}


def sent(account, recipients=1, **fields):
    made = factories.distribution(
        account.organization,
        recipients=recipients,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
        **fields,
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, attempted_at=timezone.now())
    return made


@pytest.fixture
def account():
    return factories.account(factories.organization(), "infobip")


@pytest.fixture
def other():
    return factories.account(factories.organization(), "infobip")


def apply_all(rounds=30):
    """Apply as the task would, whatever pauses there are between; returns how many rounds that took."""
    for number in range(rounds):
        if not Callback.objects.filter(state__in=[State.NEW, State.PARKED]).exists():
            return number
        Callback.objects.filter(state__in=[State.NEW, State.PARKED]).update(not_before=timezone.now())
        applying.apply_due()
    return rounds


def states():
    return Counter(Callback.objects.values_list("state", flat=True))


@contextmanager
def failing(error, *, sql, times=10**9, where=""):
    """Has the database answer with `error` the first `times` that a statement has `sql`, and `where` as a value."""
    left = times

    def run(execute, statement, params, many, context):
        nonlocal left
        if left and sql in statement and (not where or where in repr(params)):
            left -= 1
            raise error
        return execute(statement, params, many, context)

    with connection.execute_wrapper(run):
        yield


@pytest.mark.parametrize("place", ["from", "to", "text", "messageId"])
@pytest.mark.parametrize("hostile", ["\ud800", "\0", "x" * 50_000])
def test_text_that_no_database_holds_freezes_nobody(account, other, place, hostile):
    poison = reply_from("+447700900001", "hello", message_id="p-1")
    poison["results"][0][place] = hostile
    kept(account, poison, kind="message")
    kept(other, reply_from("+447700900002", "STOP", message_id="o-1"), kind="message")

    apply_all()

    assert OptOut.objects.active().get().organization == other.organization
    assert states()[State.NEW] == 0


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("deadlock detected"),
        OperationalError("could not serialize access"),
        OperationalError("database is locked"),
        InterfaceError("connection already closed"),
        SoftTimeLimitExceeded(),
    ],
    ids=lambda error: str(error) or type(error).__name__,
)
@pytest.mark.parametrize("times", [1, 3, 8])
@pytest.mark.parametrize("sql", ["distributions_inboundmessage", "contacts_optout", 'UPDATE "contacts_contact"'])
def test_what_only_the_moment_is_to_blame_for_is_repeated_until_the_opt_out_is_there(account, error, times, sql):
    phone = sent(account).messages.get().to
    kept(account, reply_from(phone, "STOP", message_id="in-1"), kind="message")

    with failing(error, sql=sql, times=times):
        apply_all()

    assert states() == {State.APPLIED: 1}
    assert OptOut.objects.active().get().phone == phone
    assert Contact.objects.get(phone=phone).opted_out_at is not None
    assert InboundMessage.objects.count() == 1


@pytest.mark.parametrize("times", [1, 4, 9])
def test_a_deadlock_in_a_group_of_reports_sets_none_aside(account, times):
    made = sent(account, 30)
    for message in made.messages.all():
        kept(account, report_on(message))

    with failing(OperationalError("deadlock detected"), sql="distributions_messageevent", times=times):
        apply_all()

    assert states() == {State.APPLIED: 30}
    assert set(made.messages.values_list("status", flat=True)) == {Status.DELIVERED}


DATA_ERRORS = (
    DataError("too long"),
    IntegrityError("x"),
    UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed"),
    RecursionError(),
    RuntimeError("dictionary changed"),
)


@pytest.mark.parametrize("error", DATA_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("position", [0, 17, 39])
def test_a_report_whose_data_cannot_be_applied_is_set_aside_alone_and_says_why(account, error, position):
    made = sent(account, 40)
    messages = list(made.messages.order_by("pk"))
    names = ["UNDELIVERABLE" if number == position else "DELIVERED" for number in range(40)]
    poison = [kept(account, report_on(*pair[:1], name=pair[1])) for pair in zip(messages, names, strict=True)][position]

    with failing(error, sql="distributions_messageevent", where="EC_POISON"):
        apply_all()

    assert states() == {State.APPLIED: 39, State.UNREADABLE: 1}
    poison.refresh_from_db()
    assert poison.state == State.UNREADABLE
    assert poison.error
    assert type(error).__name__ not in poison.error, "a sentence for people"
    assert made.messages.filter(status=Status.DELIVERED).count() == 39


def test_a_reply_whose_data_cannot_be_applied_is_set_aside_and_the_next_one_is_read(account):
    first, second = sent(account, 2).messages.values_list("to", flat=True)
    kept(account, reply_from(first, "POISON", message_id="in-1"), kind="message")
    kept(account, reply_from(second, "STOP", message_id="in-2"), kind="message")

    with failing(DataError("no"), sql="INSERT INTO", where="POISON"):
        apply_all()

    assert states() == {State.APPLIED: 1, State.UNREADABLE: 1}
    assert OptOut.objects.active().get().phone == second


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_passes_through_and_loses_nothing(account, interruption):
    phone = sent(account).messages.get().to
    kept(account, reply_from(phone, "STOP", message_id="in-1"), kind="message")

    with pytest.raises(interruption), failing(interruption(), sql="contacts_optout"):
        applying.apply_due()

    assert states() == {State.NEW: 1}
    assert not InboundMessage.objects.exists()
    assert applying.apply_due() == 1
    assert OptOut.objects.active().get().phone == phone


def test_replies_are_applied_in_the_order_they_came_even_where_one_has_to_wait(account):
    phone = sent(account).messages.get().to
    for number, text in enumerate(["first", "second", "third"]):
        kept(account, reply_from(phone, text, message_id=f"in-{number}"), kind="message")

    with failing(OperationalError("deadlock detected"), sql="INSERT INTO", where="'first'", times=5):
        apply_all()

    assert list(InboundMessage.objects.order_by("pk").values_list("text", flat=True)) == ["first", "second", "third"]


def test_an_account_with_a_heap_of_callbacks_holds_up_no_other(account, other):
    made = sent(account, 1)
    message = made.messages.get()
    body = json.dumps(report_on(message)).encode()
    heap = kept(account, body)
    Callback.objects.bulk_create(
        Callback(account=account, kind="status", method="POST", url=heap.url, body=body, dedupe_key=f"heap {number}")
        for number in range(3_000)
    )
    phone = sent(other).messages.get().to
    kept(other, reply_from(phone, "STOP", message_id="in-1"), kind="message")

    assert applying.apply_due() <= applying.GROUP + 1

    assert OptOut.objects.active().get().phone == phone


def test_a_group_has_at_most_a_thousand_callbacks_and_four_megabytes(account):
    message = sent(account).messages.get()
    body = json.dumps(report_on(message)).encode() + b" " * 300_000
    callbacks = [kept(account, body) for _ in range(20)]

    assert applying.apply_due(limit=1) == 1
    assert applying._due(account.pk, applying.GROUP) == callbacks[1:14], "13 of 300 kB each"
    apply_all()
    assert states() == {State.APPLIED: 20}


def test_a_callback_larger_than_the_budget_is_applied_all_the_same(account):
    message = sent(account).messages.get()
    kept(account, json.dumps(report_on(message)).encode() + b" " * (applying.GROUP_BYTES + 1))

    assert applying.apply_due() == 1
    assert states() == {State.APPLIED: 1}


def test_a_slow_account_has_its_turn_and_no_more(account, other):
    phones = list(sent(account, 20).messages.values_list("to", flat=True))
    for number, phone in enumerate(phones):
        kept(account, reply_from(phone, "SLOW", message_id=f"in-{number}"), kind="message")

    def slowly(execute, statement, params, many, context):
        if "INSERT INTO" in statement and "inboundmessage" in statement:
            time.sleep(0.1)
        return execute(statement, params, many, context)

    kept(other, reply_from("+447700900002", "quick", message_id="quick-1"), kind="message")
    with connection.execute_wrapper(slowly):
        assert applying.apply_due() == 21

    read = list(InboundMessage.objects.order_by("pk").values_list("text", flat=True))
    assert read.index("quick") < 8, "it waits for one turn and not for the whole heap"


@pytest.fixture
def slow_replies():
    """Keeping a reply takes a tenth of a second."""

    def slowly(execute, statement, params, many, context):
        if "INSERT INTO" in statement and "inboundmessage" in statement:
            time.sleep(0.1)
        return execute(statement, params, many, context)

    with connection.execute_wrapper(slowly):
        yield


def test_one_callback_with_very_many_replies_has_its_turn_and_no_more(account, other, slow_replies):
    """Infobip hands over up to 2,000 in one call."""
    phones = list(sent(account, 20).messages.order_by("to").values_list("to", flat=True))
    many = [reply_from(phone, f"no {n}", message_id=f"in-{n}")["results"][0] for n, phone in enumerate(phones)]
    kept(account, {"results": many}, kind="message")
    kept(account, reply_from(phones[-1], "afterwards", message_id="later"), kind="message")
    kept(other, reply_from("+447700900002", "quick", message_id="quick-1"), kind="message")

    apply_all()

    read = list(InboundMessage.objects.order_by("pk").values_list("text", flat=True))
    assert read.index("quick") < 8, "it waits for one turn and not for the whole callback"
    assert [text for text in read if text != "quick"] == [*(f"no {number}" for number in range(20)), "afterwards"]
    assert states() == {State.APPLIED: 3}


def test_what_was_applied_of_a_callback_is_not_applied_again_when_the_rest_is(account, slow_replies):
    phones = [f"+4477009000{number:02d}" for number in range(12)]
    factories.contact_list(account.organization, phones=phones)
    many = [reply_from(phone, "STOP", message_id=f"in-{n}")["results"][0] for n, phone in enumerate(phones)]
    callback = kept(account, {"results": many}, kind="message")
    applying._turn_of(account.pk, applying.REPLIES, kind="message")

    callback.refresh_from_db()
    done = set(InboundMessage.objects.values_list("sender", flat=True))
    assert callback.state == State.NEW
    assert [phones[position] for position in callback.pending] == [phone for phone in phones if phone not in done]
    OptOut.objects.all().delete()
    apply_all()

    assert set(OptOut.objects.active().values_list("phone", flat=True)) == set(phones) - done
    assert InboundMessage.objects.count() == len(phones)
    assert states() == {State.APPLIED: 1}


def test_callbacks_that_were_never_applied_are_not_forgotten(account, settings):
    kept(account, reply_from("+447700900001", "STOP", message_id="in-1"), kind="message")
    Callback.objects.update(received_at=timezone.now() - timezone.timedelta(days=settings.CALLBACK_RETENTION_DAYS + 1))

    assert retention.run(rest=lambda _seconds: None)["callbacks"] == 0
    assert Callback.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_callback_that_another_worker_holds_is_left_to_it_and_nothing_overtakes_it(account):
    phone = sent(account).messages.get().to
    first = kept(account, reply_from(phone, "first", message_id="in-1"), kind="message")
    kept(account, reply_from(phone, "second", message_id="in-2"), kind="message")
    held, done = threading.Event(), threading.Event()

    def hold():
        from django.db import transaction

        try:
            with transaction.atomic():
                Callback.objects.select_for_update().get(pk=first.pk)
                held.set()
                done.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        kept(account, reply_from("+447700900099", "meanwhile", message_id="in-3"), kind="message")
        assert applying.apply_due() == 1
        assert InboundMessage.objects.get().text == "meanwhile", "only that person waits"
    finally:
        done.set()
        thread.join()
    assert applying.apply_due() == 2
    texts = list(InboundMessage.objects.order_by("pk").values_list("text", flat=True))
    assert texts == ["meanwhile", "first", "second"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("two_accounts", [False, True], ids=["one account", "two accounts of one organisation"])
def test_two_workers_applying_the_same_distributions_reports_and_replies_never_deadlock(account, two_accounts):
    """Tallies, messages and conversations are written in one order, whoever writes them."""
    second = factories.account(account.organization, "infobip") if two_accounts else account
    made = [sent(account, 40) for _ in range(6)]
    messages = list(Message.objects.order_by("?"))
    for number, message in enumerate(messages):
        kept(account if number % 2 else second, report_on(message))
        kept(account if number % 3 else second, report_on(message, name="PENDING"))
        if number % 7 == 0:
            kept(account, reply_from(message.to, "fine", message_id=f"in-{number}"), kind="message")
    problems = []

    def work():
        try:
            while applying.apply_due(limit=50):
                pass
        except Exception as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    apply_all()

    assert not problems
    assert set(states()) == {State.APPLIED}
    for distribution in made:
        distribution.tally.refresh_from_db()
        assert distribution.messages.filter(status=Status.DELIVERED).count() == 40
