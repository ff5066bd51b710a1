"""From a contact list to message rows: once, resumable, and with everybody accounted for."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from contacts.models import Contact, OptOut
from distributions import services
from distributions.engine import closing, due, expansion, outbox, quiet
from distributions.engine.references import link_token, message_id_of, message_id_of_reference, reference
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.planning import leaving, starting
from distributions.states import Status
from extensions.models import ProviderAccount
from organizations.models import AuditEvent
from organizations.permissions import MissingRight
from tests import factories

pytestmark = pytest.mark.django_db

State = Distribution.State


@pytest.fixture
def sender(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


@pytest.fixture
def draft(clinic):
    return factories.distribution(clinic, contact_list=factories.contact_list(clinic, 20))


def expand_all(distribution):
    while starting.expand(distribution.pk):
        pass


def test_a_launch_writes_a_message_for_everybody_on_the_list(draft, account, sender):
    services.launch(draft, sender)
    expand_all(draft)

    draft.refresh_from_db()
    assert draft.state == State.SENDING
    assert draft.account == account
    messages = draft.messages.order_by("pk")
    assert [message.to for message in messages] == [
        contact.phone for contact in draft.contact_list.contacts.order_by("pk")
    ]
    first = messages[0]
    assert first.text == f"Hello Ada0, please answer: https://surveys.example.com/s/{link_token(first.pk)}"
    assert draft.tally.waiting == draft.tally.total == 20
    chunk = Chunk.objects.get()
    assert (chunk.first_id, chunk.last_id) == (messages.first().pk, messages.last().pk)
    assert AuditEvent.objects.filter(action="launched", actor=sender).count() == 1


def test_special_characters_survive_the_way_into_the_database(draft, account, sender):
    odd = 'Tab\there, "quotes", back\\slash\nnew line \\N \\. ünïcödé 👍'
    Distribution.objects.update(message_text=odd)

    services.launch(Distribution.objects.get(), sender)
    expand_all(draft)

    assert set(draft.messages.values_list("text", flat=True)) == {odd}


def test_who_has_opted_out_or_has_no_number_is_skipped_with_the_reason(draft, account, sender, clinic):
    listed, stopped, numberless = draft.contact_list.contacts.order_by("pk")[:3]
    Contact.objects.filter(pk=listed.pk).update(opted_out_at=timezone.now())
    OptOut.objects.create(organization=clinic, phone=stopped.phone, source=OptOut.Source.KEYWORD)
    Contact.objects.filter(pk=numberless.pk).update(phone="")

    services.launch(draft, sender)
    expand_all(draft)

    reasons = dict(draft.messages.filter(status=Status.SKIPPED).values_list("contact_id", "reason"))
    assert reasons == {listed.pk: "opted_out", stopped.pk: "opted_out", numberless.pk: "no_number"}
    assert (draft.tally.waiting, draft.tally.skipped, draft.tally.segments) == (17, 3, 17)


def test_launching_ten_times_launches_once(draft, account, sender):
    for _click in range(10):
        services.launch(Distribution.objects.get(), sender)
        expand_all(draft)

    assert Message.objects.count() == 20
    assert AuditEvent.objects.filter(action="launched").count() == 1


def test_an_expansion_that_is_killed_goes_on_where_it_was(draft, account, sender, monkeypatch):
    monkeypatch.setattr(expansion, "STEP", 6)
    services.launch(draft, sender)
    starting.expand(draft.pk)
    write = expansion._write

    def killed(*arguments):
        write(*arguments)
        raise DatabaseError("the worker was killed")

    monkeypatch.setattr(expansion, "_write", killed)
    with pytest.raises(DatabaseError):
        starting.expand(draft.pk)
    assert Message.objects.count() == 6
    monkeypatch.setattr(expansion, "_write", write)

    assert due.launching() == [draft.pk]
    expand_all(draft)

    assert Message.objects.count() == 20
    assert Message.objects.values("contact").distinct().count() == 20
    assert Chunk.objects.count() == 4
    assert draft.tally.waiting == 20


def test_without_the_permission_nothing_is_launched(draft, account, clinic):
    """R32."""
    with pytest.raises(MissingRight):
        services.launch(draft, factories.user(clinic))

    assert Distribution.objects.get().state == State.DRAFT


def test_a_member_with_the_permission_launches_without_being_an_administrator(draft, account, sender):
    """R33."""
    assert services.launch(draft, sender).state == State.LAUNCHING


def test_an_account_that_is_not_granted_carries_nothing_and_the_launch_names_the_step(draft, clinic, sender):
    """R10, R34."""
    factories.account(clinic, granted=False, name="Main line")

    with pytest.raises(services.LaunchRefused, match=r"Main line.*grant access"):
        services.launch(draft, sender)

    assert Distribution.objects.get().state == State.DRAFT


def test_while_set_up_is_not_finished_the_installations_account_carries_the_messages(draft, clinic, sender, settings):
    """R8, R9: and every message says so."""
    settings.DEFAULT_PROVIDER = {
        "provider": "twilio",
        "sender": "447700900999",
        "credentials": {"account_sid": "AC" + "9" * 32, "auth_token": "d" * 32},
    }

    services.launch(draft, sender)
    expand_all(draft)
    outbox.mark([draft.messages.first().pk], Distribution.objects.get().account_id)

    assert draft.messages.order_by("pk").first().account.organization is None


def test_a_text_with_a_fault_is_refused_before_anybody_gets_it(draft, account, sender):
    Distribution.objects.update(message_text="Hello ${m://FirstName")

    with pytest.raises(services.LaunchRefused):
        services.launch(Distribution.objects.get(), sender)


def test_a_scheduled_distribution_waits_for_its_time(draft, account, sender):
    Distribution.objects.update(send_at=timezone.now() + timedelta(hours=1))

    services.launch(Distribution.objects.get(), sender)
    starting.start_due()
    assert Distribution.objects.get().state == State.SCHEDULED

    Distribution.objects.update(send_at=timezone.now() - timedelta(seconds=1))
    starting.start_due()
    assert Distribution.objects.get().state == State.LAUNCHING


def test_a_scheduled_distribution_without_a_route_says_what_is_missing(draft, account, sender):
    Distribution.objects.update(send_at=timezone.now() + timedelta(hours=1))
    services.launch(Distribution.objects.get(), sender)
    ProviderAccount.objects.update(granted_at=None)
    Distribution.objects.update(send_at=timezone.now() - timedelta(seconds=1))

    starting.start_due()

    waiting = Distribution.objects.get()
    assert waiting.state == State.SCHEDULED
    assert "grant access" in waiting.problem


def test_cancelling_takes_back_what_has_not_left(draft, account, sender):
    services.launch(draft, sender)
    expand_all(draft)
    marked = outbox.mark([draft.messages.order_by("pk").first().pk], account.pk)

    services.cancel(Distribution.objects.get(), sender)

    assert dict(draft.messages.values_list("pk", "status"))[marked[0].id] == Status.SENDING
    assert draft.messages.filter(status=Status.CANCELLED).count() == 19
    assert (Tally.objects.get().waiting, Tally.objects.get().cancelled) == (1, 19)


def test_a_paused_distribution_goes_on_when_it_is_resumed(draft, account, sender):
    services.launch(draft, sender)
    expand_all(draft)

    services.pause(draft, sender)
    assert due.accounts_due() == []

    services.resume(Distribution.objects.get(), sender)
    assert due.accounts_due() == [account.pk]


def test_deleting_the_account_hands_the_rest_to_the_next_in_the_list(draft, account, sender, clinic):
    """R23."""
    services.launch(draft, sender)
    expand_all(draft)
    second = factories.account(clinic)

    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    leaving.follow()

    assert set(Chunk.objects.values_list("account", flat=True)) == {second.pk}


def test_deleting_the_only_account_stops_the_rest_and_says_so(draft, account, sender):
    services.launch(draft, sender)
    expand_all(draft)

    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    leaving.follow()

    assert Distribution.objects.get().problem
    assert due.accounts_due() == []


def test_a_distribution_is_finished_when_nothing_is_left_to_send(draft, account, sender):
    services.launch(draft, sender)
    expand_all(draft)

    closing.close_finished()
    assert Distribution.objects.get().state == State.SENDING

    Chunk.objects.update(state=Chunk.State.DONE)
    closing.close_finished()
    assert Distribution.objects.get().state == State.FINISHED


def test_links_and_references_are_not_interchangeable():
    assert message_id_of(link_token(42)) == 42
    assert message_id_of_reference(reference(42)) == 42
    assert message_id_of_reference(link_token(42)) is None


@pytest.mark.parametrize(
    ("now", "quiet_from", "quiet_until", "ends"),
    [
        ("2026-11-22T12:00", time(21), time(9), None),
        ("2026-11-22T22:00", time(21), time(9), "2026-11-23T08:00"),  # Berlin is an hour ahead
        ("2026-11-22T03:00", time(21), time(9), "2026-11-22T08:00"),
        ("2026-11-22T08:00", time(21), time(9), None),
        ("2026-11-22T12:30", time(13), time(15), "2026-11-22T14:00"),
        ("2026-03-29T00:30", time(23), time(2, 30), "2026-03-29T01:30"),  # the clock is put forward at 2:00
        ("2026-11-22T12:00", None, None, None),
    ],
)
def test_quiet_hours_end_at_the_organizations_own_time(now, quiet_from, quiet_until, ends):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)

    until = quiet.ends_at(moment, quiet_from, quiet_until, "Europe/Berlin")

    assert until == (datetime.fromisoformat(ends).replace(tzinfo=UTC) if ends else None)


def test_what_a_provider_cannot_carry_is_replaced_before_it_is_counted_and_stored(draft, clinic, sender):
    """So that history shows what people really got."""
    factories.account(clinic, "link_mobility", sender="+447700900000")
    Distribution.objects.update(message_text="Thank you 👍")

    services.launch(Distribution.objects.get(), sender)
    expand_all(draft)

    [(text, segments)] = set(draft.messages.values_list("text", "segments"))
    assert "👍" not in text
    assert segments == 1


def test_a_household_gets_one_text_even_if_whoever_got_it_is_deleted_in_mid_launch(clinic, account, monkeypatch):
    """The next of the household would come into their place."""
    monkeypatch.setattr(expansion, "STEP", 2)
    family = factories.contact_list(clinic, 2, phone="+447700900{:03d}")
    first = family.contacts.earliest("pk")
    Contact.objects.create(
        organization=clinic, contact_list=family, first_name="Bob", phone=first.phone, shares_number=True
    )
    made = factories.distribution(
        clinic,
        contact_list=family,
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    assert starting.expand(made.pk) is True
    first.delete()

    starting.expand(made.pk)

    messages = made.messages.filter(to=first.phone).order_by("pk")
    assert list(messages.values_list("status", "reason")) == [
        (Status.QUEUED, ""),
        (Status.SKIPPED, Message.Skip.DUPLICATE),
    ]
