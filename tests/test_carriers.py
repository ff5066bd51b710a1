"""Which account goes on with a conversation, and when one is over, as tables."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from distributions.models import Chunk, Conversation, Distribution, Message
from distributions.replies import conversations, inbound
from distributions.states import Status
from extensions.contract import InboundSms
from extensions.models import EnabledExtension, ProviderAccount
from surveys.models import Response
from tests import factories, talks

pytestmark = pytest.mark.django_db

State = Conversation.State
NUMBER = "447700900000"


@pytest.fixture
def other():
    """Another organisation with the very same number, whose account is the oldest of all."""
    made = factories.organization(language="en")
    account = factories.account(made, sender=NUMBER)
    ProviderAccount.objects.filter(pk=account.pk).update(listed_at=timezone.now() - timedelta(days=99))
    return made


def line(clinic, sender=NUMBER, *, days=0, **fields):
    """An account that was added so many days ago."""
    made = factories.account(clinic, sender=sender)
    ProviderAccount.objects.filter(pk=made.pk).update(listed_at=timezone.now() - timedelta(days=days), **fields)
    return ProviderAccount.objects.get(pk=made.pk)


def now(**later):
    return timezone.now() + timedelta(**later)


GONE = {
    "deleted": {"deleted_at": timezone.now()},
    "finishing": {"retiring_at": timezone.now()},
    "not granted": {"granted_at": None},
    "refused": {"check_ok": False},
}


@pytest.mark.parametrize("fields", [{}, {"check_ok": None}])
def test_an_account_that_is_in_its_place_goes_on_itself_whoever_comes_first(clinic, other, fields):
    line(clinic, days=9)
    account = line(clinic, **fields)

    assert conversations.carrier(account) == account


@pytest.mark.parametrize("why", GONE)
def test_of_those_that_have_its_number_the_first_in_the_list_takes_its_place(clinic, other, why):
    gone = line(clinic, days=5, **GONE[why])
    third, first = line(clinic, days=1), line(clinic, days=3)
    line(clinic, "447700900001", days=4)

    assert conversations.carrier(gone) == first
    ProviderAccount.objects.filter(pk=first.pk).update(deleted_at=timezone.now())
    assert conversations.carrier(gone) == third


@pytest.mark.parametrize("why", GONE)
@pytest.mark.parametrize("unusable", [*GONE, "switched off"])
def test_none_takes_its_place_that_may_not_send(clinic, other, why, unusable):
    """Where nobody does, one that is still there waits; one that was deleted does not."""
    gone = line(clinic, days=5, **GONE[why])
    line(clinic, days=3, **GONE.get(unusable, {}))
    if unusable == "switched off":
        EnabledExtension.objects.filter(organization=clinic).delete()

    assert conversations.carrier(gone) == (None if why == "deleted" else gone)


def test_the_same_number_written_otherwise_is_the_same_number(clinic):
    gone = line(clinic, "+447700900000", deleted_at=timezone.now())

    successor = line(clinic, NUMBER)

    assert conversations.carrier(gone) == successor


@pytest.mark.parametrize("word", ["HELP", "START"])
def test_a_word_beside_the_survey_is_answered_where_somebody_can_send_from_its_number_today(clinic, other, word):
    """By the account that has the number now, and by nobody while there is none; another organisation's is none."""
    account = factories.account(clinic, "vonage", sender=NUMBER)
    phone = factories.interactive(clinic, account).messages.get().to
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    account.refresh_from_db()

    def write(message_id):
        inbound.apply_inbound(account, clinic, InboundSms(message_id, phone, f"+{NUMBER}", word))
        return list(Chunk.objects.values_list("account", "priority"))

    assert write("SM1") == []

    successor = factories.account(clinic, "vonage", sender=NUMBER)
    assert write("SM2") == [(successor.pk, Chunk.Priority.REPLY)]
    assert Message.objects.get(status=Status.QUEUED).organization == clinic
    assert write("SM3") == [(successor.pk, Chunk.Priority.REPLY)], "once a day"


# --- when it is over -------------------------------------------------------------------------------------------------


def talking(clinic, account, **fields):
    made = factories.interactive(clinic, account)
    return talks.held(made, made.messages.get(), **fields)


