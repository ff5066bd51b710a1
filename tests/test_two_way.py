"""A survey held by text: replies become answers, the next question follows, and the number is what counts.

W2, W13 and scenarios 5, 6, 7 and 10 of docs/requirements.md. What a reply means: tests/test_conversation.py.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from contacts.models import OptOut
from distributions import services
from distributions.engine import due, outbox, quiet
from distributions.engine.references import opt_out_token
from distributions.models import Chunk, Conversation, Distribution, InboundMessage, Message, Tally
from distributions.planning import leaving, starting
from distributions.replies import conversations, inbound
from distributions.states import Status
from extensions.contract import InboundSms, SenderKind
from extensions.models import ProviderAccount
from organizations.models import Licence
from surveys.models import Answer, Response, Survey
from tests import factories
from tests.talks import arrive
from tests.travelling import travel

pytestmark = pytest.mark.django_db
State = Conversation.State
_ids = count(1)


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000")


@pytest.fixture
def asked(clinic, account):
    """A survey by text whose first question has left to one person."""
    return factories.interactive(clinic, account)


def reply(account, distribution, text, *, message_id="", at_once=False):
    """The person writes, having read what we said unless `at_once`; returns what we say to it, or None."""
    if not at_once:
        arrive()
    before = set(Message.objects.values_list("pk", flat=True))
    phone = distribution.messages.filter(conversation=None).first().to
    sms = InboundSms(
        message_id=message_id or f"SM{next(_ids)}", sender=phone, recipient=f"+{account.sender}", text=text
    )
    inbound.apply_inbound(account, distribution.organization, sms)
    said = Message.objects.exclude(pk__in=before).first()
    return said.text if said else None


def answers():
    return list(Answer.objects.order_by("pk").values_list("question__kind", "value"))


# --- question by question --------------------------------------------------------------------------------------------


def test_one_question_follows_the_other_and_the_last_answer_is_thanked_for(asked, account):
    assert reply(account, asked, "9") == "How was the wait?\n\n1 - Short\n2 - Fine\n3 - Too long"
    assert reply(account, asked, "Too long") == "What should we do better?"
    assert reply(account, asked, "More seats, please.") == "Thank you!"

    assert answers() == [("nps", "9"), ("choice", "3"), ("text", "More seats, please.")]
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.response.state) == (State.COMPLETED, Response.State.COMPLETED)
    tally = Tally.objects.get()
    assert (tally.started, tally.completed) == (1, 1)


def test_a_wrong_answer_is_explained_and_the_question_asked_again(asked, account):
    assert reply(account, asked, "eleven hundred") == (
        "Please reply with a number from 0 to 10.\n\nHow likely are you to recommend us, 0 to 10?"
    )
    assert reply(account, asked, "8").startswith("How was the wait?")

    assert answers() == [("nps", "8")]
    read_as = InboundMessage.objects.order_by("pk").values_list("meaning", flat=True)
    assert list(read_as) == [InboundMessage.Meaning.UNCLEAR, InboundMessage.Meaning.ANSWER]


def test_after_its_repetitions_a_question_that_must_be_answered_ends_the_conversation(asked, account):
    for _time in range(3):
        said = reply(account, asked, "what?")

    assert "We could not read your answer" in said
    assert Conversation.objects.get().state == State.BROKEN_OFF
    assert Response.objects.get().state == Response.State.PARTIAL
    assert reply(account, asked, "9") is None, "it is over, and was said to be"


def test_the_same_call_twice_is_one_answer_and_one_question(asked, account):
    reply(account, asked, "9", message_id="SM-same")

    assert reply(account, asked, "9", message_id="SM-same") is None

    assert answers() == [("nps", "9")]
    assert Message.objects.filter(conversation__isnull=False).count() == 1


def test_an_answer_is_kept_with_its_question_whatever_was_sent_since(asked, account):
    first = asked.messages.get()
    later = factories.distribution(asked.organization, account=account, recipients=1)
    later.messages.update(to=first.to, status=Status.ACCEPTED, attempted_at=timezone.now())

    assert reply(account, asked, "9").startswith("How was the wait?")

    assert answers() == [("nps", "9")]
    assert InboundMessage.objects.get().message == first


def test_the_conversation_that_goes_on_moves_to_the_account_with_its_number_and_no_other_does(clinic, account, asked):
    neighbours = factories.contact_list(clinic, phones=["+447700900777"])
    other = factories.interactive(clinic, account, contact_list=neighbours)
    reply(account, asked, "9")
    reply(account, other, "9")
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    today = factories.account(clinic, sender=account.sender)

    assert reply(today, asked, "Too long") == "What should we do better?"

    carriers = dict(Conversation.objects.values_list("distribution", "account"))
    assert carriers == {asked.pk: today.pk, other.pk: account.pk}


def test_it_goes_on_the_next_day(asked, account):
    with travel(timezone.now(), tick=False) as clock:
        reply(account, asked, "9")
        clock.shift(timedelta(hours=71))
        conversations.expire()

        assert reply(account, asked, "2") == "What should we do better?"


def test_every_turn_extends_the_wait(asked, account):
    """Seventy-one hours between any two of them: nine days in all."""
    with travel(timezone.now(), tick=False) as clock:
        for text in ("9", "what?", "2"):  # an answer, none, an answer
            clock.shift(timedelta(hours=71))
            conversations.expire()
            assert reply(account, asked, text)
            assert Conversation.objects.get().expires_at == timezone.now() + timedelta(hours=72)

        clock.shift(timedelta(hours=72, seconds=1))
        conversations.expire()

    assert Conversation.objects.get().state == State.EXPIRED
    assert answers() == [("nps", "9"), ("choice", "2")]


def test_placeholders_work_in_every_question(clinic, account):
    survey = factories.survey(
        clinic,
        questions=[{"kind": "nps", "text": "0 to 10?"}, {"kind": "text", "text": "Why, ${m://FirstName}?"}],
    )
    asked = factories.interactive(clinic, account, survey=survey)

    assert reply(account, asked, "9") == "Why, Ada0?"


def test_our_own_sentences_are_in_the_persons_language(clinic, account, asked):
    asked.contact_list.contacts.update(language="de-AT")

    assert reply(account, asked, "elf").startswith("Bitte antworten Sie mit einer Zahl von 0 bis 10.")


def test_a_reply_that_comes_before_its_question_has_left_is_no_answer_to_it(asked, account):
    reply(account, asked, "9")

    assert reply(account, asked, "2", at_once=True) is None, (
        "two quick replies, and nobody has read the second question"
    )

    assert answers() == [("nps", "9")]
    assert InboundMessage.objects.latest("pk").meaning == InboundMessage.Meaning.REPLY
    assert Conversation.objects.get().misses == 0
    assert reply(account, asked, "2") == "What should we do better?", "now it has been read"


def test_what_arrived_before_the_question_left_is_no_answer_however_late_it_is_read(asked, account):
    reply(account, asked, "9")
    arrived = timezone.now()
    Message.objects.filter(conversation__isnull=False).update(
        status=Status.ACCEPTED, attempt=1, attempted_at=arrived + timedelta(seconds=1)
    )
    phone = asked.messages.get(conversation=None).to
    sms = InboundSms("SM-before", phone, f"+{account.sender}", "3")

    kept = inbound.apply_inbound(account, asked.organization, sms, received_at=arrived)

    assert (kept.meaning, kept.received_at) == (InboundMessage.Meaning.REPLY, arrived)
    assert answers() == [("nps", "9")]


def test_a_question_that_the_provider_refused_was_read_by_nobody(asked, account):
    reply(account, asked, "9")
    Message.objects.filter(conversation__isnull=False).update(
        status=Status.FAILED, attempt=1, attempted_at=timezone.now()
    )

    assert reply(account, asked, "2", at_once=True) is None
    assert answers() == [("nps", "9")]


def test_who_corrects_themselves_before_they_are_asked_again_has_answered(asked, account):
    """The question has been read; that it was about to be asked once more is taken back."""
    reply(account, asked, "what?")
    assert reply(account, asked, "8", at_once=True).startswith("How was the wait?")

    assert answers() == [("nps", "8")]
    said = Message.objects.filter(conversation__isnull=False).order_by("pk").values_list("status", flat=True)
    assert list(said) == [Status.CANCELLED, Status.QUEUED]
    assert Chunk.objects.filter(state=Chunk.State.OPEN).count() == 1


def test_a_question_that_waits_for_its_repetition_may_have_been_read(asked, account):
    reply(account, asked, "9")
    Message.objects.filter(conversation__isnull=False).update(
        attempt=1, attempted_at=timezone.now(), status=Status.QUEUED, reason="repeated"
    )

    assert reply(account, asked, "2", at_once=True) == "What should we do better?"


# --- reactions by phone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Liked “How likely are you to recommend us, 0 to 10?”",
        "Gefällt „How likely are you to recommend us, 0 to 10?“",
        "A aimé « How likely are you to recommend us, 0 to 10? »",
        "Reacted 👍 to “How likely are you to recommend us, 0 to 10?”",
        "\u200a👍 to “How likely are you to recommend us”",
    ],
)
def test_a_reaction_is_kept_and_is_neither_an_answer_nor_a_miss(asked, account, text):
    assert reply(account, asked, text) is None

    kept = InboundMessage.objects.get()
    assert (kept.meaning, kept.text) == (InboundMessage.Meaning.REACTION, text)
    assert kept.message == asked.messages.get()
    assert not Conversation.objects.exists()
    assert reply(account, asked, "9").startswith("How was the wait?")
    assert reply(account, asked, "Loved “How was the wait?”") is None
    assert Conversation.objects.get().misses == 0
    assert reply(account, asked, "2") == "What should we do better?"


def test_where_words_are_asked_for_a_reaction_has_to_quote_us(asked, account):
    reply(account, asked, "9")
    reply(account, asked, "2")

    assert reply(account, asked, "Loved “What should we do better?”") is None
    assert reply(account, asked, "Loved “the nurses”") == "Thank you!"

    assert answers()[-1] == ("text", "Loved “the nurses”")


def test_a_reaction_to_a_link_is_shown_as_one(clinic, account):
    invite = factories.distribution(clinic, recipients=1, account=account, state=Distribution.State.FINISHED)
    invite.messages.update(status=Status.DELIVERED, attempt=1)

    assert reply(account, invite, "Liked “Hello, please answer.”") is None

    assert InboundMessage.objects.get().get_meaning_display() == "reaction"


# --- what is said is sent ---------------------------------------------------------------------------------------------


def test_what_is_said_goes_before_bulk_and_after_the_distribution_has_finished(clinic, account, asked):
    bulk = factories.distribution(clinic, recipients=3, account=account, state=Distribution.State.SENDING)
    ids = list(bulk.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=bulk, account=account, first_id=ids[0], last_id=ids[-1])
    reply(account, asked, "9")

    (first,) = outbox.claim(account.pk, "test", 1)

    turn = Message.objects.get(conversation__isnull=False)
    assert (first.first_id, first.last_id) == (turn.pk, turn.pk)
    assert asked.state == Distribution.State.FINISHED
    assert due.accounts_due(distribution_id=asked.pk) == []  # it is claimed
    (marked,) = outbox.mark([turn.pk], account.pk)
    assert marked.text.startswith("How was the wait?")


def test_the_tally_counts_people_not_texts(clinic, account, asked):
    reply(account, asked, "9")
    turn = Message.objects.get(conversation__isnull=False)
    outbox.mark([turn.pk], account.pk)
    outbox.apply([outbox.Change(id=turn.pk, to=Status.DELIVERED, message_id="SM9")])
    after = Tally.objects.get()
    outbox.recount(asked.pk)

    turn.refresh_from_db()
    assert turn.status == Status.DELIVERED
    assert after.total == Tally.objects.get().total == 1
    assert after.delivered == 0


def test_who_writes_at_night_is_answered_at_night(clinic, account, asked):
    now = timezone.now()
    clinic.quiet_from, clinic.quiet_until = (now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time()
    clinic.time_zone = "UTC"
    clinic.save()
    reply(account, asked, "9")

    quiet.postpone(account)

    assert Chunk.objects.get().not_before <= timezone.now()


def test_nothing_is_said_while_the_distribution_is_paused(account, asked):
    reply(account, asked, "9")
    Distribution.objects.update(paused_at=timezone.now())

    assert outbox.claim(account.pk, "test", 1) == []


# --- which conversation -----------------------------------------------------------------------------------------------


def test_a_reply_belongs_to_the_survey_that_was_asked_last(clinic, account, asked):
    """W13: a person answers the question they read last; the earlier survey is over."""
    reply(account, asked, "9")
    arrive()
    people = asked.contact_list
    later = factories.interactive(clinic, account, contact_list=people)

    assert reply(account, later, "3").startswith("How was the wait?")

    assert list(Conversation.objects.order_by("pk").values_list("state", flat=True)) == [State.SUPERSEDED, State.OPEN]
    assert list(Response.objects.order_by("pk").values_list("state", flat=True)) == ["partial", "open"]


def test_a_reply_belongs_to_the_survey_that_left_last_and_not_to_the_one_written_last(clinic, account, asked):
    """One was written first and left last: quiet hours, a slow account, a retry."""
    later = factories.interactive(clinic, account, contact_list=asked.contact_list)
    later.messages.update(attempted_at=timezone.now() - timedelta(hours=5))

    reply(account, asked, "9")

    assert Conversation.objects.get().distribution == asked


def test_a_question_that_left_after_another_surveys_first_one_is_the_one_that_is_answered(clinic, account, asked):
    asked.messages.update(attempted_at=timezone.now() - timedelta(minutes=5))
    reply(account, asked, "9")
    later = factories.interactive(clinic, account, contact_list=asked.contact_list)
    later.messages.update(attempted_at=timezone.now() - timedelta(minutes=1))
    arrive()

    assert reply(account, asked, "2") == "What should we do better?"
    assert reply(account, asked, "Seats") == "Thank you!"

    assert reply(account, later, "3").startswith("How was the wait?"), "then the other one has its turn"
    assert [found.distribution for found in Conversation.objects.order_by("pk")] == [asked, later]


def test_a_survey_whose_first_question_has_not_left_gets_no_answers(clinic, account, asked):
    later = factories.interactive(clinic, account, contact_list=asked.contact_list)
    later.messages.update(status=Status.QUEUED, attempt=0)

    reply(account, asked, "9")

    assert Conversation.objects.get().distribution == asked


def test_a_link_that_came_in_between_does_not_take_the_answer(clinic, account, asked):
    invite = factories.distribution(
        clinic, recipients=1, contact_list=asked.contact_list, account=account, state=Distribution.State.FINISHED
    )
    invite.messages.update(status=Status.DELIVERED, attempt=1)

    assert reply(account, asked, "9").startswith("How was the wait?")


def test_two_numbers_are_two_conversations(clinic, account, asked):
    other = factories.account(clinic, sender="447700900777")
    second = factories.interactive(clinic, other, contact_list=asked.contact_list)
    reply(account, asked, "9")

    reply(other, second, "1")

    assert Conversation.objects.filter(state=State.OPEN).count() == 2
    assert reply(account, asked, "2") == "What should we do better?"


def test_another_organisations_person_with_the_same_number_answers_nothing_here(clinic, account, asked):
    """R97."""
    stranger = factories.organization()
    theirs = factories.account(stranger, sender=account.sender)
    phone = asked.messages.get().to

    inbound.apply_inbound(theirs, stranger, InboundSms(message_id="SMx", sender=phone, recipient="1", text="9"))

    assert not Conversation.objects.exists()


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_stop_word_is_never_an_answer_and_ends_every_survey(asked, account):
    """Scenario 6."""
    reply(account, asked, "9")

    assert reply(account, asked, "STOP") is None

    assert Conversation.objects.get().state == State.OPTED_OUT
    assert Response.objects.get().state == Response.State.PARTIAL
    assert answers() == [("nps", "9")]
    assert OptOut.objects.filter(ended_at=None).count() == 1


def test_who_has_opted_out_elsewhere_is_asked_nothing_more(clinic, asked, account):
    reply(account, asked, "9")
    OptOut.objects.create(organization=clinic, phone=asked.messages.first().to, source=OptOut.Source.LINK)

    assert reply(account, asked, "2") is None

    assert Conversation.objects.get().state == State.OPTED_OUT


def test_the_opt_out_link_ends_every_survey(client, asked, account):
    reply(account, asked, "9")

    client.post(f"/o/{opt_out_token(asked.messages.first().pk)}")

    assert Conversation.objects.get().state == State.OPTED_OUT


def test_what_waits_too_long_expires_and_a_late_reply_is_told_so_once(asked, account):
    reply(account, asked, "9")
    Conversation.objects.update(expires_at=timezone.now())
    conversations.expire()

    assert Conversation.objects.get().state == State.EXPIRED
    assert not Message.objects.filter(status=Status.QUEUED).exists(), "what was not said is not said any more"
    assert reply(account, asked, "2") == "This survey has ended. Thank you for your reply."
    assert reply(account, asked, "2") is None
    assert answers() == [("nps", "9")]


def test_a_first_reply_that_comes_too_late_begins_nothing(asked, account):
    asked.messages.update(attempted_at=timezone.now() - timedelta(hours=73))

    assert reply(account, asked, "9") == "This survey has ended. Thank you for your reply."

    assert not Response.objects.exists()
    assert Tally.objects.get().started == 0


def test_cancelling_ends_its_conversations_in_silence(clinic, asked, account):
    Distribution.objects.update(state=Distribution.State.SENDING)
    reply(account, asked, "9")

    services.cancel(asked, factories.administrator(clinic))

    assert Conversation.objects.get().state == State.ENDED
    assert set(Message.objects.filter(conversation__isnull=False).values_list("status", flat=True)) == {"cancelled"}
    assert reply(account, asked, "2") is None


# --- the number stays -------------------------------------------------------------------------------------------------


def test_the_account_that_replaces_another_on_its_number_takes_over_the_conversation(clinic, account, asked):
    """W2, scenario 10."""
    reply(account, asked, "9")
    Message.objects.filter(conversation__isnull=False).update(status=Status.ACCEPTED, attempt=1)
    Chunk.objects.update(state=Chunk.State.DONE)
    new = factories.account(clinic, sender="+447700900000", replaces=account)
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())

    conversations.carry_over()

    assert Conversation.objects.get().account == new
    assert reply(new, asked, "2") == "What should we do better?"
    assert Chunk.objects.get(state=Chunk.State.OPEN).account == new


def test_a_reply_that_the_old_account_still_verifies_is_answered_by_the_new_one(clinic, account, asked):
    new = factories.account(clinic, sender=account.sender)
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    account.refresh_from_db()

    reply(account, asked, "9")

    assert Chunk.objects.get().account == new


def test_what_was_not_said_yet_is_said_by_the_new_account_and_never_on_another_number(clinic, account, asked):
    reply(account, asked, "9")
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    factories.account(clinic, sender="447700900777")

    conversations.carry_over()
    leaving.follow()
    assert Chunk.objects.get().account == account, "nobody has the number: it waits"

    same = factories.account(clinic, sender=account.sender)
    conversations.carry_over()
    assert Chunk.objects.get().account == same


@pytest.mark.parametrize("page", ["delete/", "replace/"])
def test_who_is_about_to_interrupt_conversations_is_told_how_many(client, clinic, account, asked, page):
    """W4."""
    client.force_login(factories.administrator(clinic))
    address = f"/admin/extensions/account/{account.public_id}/{page}"
    before = client.get(address, follow=True).content.decode()
    reply(account, asked, "9")

    told = client.get(address, follow=True).content.decode()

    assert "in the middle of" not in before
    assert "1 person is in the middle of a survey by text" in told


# --- launching --------------------------------------------------------------------------------------------------------


def test_the_first_text_is_the_introduction_and_the_first_question(clinic, account):
    user = factories.administrator(clinic)
    draft = factories.interactive(clinic, message_text="Hello ${m://FirstName}!")

    services.launch(draft, user)
    starting.expand(draft.pk)

    assert draft.messages.get().text == "Hello Ada0!\n\nHow likely are you to recommend us, 0 to 10?"
    assert Survey.objects.get().questions_locked_at is not None


def launch_refusal(draft):
    draft = Distribution.objects.get(pk=draft.pk)
    with pytest.raises(services.LaunchRefused) as refused:
        services.launch(draft, factories.administrator(draft.organization))
    draft.refresh_from_db()
    assert draft.state == Distribution.State.DRAFT
    return refused.value.sentence


def test_a_sender_that_nobody_can_answer_carries_no_survey_by_text(clinic):
    """R69, R80, R85, R89, R95; scenario 7."""
    factories.account(clinic, sender="CityClinic", sender_kind=SenderKind.ALPHANUMERIC, name="Named")
    draft = factories.interactive(clinic)

    assert "“Named” is a name, and nobody can reply to a name" in launch_refusal(draft)


def test_the_default_route_carries_no_survey_by_text(clinic, settings):
    settings.DEFAULT_PROVIDER = {
        "provider": "twilio",
        "sender": "447700900999",
        "credentials": {"account_sid": f"AC{'9' * 32}", "auth_token": "d" * 32},
    }

    assert "a number of your own" in launch_refusal(factories.interactive(clinic))


def test_a_licence_without_two_way_carries_no_survey_by_text(clinic, account):
    Licence.objects.update(two_way=False)

    assert "licence does not include it" in launch_refusal(factories.interactive(clinic))


@pytest.mark.parametrize(
    ("questions", "sentence"),
    [
        ([{"kind": "statement", "text": "Hello."}], "no question that can be answered"),
        ([{"kind": "choice", "text": "Which?", "choices": "One"}], "Question 1 of the survey: Write at least two"),
        ([{"kind": "text", "text": "Why, ${FirstName}?"}], "is not a placeholder"),
        ([{"kind": "text", "text": "Why? ${l://SurveyURL}"}], "a question cannot have a link to it"),
    ],
)
def test_a_survey_that_cannot_be_held_by_text_is_refused_with_the_reason(clinic, account, questions, sentence):
    draft = factories.interactive(clinic, survey=factories.survey(clinic, questions=questions))

    assert sentence in launch_refusal(draft)


def test_questions_that_are_deleted_while_it_is_launched_stop_the_launch(clinic, account, monkeypatch):
    """Nobody is sent an empty text: what was looked at before may have changed until the questions are locked."""
    draft = factories.interactive(clinic)

    fit = services.fit

    def delete_meanwhile(*args, **kwargs):
        route = fit(*args, **kwargs)
        draft.survey.questions.all().delete()
        return route

    monkeypatch.setattr(services, "fit", delete_meanwhile)

    assert "no question that can be answered" in launch_refusal(draft)
    assert Survey.objects.get().questions_locked_at is None


def test_the_introduction_cannot_link_to_a_survey_without_an_address(clinic, account):
    assert "has no address" in launch_refusal(factories.interactive(clinic, message_text="See ${l://SurveyURL}"))


def test_a_survey_without_an_address_cannot_be_sent_as_a_link(clinic, account):
    draft = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, 1),
        survey=factories.survey(clinic, questions=factories.THREE_QUESTIONS),
    )

    assert "has no address" in launch_refusal(draft)


def test_what_was_scheduled_is_not_launched_through_a_sender_that_nobody_can_answer(clinic, account):
    draft = factories.interactive(clinic, send_at=timezone.now() + timedelta(hours=1))
    services.launch(draft, factories.administrator(clinic))
    ProviderAccount.objects.update(deleted_at=timezone.now())
    factories.account(clinic, sender="CityClinic", sender_kind=SenderKind.ALPHANUMERIC)
    Distribution.objects.update(send_at=timezone.now())

    starting.start_due()

    draft.refresh_from_db()
    assert draft.state == Distribution.State.SCHEDULED
    assert "nobody can reply to a name" in draft.problem
