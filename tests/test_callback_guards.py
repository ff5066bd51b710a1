"""Stored callbacks, guard by guard: what is due, what waits and for how long, what counts once, what is forgotten."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from itertools import count

import pytest
from django.db import OperationalError
from django.utils import timezone

from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, KnownDatabase, Message, MessageEvent
from distributions.states import Status
from extensions import registry
from extensions.contract import SELF_TEST, InboundSms, WebhookRequest
from extensions.models import AccountState
from keeping import retention
from tests import factories
from webhooks import applying, inbox, quarantine
from webhooks.models import Callback, RefusedCallback

pytestmark = pytest.mark.django_db

State = Callback.State
_keys = count(1)


@pytest.fixture
def account():
    return factories.account(factories.organization(), "infobip")


@pytest.fixture
def other():
    return factories.account(factories.organization(), "infobip")


def kept(account, results, *, kind="status", **fields):
    url = f"https://surveys.example.com/distribution-providers/v1/receive/distribution/{kind}/x/ORG"
    fields = {
        "content_type": "application/json",
        "body": json.dumps({"results": results}).encode(),
        "dedupe_key": f"{next(_keys):064d}",
        **fields,
    }
    return Callback.objects.create(account=account, kind=kind, method="POST", url=url, **fields)


def report(pk, message_id=""):
    """Infobip's, about the message with this key."""
    status = {"groupName": "DELIVERED", "name": "DELIVERED", "groupId": 3}
    return {"messageId": message_id or reference(pk), "to": "+447700900000", "status": status}


def reply(text="Thank you", message_id="in-1", sender="447700900000"):
    return {"messageId": message_id, "from": sender, "to": "447491163443", "text": text}


def sent(account, recipients=1):
    made = factories.distribution(
        account.organization,
        recipients=recipients,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, attempted_at=timezone.now())
    return sorted(made.messages.values_list("pk", flat=True))


def again(callback):
    return Callback.objects.get(pk=callback.pk)


def ago(**units):
    return timezone.now() - timedelta(**units)


# --- what is due -----------------------------------------------------------------------------------------------------


def test_only_what_is_due_is_applied(account):
    pk, *_rest = sent(account)
    later = kept(account, [report(pk)], not_before=timezone.now() + timedelta(minutes=1))
    done = kept(account, [report(pk)], state=State.APPLIED)
    aside = kept(account, [report(pk)], state=State.UNREADABLE)
    before = [again(one).state for one in (later, done, aside)]

    assert applying.apply_due() == 0

    assert [again(one).state for one in (later, done, aside)] == before
    assert Message.objects.get(pk=pk).status == Status.ACCEPTED
    parked = kept(account, [report(pk)], state=State.PARKED, tries=2, pending=[0])
    assert applying.apply_due() == 1
    assert again(parked).state == State.APPLIED


def test_what_begins_too_late_for_this_task_is_left_to_the_next(account):
    kept(account, [report(*sent(account))])

    assert applying.apply_due(until=time.monotonic() - 1) == 0
    assert applying.apply_due(until=time.monotonic() + 60) == 1


def test_no_more_than_asked_for_are_taken_in_a_turn(account, other):
    keys = sent(account, 5)
    for pk in keys:
        kept(account, [report(pk)])

    assert applying.apply_due(limit=2) == 2
    assert applying.apply_due(limit=2) == 2
    assert applying.apply_due(limit=2) == 1


def test_in_a_restored_database_they_wait(account):
    callback = kept(account, [report(*sent(account))])
    KnownDatabase.objects.all().delete()
    KnownDatabase.objects.create(identity="another", position=10**9)

    assert applying.apply_due() == 0
    assert again(callback).state == State.NEW


def test_the_oldest_comes_first(account):
    newest = kept(account, [report(1)], not_before=ago(seconds=1))
    oldest = kept(account, [report(1)], not_before=ago(hours=1))
    middle = kept(account, [report(1)], not_before=ago(minutes=1))

    assert [one.pk for one in applying._due(account.pk, 9)] == [oldest.pk, middle.pk, newest.pk]
    assert [one.pk for one in applying._due(account.pk, 1)] == [oldest.pk]


# --- what nobody knows yet -------------------------------------------------------------------------------------------


def test_of_a_callback_only_the_reports_that_found_nobody_wait(account):
    known, *_rest = sent(account)
    unknown = known + 1_000
    callback = kept(account, [report(known), report(unknown), report(known)])

    applying.apply_due()

    assert (again(callback).state, again(callback).pending, again(callback).tries) == (State.PARKED, [1], 1)
    assert Message.objects.get(pk=known).status == Status.DELIVERED
    assert MessageEvent.objects.filter(message=known).count() == 2
    Callback.objects.update(not_before=timezone.now())
    applying.apply_due()
    assert MessageEvent.objects.filter(message=known).count() == 2, "what was applied is not applied again"
    assert (again(callback).pending, again(callback).tries) == ([1], 2)


