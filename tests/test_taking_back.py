"""Cancelling is in force at once, however many texts there are; that each of them says so follows by portions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions import services, tasks
from distributions.engine import closing, outbox
from distributions.models import Chunk, Conversation, Distribution, Message, Tally
from distributions.planning import taking_back
from distributions.states import Status
from tests import factories

pytestmark = pytest.mark.django_db

State = Distribution.State


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    """Portions of four texts; whom the tasks were woken for."""
    monkeypatch.setattr(taking_back, "CHUNKS", 2)
    monkeypatch.setattr(closing, "FEW", 1)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(taking_back, "wake", lambda task, pk: asked.append((task, pk)))
    return asked


def going(clinic, account, texts=20):
    """Under way, in chunks of two texts."""
    made = factories.distribution(
        clinic, recipients=texts, account=account, state=State.SENDING, launched_at=timezone.now()
    )
    Tally.objects.filter(pk=made.pk).update(segments=texts, segments_waiting=texts)
    keys = list(made.messages.order_by("pk").values_list("pk", flat=True))
    Chunk.objects.bulk_create(
        Chunk(distribution=made, account=account, first_id=first, last_id=last)
        for first, last in zip(keys[::2], keys[1::2], strict=True)
    )
    return made


def states(made):
    return sorted(made.messages.values_list("status", flat=True))


@pytest.fixture
def sender(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


def test_what_can_be_taken_back_at_once_is(clinic, account, sender, woken):
    made, other = going(clinic, account), going(clinic, account)

    services.cancel(made, sender)

    assert set(states(made)) == {Status.CANCELLED}
    assert set(made.chunks.values_list("state", flat=True)) == {Chunk.State.DONE}
    assert set(states(other)) == {Status.QUEUED}
    assert woken == []


def test_of_many_nothing_leaves_any_more_though_they_are_taken_back_later(clinic, account, sender, woken, monkeypatch):
    monkeypatch.setattr(taking_back, "AT_ONCE", 0.0)
    monkeypatch.setattr(taking_back, "TURN", 0.0)
    made = going(clinic, account)
    keys = list(made.messages.values_list("pk", flat=True))
    services.cancel(made, sender)
    assert states(made).count(Status.CANCELLED) == 4
    assert woken == [(taking_back.TAKE_BACK, made.pk)]

    assert outbox.mark(keys, account.pk) == [], "none of the others leaves"
    assert outbox.claim(account.pk, "a pump", 10) == []
    page = Client()
    page.force_login(sender)
    shown = page.get(f"/admin/distributions/distribution/{made.pk}/change/").text
    assert "16 are still to be cancelled" in shown
    assert "every 2s" in shown

    closing.close_finished()
    assert states(made).count(Status.CANCELLED) == 4, "the periodic check does not do it in one go"
    del woken[:]
    taking_back.resume()
    assert woken == [(taking_back.TAKE_BACK, made.pk)], "it finds a task that was lost"
    for _number in range(4):
        tasks.take_back(made.pk)

    assert set(states(made)) == {Status.CANCELLED}
    tally = Tally.objects.get(pk=made.pk)
    assert (tally.waiting, tally.cancelled, tally.segments, tally.segments_cancelled) == (0, 20, 0, 20)
    assert "still to be cancelled" not in page.get(f"/admin/distributions/distribution/{made.pk}/change/").text


def test_each_portion_is_a_few_statements_however_many_there_are(clinic, account):
    few, many = going(clinic, account, 8), going(clinic, account, 80)
    Distribution.objects.update(state=State.CANCELLED)
    asked = []
    for made in (few, many):
        with CaptureQueriesContext(connection) as captured:
            assert taking_back.step(made.pk)
        asked.append(len(captured))

    assert asked[0] == asked[1]
    assert states(many).count(Status.CANCELLED) == 4


def test_what_a_pump_holds_is_left_to_it_and_taken_back_once_its_lease_is_over(clinic, account):
    made = going(clinic, account, 4)
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED)
    held, _free = made.chunks.order_by("pk")
    Chunk.objects.filter(pk=held.pk).update(lease_until=timezone.now() + timedelta(minutes=1), holder="a pump")
    Message.objects.filter(pk=held.first_id).update(status=Status.SENDING, attempt=1)

    taking_back.take_back(made.pk)
    assert states(made) == sorted([Status.SENDING, Status.QUEUED, Status.CANCELLED, Status.CANCELLED])

    Chunk.objects.filter(pk=held.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    taking_back.take_back(made.pk)

    assert states(made) == sorted([Status.UNCERTAIN, *[Status.CANCELLED] * 3]), "what was marked may have left"
    assert Tally.objects.get(pk=made.pk).waiting == 0


def test_conversations_end_with_it_by_portions_too(clinic, account, sender, monkeypatch):
    asked = factories.interactive(clinic, account, recipients=5, state=State.SENDING)
    for message in asked.messages.all():
        Conversation.objects.create(
            organization=clinic,
            distribution=asked,
            message=message,
            account=account,
            phone=message.to,
            expires_at=timezone.now() + timedelta(days=1),
        )
    monkeypatch.setattr("distributions.replies.conversations.GROUP", 2)

    services.cancel(asked, sender)

    assert set(asked.conversations.values_list("state", flat=True)) == {Conversation.State.ENDED}


def test_one_that_goes_on_is_not_taken_back(clinic, account):
    made = going(clinic, account, 4)

    tasks.take_back(made.pk)

    assert set(states(made)) == {Status.QUEUED}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.sampled_from(["claim", "mark", "accept", "not taken", "release", "finish", "step", "sweep", "expire"]),
        max_size=20,
    ),
    when=st.integers(0, 10),
)
def test_however_pumps_and_portions_meet_each_text_has_left_or_is_taken_back(clinic, account, steps, when):
    """The tally tells the same as the messages, and what was marked is never taken for cancelled."""
    made = going(clinic, account, 12)
    Chunk.objects.exclude(distribution=made).delete()
    claimed, marked, gone = [], [], set()
    for number, step in enumerate(steps):
        if number == when:
            Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=timezone.now())
        if step == "claim":
            claimed += outbox.claim(account.pk, "a pump", 2)
        elif step == "mark" and claimed:
            found = outbox.mark([pk for pk, _length in outbox.read(claimed[-1])], account.pk)
            assert not (found and Distribution.objects.get(pk=made.pk).state == State.CANCELLED)
            marked += found
        elif step in ("accept", "not taken") and marked:
            one = marked.pop()
            to = Status.ACCEPTED if step == "accept" else Status.QUEUED
            moved = outbox.apply([outbox.Change(id=one.id, to=to, attempt=one.attempt)])
            gone |= {one.id} if moved and step == "accept" else set()
        elif step == "release" and claimed:
            outbox.release(claimed.pop().chunk_id, "a pump")
        elif step == "finish" and claimed:
            outbox.finish(claimed.pop(), "a pump")
        elif step == "step":
            taking_back.step(made.pk)
        elif step == "sweep":
            closing.close_finished()
        elif step == "expire":
            Chunk.objects.filter(distribution=made, lease_until__isnull=False).update(
                lease_until=timezone.now() - timedelta(seconds=1)
            )
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=timezone.now())
    Chunk.objects.filter(distribution=made).update(lease_until=timezone.now() - timedelta(seconds=1))
    taking_back.take_back(made.pk)
    closing.close_finished()

    left = set(made.messages.filter(status=Status.ACCEPTED).values_list("pk", flat=True))
    assert gone <= left
    assert not made.messages.filter(status=Status.QUEUED).exists()
    before = Tally.objects.get(pk=made.pk)
    outbox.recount(made.pk)
    after = Tally.objects.get(pk=made.pk)
    assert {name: getattr(before, name) for name in Tally.COLUMNS} == {
        name: getattr(after, name) for name in Tally.COLUMNS
    }
    Distribution.objects.filter(pk=made.pk).update(finished_at=timezone.now())
