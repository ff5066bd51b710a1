"""Uncertain texts are asked about: only when they are old enough, only by an account that may, and one by one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from distributions import states
from distributions.engine import due, settling, worker_process
from distributions.models import Chunk, Conversation, Message, MessageEvent, Tally
from distributions.states import Status
from extensions.models import AccountState, ProviderAccount
from tests import factories, pumping, talks
from tests.simulated import launched, statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sink(sink, settings):
    settings.LOOKUP_AFTER = 60
    return sink


def uncertain(sink, provider="twilio", recipients=2, *, taken=True):
    """A distribution of which nobody knows what became; the provider has it if `taken`."""
    made = launched(provider, recipients)
    sink.fail("accept_drop" if taken else "drop", provider)
    pumping.run(made.account_id)
    sink.heal()
    assert statuses(made) == {Status.UNCERTAIN: recipients}
    return made


def age(messages, seconds):
    messages.update(attempted_at=timezone.now() - timedelta(seconds=seconds))


def test_of_an_old_and_a_fresh_one_only_the_old_one_is_asked_about(sink):
    """The fresh one's answer may still be on its way."""
    made = uncertain(sink)
    old, fresh = made.messages.order_by("pk")
    age(Message.objects.filter(pk=old.pk), 61)
    age(Message.objects.filter(pk=fresh.pk), 55)

    assert due.accounts_uncertain() == [made.account_id]
    settling.settle(made.account_id)

    found = {message.pk: message.status for message in made.messages.all()}
    assert found == {old.pk: Status.ACCEPTED, fresh.pk: Status.UNCERTAIN}
    assert due.accounts_uncertain() == []


def test_what_a_look_up_finds_is_kept_with_its_id_and_in_the_history(sink):
    made = uncertain(sink, recipients=1)
    age(made.messages, 61)

    assert settling.settle(made.account_id) is False, "nothing has to be sent again"

    message, entry = made.messages.get(), sink.ledger[0]
    assert (message.status, message.provider_message_id) == (Status.ACCEPTED, entry["id"])
    event = MessageEvent.objects.filter(message=message, source=MessageEvent.Source.LOOKUP).get()
    assert event.status == Status.ACCEPTED
    assert (Tally.objects.get().uncertain, Tally.objects.get().accepted) == (0, 1)


def test_what_the_provider_never_had_goes_back_and_the_history_says_why(sink):
    made = uncertain(sink, recipients=1, taken=False)
    age(made.messages, 61)

    assert settling.settle(made.account_id) is True

    assert statuses(made) == {Status.QUEUED: 1}
    event = MessageEvent.objects.filter(source=MessageEvent.Source.LOOKUP).get()
    assert (event.message, event.status) == (made.messages.get(), Status.QUEUED)
    assert Chunk.objects.get().state == Chunk.State.OPEN


@pytest.mark.parametrize(
    "fields",
    [
        {"stopped_at": timedelta(0)},
        {"open_until": timedelta(minutes=1)},
    ],
)
def test_an_account_that_stands_still_asks_nothing(sink, fields):
    made = uncertain(sink)
    age(made.messages, 61)
    state = AccountState.objects.filter(pk=made.account_id)
    state.update(**{name: timezone.now() + value for name, value in fields.items()})

    assert settling.settle(made.account_id) is False
    assert statuses(made) == {Status.UNCERTAIN: 2}

    state.update(stopped_at=None, open_until=None)
    settling.settle(made.account_id)
    assert statuses(made) == {Status.ACCEPTED: 2}


def test_an_account_that_is_gone_from_the_database_is_nobodys():
    assert settling.settle(999_999) is False


def test_one_account_asks_about_its_own_texts_alone(sink):
    made, other = uncertain(sink), uncertain(sink)
    age(made.messages, 61)
    age(other.messages, 61)
    before = list(other.messages.order_by("pk").values())

    settling.settle(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 2}
    assert list(other.messages.order_by("pk").values()) == before
    assert due.accounts_uncertain() == [other.account_id]
    settling.settle(other.account_id)
    assert statuses(other) == {Status.ACCEPTED: 2}


def test_a_worker_that_is_asked_to_stop_asks_nothing_more(sink, monkeypatch):
    made = uncertain(sink)
    age(made.messages, 61)
    monkeypatch.setattr(worker_process.stopping, "value", True)

    assert settling.settle(made.account_id) is False

    assert statuses(made) == {Status.UNCERTAIN: 2}
    assert not MessageEvent.objects.filter(source=MessageEvent.Source.LOOKUP).exists()