def test_it_is_asked_for_ever_more_rarely_and_at_least_once_an_hour(account):
    callback = kept(account, [report(10**9)])
    waits = []
    for _round in range(14):
        before = timezone.now()
        assert applying.apply_due() == 1
        waits.append(round((again(callback).not_before - before).total_seconds()))
        Callback.objects.update(not_before=timezone.now())

    assert waits[:5] == [2, 4, 8, 16, 32]
    assert waits[-2:] == [3600, 3600]


@pytest.mark.parametrize(("age", "state"), [(timedelta(hours=71), State.PARKED), (timedelta(hours=73), State.APPLIED)])
def test_after_three_days_a_report_about_nobody_is_given_up_and_says_so(account, age, state):
    callback = kept(account, [report(10**9)], received_at=timezone.now() - age)

    applying.apply_due()

    assert again(callback).state == state
    assert again(callback).error == ("names a message nobody knows" if state == State.APPLIED else "")


def test_a_report_for_another_organisations_message_waits_and_changes_nothing(account, other):
    pk, *_rest = sent(other)
    callback = kept(account, [report(pk)])

    applying.apply_due()

    assert again(callback).state == State.PARKED
    assert Message.objects.get(pk=pk).status == Status.ACCEPTED
    assert not MessageEvent.objects.exists()


# --- samples, and what was seen when ---------------------------------------------------------------------------------


def test_what_the_self_test_says_is_nobodys_report_and_nobodys_reply(account):
    status = kept(account, [report(1, f"{SELF_TEST}-1.0")])
    message = kept(account, [reply(message_id=f"{SELF_TEST}-2.0")], kind="message")

    assert applying.apply_due() == 2

    assert [again(one).state for one in (status, message)] == [State.APPLIED] * 2
    assert not InboundMessage.objects.exists()
    state = AccountState.objects.get(pk=account.pk)
    assert (state.reports_seen_at, state.inbound_seen_at) == (None, None)


def test_when_reports_and_replies_were_last_seen_is_kept_apart_and_for_each_account(account, other):
    kept(account, [report(*sent(account))])
    applying.apply_due()
    state = AccountState.objects.get(pk=account.pk)
    assert state.reports_seen_at is not None
    assert state.inbound_seen_at is None

    kept(account, [reply()], kind="message")
    applying.apply_due()

    assert AccountState.objects.get(pk=account.pk).inbound_seen_at is not None
    assert AccountState.objects.get(pk=account.pk).reports_seen_at == state.reports_seen_at
    theirs = AccountState.objects.get(pk=other.pk)
    assert (theirs.reports_seen_at, theirs.inbound_seen_at) == (None, None)


def test_a_reply_arrived_when_the_provider_called_and_not_when_it_is_read(account):
    at = ago(hours=5)
    kept(account, [reply()], kind="message", received_at=at)

    applying.apply_due()

    assert InboundMessage.objects.get().received_at == at


SAID = [("", "One"), ("", "Two"), ("in-3", "Three")]


def test_replies_without_an_id_of_the_provider_are_told_apart_by_their_place(account):
    """The whole callback counts once; two texts in it are two."""
    callback = kept(account, [], kind="message", dedupe_key="k" * 64)
    said = [InboundSms(number, "+447700900000", "+447491163443", text) for number, text in SAID]

    one = applying.Parsed(callback, inbound=said)
    one.begin()

    applying._apply_inbound(account, one, time.monotonic() + 60)

    ids = dict(InboundMessage.objects.values_list("text", "provider_message_id"))
    assert ids == {"One": "k" * 64, "Two": f"{'k' * 64}/1", "Three": "in-3"}


# --- what cannot be applied ------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_set_aside_alone_and_stays_as_it_came(account):
    pk, *_rest = sent(account)
    bad = kept(account, [], body=b'{"results": [')
    good = kept(account, [report(pk)])

    applying.apply_due()

    assert (again(bad).state, again(good).state) == (State.UNREADABLE, State.APPLIED)
    assert again(bad).error
    assert bytes(again(bad).body) == b'{"results": ['
    assert again(good).error == ""


def test_one_that_changed_since_it_was_read_is_left_as_it_is_now(account):
    """Another worker has applied it, or stepped back from it."""
    pk, *_rest = sent(account)
    ends_at = time.monotonic() + 60
    first, second, third = (kept(account, [report(pk)]) for _callback in range(3))
    read = applying._read(account, [first, second, third], ends_at)
    Callback.objects.filter(pk=first.pk).update(state=State.APPLIED)
    Callback.objects.filter(pk=second.pk).update(tries=1)

    assert applying._attempt(account, read, ends_at) == (1, None)

    assert [again(one).state for one in (first, second, third)] == [State.APPLIED, State.NEW, State.APPLIED]
    assert MessageEvent.objects.count() == 1


