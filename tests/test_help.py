"""HELP, INFO and START: answered with the organisation's words, once a day, and never as an answer to a question."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from contacts.models import OptOut
from contacts.opt_outs import opt_out
from distributions.engine import outbox
from distributions.models import Chunk, Conversation, InboundMessage, Message, Tally
from distributions.replies import inbound
from extensions import health, registry
from extensions.contract import InboundSms
from extensions.models import ProviderAccount
from organizations.models import Licence
from surveys.models import Answer
from tests import factories

pytestmark = pytest.mark.django_db
Meaning = InboundMessage.Meaning
_ids = count(1)


@pytest.fixture
def clinic():
    return factories.organization("City Clinic", language="en")


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000", provider="vonage")


@pytest.fixture
def asked(clinic, account):
    return factories.interactive(clinic, account)


def write(account, phone, text):
    """A person writes; returns what we text to it, or None."""
    before = set(Message.objects.values_list("pk", flat=True))
    sms = InboundSms(message_id=f"SM{next(_ids)}", sender=phone, recipient=f"+{account.sender}", text=text)
    inbound.apply_inbound(account, account.organization, sms)
    said = Message.objects.exclude(pk__in=before).first()
    return said.text if said else None


def phone_of(distribution):
    return distribution.messages.filter(conversation=None).first().to


@pytest.mark.parametrize(
    "word", ["HELP", "info", "Help please", "Hilfe!", "aide", "Ayuda", "yardım", "допомога", "مساعدة"]
)
def test_a_word_for_help_is_answered_in_any_language(account, asked, word):
    said = write(account, phone_of(asked), word)

    assert said.startswith("City Clinic: ")
    assert "STOP" in said
    assert InboundMessage.objects.get().meaning == Meaning.HELP
    assert not Answer.objects.exists()


def test_the_organization_has_a_text_of_its_own(account, asked, clinic):
    type(clinic).objects.filter(pk=clinic.pk).update(help_text="City Clinic, 020 7946 0000. STOP ends our texts.")
    account = ProviderAccount.objects.get(pk=account.pk)

    assert write(account, phone_of(asked), "HELP") == "City Clinic, 020 7946 0000. STOP ends our texts."


def test_in_german_the_default_is_german(account, asked, clinic):
    type(clinic).objects.filter(pk=clinic.pk).update(language="de")
    account = ProviderAccount.objects.get(pk=account.pk)

    assert "Antworten Sie mit STOP" in write(account, phone_of(asked), "Hilfe")


def test_it_is_answered_once_a_day(account, asked):
    phone = phone_of(asked)
    said = [write(account, phone, word) for word in ("HELP", "INFO", "help", "HELP")]
    assert [bool(text) for text in said] == [True, False, False, False]

    Conversation.objects.update(helped_at=timezone.now() - timedelta(days=1))

    assert write(account, phone, "HELP")


def test_two_autoresponders_do_not_talk_for_ever(account, asked):
    said = write(account, phone_of(asked), "INFO")
    for _turn in range(20):
        said = write(account, phone_of(asked), "INFO") or said

    assert Message.objects.exclude(conversation=None).count() == 1


def test_the_survey_goes_on_after_it(account, asked):
    phone = phone_of(asked)
    write(account, phone, "HELP")

    assert "wait" in write(account, phone, "9")
    assert Answer.objects.get().value == "9"


def test_who_was_sent_a_link_is_answered_too_and_counts_once(account, clinic):
    sent = factories.distribution(clinic, account=account, recipients=1, state="finished")
    sent.messages.update(status="accepted", attempt=1, attempted_at=timezone.now(), account=account)
    before = Tally.objects.get(pk=sent.pk).total

    said = write(account, phone_of(sent), "HELP")

    assert said.startswith("City Clinic")
    turn = Message.objects.exclude(conversation=None).get()
    assert turn.contact_id is None
    assert Tally.objects.get(pk=sent.pk).total == before
    assert Chunk.objects.get(first_id=turn.pk).priority == Chunk.Priority.REPLY
    assert [marked.id for marked in outbox.mark([turn.pk], account.pk)] == [turn.pk]


def test_a_stranger_gets_no_answer(account):
    assert write(account, "+447700900987", "HELP") is None


def test_who_has_opted_out_gets_no_answer(account, asked, clinic):
    opt_out(clinic, phone_of(asked), OptOut.Source.LINK)

    assert write(account, phone_of(asked), "HELP") is None


@pytest.mark.parametrize("why", ["licence", "stopped", "deleted", "ungranted"])
def test_an_account_that_cannot_send_answers_nothing(account, asked, why):
    if why == "licence":
        Licence.objects.update(sms=False)
    elif why == "stopped":
        health.stop(account, "Authenticate")
    elif why == "deleted":
        ProviderAccount.objects.update(deleted_at=timezone.now())
    else:
        ProviderAccount.objects.update(granted_at=None)
    account = ProviderAccount.objects.get(pk=account.pk)

    assert write(account, phone_of(asked), "HELP") is None


@pytest.mark.parametrize("provider", registry.all(), ids=lambda provider: provider.key)
def test_no_word_is_answered_twice_where_the_provider_answers_it_itself(clinic, provider):
    account = factories.account(clinic, sender="447700900009", provider=provider.key)
    asked = factories.interactive(clinic, account)

    assert bool(write(account, phone_of(asked), "HELP")) is ("help" not in provider.answers_help)
    Conversation.objects.update(helped_at=None)
    assert write(account, phone_of(asked), "Hilfe"), "in another language nobody else answers"


def test_start_in_the_middle_of_a_survey_says_what_happens(account, asked):
    phone = phone_of(asked)
    said = write(account, phone, "START")

    assert said.startswith("You already get our texts")
    assert said.endswith(asked.survey.questions.first().text)
    assert write(account, phone, "START") is None
    assert "wait" in write(account, phone, "9")


def test_start_after_stop_does_not_begin_the_survey_again(account, asked):
    phone = phone_of(asked)
    write(account, phone, "9")
    write(account, phone, "STOP")

    assert write(account, phone, "START") is None
    assert not OptOut.objects.active().exists()
    assert Conversation.objects.get().state == Conversation.State.OPTED_OUT
    assert write(account, phone, "2") == "This survey has ended. Thank you for your reply."
    assert Answer.objects.count() == 1


def test_start_from_somebody_without_a_survey_says_nothing(account, clinic):
    sent = factories.distribution(clinic, account=account, recipients=1, state="finished")
    sent.messages.update(status="accepted", attempt=1, attempted_at=timezone.now(), account=account)

    assert write(account, phone_of(sent), "START") is None