def test_where_a_provider_offers_no_look_up_the_text_stays_uncertain_until_a_person_decides(sink):
    made = uncertain(sink, "vonage")
    age(made.messages, 61)

    assert settling.settle(made.account_id) is False

    assert statuses(made) == {Status.UNCERTAIN: 2}
    assert not MessageEvent.objects.filter(source=MessageEvent.Source.LOOKUP).exists()


def test_an_unclear_answer_to_a_look_up_is_no_evidence(sink, settings):
    made = uncertain(sink)
    age(made.messages, 61)
    settings.PROVIDER_BASE_URLS = {"twilio": "http://127.0.0.1:9"}  # nobody listens there

    assert settling.settle(made.account_id) is False

    assert statuses(made) == {Status.UNCERTAIN: 2}


def test_a_refused_look_up_is_no_evidence(sink):
    made = uncertain(sink)
    age(made.messages, 61)
    sink.fail("401", scope="all")

    assert settling.settle(made.account_id) is False

    assert statuses(made) == {Status.UNCERTAIN: 2}


def test_what_a_backup_brought_back_is_never_sent_again_without_a_person(sink):
    """Neither where the provider says that it never had it, nor where it refuses repeats."""
    looked_up, repeated = uncertain(sink, taken=False), uncertain(sink, "infobip")
    for made in (looked_up, repeated):
        age(made.messages, 61)
        made.messages.update(reason=states.RESTORED)

        assert settling.settle(made.account_id) is False
        assert statuses(made).get(Status.QUEUED, 0) == 0

    assert statuses(looked_up) == {Status.UNCERTAIN: 2}


@pytest.mark.parametrize(
    ("attempts", "goes"), [(1, True), (settling.MAX_REPEATS, True), (settling.MAX_REPEATS + 1, False)]
)
def test_where_repeats_are_refused_a_text_is_repeated_a_dozen_times_at_most(sink, attempts, goes):
    made = uncertain(sink, "infobip", recipients=1)
    age(made.messages, 61)
    made.messages.update(attempt=attempts)

    assert settling.settle(made.account_id) is goes

    assert statuses(made) == {Status.QUEUED if goes else Status.UNCERTAIN: 1}


def test_two_hundred_at_most_are_asked_about_in_one_run_the_oldest_first(sink, monkeypatch):
    monkeypatch.setattr(settling, "BATCH", 2)
    made = uncertain(sink, recipients=3)
    first, second, third = made.messages.order_by("-pk")
    for message, seconds in ((first, 70), (second, 66), (third, 62)):
        age(Message.objects.filter(pk=message.pk), seconds)

    settling.settle(made.account_id)

    left = made.messages.filter(status=Status.UNCERTAIN)
    assert [message.pk for message in left] == [third.pk]


def test_what_nobody_knows_for_long_is_asked_about_ever_more_rarely(sink):
    made = uncertain(sink, recipients=1)
    message = made.messages.get()

    def share(seconds):
        message.attempted_at = timezone.now() - timedelta(seconds=seconds)
        return sum(settling._due(message) for _time in range(400)) / 400

    assert share(61) == share(119) == 1.0
    assert 0.3 < share(121) < 0.7
    assert share(6_000) < 0.1
    message.attempted_at = None
    assert settling._due(message) is True


def test_what_conversations_said_is_asked_about_while_they_wait(sink):
    """Their texts are not counted by the tallies, and are found by themselves."""
    clinic = factories.organization()
    account = factories.account(clinic)
    asked = factories.interactive(clinic, account)
    talk = talks.held(asked, asked.messages.get())
    said = talks.turn(talk, "And then?", status=Status.UNCERTAIN, attempted_at=timezone.now() - timedelta(seconds=61))
    assert Tally.objects.get().uncertain == 0

    assert due.accounts_uncertain() == [account.pk]
    assert [row.pk for found in due.uncertain(timezone.now()) for row in found] == [said.pk]

    Tally.objects.update(uncertain=1)  # of a first text: what was said later is still found once
    assert [row.pk for found in due.uncertain(timezone.now()) for row in found] == [said.pk]
    Tally.objects.update(uncertain=0)

    Conversation.objects.update(expires_at=timezone.now())
    assert due.accounts_uncertain() == []


def test_a_text_without_an_account_is_nobodys_to_ask_about(sink):
    made = uncertain(sink)
    age(made.messages, 61)
    made.messages.update(account=None)

    assert due.accounts_uncertain() == []


def test_a_deleted_account_settles_what_it_sent(sink):
    """Its credentials may still be read, and the answer is about what has left already."""
    made = uncertain(sink)
    age(made.messages, 61)
    ProviderAccount.objects.filter(pk=made.account_id).update(deleted_at=timezone.now())

    settling.settle(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 2}
