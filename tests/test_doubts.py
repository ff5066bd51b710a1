"""Replies that may be opt-outs: nothing is stored, nothing is texted, and one click decides."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from contacts.models import OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions import wording
from distributions.engine import outbox
from distributions.models import Conversation, Distribution, Doubt, InboundMessage, Message
from distributions.replies import conversations, doubts, inbound
from extensions.contract import InboundSms
from organizations.models import AuditEvent
from surveys.models import Answer
from tests import factories, talks

pytestmark = pytest.mark.django_db
Meaning = InboundMessage.Meaning
Decision = Doubt.Decision
_ids = count(1)

SURVEY = [
    {"kind": "text", "text": "What could be better?"},
    {"kind": "choice", "text": "How was the wait?", "choices": "Bus stop\nFine\nToo long"},
    {"kind": "nps", "text": "0 to 10?"},
]


@pytest.fixture
def clinic():
    return factories.organization("City Clinic", language="en")


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000")


@pytest.fixture
def asked(clinic, account):
    """A survey by text whose first question, for free text, has left to one person."""
    return factories.interactive(clinic, account, survey=factories.survey(clinic, questions=SURVEY))


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic, use_sms_distributions="enabled")


def phone_of(distribution):
    return distribution.messages.filter(conversation=None).first().to


def write(account, phone, text):
    """A person writes. Returns the kept text and what we text to it, or None."""
    before = set(Message.objects.values_list("pk", flat=True))
    sms = InboundSms(message_id=f"SM{next(_ids)}", sender=phone, recipient=f"+{account.sender}", text=text)
    kept = inbound.apply_inbound(account, account.organization, sms)
    said = Message.objects.exclude(pk__in=before).first()
    return kept, said.text if said else None


def answers():
    return list(Answer.objects.order_by("pk").values_list("question__kind", "value"))


def the_doubt():
    return Doubt.objects.select_related("organization").get(decided_at=None)


# --- keeping back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["stop texting me", "Don't text me again!", "hör auf damit bitte, stop"])
def test_a_near_miss_is_no_answer_and_nothing_more_is_texted(account, asked, text):
    kept, said = write(account, phone_of(asked), text)

    assert (kept.meaning, said, answers()) == (Meaning.DOUBT, None, [])
    doubt = the_doubt()
    assert (doubt.message, doubt.question.text) == (asked.messages.get(), "What could be better?")
    assert Conversation.objects.get().state == Conversation.State.OPEN
    assert not OptOut.objects.exists()


def test_the_conversation_waits_and_what_is_written_meanwhile_joins(account, asked):
    phone = phone_of(asked)
    write(account, phone, "please stop that noise")
    kept, said = write(account, phone, "the noise of the bus, I mean")

    assert (kept.meaning, said, answers()) == (Meaning.DOUBT, None, [])
    assert [text.text for text in the_doubt().texts.order_by("pk")] == [
        "please stop that noise",
        "the noise of the bus, I mean",
    ]


def test_what_waits_about_no_survey_makes_no_other_text_doubtful(account):
    phone = "+447700900123"
    kept, _said = write(account, phone, "please stop that noise")
    assert kept.meaning == Meaning.DOUBT

    kept, said = write(account, phone, "Thank you")

    assert (kept.meaning, said) == (Meaning.REPLY, None)
    assert the_doubt().texts.count() == 1


def test_a_long_text_to_a_free_question_is_an_answer_with_a_mark(account, asked):
    text = "Everything was fine but please stop the music in the waiting room"
    kept, said = write(account, phone_of(asked), text)

    assert (kept.meaning, kept.mentions_stopping) == (Meaning.ANSWER, True)
    assert answers() == [("text", text)]
    assert said.startswith("How was the wait?")
    assert not Doubt.objects.exists()


def test_an_honest_answer_has_no_mark(account, asked):
    kept, _said = write(account, phone_of(asked), "In the end all was well, the bus stop is near")

    assert (kept.meaning, kept.mentions_stopping) == (Meaning.ANSWER, False)


def test_a_long_text_that_no_other_question_takes_waits_too(account, asked):
    phone = phone_of(asked)
    write(account, phone, "More seats")
    kept, said = write(account, phone, "I have told you so often: please stop sending me these texts")

    assert (kept.meaning, said) == (Meaning.DOUBT, None)


def test_a_label_is_an_answer_whatever_it_is_made_of(account, clinic):
    labels = {"kind": "choice", "text": "What annoys you?", "choices": "Stop signs\nWrong number\nNothing"}
    asked = factories.interactive(clinic, account, survey=factories.survey(clinic, questions=[labels]))

    kept, _said = write(account, phone_of(asked), "wrong number")

    assert (kept.meaning, answers()) == (Meaning.ANSWER, [("choice", "2")])


def test_a_stop_word_stays_one(account, asked):
    kept, said = write(account, phone_of(asked), "Stop. Thank you")

    assert (kept.meaning, said) == (Meaning.OPT_OUT, None)
    assert OptOut.objects.get().source == OptOut.Source.KEYWORD
    assert not Doubt.objects.exists()


def test_whoever_is_in_no_survey_is_decided_about_too(account, clinic):
    kept, said = write(account, "+447700900123", "wrong number, remove me")

    assert (kept.meaning, said) == (Meaning.DOUBT, None)
    assert (the_doubt().message, the_doubt().question) == (None, None)
    assert write(account, "+447700900999", "hello there")[0].meaning == Meaning.REPLY


# --- what else would be texted meanwhile ------------------------------------------------------------------------------


def another(organization, account, phone):
    """Another distribution that is being sent, to this person and one more; the messages' keys by number."""
    contact_list = factories.contact_list(organization, phones=[phone, "+447700900888"])
    made = factories.distribution(
        organization, contact_list=contact_list, recipients=2, account=account, state=Distribution.State.SENDING
    )
    return dict(made.messages.values_list("to", "pk"))


