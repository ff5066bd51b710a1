"""Two organisations text the same person from accounts of their own: what one learns or does leaves the other's rows.

Each test looks at the other organisation's rows afterwards.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions.engine import outbox, reports
from distributions.engine.outbox import Change
from distributions.engine.references import reference
from distributions.models import Chunk, Conversation, Distribution, Doubt, InboundMessage, Message, MessageEvent, Tally
from distributions.replies import conversations, doubts, inbound
from distributions.states import Status
from extensions.contract import Category, Delivery, DeliveryReport, InboundSms
from extensions.models import ProviderAccount
from surveys.models import Answer, Response
from tests import factories
from tests.talks import arrive, turn

pytestmark = pytest.mark.django_db

PHONE = "+447700900077"
NEIGHBOUR = "+447700900078"


class Place:
    """An organisation that has asked PHONE the first question of a survey by text, through an account of its own."""

    def __init__(self, sender: str) -> None:
        self.organization = factories.organization(language="en")
        self.account = factories.account(self.organization, sender=sender)
        people = factories.contact_list(self.organization, phones=[PHONE, NEIGHBOUR])
        self.survey = factories.interactive(self.organization, self.account, contact_list=people, recipients=2)
        self.message = self.survey.messages.get(to=PHONE)

    def rows(self):
        """Everything of this organisation that another one's reply, report or click could wrongly change."""
        organization = self.organization
        owned = (Contact, OptOut, Message, Conversation, Doubt, InboundMessage, Response, Distribution)
        rows = {model: list(model.objects.filter(organization=organization).order_by("pk").values()) for model in owned}
        rows[Tally] = list(Tally.objects.filter(distribution__organization=organization).values())
        rows[Chunk] = list(Chunk.objects.filter(distribution__organization=organization).order_by("pk").values())
        rows[MessageEvent] = list(MessageEvent.objects.filter(message__organization=organization).values())
        return rows

    def hear(self, text, message_id="SM1", sender=PHONE):
        """The person writes to this organisation's number, and reads what is said to it."""
        sms = InboundSms(message_id=message_id, sender=sender, recipient=f"+{self.account.sender}", text=text)
        kept = inbound.apply_inbound(self.account, self.organization, sms)
        arrive()
        return kept

    def contacts(self, phone=PHONE):
        return Contact.objects.filter(organization=self.organization, phone=phone)

    def is_stopped(self, phone=PHONE):
        stopped = OptOut.objects.active().filter(organization=self.organization, phone=phone).exists()
        marked = {contact.opted_out_at is not None for contact in self.contacts(phone)}
        assert marked == {stopped}, "the contacts say what the opt-outs say"
        return stopped


@pytest.fixture
def here():
    return Place("447700900001")


@pytest.fixture
def there():
    return Place("447700900002")


# --- opting out and in -----------------------------------------------------------------------------------------------


def test_an_opt_out_stops_one_number_of_one_organisation(here, there):
    before = there.rows()

    assert opt_out(here.organization, PHONE, OptOut.Source.LINK, "x" * 300) is True

    assert (here.is_stopped(), here.is_stopped(NEIGHBOUR), there.is_stopped()) == (True, False, False)
    assert OptOut.objects.get().evidence == "x" * 200
    assert there.rows() == before


def test_who_has_opted_out_already_stays_opted_out_as_of_then(here):
    opt_out(here.organization, PHONE, OptOut.Source.LINK, "first")
    first, marked = OptOut.objects.values().get(), here.contacts().get().opted_out_at

    assert opt_out(here.organization, PHONE, OptOut.Source.API, "second") is False

    assert OptOut.objects.values().get() == first
    assert here.contacts().get().opted_out_at == marked


def test_a_contact_that_came_later_is_marked_by_the_next_opt_out(here):
    opt_out(here.organization, PHONE, OptOut.Source.LINK)
    factories.contact_list(here.organization, phones=[PHONE])

    assert opt_out(here.organization, PHONE, OptOut.Source.LINK) is False

    assert here.is_stopped()


