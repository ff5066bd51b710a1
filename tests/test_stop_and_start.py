"""What people have said about texts counts for each after it: at the launch, and in the moment before it leaves."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from contacts.models import OptOut
from distributions import services
from distributions.engine import outbox
from distributions.models import Distribution, Doubt, Message, Tally
from distributions.planning import starting
from distributions.replies import inbound
from distributions.states import Status
from extensions.contract import InboundSms
from tests import factories

pytestmark = pytest.mark.django_db

PHONES = ["+447700900001", "+447700900002"]
_ids = count(1)


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000")


@pytest.fixture
def sender(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


@pytest.fixture
def people(clinic):
    return factories.contact_list(clinic, phones=PHONES)


def write(account, text, phone=PHONES[0]):
    sms = InboundSms(f"SM{next(_ids)}", phone, f"+{account.sender}", text)
    return inbound.apply_inbound(account, account.organization, sms)


def launch(clinic, sender, people):
    made = factories.distribution(clinic, contact_list=people)
    services.launch(made, sender)
    while starting.expand(made.pk):
        pass
    return Distribution.objects.get(pk=made.pk)


def marked(made):
    """The numbers whose texts would leave now."""
    keys = list(made.messages.values_list("pk", flat=True))
    return sorted(message.to for message in outbox.mark(keys, made.account_id))


def test_who_stopped_and_started_again_gets_the_next_text(clinic, account, sender, people):
    write(account, "STOP")
    write(account, "START")

    assert marked(launch(clinic, sender, people)) == PHONES


def test_who_stopped_is_skipped_at_the_launch_and_the_others_are_not(clinic, account, sender, people):
    write(account, "STOP")

    made = launch(clinic, sender, people)

    assert marked(made) == PHONES[1:]
    skipped = made.messages.get(to=PHONES[0])
    assert (skipped.status, skipped.reason) == (Status.SKIPPED, Message.Skip.OPTED_OUT)


def test_who_stops_between_the_launch_and_the_text_gets_none(clinic, account, sender, people):
    made = launch(clinic, sender, people)
    write(account, "STOP")

    assert marked(made) == PHONES[1:]
    assert (Tally.objects.get().skipped, Tally.objects.get().waiting) == (1, 1)


def test_who_stops_and_starts_again_before_the_text_leaves_gets_it(clinic, account, sender, people):
    made = launch(clinic, sender, people)
    write(account, "STOP")
    write(account, "START")

    assert marked(made) == PHONES


def test_what_was_skipped_is_not_brought_back_by_a_start(clinic, account, sender, people):
    """They were told that nothing would come; the next distribution reaches them."""
    made = launch(clinic, sender, people)
    write(account, "STOP")
    assert marked(made) == PHONES[1:]
    write(account, "START")

    assert marked(made) == []
    assert made.messages.get(to=PHONES[0]).status == Status.SKIPPED
    assert marked(launch(clinic, sender, people)) == PHONES


def test_who_started_without_having_stopped_is_nobody_special(clinic, account, sender, people):
    write(account, "START")

    assert marked(launch(clinic, sender, people)) == PHONES
    assert not OptOut.objects.exists()


def test_an_opt_out_that_came_later_than_the_doubt_decides_it(clinic, account, sender, people):
    """STOP, and then START, after words that nobody has read yet: the person has said it plainly."""
    made = launch(clinic, sender, people)
    assert write(account, "please stop this").doubt is not None
    write(account, "STOP")
    write(account, "START")

    assert marked(made) == PHONES


def test_a_start_decides_a_doubt_too_and_nobody_elses(clinic, account, sender, people):
    other = factories.organization(language="en")
    theirs = factories.account(other, sender="447700900099")
    for one in (account, theirs):
        for phone in PHONES:
            factories.interactive(
                one.organization, one, contact_list=factories.contact_list(one.organization, phones=[phone])
            )
            assert write(one, "please stop this", phone).doubt is not None
    assert marked(launch(clinic, sender, people)) == []

    write(account, "START")

    assert marked(launch(clinic, sender, people)) == PHONES[:1]
    undecided = Doubt.objects.undecided().values_list("organization", "phone")
    assert sorted(undecided) == sorted([(clinic.pk, PHONES[1]), (other.pk, PHONES[0]), (other.pk, PHONES[1])])


# --- a launch in several steps ---------------------------------------------------------------------------------------


@pytest.fixture
def in_steps(monkeypatch):
    monkeypatch.setattr("distributions.engine.expansion.STEP", 2)
    monkeypatch.setattr("distributions.engine.expansion.CHUNK", 1)


def begun(clinic, sender, contacts=5):
    """A launch of which the first two of five messages are written."""
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic, contacts))
    services.launch(made, sender)
    assert starting.expand(made.pk) is True
    assert made.messages.count() == 2
    return Distribution.objects.get(pk=made.pk)


def test_a_launch_that_is_cancelled_between_two_steps_writes_nothing_more(in_steps, clinic, account, sender):
    made = begun(clinic, sender)

    services.cancel(made, sender)

    assert starting.expand(made.pk) is False
    assert list(made.messages.values_list("status", flat=True)) == [Status.CANCELLED] * 2
    assert set(made.chunks.values_list("state", flat=True)) == {"done"}
    made.refresh_from_db()
    assert made.state == Distribution.State.CANCELLED
    assert marked(made) == []


def test_a_launch_that_is_paused_between_two_steps_is_written_and_nothing_leaves(in_steps, clinic, account, sender):
    made = begun(clinic, sender)

    services.pause(made, sender)
    while starting.expand(made.pk):
        pass

    assert made.messages.count() == 5
    assert marked(made) == []
    services.resume(made, sender)
    assert len(marked(made)) == 5


def test_who_opts_out_between_two_steps_is_skipped_by_the_second(in_steps, clinic, account, sender):
    made = begun(clinic, sender)
    last = made.contact_list.contacts.order_by("pk").last()
    write(account, "STOP", last.phone)

    while starting.expand(made.pk):
        pass

    assert made.messages.get(contact=last).reason == Message.Skip.OPTED_OUT
    assert len(marked(made)) == 4
    assert Tally.objects.get().skipped == 1


def test_each_step_goes_on_after_the_last_contact_of_the_one_before(in_steps, clinic, account, sender):
    """Whoever is added with an earlier place, or twice, is not texted twice; nobody is left out."""
    made = begun(clinic, sender)
    while starting.expand(made.pk):
        pass

    assert sorted(made.messages.values_list("contact", flat=True)) == sorted(
        made.contact_list.contacts.values_list("pk", flat=True)
    )
    made.refresh_from_db()
    assert made.state == Distribution.State.SENDING
    assert starting.expand(made.pk) is False
    assert made.messages.count() == 5
    spans = list(made.chunks.order_by("first_id").values_list("first_id", "last_id"))
    assert spans == [(key, key) for key in sorted(made.messages.values_list("pk", flat=True))]


def test_a_step_that_ends_with_the_list_is_the_last(in_steps, clinic, account, sender):
    made = begun(clinic, sender, contacts=3)

    assert starting.expand(made.pk) is False
    assert made.messages.count() == 3


def test_texts_of_a_planned_time_are_due_then_and_not_before(clinic, account, sender, people):
    made = factories.distribution(clinic, contact_list=people)
    services.launch(made, sender)
    later = timezone.now() + timedelta(hours=1)
    Distribution.objects.update(send_at=later)
    while starting.expand(made.pk):
        pass

    assert made.chunks.get().not_before == later
    assert outbox.claim(account.pk, "me", 5) == []