def marked(rows, account):
    return {message.to for message in outbox.mark(list(rows.values()), account.pk)}


def test_nothing_else_is_texted_to_somebody_whose_reply_awaits_a_decision(account, clinic, asked):
    phone = phone_of(asked)
    rows = another(clinic, account, phone)
    write(account, phone, "don't text me again")

    assert marked(rows, account) == {"+447700900888"}

    message = Message.objects.get(pk=rows[phone])
    assert (message.status, message.reason) == ("skipped", Message.Skip.IN_DOUBT)
    assert (message.distribution.tally.waiting, message.distribution.tally.skipped) == (1, 1)
    assert "nobody had decided yet" in wording.explain(message.status, message.reason)


@pytest.mark.parametrize("decision", [Decision.ANSWER, Decision.NEITHER])
def test_once_it_is_decided_they_are_texted_as_before(account, clinic, asked, ada, decision):
    phone = phone_of(asked)
    rows = another(clinic, account, phone)
    write(account, phone, "please stop that noise")
    doubts.decide(the_doubt(), decision, ada)

    assert marked(rows, account) == {phone, "+447700900888"}


def test_who_has_opted_out_and_come_back_since_is_texted(account, clinic, asked):
    """They have decided it themselves, although nobody has looked at the list."""
    phone = phone_of(asked)
    rows = another(clinic, account, phone)
    write(account, phone, "don't text me again")
    opt_out(clinic, phone, OptOut.Source.ADMINISTRATOR)
    opt_in(clinic, phone)

    assert marked(rows, account) == {phone, "+447700900888"}


def test_another_organisation_texts_them_as_before(account, asked):
    phone = phone_of(asked)
    write(account, phone, "don't text me again")
    surgery = factories.organization()
    theirs = factories.account(surgery, sender="447700900001")

    assert marked(another(surgery, theirs, phone), theirs) == {phone, "+447700900888"}


def test_what_the_decision_has_asked_next_leaves_at_once(account, asked, ada):
    write(account, phone_of(asked), "please stop that noise")
    doubts.decide(the_doubt(), Decision.ANSWER, ada)
    turn = Message.objects.exclude(conversation=None).get()

    assert [message.id for message in outbox.mark([turn.pk], account.pk)] == [turn.pk]


def test_whoever_has_opted_out_raises_no_doubt(account, clinic, asked):
    opt_out(clinic, phone_of(asked), OptOut.Source.ADMINISTRATOR)

    kept, said = write(account, phone_of(asked), "stop texting me")

    assert (kept.meaning, said) == (Meaning.REPLY, None)
    assert not Doubt.objects.exists()