def test_opting_in_lets_one_number_of_one_organisation_back(here, there):
    for place in (here, there):
        opt_out(place.organization, PHONE, OptOut.Source.LINK)
        opt_out(place.organization, NEIGHBOUR, OptOut.Source.LINK)
    before = there.rows()

    assert opt_in(here.organization, PHONE) is True

    assert (here.is_stopped(), here.is_stopped(NEIGHBOUR), there.is_stopped()) == (False, True, True)
    assert there.rows() == before


def test_opting_in_ends_what_is_active_and_rewrites_no_history(here):
    opt_out(here.organization, PHONE, OptOut.Source.LINK)
    assert opt_in(here.organization, PHONE) is True
    history = list(OptOut.objects.values())

    assert opt_in(here.organization, PHONE) is False, "it was not stopped"
    opt_out(here.organization, PHONE, OptOut.Source.API)

    assert list(OptOut.objects.exclude(source=OptOut.Source.API).values()) == history
    assert OptOut.objects.count() == 2


def test_opting_in_frees_contacts_that_are_marked_without_an_opt_out(here, there):
    Contact.objects.filter(phone=PHONE).update(opted_out_at=timezone.now())

    assert opt_in(here.organization, PHONE) is False

    assert not here.is_stopped()
    assert there.contacts().get().opted_out_at is not None


def test_the_numbers_that_must_not_be_texted_are_the_organisations_own_and_active(here, there):
    opt_out(here.organization, PHONE, OptOut.Source.LINK)
    opt_out(here.organization, NEIGHBOUR, OptOut.Source.LINK)
    opt_in(here.organization, NEIGHBOUR)
    opt_out(there.organization, NEIGHBOUR, OptOut.Source.LINK)

    assert OptOut.objects.numbers(here.organization.pk, [PHONE, NEIGHBOUR, "+1"]) == {PHONE}
    assert OptOut.objects.numbers(here.organization.pk, [NEIGHBOUR]) == set()
    assert OptOut.objects.numbers(there.organization.pk, [PHONE, NEIGHBOUR]) == {NEIGHBOUR}


# --- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", "STOP please don’t", "9", "what?", "HELP", "START", "👍"])
def test_a_reply_is_read_by_whom_it_was_written_to(here, there, word):
    for place in (here, there):  # in the middle of both surveys
        place.hear("9", message_id="SM0")
    before = there.rows()

    kept = here.hear(word)

    assert kept.organization == here.organization
    assert kept.message.organization == here.organization
    assert kept.contact.organization == here.organization
    assert there.rows() == before


def test_stop_ends_the_survey_here_and_start_lets_back_in_here(here, there):
    for place in (here, there):
        place.hear("9", message_id="SM0")
    here.hear("STOP")
    assert (here.is_stopped(), there.is_stopped()) == (True, False)
    assert here.hear("START", "SM2").meaning == InboundMessage.Meaning.OPT_IN

    assert (here.is_stopped(), there.is_stopped()) == (False, False)
    states = dict(Conversation.objects.values_list("organization", "state"))
    assert states == {
        here.organization.pk: Conversation.State.OPTED_OUT,
        there.organization.pk: Conversation.State.OPEN,
    }


def test_start_at_one_organisation_does_not_end_the_others_stop(here, there):
    for place in (here, there):
        place.hear("STOP")
    before = there.rows()

    here.hear("START", "SM2")

    assert (here.is_stopped(), there.is_stopped()) == (False, True)
    assert there.rows() == before


def test_an_id_that_two_provider_accounts_give_out_is_two_replies(here, there):
    """The key by which a repetition is known holds within an account at the provider."""
    other = {**factories.CREDENTIALS["twilio"], "account_sid": "AC" + "b" * 32}
    there.account.credentials = ProviderAccount.seal(there.organization, other)
    assert here.account.provider_identity != there.account.provider_identity

    assert here.hear("9", "SM-same") is not None
    assert there.hear("8", "SM-same") is not None
    assert here.hear("9", "SM-same") is None

    answers = Answer.objects.values_list("response__organization", "value")
    assert sorted(answers) == sorted([(here.organization.pk, "9"), (there.organization.pk, "8")])


def test_the_person_is_the_organisations_own_contact_even_where_the_others_was_added_last(here, there):
    factories.contact_list(there.organization, phones=[PHONE])

    kept = here.hear("9")

    assert kept.contact == here.contacts().get()