def test_conversations_under_way_are_the_accounts_open_ones_that_still_wait(clinic, other):
    account, second = line(clinic), line(clinic, "447700900001")
    waiting = talking(clinic, account)
    talking(clinic, second)
    talking(other, ProviderAccount.objects.get(organization=other))
    talking(clinic, account, state=State.COMPLETED)
    expired = talking(clinic, account)
    Conversation.objects.filter(pk=expired.pk).update(expires_at=now(seconds=-1))

    assert conversations.under_way(account) == 1
    Conversation.objects.filter(pk=waiting.pk).update(state=State.SUPERSEDED)
    assert conversations.under_way(account) == 0


def test_only_what_has_waited_long_enough_ends_and_its_response_with_it(clinic):
    account = line(clinic)
    over, waiting, done = (
        talking(clinic, account),
        talking(clinic, account),
        talking(clinic, account, state=State.COMPLETED),
    )
    Conversation.objects.filter(pk__in=[over.pk, done.pk]).update(expires_at=now(seconds=-1))

    conversations.expire()

    states = dict(Conversation.objects.values_list("pk", "state"))
    assert states == {over.pk: State.EXPIRED, waiting.pk: State.OPEN, done.pk: State.COMPLETED}
    assert Conversation.objects.get(pk=over.pk).ended_at is not None
    assert Conversation.objects.get(pk=waiting.pk).ended_at is None
    responses = {talk.pk: Response.objects.get(conversation=talk) for talk in (over, waiting)}
    assert responses[over.pk].state == Response.State.PARTIAL
    assert responses[over.pk].ended_at is not None
    assert responses[waiting.pk].ended_at is None


def test_what_was_to_be_said_in_it_is_taken_back_with_its_place_in_the_queue(clinic):
    account = line(clinic)
    over, waiting = talking(clinic, account), talking(clinic, account)
    turns = {}
    for talk in (over, waiting):
        turn = turns[talk] = talks.turn(talk, "And then?", status=Status.QUEUED, attempt=0)
        Chunk.objects.create(
            distribution=talk.distribution,
            account=account,
            first_id=turn.pk,
            last_id=turn.pk,
            priority=Chunk.Priority.REPLY,
        )
    Conversation.objects.filter(pk=over.pk).update(expires_at=now(seconds=-1))

    conversations.expire()

    said = {talk: Message.objects.get(pk=turn.pk).status for talk, turn in turns.items()}
    assert said == {over: Status.CANCELLED, waiting: Status.QUEUED}
    open_ones = Chunk.objects.filter(state=Chunk.State.OPEN).values_list("first_id", flat=True)
    assert list(open_ones) == [turns[waiting].pk]


@pytest.mark.parametrize(
    ("state", "seconds", "waits"),
    [
        (State.OPEN, 60, True),
        (State.OPEN, -1, False),
        (State.COMPLETED, 60, False),
        (State.OPTED_OUT, 60, False),
        (State.ENDED, 60, False),
    ],
)
def test_a_question_waits_for_an_answer_while_its_conversation_is_open(clinic, state, seconds, waits):
    talk = talking(clinic, line(clinic), state=state)
    Conversation.objects.update(expires_at=now(seconds=seconds), position=1)

    question = conversations.open_question(talk.message)

    assert (question.kind if question else None) == ("choice" if waits else None)


@pytest.mark.parametrize(
    ("hours", "state", "waits"),
    [
        (71, Distribution.State.FINISHED, True),
        (73, Distribution.State.FINISHED, False),
        (1, Distribution.State.CANCELLED, False),
        (1, Distribution.State.SENDING, True),
    ],
)
def test_the_first_question_waits_before_anybody_has_answered(clinic, hours, state, waits):
    made = factories.interactive(clinic, line(clinic), state=state)
    made.messages.update(attempted_at=now(hours=-hours))

    question = conversations.open_question(made.messages.select_related("distribution__survey").get())

    assert (question.kind if question else None) == ("nps" if waits else None)


def test_a_position_behind_the_last_question_waits_for_nothing(clinic):
    talk = talking(clinic, line(clinic))
    Conversation.objects.update(position=3)

    assert conversations.open_question(talk.message) is None