@pytest.mark.parametrize(("tries", "waits"), [(0, 0), (2, 0), (3, 2), (5, 8), (30, 600)])
def test_what_the_moment_is_to_blame_for_keeps_its_place_for_three_turns_then_makes_way(account, tries, waits):
    callback = kept(account, [report(1)], tries=tries)
    before = timezone.now()

    applying._step_back([applying.Parsed(callback)], OperationalError("deadlock detected"))

    assert again(callback).tries == min(tries + 1, 20)
    assert (again(callback).not_before - before).total_seconds() == pytest.approx(waits, abs=1)
    assert again(callback).state == State.NEW


def test_stepping_back_touches_nothing_that_was_dealt_with_meanwhile(account):
    applied, tried = kept(account, [report(1)]), kept(account, [report(1)])
    read = [applying.Parsed(one) for one in (applied, tried)]
    Callback.objects.filter(pk=applied.pk).update(state=State.APPLIED)
    Callback.objects.filter(pk=tried.pk).update(tries=7)

    applying._step_back(read, OperationalError("deadlock detected"))

    assert (again(applied).tries, again(tried).tries) == (0, 7)


def test_setting_aside_is_for_what_is_still_as_it_was(account):
    callback = kept(account, [report(1)])
    one = applying.Parsed(Callback.objects.get())
    Callback.objects.update(state=State.APPLIED)

    assert applying._set_aside(one, ValueError("odd")) == 0
    assert again(callback).state == State.APPLIED


def test_what_is_tried_again_is_what_was_set_aside(account):
    aside, applied = (
        kept(account, [], state=State.UNREADABLE, tries=9, error="odd"),
        kept(account, [], state=State.APPLIED),
    )

    assert quarantine.try_again(Callback.objects.all()) == 1

    assert (again(aside).state, again(aside).tries, again(aside).error) == (State.NEW, 0, "")
    assert again(applied).state == State.APPLIED


@pytest.mark.parametrize(
    ("state", "days", "goes"),
    [
        (State.APPLIED, 31, True),
        (State.APPLIED, 29, False),
        (State.UNREADABLE, 31, True),
        (State.NEW, 31, False),
        (State.PARKED, 31, False),
    ],
)
def test_what_is_old_and_dealt_with_is_forgotten(account, settings, state, days, goes):
    settings.CALLBACK_RETENTION_DAYS = 30
    kept(account, [], state=state, received_at=ago(days=days))

    retention.run(rest=lambda _seconds: None)

    assert Callback.objects.exists() is not goes


# --- at the door -----------------------------------------------------------------------------------------------------


def refuse(organization, kind="status", slug="twilio-sms"):
    request = WebhookRequest("POST", "https://surveys.example.com/x", {}, b"")
    try:
        registry.get("twilio")({"account_sid": "AC" + "1" * 32, "auth_token": "1" * 32}).verify(
            request, now=timezone.now()
        )
    except inbox.InvalidSignature as refusal:
        inbox.refuse(organization.pk, slug, kind, refusal)


def test_refused_calls_are_counted_by_organisation_kind_reason_and_day(account, other):
    for _time in range(3):
        refuse(account.organization)
    refuse(account.organization, kind="message")
    refuse(other.organization)

    counts = sorted(RefusedCallback.objects.values_list("organization", "kind", "count"))
    assert counts == sorted(
        [
            (account.organization_id, "status", 3),
            (account.organization_id, "message", 1),
            (other.organization_id, "status", 1),
        ]
    )
    RefusedCallback.objects.update(day=ago(days=1).date())
    refuse(account.organization)
    refuse(account.organization, slug="another-sms")
    again = RefusedCallback.objects.filter(organization=account.organization, kind="status", day=timezone.now().date())
    assert sorted(again.values_list("slug", "count")) == [("another-sms", 1), ("twilio-sms", 1)]


def test_who_is_asked_at_an_organisations_address(account, other, settings):
    """Its own accounts and the installation's, the living first and the newest of them; nobody else's."""
    clinic, provider = account.organization, registry.get("infobip")
    newer = factories.account(clinic, "infobip")
    gone, longer_gone, long_gone = (factories.account(clinic, "infobip") for _account in range(3))
    ended = factories.account(clinic, "infobip", ended_at=timezone.now())
    elsewhere = factories.account(clinic, "twilio")
    shared = factories.account(None, "infobip")
    settings.CALLBACK_GRACE_DAYS = 30
    for one, days in ((gone, 1), (longer_gone, 2), (long_gone, 31)):
        type(one).objects.filter(pk=one.pk).update(deleted_at=ago(days=days))
    inbox.forget_accounts()

    pk, opened = inbox._accounts(clinic.public_id, provider)

    assert pk == clinic.pk
    assert [one.account_id for one in opened] == [shared.pk, newer.pk, account.pk, gone.pk, longer_gone.pk]
    assert not {ended.pk, elsewhere.pk, other.pk, long_gone.pk} & {one.account_id for one in opened}
    assert inbox._accounts("NOBODY", provider) == (None, [])
    inbox.forget_accounts()