def test_a_number_that_only_another_organisation_knows_is_nobody_here(here, there):
    stranger = "+447700900555"
    people = factories.contact_list(there.organization, phones=[stranger])
    factories.interactive(there.organization, there.account, contact_list=people)
    before = there.rows()

    kept = here.hear("Hello", sender=stranger)

    assert (kept.contact, kept.message) == (None, None)
    assert there.rows() == before


# --- doubts ----------------------------------------------------------------------------------------------------------


def test_a_doubt_holds_back_the_texts_of_the_organisation_it_arose_at(here, there):
    assert here.hear("please stop this").doubt is not None
    assert Doubt.objects.get().organization == here.organization
    waiting = [
        factories.distribution(
            place.organization,
            contact_list=factories.contact_list(place.organization, phones=[PHONE]),
            recipients=1,
            account=place.account,
            state=Distribution.State.SENDING,
        ).messages.get()
        for place in (here, there)
    ]

    marked = {row.id for place in (here, there) for row in outbox.mark([one.pk for one in waiting], place.account.pk)}

    assert marked == {waiting[1].pk}
    assert Message.objects.get(pk=waiting[0].pk).reason == Message.Skip.IN_DOUBT


def test_settling_a_doubt_settles_the_organisations_own(here, there):
    for place in (here, there):
        place.hear("please stop this")
    assert Doubt.objects.undecided().count() == 2

    doubts.close(here.organization, PHONE)

    assert [doubt.organization for doubt in Doubt.objects.undecided()] == [there.organization]


# --- conversations ---------------------------------------------------------------------------------------------------


def test_stopping_ends_the_surveys_of_one_person_at_one_organisation(here, there):
    for place in (here, there):
        place.hear("9", "SM0")
        place.hear("9", "SM1", sender=NEIGHBOUR)

    conversations.stop(here.organization, PHONE)

    open_ones = Conversation.objects.filter(state=Conversation.State.OPEN).values_list("organization", "phone")
    assert sorted(open_ones) == sorted(
        [(here.organization.pk, NEIGHBOUR), (there.organization.pk, PHONE), (there.organization.pk, NEIGHBOUR)]
    )


def test_a_new_survey_on_a_number_ends_the_organisations_own_earlier_one_alone(here):
    """Even where the other organisation has the very same number, with the same credentials."""
    there = Place(here.account.sender)
    began = {}
    for place in (here, there):
        began[place] = conversations._find_or_begin(place.account, place.message, timezone.now(), timedelta(hours=72))
    later = factories.interactive(
        here.organization,
        here.account,
        contact_list=factories.contact_list(here.organization, phones=[PHONE]),
    ).messages.get()

    conversations._find_or_begin(here.account, later, timezone.now(), timedelta(hours=72))

    states = dict(Conversation.objects.values_list("pk", "state"))
    assert states[began[here].pk] == Conversation.State.SUPERSEDED
    assert states[began[there].pk] == Conversation.State.OPEN


def test_a_conversation_is_carried_on_by_an_account_of_its_own_organisation(here):
    """The other organisation's account has the number, too, and is older."""
    there = Place(here.account.sender)
    ProviderAccount.objects.filter(pk=there.account.pk).update(listed_at=timezone.now() - timedelta(days=9))
    ProviderAccount.objects.filter(pk=here.account.pk).update(deleted_at=timezone.now())
    gone = ProviderAccount.objects.get(pk=here.account.pk)

    assert conversations.carrier(gone) is None
    successor = factories.account(here.organization, sender=here.account.sender)

    assert conversations.carrier(gone) == successor


def test_what_was_not_said_yet_goes_over_to_the_own_successor_and_nobody_elses_goes_with_it(here, there):
    for place in (here, there):
        place.hear("9")
    ProviderAccount.objects.filter(pk=here.account.pk).update(deleted_at=timezone.now())
    successor = factories.account(here.organization, sender=here.account.sender)
    before = there.rows()

    conversations.carry_over()

    assert Conversation.objects.get(organization=here.organization).account == successor
    assert set(here.survey.chunks.values_list("account", flat=True)) == {successor.pk}
    assert there.rows() == before


