"""Single replies are applied a few in one transaction; each is still kept, refused or left waiting by itself."""

from __future__ import annotations

import json
import threading
from itertools import count
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction
from django.utils import timezone

from contacts.models import OptOut
from distributions.models import Distribution, InboundMessage
from distributions.replies import inbound
from distributions.states import Status
from surveys.models import Answer
from tests import factories
from webhooks import applying
from webhooks.models import Callback

pytestmark = pytest.mark.django_db

State = Callback.State
_keys = count(1)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    monkeypatch.setattr(applying, "TURN", 60.0)


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000")


@pytest.fixture
def people(clinic, account):
    """Numbers of people who were asked one question by text after another."""
    made = factories.interactive(clinic, account, recipients=applying.TOGETHER + 2)
    made.messages.update(status=Status.DELIVERED, attempt=1, attempted_at=timezone.now())
    Distribution.objects.filter(pk=made.pk).update(state=Distribution.State.FINISHED)
    return sorted(made.messages.values_list("to", flat=True))


def arrives(account, phone, text="7"):
    """A callback with this reply, not applied yet."""
    key = next(_keys)
    body = {
        "MessageSid": f"SMin{key}",
        "SmsStatus": "received",
        "From": phone,
        "To": f"+{account.sender}",
        "Body": text,
        "AccountSid": factories.CREDENTIALS["twilio"]["account_sid"],
    }
    return Callback.objects.create(
        account=account,
        kind="message",
        method="POST",
        url="https://surveys.example.com/",
        content_type="application/x-www-form-urlencoded",
        body=urlencode(body).encode(),
        dedupe_key=f"{key}",
    )


def states():
    return list(Callback.objects.order_by("pk").values_list("state", flat=True))


class Transactions:
    """How many were begun to apply something in."""

    def __init__(self):
        self.count = 0

    def __call__(self, execute, sql, *arguments):
        self.count += "lock_timeout" in sql
        return execute(sql, *arguments)


@pytest.mark.postgresql
def test_a_few_share_a_transaction(account, people):
    for phone in people:
        arrives(account, phone)
    transactions = Transactions()

    with connection.execute_wrapper(transactions):
        assert applying.apply_due() == len(people)

    assert transactions.count == 2
    assert Answer.objects.count() == len(people)
    assert set(states()) == {State.APPLIED}


@pytest.mark.postgresql
def test_a_callback_with_many_replies_shares_with_none(clinic, people):
    infobip = factories.account(clinic, "infobip")

    def handed_over(*numbers):
        results = [
            {"messageId": f"in{next(_keys)}", "from": phone.lstrip("+"), "to": infobip.sender, "cleanText": "Hi"}
            for phone in numbers
        ]
        Callback.objects.create(
            account=infobip,
            kind="message",
            method="POST",
            url="https://surveys.example.com/",
            content_type="application/json",
            body=json.dumps({"results": results}).encode(),
            dedupe_key=f"{next(_keys)}",
        )

    handed_over(people[0])
    handed_over(people[1])
    handed_over(*people[:3])
    handed_over(people[2])
    transactions = Transactions()

    with connection.execute_wrapper(transactions):
        assert applying.apply_due() == 4

    assert transactions.count == 3
    assert InboundMessage.objects.count() == 6


def test_what_one_person_wrote_is_read_in_the_order_in_which_it_came(account, people):
    first, second = people[0], people[-1]
    for phone, text in ((second, "3"), (first, "8"), (second, "Because of you"), (first, "STOP")):
        arrives(account, phone, text)

    assert applying.apply_due() == 4

    wrote = [list(InboundMessage.objects.filter(sender=phone).order_by("pk")) for phone in (first, second)]
    assert [[one.text for one in each] for each in wrote] == [["8", "STOP"], ["3", "Because of you"]]
    assert [one.meaning for one in wrote[0]] == ["answer", "opt_out"]
    assert OptOut.objects.active().get().phone == first


@pytest.mark.parametrize("place", [0, 2, 4])
def test_one_that_cannot_be_applied_keeps_no_other_from_it(account, people, monkeypatch, place):
    for number, phone in enumerate(people[:5]):
        arrives(account, phone, "poison" if number == place else "7")
    applied = inbound.apply_inbound

    def or_fails(account, organization, sms, **options):
        if sms.text == "poison":
            raise ValueError("odd")
        return applied(account, organization, sms, **options)

    monkeypatch.setattr(inbound, "apply_inbound", or_fails)

    assert applying.apply_due() == 5

    assert states() == [State.UNREADABLE if number == place else State.APPLIED for number in range(5)]
    assert Answer.objects.count() == 4


@pytest.fixture
def one_slow_turn(account, monkeypatch):
    """A function: applies the account's callbacks for one turn, of which each reply takes this part."""

    def apply(part):
        applied, now = inbound.apply_inbound, [1000.0]

        def slowly(*arguments, **options):
            now[0] += applying.TURN * part
            return applied(*arguments, **options)

        with monkeypatch.context() as slow:
            slow.setattr(inbound, "apply_inbound", slowly)
            slow.setattr(applying.time, "monotonic", lambda: now[0])
            return applying.apply_for(account.pk)

    return apply


def test_when_the_turn_is_over_the_rest_waits_untouched_for_the_next(account, people, one_slow_turn):
    for phone in people[:4]:
        arrives(account, phone)

    assert one_slow_turn(0.6) == 2

    assert states() == [State.APPLIED] * 2 + [State.NEW] * 2
    assert set(Callback.objects.filter(state=State.NEW).values_list("tries", "pending")) == {(0, None)}
    assert applying.apply_due() == 2
    assert Answer.objects.count() == 4


def test_who_wrote_first_is_never_left_for_the_next_turn(account, people, one_slow_turn):
    """Whatever their number: they go through them in the order of numbers, and others may write all the time."""
    for phone in reversed(people[:3]):
        arrives(account, phone)

    one_slow_turn(2.0)

    assert states()[0] == State.APPLIED


def test_after_a_failure_of_the_moment_each_is_tried_by_itself(account, people):
    """One of them may be to blame each time: the others must not wait for it."""
    for phone in people[:3]:
        arrives(account, phone)
    Callback.objects.update(tries=1)
    transactions = Transactions()

    with connection.execute_wrapper(transactions):
        assert applying.apply_due() == 3

    if connection.vendor == "postgresql":
        assert transactions.count == 3
    assert set(states()) == {State.APPLIED}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_while_another_worker_holds_what_somebody_wrote_only_they_wait(account, people):
    first, second = people[0], people[1]
    held = arrives(account, second, "3")
    arrives(account, first, "8")
    arrives(account, second, "Because of you")
    arrives(account, people[2], "9")
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                Callback.objects.select_for_update().get(pk=held.pk)
                is_held.set()
                may_end.wait(20)
        finally:
            connection.close()

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert is_held.wait(20)
        assert applying.apply_for(account.pk) == 2
        assert states() == [State.NEW, State.APPLIED, State.NEW, State.APPLIED]
    finally:
        may_end.set()
        other.join()

    assert applying.apply_due() == 2
    texts = InboundMessage.objects.filter(sender=second).order_by("pk").values_list("text", flat=True)
    assert list(texts) == ["3", "Because of you"]