def test_who_has_no_number_raises_no_doubt(account):
    assert write(account, "77700", "stop texting me")[0].meaning == Meaning.REPLY
    assert not Doubt.objects.exists()


def test_there_is_one_doubt_for_each_person_and_number(account, clinic, asked):
    other = factories.account(clinic, sender="447700900001")
    for line in (account, account, other):
        write(line, phone_of(asked), "stop texting me")
    write(account, "+447700900124", "stop texting me")

    assert sorted(Doubt.objects.values_list("phone", "line")) == sorted(
        [(phone_of(asked), "447700900000"), (phone_of(asked), "447700900001"), ("+447700900124", "447700900000")]
    )


@pytest.mark.parametrize(("word", "stopped"), [("STOP", True), ("START", False)])
def test_a_stop_or_start_word_decides_by_itself(account, asked, word, stopped):
    phone = phone_of(asked)
    write(account, phone, "stop texting me")
    write(account, phone, word)

    assert Doubt.objects.get().decision == Decision.PERSON
    assert OptOut.objects.active().exists() is stopped


def test_after_an_opt_out_by_any_way_and_a_start_the_survey_is_not_held_up(account, clinic, asked):
    phone = phone_of(asked)
    write(account, phone, "stop texting me")
    opt_out(clinic, phone, OptOut.Source.LINK)
    opt_in(clinic, phone)

    assert not Doubt.objects.undecided().exists()
    assert write(account, phone, "More seats")[0].meaning != Meaning.DOUBT


# --- deciding ---------------------------------------------------------------------------------------------------------


def test_one_click_makes_it_the_answer_and_the_survey_goes_on(account, asked, ada):
    phone = phone_of(asked)
    write(account, phone, "please stop that noise")
    write(account, phone, "of the bus")

    said = doubts.decide(the_doubt(), Decision.ANSWER, ada)

    assert said == "It was taken as the answer, and the survey continues."
    assert answers() == [("text", "please stop that noise\nof the bus")]
    assert Message.objects.exclude(conversation=None).get().text.startswith("How was the wait?")
    talks.arrive()
    assert write(account, phone, "Fine")[0].meaning == Meaning.ANSWER
    assert AuditEvent.objects.filter(action=doubts.DECIDED, detail={"decision": "answer"}).exists()


def test_one_click_opts_the_person_out(account, asked, ada):
    write(account, phone_of(asked), "stop texting me")

    doubts.decide(the_doubt(), Decision.OPT_OUT, ada)

    assert OptOut.objects.active().get().phone == phone_of(asked)
    assert Conversation.objects.get().state == Conversation.State.OPTED_OUT
    assert InboundMessage.objects.get().meaning == Meaning.OPT_OUT
    assert answers() == []


def test_neither_leaves_the_question_waiting(account, asked, ada):
    phone = phone_of(asked)
    write(account, phone, "stop it")

    doubts.decide(the_doubt(), Decision.NEITHER, ada)

    assert InboundMessage.objects.get().meaning == Meaning.REPLY
    assert not Message.objects.exclude(conversation=None).exists()
    assert write(account, phone, "More seats")[0].meaning == Meaning.ANSWER


def test_a_question_that_has_not_left_is_taken_back_and_asked_after_the_decision(account, asked, ada):
    phone = phone_of(asked)
    write(account, phone, "More seats")
    question = Message.objects.exclude(conversation=None).get()
    write(account, phone, "stop it now please")

    question.refresh_from_db()
    assert question.status == "cancelled"
    doubts.decide(the_doubt(), Decision.NEITHER, ada)

    again = Message.objects.exclude(conversation=None).exclude(pk=question.pk).get()
    assert (again.text, again.status) == (question.text, "queued")


def test_the_first_of_two_decides(account, asked, ada):
    write(account, phone_of(asked), "stop texting me")
    doubt = the_doubt()
    doubts.decide(doubt, Decision.ANSWER, ada)

    for decision in (Decision.OPT_OUT, Decision.NEITHER, Decision.ANSWER):
        with pytest.raises(doubts.Undecidable, match="already been decided: taken as the answer"):
            doubts.decide(doubt, decision, ada)
    assert not OptOut.objects.exists()


