"""An account leaves while texts wait on it: nothing goes out from another number unless somebody has said so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from distributions import services
from distributions.engine import due, outbox
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.planning import leaving, starting
from distributions.states import Status
from extensions import routing
from extensions.models import EnabledExtension, ProviderAccount
from extensions.services import Rest
from extensions.services import delete as delete_account
from organizations.models import AuditEvent, Licence
from organizations.permissions import MissingRight
from tests import factories

pytestmark = pytest.mark.django_db
State = Distribution.State


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="Old line", sender="447700900000")


@pytest.fixture
def sending(clinic, account):
    """A distribution of ten of which three have left."""
    return under_way(clinic, account)


def under_way(clinic, account, left=3):
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, 10),
        account=account,
        state=State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    gone = list(made.messages.order_by("pk").values_list("pk", flat=True)[:left])
    outbox.apply([outbox.Change(id=row.id, to=Status.ACCEPTED) for row in outbox.mark(gone, account.pk)])
    return Distribution.objects.get(pk=made.pk)


def carriers(distribution):
    return set(Chunk.objects.filter(distribution=distribution).values_list("account", flat=True))


def page(name, account):
    return reverse(f"admin:extensions_{name}", args=[account.public_id])


def client_of(user):
    client = Client()
    client.force_login(user)
    return client


# --- nobody was asked -------------------------------------------------------------------------------------------------


def test_what_has_begun_waits_when_its_account_is_deleted_and_says_so(clinic, account, sending, administrator):
    factories.account(clinic, sender="447700900777")

    delete_account(account, administrator)
    leaving.follow()

    sending.refresh_from_db()
    assert carriers(sending) == {account.pk}, "nothing from another number, unasked"
    assert "“Old line” (447700900000) was deleted while texts were waiting" in sending.problem
    assert due.accounts_due() == []


def test_what_has_begun_goes_on_from_the_same_number(clinic, account, sending, administrator):
    """The number is what people know: with or without its plus."""
    same = factories.account(clinic, "link_mobility", sender="+447700900000")

    delete_account(account, administrator)
    leaving.follow()

    sending.refresh_from_db()
    assert (carriers(sending), sending.account, sending.problem) == ({same.pk}, same, "")
    assert due.accounts_due() == [same.pk]


def test_the_same_number_at_another_organisation_carries_nothing(account, sending, administrator):
    stranger = factories.organization()
    factories.account(stranger, sender=account.sender)

    delete_account(account, administrator)
    leaving.follow()

    assert carriers(sending) == {account.pk}


def test_what_has_not_begun_follows_the_list_without_a_question(clinic, account, administrator):
    """R23: no text of it has a sender yet."""
    fresh = under_way(clinic, account, left=0)
    second = factories.account(clinic, sender="447700900777")

    delete_account(account, administrator)
    leaving.follow()

    fresh.refresh_from_db()
    assert (carriers(fresh), fresh.account, fresh.problem) == ({second.pk}, second, "")


def test_what_has_not_begun_waits_where_there_is_no_other_account(clinic, account, administrator):
    fresh = under_way(clinic, account, left=0)

    delete_account(account, administrator)
    leaving.follow()

    fresh.refresh_from_db()
    assert "No SMS account has been added yet" in fresh.problem
    assert due.accounts_due() == []


def test_a_text_that_a_killed_pump_may_have_sent_counts_as_begun(clinic, account, administrator):
    fresh = under_way(clinic, account, left=0)
    Chunk.objects.filter(distribution=fresh).update(lease_until=timezone.now() - timedelta(seconds=1), holder="dead")
    factories.account(clinic, sender="447700900777")

    delete_account(account, administrator)
    leaving.follow()

    assert carriers(fresh) == {account.pk}


@pytest.mark.parametrize("end", ["grant", "extension", "licence"])
def test_what_waits_for_a_right_says_so_and_goes_on_by_itself(clinic, account, sending, end):
    def switch(on):
        if end == "grant":
            ProviderAccount.objects.filter(pk=account.pk).update(granted_at=timezone.now() if on else None)
        elif end == "licence":
            Licence.objects.filter(organization=clinic).update(sms=on)
        elif on:
            EnabledExtension.objects.create(organization=clinic, provider=account.provider)
        else:
            EnabledExtension.objects.filter(organization=clinic, provider=account.provider).delete()

    factories.account(clinic, "infobip", sender="447700900777")
    switch(False)
    leaving.follow()
    sending.refresh_from_db()
    assert "wait" in sending.problem
    assert carriers(sending) == {account.pk}

    switch(True)
    leaving.follow()
    sending.refresh_from_db()
    assert sending.problem == ""
    assert due.accounts_due() == [account.pk]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_what_is_paused_keeps_what_it_says_until_it_is_resumed(clinic, account, sending, administrator, is_deleted):
    """After a restore, for example, it says what to look at first (distributions/restoring.py)."""
    Distribution.objects.filter(pk=sending.pk).update(paused_at=timezone.now(), problem="Review it first.")
    if is_deleted:
        delete_account(account, administrator)

    leaving.follow()
    sending.refresh_from_db()
    assert sending.problem == "Review it first."

    services.resume(sending, administrator)
    leaving.follow()
    sending.refresh_from_db()
    assert bool(sending.problem) is is_deleted


# --- somebody decides -------------------------------------------------------------------------------------------------


def test_one_click_sends_the_rest_through_the_account_in_use(clinic, account, sending, administrator):
    second = factories.account(clinic, sender="447700900777", name="New line")
    delete_account(account, administrator)
    leaving.follow()
    site = client_of(administrator)
    change = reverse("admin:distributions_distribution_change", args=[sending.pk])
    assert "Send the rest as 447700900777" in site.get(change).content.decode()

    site.post(reverse("admin:distributions_distribution_rest", args=[sending.pk]))

    sending.refresh_from_db()
    assert (carriers(sending), sending.account, sending.problem) == ({second.pk}, second, "")
    assert due.accounts_due() == [second.pk]
    event = AuditEvent.objects.get(action="sent the rest through another account")
    assert (event.actor, event.detail["sender"]) == (administrator, "447700900777")
    assert "Send the rest" not in site.get(change).content.decode()


def test_nobody_without_the_right_sends_the_rest(clinic, account, sending, administrator):
    factories.account(clinic, sender="447700900777")
    delete_account(account, administrator)

    with pytest.raises(MissingRight):
        services.send_the_rest(sending, factories.user(clinic, use_sms_distributions="disabled"))

    assert carriers(sending) == {account.pk}


def test_where_nothing_is_held_nothing_changes_hands(clinic, account, sending, administrator):
    factories.account(clinic, sender="447700900777")

    services.send_the_rest(sending, administrator)

    assert carriers(sending) == {account.pk}
    assert not AuditEvent.objects.filter(action="sent the rest through another account").exists()


def test_deleting_asks_while_texts_wait_and_does_nothing_without_an_answer(clinic, account, sending, administrator):
    factories.account(clinic, sender="447700900777")
    site = client_of(administrator)
    shown = site.get(page("delete", account)).content.decode()
    assert "7 texts are waiting for this account" in shown
    assert "Send the rest as 447700900777" in shown

    refused = site.post(page("delete", account))

    assert refused.status_code == 422
    assert "Choose what should happen to the waiting texts" in refused.content.decode()
    account.refresh_from_db()
    assert account.deleted_at is None


@pytest.mark.parametrize("word", ["", "sell", "hand_over"])
def test_what_is_not_offered_is_refused(account, sending, administrator, word):
    """There is no other account to hand the rest over to."""
    assert client_of(administrator).post(page("delete", account), {"rest": word}).status_code == 422

    account.refresh_from_db()
    assert (account.deleted_at, account.retiring_at) == (None, None)


def test_where_nothing_waits_deleting_asks_nothing(account, administrator):
    client_of(administrator).post(page("delete", account))

    account.refresh_from_db()
    assert account.deleted_at is not None


def test_stop_cancels_what_has_begun_and_nothing_else(clinic, account, sending, administrator):
    other = under_way(clinic, factories.account(clinic, sender="447700900777"))

    client_of(administrator).post(page("delete", account), {"rest": "stop"})

    sending.refresh_from_db()
    other.refresh_from_db()
    assert (sending.state, other.state) == (State.CANCELLED, State.SENDING)
    assert (Tally.objects.get(pk=sending.pk).cancelled, Tally.objects.get(pk=sending.pk).accepted) == (7, 3)
    account.refresh_from_db()
    assert account.deleted_at is not None


def test_hand_over_sends_the_rest_as_the_next_in_the_list(clinic, account, sending, administrator):
    second = factories.account(clinic, sender="447700900777")

    client_of(administrator).post(page("delete", account), {"rest": "hand_over"})

    assert carriers(sending) == {second.pk}
    assert due.accounts_due() == [second.pk]
    leaving.follow()
    sending.refresh_from_db()
    assert sending.problem == ""


def test_an_account_that_finishes_is_out_of_the_list_and_carries_what_it_began(clinic, account, sending, administrator):
    """R22, R23: the next in the list is in use at once."""
    second = factories.account(clinic, sender="447700900777")
    fresh = under_way(clinic, account, left=0)

    client_of(administrator).post(page("delete", account), {"rest": "finish"})
    leaving.follow()
    leaving.retire()

    account.refresh_from_db()
    assert (account.deleted_at, account.retiring_at is None) == (None, False)
    assert routing.account_in_use(clinic) == second
    assert [place.account for place in routing.places(clinic)] == [second]
    assert carriers(sending) == {account.pk}
    assert carriers(fresh) == {second.pk}, "what has not begun follows the list"
    assert set(due.accounts_due()) == {account.pk, second.pk}
    assert (
        len(outbox.mark(list(Message.objects.filter(distribution=sending).values_list("pk", flat=True)), account.pk))
        == 7
    )


def test_it_is_deleted_once_it_has_finished(clinic, account, sending, administrator):
    delete_account(account, administrator, rest=Rest.FINISH)
    leaving.retire()
    account.refresh_from_db()
    assert account.deleted_at is None

    Chunk.objects.filter(account=account).update(state=Chunk.State.DONE)
    leaving.retire()

    account.refresh_from_db()
    assert account.deleted_at is not None
    assert account in ProviderAccount.objects.verifying(), "the days of grace begin now"


def test_an_account_that_finishes_can_be_ended_at_once(clinic, account, sending, administrator):
    site = client_of(administrator)
    site.post(page("delete", account), {"rest": "finish"})
    extension = reverse("admin:extensions_extension", args=[account.provider])
    assert "sends the 7 texts that it had begun" in site.get(extension).content.decode()
    assert "Let this account finish" not in site.get(page("delete", account)).content.decode()

    site.post(page("delete", account), {"rest": "stop"})

    account.refresh_from_db()
    sending.refresh_from_db()
    assert account.deleted_at is not None
    assert sending.state == State.CANCELLED
