"""The pump against the real simulator over real HTTP: every text leaves once, whatever the provider answers."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import ContactList, OptOut
from distributions.engine import crew, due, outbox
from distributions.engine.references import reference
from distributions.models import Chunk, Distribution, Message, MessageEvent, Tally
from distributions.states import Status
from extensions.models import AccountState, EnabledExtension, ProviderAccount, WorkerSlot
from organizations.models import Licence
from tests import factories, pumping
from tests.simulated import launched, look_up, statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_every_message_is_sent_once_and_its_acceptance_recorded(sink, provider):
    made = launched(provider, recipients=130)

    while pumping.run(made.account_id):
        pass

    assert statuses(made) == {Status.ACCEPTED: 130}
    sent = sink.ledger
    assert sorted(entry["reference"] for entry in sent) == sorted(
        reference(pk) for pk in made.messages.values_list("pk", flat=True)
    )
    assert {entry["text"] for entry in sent} == set(made.messages.values_list("text", flat=True))
    assert not made.messages.filter(provider_message_id="").exists()
    assert set(Chunk.objects.values_list("state", flat=True)) == {Chunk.State.DONE}
    assert (Tally.objects.get().waiting, Tally.objects.get().accepted) == (0, 130)


def test_a_message_is_sent_once_however_often_workers_are_woken(sink):
    made = launched(recipients=20)

    for _ring in range(3):
        pumping.run(made.account_id)

    assert len(sink.ledger) == 20


def test_a_refused_message_fails_with_the_reason_in_our_words_and_theirs(sink):
    made = launched(recipients=1, phone="+447700999904")  # an invalid number

    pumping.run(made.account_id)

    message = made.messages.get()
    assert (message.status, message.reason) == (Status.FAILED, "invalid_recipient")
    assert "21211" in message.error
    assert MessageEvent.objects.get().category == "invalid_recipient"
    assert sink.ledger == []


def test_who_opted_out_at_the_provider_is_opted_out_here(sink):
    made = launched(recipients=1, phone="+447700999905")

    pumping.run(made.account_id)

    assert made.messages.get().reason == "opted_out"
    assert OptOut.objects.active().get().phone == "+447700999905"


@pytest.mark.parametrize("kind", ["accept_drop", "accept_500", "accept_garbage", "accept_empty", "accept_cut_json"])
def test_an_unclear_answer_is_never_followed_by_a_second_send(sink, kind):
    made = launched(recipients=8)
    sink.fail(kind)

    for _ring in range(3):
        pumping.run(made.account_id)

    assert statuses(made) == {Status.UNCERTAIN: 8}
    assert len(sink.ledger) == 8


def test_an_answer_that_never_comes_is_unclear_after_the_deadline(sink, settings):
    settings.SEND_TIMEOUT = 1
    made = launched(recipients=2)
    sink.fail("accept_hang")

    pumping.run(made.account_id)

    assert statuses(made) == {Status.UNCERTAIN: 2}


def test_an_uncertain_message_that_the_provider_has_is_found_by_look_up(sink):
    made = launched(recipients=6)
    sink.fail("accept_drop")
    pumping.run(made.account_id)
    sink.heal()

    assert look_up(made) is False

    assert Status.UNCERTAIN not in statuses(made)
    assert not made.messages.filter(provider_message_id="").exists()
    assert len(sink.ledger) == 6


def test_an_uncertain_message_that_the_provider_never_had_is_sent_after_the_look_up(sink):
    made = launched(recipients=6)
    sink.fail("drop")
    pumping.run(made.account_id)
    assert statuses(made) == {Status.UNCERTAIN: 6}
    sink.heal()

    assert look_up(made) is True
    pumping.run(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 6}
    assert len(sink.ledger) == 6


def test_where_the_provider_refuses_repeats_an_uncertain_message_is_repeated_and_counts_once(sink):
    made = launched("infobip", recipients=6)
    sink.fail("accept_drop", "infobip")
    pumping.run(made.account_id)
    sink.heal()

    assert look_up(made) is True
    pumping.run(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 6}
    assert len(sink.ledger) == 6


def test_no_call_is_made_before_the_time_the_provider_asked_for(sink):
    made = launched(recipients=20)
    sink.fail("429", retry_after=30)

    pumping.run(made.account_id)
    calls = sink.hits
    pumping.run(made.account_id)
    crew.serve(made.account_id)

    assert 0 < calls <= 16, "what was in flight when the first was refused"
    assert (sink.hits, sink.ledger) == (calls, [])
    assert statuses(made) == {Status.QUEUED: 20}
    assert AccountState.objects.get(pk=made.account_id).open_until > timezone.now() + timedelta(seconds=20)
    assert due.accounts_due() == []


def test_bad_credentials_stop_the_account_and_lose_no_message(sink):
    made = launched(recipients=40)
    sink.fail("401")

    pumping.run(made.account_id)

    state = AccountState.objects.get(pk=made.account_id)
    assert state.stopped_at is not None
    assert "auth_failed" in state.stopped_reason
    assert statuses(made) == {Status.QUEUED: 40}
    assert due.accounts_due() == []


def test_while_the_provider_is_away_messages_wait_and_the_account_pauses(sink, settings):
    settings.PROVIDER_BASE_URLS = {"twilio": "http://127.0.0.1:9"}  # nobody listens there
    made = launched(recipients=40)

    pumping.run(made.account_id)

    assert statuses(made) == {Status.QUEUED: 40}
    assert AccountState.objects.get(pk=made.account_id).open_until > timezone.now()


def test_the_rate_of_the_account_is_kept_in_every_second(sink):
    made = launched(recipients=60)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=20)

    pumping.run(made.account_id)
    pumping.run(made.account_id)

    times = sorted(entry["time"] for entry in sink.ledger)
    peak = max(sum(start <= moment < start + 1 for moment in times) for start in times)
    assert len(times) >= 40
    assert peak <= 23  # the rate, and the little by which two calls may drift


def test_the_last_messages_of_a_chunk_are_sent_although_the_rate_keeps_them_waiting(sink):
    made = launched(recipients=12)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=20)

    pumping.run(made.account_id)  # the first six are answered long before the last six may leave

    assert statuses(made) == {Status.ACCEPTED: 12}
    assert len(sink.ledger) == 12


def test_a_pause_in_the_middle_stops_all_but_what_is_in_flight(sink):
    made = launched(recipients=200)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=50)
    Distribution.objects.filter(pk=made.pk).update(paused_at=timezone.now())

    pumping.run(made.account_id)

    assert sink.ledger == []
    assert statuses(made) == {Status.QUEUED: 200}
    Distribution.objects.filter(pk=made.pk).update(paused_at=None)
    assert due.accounts_due() == [made.account_id], "its chunks were given back"


def withdraw_grant(account):
    ProviderAccount.objects.filter(pk=account.pk).update(granted_at=None)


def delete_account(account):
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())


def end_licence(account):
    Licence.objects.filter(organization=account.organization).update(sms=False)


def switch_extension_off(account):
    EnabledExtension.objects.filter(organization=account.organization, provider=account.provider).delete()


ENDS = [delete_account, withdraw_grant, switch_extension_off, end_licence]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_an_accounts_right_to_send_ends_it_in_mid_send(sink, end):
    """What leaves afterwards: what was "sending" at that moment and one group of marks (R12, R14, R34)."""
    made = launched(recipients=300)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=100)
    marked = []

    def end_it():
        while not marked:
            if made.messages.exclude(status=Status.QUEUED).count() >= 20:
                end(made.account)
                marked.append(made.messages.exclude(status=Status.QUEUED).count())
            time.sleep(0.01)
        connection.close()

    ending = threading.Thread(target=end_it)
    ending.start()
    pumping.run(made.account_id)
    ending.join()

    assert len(sink.ledger) <= marked[0] + 12, "the mark group of 16 requests in flight, shared by two slots"
    assert statuses(made) == {Status.ACCEPTED: len(sink.ledger), Status.QUEUED: 300 - len(sink.ledger)}
    assert AccountState.objects.get(pk=made.account_id).stopped_at is None, "nothing is wrong with it"
    assert due.accounts_due() == []
    assert pumping.run(made.account_id) is False


@pytest.mark.parametrize("end", ENDS)
def test_no_text_is_marked_for_an_account_that_may_not_send(end):
    """Not even by a pump that has claimed it before."""
    made = launched(recipients=3)
    end(made.account)

    assert outbox.mark(list(made.messages.values_list("pk", flat=True)), made.account_id) == []
    assert outbox.claim(made.account_id, "somebody", 1) == []
    assert statuses(made) == {Status.QUEUED: 3}


@pytest.mark.parametrize("end", ENDS)
def test_another_organisations_account_goes_on(end):
    made, other = launched(recipients=2), launched(recipients=2)
    end(made.account)

    assert len(outbox.mark(list(other.messages.values_list("pk", flat=True)), other.account_id)) == 2


def test_on_the_installations_account_one_licence_ends_one_organisations_texts():
    """It needs no extension; of its many organisations, each has a licence of its own (R8, R12)."""
    default = factories.account(None)
    clinic, surgery = factories.organization(), factories.organization()
    EnabledExtension.objects.all().delete()
    theirs = factories.distribution(clinic, recipients=2, account=default, state=Distribution.State.SENDING)
    others = factories.distribution(surgery, recipients=2, account=default, state=Distribution.State.SENDING)
    Licence.objects.filter(organization=clinic).update(sms=False)

    marked = outbox.mark(list(Message.objects.values_list("pk", flat=True)), default.pk)

    assert {row.id for row in marked} == set(others.messages.values_list("pk", flat=True))
    assert statuses(theirs) == {Status.QUEUED: 2}


def test_what_waited_goes_on_where_it_was_once_the_extension_is_enabled_again(sink):
    made = launched(recipients=3)
    switch_extension_off(made.account)
    pumping.run(made.account_id)
    EnabledExtension.objects.create(organization=made.organization, provider="twilio")

    assert due.accounts_due() == [made.account_id]
    pumping.run(made.account_id)

    assert statuses(made) == {Status.ACCEPTED: 3}
    assert len(sink.ledger) == 3


def test_two_pumps_at_most_work_for_one_account(sink):
    made = launched(recipients=5)
    assert outbox.take_slot(made.account_id, "one")
    assert outbox.take_slot(made.account_id, "two")

    assert pumping.run(made.account_id) is False

    assert sink.ledger == []
    WorkerSlot.objects.update(lease_until=timezone.now())
    time.sleep(0.01)
    pumping.run(made.account_id)
    assert len(sink.ledger) == 5


def test_a_deleted_contact_list_leaves_the_history(sink):
    made = launched(recipients=3)
    pumping.run(made.account_id)

    ContactList.objects.all().delete()

    assert Message.objects.select_related("contact").count() == 3


# --- many accounts in one process ------------------------------------------------------------------------------------


def test_slow_numbers_are_served_side_by_side_by_one_process(sink):
    """Each at its own rate: no account waits until another one is done."""
    made = [launched(recipients=24, phone=f"+4477{number:02d}9{{:05d}}") for number in range(6)]
    accounts = [distribution.account_id for distribution in made]
    AccountState.objects.filter(pk__in=accounts).update(messages_per_second=12)

    for account_id in accounts:  # all of them in the first run; whoever it had no time for in the next
        pumping.to_the_end(account_id)

    assert [statuses(distribution) for distribution in made] == [{Status.ACCEPTED: 24}] * 6
    left = {}
    for entry in sink.ledger:
        left.setdefault(entry["to"].removeprefix("+")[:6], []).append(entry["time"])
    assert len(left) == 6
    assert max(times[0] for times in left.values()) < min(times[-1] for times in left.values())
    for times in left.values():
        assert max(times) - min(times) >= 1.5, "24 texts at 12 a second; a busy machine makes it longer, never shorter"


def test_an_account_that_becomes_due_meanwhile_is_served_too(sink):
    slow, later = launched(recipients=20), launched(recipients=3, phone="+4477010{:05d}")
    AccountState.objects.filter(pk=slow.account_id).update(messages_per_second=10)
    Chunk.objects.filter(distribution=later).update(not_before=timezone.now() + timedelta(seconds=0.8))

    pumping.to_the_end(slow.account_id)

    assert statuses(slow) == {Status.ACCEPTED: 20}
    assert statuses(later) == {Status.ACCEPTED: 3}


def test_a_pump_that_breaks_ends_alone(sink, caplog):
    """Its credentials open nowhere, which no pump expects."""
    good, bad = launched(recipients=20), launched(recipients=3, phone="+4477010{:05d}")
    AccountState.objects.filter(pk=good.account_id).update(messages_per_second=10)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE extensions_provideraccount SET credentials = (SELECT credentials FROM extensions_provideraccount "
            "WHERE id = %s) WHERE id = %s",
            [good.account_id, bad.account_id],
        )

    pumping.to_the_end(good.account_id)

    assert statuses(good) == {Status.ACCEPTED: 20}
    assert statuses(bad) == {Status.QUEUED: 3}
    assert "broke" in caplog.text


def test_accounts_that_may_not_send_are_left_alone(sink):
    good, stopped = launched(recipients=12), launched(recipients=3, phone="+4477010{:05d}")
    AccountState.objects.filter(pk=good.account_id).update(messages_per_second=10)
    AccountState.objects.filter(pk=stopped.account_id).update(stopped_at=timezone.now())

    pumping.to_the_end(good.account_id)

    assert statuses(good) == {Status.ACCEPTED: 12}
    assert statuses(stopped) == {Status.QUEUED: 3}


# --- a provider that takes no more at present ------------------------------------------------------------------------


def limited(sink, distribution, **fields):
    """The provider takes so many texts a second of this account."""
    values = ProviderAccount.objects.get(pk=distribution.account_id).secrets()
    sink._call("POST", "accounts", {"provider": "twilio", "credentials": values, **fields})


@pytest.mark.postgresql  # it is about moments, and SQLite takes its time to write
def test_a_provider_that_takes_less_than_we_send_gets_what_it_takes_and_stops_nothing(sink):
    made = launched(recipients=120)
    limited(sink, made, rate=30, burst=10)
    try:
        pumping.to_the_end(made.account_id)
    finally:
        limited(sink, made, rate=None, burst=None)

    assert statuses(made) == {Status.ACCEPTED: 120}
    assert len({entry["reference"] for entry in sink.ledger}) == len(sink.ledger) == 120
    state = AccountState.objects.get(pk=made.account_id)
    assert (state.open_until, state.stopped_at, state.failures) == (None, None, 0)
    assert state.throttled_rate < 5000
    assert set(made.chunks.values_list("tries", flat=True)) == {0}


@pytest.mark.postgresql  # it is about moments, and SQLite takes its time to write
def test_a_text_that_was_too_many_waits_and_its_neighbours_do_not(sink):
    """One in fifty is refused by chance: each comes at its own time, and the account's rate stays."""
    made = launched(recipients=100)
    sink.fail("429", rate=1.0, limit=2, retry_after=1)

    pumping.to_the_end(made.account_id)

    times = sorted(entry["time"] for entry in sink.ledger)
    assert statuses(made) == {Status.ACCEPTED: 100}
    assert times[-1] - times[0] >= 0.9
    assert sum(moment < times[0] + 0.9 for moment in times) == 98
    assert AccountState.objects.get(pk=made.account_id).throttled_rate is None


def test_a_text_that_waits_for_its_time_is_not_sent_once_its_distribution_is_paused(sink):
    """It is marked anew, by the statement that reads the pause."""
    made = launched(recipients=40)
    AccountState.objects.filter(pk=made.account_id).update(messages_per_second=200)
    sink.fail("429", rate=1.0, limit=2, retry_after=4)

    def pause():
        while len(sink.ledger) < 38:
            time.sleep(0.05)
        Distribution.objects.filter(pk=made.pk).update(paused_at=timezone.now())
        connection.close()

    pauses = threading.Thread(target=pause, daemon=True)
    pauses.start()

    crew.serve(made.account_id)
    pauses.join()

    assert statuses(made) == {Status.ACCEPTED: 38, Status.QUEUED: 2}


def test_the_next_pump_begins_at_the_rate_that_was_found(sink):
    made = launched(recipients=3)
    AccountState.objects.filter(pk=made.account_id).update(throttled_rate=2.0)

    pumping.to_the_end(made.account_id)

    times = sorted(entry["time"] for entry in sink.ledger)
    assert times[-1] - times[0] >= 0.9
