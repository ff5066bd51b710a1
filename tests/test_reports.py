"""What providers report moves messages forward only, whatever the order and however often."""

from __future__ import annotations

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import Contact, OptOut
from distributions.engine import reports
from distributions.engine.references import message_id_of, message_id_of_reference, reference
from distributions.models import Distribution, InboundMessage, InboundPart, Message, MessageEvent, Tally
from distributions.replies import inbound
from distributions.states import Status
from extensions.contract import Category, Delivery, DeliveryReport, InboundSms
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return factories.account(factories.organization())


@pytest.fixture
def message(account):
    """A message that its provider has accepted."""
    made = factories.distribution(
        account.organization,
        recipients=1,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, provider_message_id="SM1")
    Tally.objects.update(waiting=0, accepted=1)
    return made.messages.get()


def report(message, status, **fields):
    return DeliveryReport(message_id="SM1", reference=reference(message.pk), status=status, **fields)


def state_after(account, message, batches):
    """The message's state and the tally after these batches of reports."""
    Message.objects.update(status=Status.ACCEPTED, reason="", error="")
    Tally.objects.update(**dict.fromkeys(Tally.COLUMNS, 0) | {"accepted": 1})
    for batch in batches:
        reports.apply_reports(account, batch)
    message.refresh_from_db()
    return message.status, Tally.objects.values_list(*Tally.COLUMNS).get()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_any_grouping_and_any_repetition_gives_the_state_of_once_in_order(account, message, data):
    said = data.draw(st.lists(st.sampled_from(list(Delivery)), min_size=1, max_size=5))
    once = state_after(account, message, [[report(message, status)] for status in said])

    shuffled = data.draw(st.permutations(said * 5))
    size = data.draw(st.integers(1, len(shuffled)))
    batches = [
        [report(message, status) for status in shuffled[start : start + size]]
        for start in range(0, len(shuffled), size)
    ]

    assert state_after(account, message, batches) == once


def test_a_report_finds_its_message_by_our_reference_before_the_send_call_has_returned(account, message):
    Message.objects.update(status=Status.SENDING, provider_message_id="")

    assert reports.apply_reports(account, [report(message, Delivery.DELIVERED)]) == [True]

    message.refresh_from_db()
    assert (message.status, message.provider_message_id) == (Status.DELIVERED, "SM1")


def test_a_report_settles_an_uncertain_message(account, message):
    Message.objects.update(status=Status.UNCERTAIN)

    reports.apply_reports(account, [report(message, Delivery.SENT)])

    message.refresh_from_db()
    assert message.status == Status.SENT


def test_a_report_of_another_account_changes_nothing(account, message):
    """R97."""
    other = factories.account(factories.organization())

    assert reports.apply_reports(other, [report(message, Delivery.FAILED)]) == [False]

    message.refresh_from_db()
    assert message.status == Status.ACCEPTED
    assert not MessageEvent.objects.exists()


def test_an_unknown_word_is_kept_in_the_history_and_changes_nothing(account, message):
    reports.apply_reports(account, [report(message, Delivery.UNKNOWN, error="WARPED")])

    message.refresh_from_db()
    assert message.status == Status.ACCEPTED
    assert MessageEvent.objects.get().error == "WARPED"


def test_a_text_in_parts_is_delivered_when_all_are(account, message):
    Message.objects.update(segments=2)
    part = {"status": Delivery.DELIVERED, "parts": 2}

    reports.apply_reports(account, [report(message, part="0", **part)])
    message.refresh_from_db()
    assert message.status == Status.SENT

    reports.apply_reports(account, [report(message, part="0", **part), report(message, part="1", **part)])
    message.refresh_from_db()
    assert message.status == Status.DELIVERED


def test_a_text_in_parts_fails_as_soon_as_one_part_does(account, message):
    Message.objects.update(segments=2)

    reports.apply_reports(account, [report(message, Delivery.DELIVERED, part="0")])
    reports.apply_reports(
        account, [report(message, Delivery.UNDELIVERED, part="1", category=Category.INVALID_RECIPIENT, error="absent")]
    )

    message.refresh_from_db()
    assert (message.status, message.reason, message.error) == (Status.UNDELIVERED, "invalid_recipient", "absent")