# --- reports and results ---------------------------------------------------------------------------------------------


def test_a_report_moves_the_organisations_own_message(here, there):
    """Both providers gave out the same id; and a reference of the other's names nobody here."""
    Message.objects.filter(to=PHONE).update(provider_message_id="SM-twin")
    before = there.rows()
    ours = reference(here.message.pk)

    known = reports.apply_reports(
        here.account, [DeliveryReport(message_id="SM-twin", status=Delivery.DELIVERED, reference=ours)]
    )

    assert known == [True]
    assert Message.objects.get(pk=here.message.pk).status == Status.DELIVERED
    assert there.rows() == before


def test_a_reference_of_another_organisations_message_is_nobodys_here(here, there):
    Message.objects.filter(pk=here.message.pk).update(provider_message_id="SM-mine")
    before = here.rows(), there.rows()
    report = DeliveryReport(message_id="SM-mine", status=Delivery.FAILED, reference=reference(there.message.pk))

    assert reports.apply_reports(here.account, [report]) == [False]

    assert (here.rows(), there.rows()) == before


def test_who_has_opted_out_at_the_provider_has_opted_out_of_that_organisation(here, there):
    before = there.rows()
    report = DeliveryReport(
        "SM1", reference(here.message.pk), Delivery.FAILED, category=Category.OPTED_OUT, error="30006"
    )

    reports.apply_reports(here.account, [report])

    assert (here.is_stopped(), there.is_stopped()) == (True, False)
    assert there.rows() == before


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("category", Category)
def test_only_the_word_for_it_opts_a_person_out(here, category, blocked):
    """Not a number that is wrong, a phone that is off, or an operator that blocks."""
    report = DeliveryReport("SM1", reference(here.message.pk), Delivery.FAILED, category=category, blocked=blocked)

    reports.apply_reports(here.account, [report])

    assert here.is_stopped() is (category == Category.OPTED_OUT and not blocked)
    assert not here.is_stopped(NEIGHBOUR)
    assert Message.objects.get(pk=here.message.pk).reason == category


def test_what_is_put_back_or_taken_back_is_one_organisations(here, there):
    for place in (here, there):
        Message.objects.filter(pk=place.message.pk).update(status=Status.UNCERTAIN)
        outbox.recount(place.survey.pk)
    before = there.rows()

    assert outbox.requeue([here.message.pk]) == 1
    assert there.rows() == before
    assert Message.objects.get(pk=here.message.pk).status == Status.QUEUED

    assert outbox.take_back(here.survey.messages.all()) == [here.message.pk]
    assert there.rows() == before
    assert Message.objects.get(pk=here.message.pk).status == Status.CANCELLED


def test_a_cancelled_survey_ends_its_own_conversations(here, there):
    for place in (here, there):
        place.hear("9")

    conversations.end(here.survey.pk)

    states = dict(Conversation.objects.values_list("organization", "state"))
    assert states == {here.organization.pk: Conversation.State.ENDED, there.organization.pk: Conversation.State.OPEN}


def test_what_one_conversation_was_going_to_say_is_taken_back_alone(here, there):
    began = {place: place.hear("9") for place in (here, there)}
    assert all(began.values())
    mine = Conversation.objects.get(organization=here.organization)
    turn(mine, "Not said yet", status=Status.QUEUED, attempt=0)
    before = there.rows()
    Conversation.objects.filter(pk=mine.pk).update(expires_at=timezone.now())

    conversations.expire()

    assert Conversation.objects.get(pk=mine.pk).state == Conversation.State.EXPIRED
    assert not Message.objects.filter(conversation=mine, status=Status.QUEUED).exists()
    assert there.rows() == before


def test_a_result_is_written_to_the_message_it_belongs_to(here, there):
    before = there.rows()

    outbox.apply([Change(here.message.pk, Status.DELIVERED, message_id="SM9")])

    assert Message.objects.get(pk=here.message.pk).provider_message_id == "SM9"
    assert here.survey.messages.get(to=NEIGHBOUR).status == Status.ACCEPTED
    assert there.rows() == before