def test_whoever_has_opted_out_meanwhile_has_decided(account, clinic, asked, ada):
    write(account, phone_of(asked), "stop texting me")
    opt_out(clinic, phone_of(asked), OptOut.Source.LINK)

    with pytest.raises(doubts.Undecidable, match="opted out in the meantime"):
        doubts.decide(the_doubt(), Decision.ANSWER, ada)
    assert answers() == []


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_of_a_survey_that_has_ended_nothing_can_be_the_answer(account, asked, ada, how):
    write(account, phone_of(asked), "stop it")
    if how == "expired":
        Conversation.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    else:
        conversations.end(asked.pk)

    with pytest.raises(doubts.Undecidable, match="has ended in the meantime"):
        doubts.decide(the_doubt(), Decision.ANSWER, ada)

    assert answers() == []
    assert doubts.decide(the_doubt(), Decision.NEITHER, ada)


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client_of(client):
    def log_in(user):
        client.force_login(user)
        return client

    return log_in


def test_the_home_page_leads_to_the_list_and_the_list_decides(client_of, account, asked, ada):
    write(account, phone_of(asked), "stop texting <me>")
    client = client_of(ada)

    assert "1 person may have asked not to be texted any more" in client.get("/admin/").content.decode()
    page = client.get(reverse("admin:distributions_doubts")).content.decode()
    for words in ("stop texting &lt;me&gt;", "What could be better?", asked.name, phone_of(asked), "It is an answer"):
        assert words in page

    decided = client.post(
        reverse("admin:distributions_doubt_decide", args=[the_doubt().pk]), {"decision": "opt_out"}, follow=True
    )

    assert "has been opted out" in decided.content.decode()
    assert "Nothing is waiting for a decision." in decided.content.decode()
    assert "may have asked" not in client.get("/admin/").content.decode()


def test_whoever_lacks_the_right_neither_sees_nor_decides(client_of, clinic, account, asked):
    write(account, phone_of(asked), "stop texting me")
    client = client_of(factories.user(clinic))

    assert "may have asked" not in client.get("/admin/").content.decode()
    assert client.get(reverse("admin:distributions_doubts")).status_code == 403
    decide = reverse("admin:distributions_doubt_decide", args=[the_doubt().pk])
    assert client.post(decide, {"decision": "opt_out"}).status_code == 403
    assert not OptOut.objects.exists()


@pytest.mark.parametrize("decision", ["", "person", "x" * 1000, "answer\x00"])
def test_a_decision_that_does_not_exist_decides_nothing(client_of, account, asked, ada, decision):
    write(account, phone_of(asked), "stop texting me")
    decide = reverse("admin:distributions_doubt_decide", args=[the_doubt().pk])

    page = client_of(ada).post(decide, {"decision": decision}, follow=True).content.decode()

    assert "Choose one of the buttons" in page
    assert Doubt.objects.undecided().exists()


def test_ten_thousand_wait_a_page_at_a_time(client_of, clinic, account, ada, django_assert_max_num_queries):
    Doubt.objects.bulk_create(
        Doubt(organization=clinic, account=account, line=account.sender, phone=f"+4477009{number:05}")
        for number in range(10_000)
    )
    client = client_of(ada)
    seen, address = 0, reverse("admin:distributions_doubts")
    for _page in range(3):
        with django_assert_max_num_queries(14):
            found = client.get(address)
        assert "10000 people are waiting" in found.content.decode().replace(",", "")
        seen += found.content.decode().count('id="doubt-')
        address = f"{reverse('admin:distributions_doubts')}?after={found.context['after']}"
    assert seen == 75


def test_a_stranger_decides_nothing(account, asked):
    write(account, phone_of(asked), "stop texting me")
    client = Client()
    client.force_login(factories.administrator(factories.organization(), use_sms_distributions="enabled"))

    decide = reverse("admin:distributions_doubt_decide", args=[the_doubt().pk])

    assert client.post(decide, {"decision": "opt_out"}).status_code == 404
    assert not OptOut.objects.exists()