@pytest.mark.parametrize(("blocked", "opted_out"), [(False, True), (True, False)])
def test_the_person_is_opted_out_when_the_provider_says_so_unless_it_is_a_mere_block(
    account, message, blocked, opted_out
):
    said = report(message, Delivery.FAILED, category=Category.OPTED_OUT, blocked=blocked)

    reports.apply_reports(account, [said])

    assert OptOut.objects.active().filter(phone=message.to, source=OptOut.Source.PROVIDER).exists() is opted_out


def said(message, text, **fields):
    fields.setdefault("message_id", f"in-{text}")
    return InboundSms(sender=message.to, recipient="+447700900000", text=text, **fields)


@pytest.mark.parametrize("text", ["STOP", " stop. ", "Stop!! 👋", "ABMELDEN", "Arrêt", "stop all", "ＳＴＯＰ"])
def test_a_stop_word_opts_the_contact_out_of_the_list(account, message, text):
    """R54."""
    inbound.apply_inbound(account, account.organization, said(message, text))

    assert OptOut.objects.active().get().phone == message.to
    assert Contact.objects.get(phone=message.to).opted_out_at is not None
    assert InboundMessage.objects.get().meaning == "opt_out"


def test_an_organization_may_have_stop_words_of_its_own(account, message):
    account.organization.stop_words = "Basta, Hör auf,"

    inbound.apply_inbound(account, account.organization, said(message, "hör auf!"))
    inbound.apply_inbound(account, account.organization, said(message, ""))

    assert [kept.meaning for kept in InboundMessage.objects.order_by("pk")] == ["opt_out", "reply"]


@pytest.mark.parametrize("text", ["Please stop by on Monday", "yes", "9", "don't", ""])
def test_a_text_that_merely_contains_a_word_is_an_answer(account, message, text):
    kept = inbound.apply_inbound(account, account.organization, said(message, text))

    assert kept.meaning == "reply"
    assert kept.message == message
    assert kept.contact.phone == message.to
    assert not OptOut.objects.exists()


@pytest.mark.parametrize("text", ["START", "unstop", "Yes"])
def test_a_start_word_lets_the_person_back_in(account, message, text):
    inbound.apply_inbound(account, account.organization, said(message, "STOP"))

    inbound.apply_inbound(account, account.organization, said(message, text))

    assert not OptOut.objects.active().exists()
    assert Contact.objects.get(phone=message.to).opted_out_at is None


def test_the_same_inbound_message_counts_once(account, message):
    first = inbound.apply_inbound(account, account.organization, said(message, "STOP"))
    again = inbound.apply_inbound(account, account.organization, said(message, "STOP"))

    assert first is not None
    assert again is None
    assert InboundMessage.objects.count() == OptOut.objects.count() == 1


def test_a_long_reply_that_comes_in_parts_is_joined_in_order(account, message):
    parts = ["Your staff was ", "very kind", ", thank you"]
    for number in (2, 3, 1, 2):
        sms = said(
            message, parts[number - 1], message_id=f"p{number}", concat_ref="7", concat_part=number, concat_total=3
        )
        inbound.apply_inbound(account, account.organization, sms)

    assert InboundMessage.objects.get().text == "Your staff was very kind, thank you"


def test_a_part_that_never_comes_holds_the_rest_back_only_for_a_while(account, message):
    sms = said(message, "first half", concat_ref="7", concat_part=1, concat_total=2)
    assert inbound.apply_inbound(account, account.organization, sms) is None

    InboundPart.objects.update(received_at=timezone.now() - inbound.PARTS_WAIT * 2)
    inbound.join_forgotten_parts()

    assert InboundMessage.objects.get().text == "first half"
    assert not InboundPart.objects.exists()


@given(pk=st.integers(1, 2**62))
def test_a_reference_leads_back_to_its_message_and_fits_every_provider(pk):
    made = reference(pk)

    assert message_id_of_reference(made) == pk
    assert len(made) <= 17
    assert made.isalnum()
    assert message_id_of(made) is None, "a reference is no personal link"


@given(token=st.text(max_size=40))
def test_a_made_up_reference_finds_nothing(token):
    assert message_id_of_reference(token) is None


def test_a_report_that_the_replaced_account_verified_finds_its_successors_message(account, message):
    """Both may hold the same secrets, and either may be asked first."""
    before = factories.account(account.organization, deleted_at=timezone.now())

    assert reports.apply_reports(before, [report(message, Delivery.DELIVERED)]) == [True]

    message.refresh_from_db()
    assert message.status == Status.DELIVERED
