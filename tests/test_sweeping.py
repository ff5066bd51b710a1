"""What is due although nobody rang: of each guard, what it keeps out and what it lets through."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from distributions.engine import closing, due, outbox
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.states import Status
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from organizations.models import Licence
from tests import factories

pytestmark = pytest.mark.django_db

State = Distribution.State


def under_way(organization=None, account=None, **fields):
    """A distribution of two texts, in one chunk that is due."""
    account = account or factories.account(organization or factories.organization())
    fields = {"state": State.SENDING, **fields}
    made = factories.distribution(organization or account.organization, recipients=2, account=account, **fields)
    ids = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=ids[0], last_id=ids[-1])
    return made


@pytest.fixture
def made():
    return under_way()


@pytest.fixture
def other():
    """Another organisation's, which is due whatever becomes of the first."""
    return under_way()


def now(seconds=0.0):
    return timezone.now() + timedelta(seconds=seconds)


KEPT_OUT = {
    "at work": lambda made: made.chunks.update(lease_until=now(9)),
    "done": lambda made: made.chunks.update(state=Chunk.State.DONE),
    "later": lambda made: made.chunks.update(not_before=now(9)),
    "paused": lambda made: Distribution.objects.filter(pk=made.pk).update(paused_at=now()),
    "draft": lambda made: Distribution.objects.filter(pk=made.pk).update(state=State.DRAFT),
    "planned": lambda made: Distribution.objects.filter(pk=made.pk).update(state=State.SCHEDULED),
    "finished": lambda made: Distribution.objects.filter(pk=made.pk).update(state=State.FINISHED),
    "cancelled": lambda made: Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED),
    "deleted": lambda made: ProviderAccount.objects.filter(pk=made.account_id).update(deleted_at=now()),
    "not granted": lambda made: ProviderAccount.objects.filter(pk=made.account_id).update(granted_at=None),
    "refused": lambda made: ProviderAccount.objects.filter(pk=made.account_id).update(check_ok=False),
    "switched off": lambda made: EnabledExtension.objects.filter(organization=made.organization).delete(),
    "stopped": lambda made: AccountState.objects.filter(pk=made.account_id).update(stopped_at=now()),
    "pausing": lambda made: AccountState.objects.filter(pk=made.account_id).update(open_until=now(9)),
    "no licence": lambda made: Licence.objects.filter(organization=made.organization).update(sms=False),
}
LET_THROUGH = {
    "as it is": lambda made: None,
    "lease over": lambda made: made.chunks.update(lease_until=now(-1)),
    "launching": lambda made: Distribution.objects.filter(pk=made.pk).update(state=State.LAUNCHING),
    "has paused": lambda made: AccountState.objects.filter(pk=made.account_id).update(open_until=now(-1), failures=9),
    "unanswered": lambda made: ProviderAccount.objects.filter(pk=made.account_id).update(check_ok=None),
    "retiring": lambda made: ProviderAccount.objects.filter(pk=made.account_id).update(retiring_at=now()),
    "finished, a reply": lambda made: (
        Distribution.objects.filter(pk=made.pk).update(state=State.FINISHED),
        made.chunks.update(priority=Chunk.Priority.REPLY),
    ),
}


@pytest.mark.parametrize("why", KEPT_OUT)
def test_an_account_is_not_due(made, other, why):
    KEPT_OUT[why](made)

    assert due.accounts_due() == [other.account_id]
    assert due.accounts_due(made.pk) == []
    assert outbox.claim(made.account_id, "me", 5) == [] or why in {"stopped", "pausing"}, (
        "the pump asks for those first"
    )


@pytest.mark.parametrize("why", LET_THROUGH)
def test_an_account_is_due(made, other, why):
    LET_THROUGH[why](made)

    assert sorted(due.accounts_due()) == sorted([made.account_id, other.account_id])
    assert due.accounts_due(made.pk) == [made.account_id]
    assert len(outbox.claim(made.account_id, "me", 5)) == 1


def test_an_account_is_due_once_however_many_chunks_are(made):
    under_way(account=made.account)

    assert due.accounts_due() == [made.account_id]


def test_the_installations_account_is_due_for_those_who_have_a_licence():
    shared = factories.account(None)
    first, second = (under_way(factories.organization(), shared) for _organization in range(2))
    EnabledExtension.objects.all().delete()  # it needs none
    Licence.objects.filter(organization=first.organization).update(sms=False)

    assert due.accounts_due() == [shared.pk]
    assert due.accounts_due(first.pk) == []
    assert due.accounts_due(second.pk) == [shared.pk]


def test_what_is_being_written_is_gone_on_with_unless_it_is_paused(made, other):
    Distribution.objects.update(state=State.LAUNCHING)
    Distribution.objects.filter(pk=other.pk).update(paused_at=now())
    under_way()

    assert due.launching() == [made.pk]


# --- the end of a distribution ---------------------------------------------------------------------------------------


def test_a_distribution_is_finished_once_none_of_its_chunks_is_open(made, other):
    Tally.objects.update(waiting=77)
    made.chunks.update(state=Chunk.State.DONE)
    made.messages.update(status=Status.ACCEPTED)

    closing.close_finished()

    made.refresh_from_db()
    other.refresh_from_db()
    assert (made.state, other.state) == (State.FINISHED, State.SENDING)
    assert made.finished_at is not None
    assert other.finished_at is None
    tally = Tally.objects.get(pk=made.pk)
    assert (tally.waiting, tally.accepted) == (0, 2), "it is made exact"
    assert Tally.objects.get(pk=other.pk).waiting == 77


@pytest.mark.parametrize("state", [State.DRAFT, State.SCHEDULED, State.LAUNCHING, State.FINISHED])
def test_only_what_was_on_its_way_is_finished(made, state):
    """What is being written has chunks to come; what has finished keeps the time at which it did."""
    finished_at = now(-99) if state == State.FINISHED else None
    Distribution.objects.filter(pk=made.pk).update(state=state, finished_at=finished_at)
    made.chunks.update(state=Chunk.State.DONE)

    closing.close_finished()

    made.refresh_from_db()
    assert (made.state, made.finished_at) == (state, finished_at)


def test_what_came_back_after_a_cancellation_is_cancelled_too(made, other):
    """A pump had it in flight at that moment, and it was "not taken"."""
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=now())

    closing.close_finished()

    assert set(made.messages.values_list("status", flat=True)) == {Status.CANCELLED}
    assert set(other.messages.values_list("status", flat=True)) == {Status.QUEUED}
    assert (made.chunks.get().state, other.chunks.get().state) == (Chunk.State.DONE, Chunk.State.OPEN)
    assert (Tally.objects.get(pk=made.pk).waiting, Tally.objects.get(pk=made.pk).cancelled) == (0, 2)
    assert Tally.objects.get(pk=other.pk).waiting == 2


def test_a_single_text_that_is_left_of_a_cancelled_one_is_found_and_its_tally_made_exact(made):
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=now())
    first, second = made.messages.order_by("pk")
    Message.objects.filter(pk=second.pk).update(status=Status.DELIVERED)
    Tally.objects.filter(pk=made.pk).update(waiting=1, failed=7)

    closing.close_finished()

    assert dict(made.messages.values_list("pk", "status")) == {first.pk: Status.CANCELLED, second.pk: Status.DELIVERED}
    tally = Tally.objects.get(pk=made.pk)
    assert (tally.waiting, tally.failed, tally.delivered, tally.cancelled) == (0, 0, 1, 1)


def test_what_a_pump_is_at_work_on_is_cancelled_once_it_has_given_it_back(made):
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=now())
    first, second = made.messages.order_by("pk")
    Message.objects.filter(pk=first.pk).update(status=Status.SENDING)
    made.chunks.update(lease_until=now(9), holder="a pump")

    closing.close_finished()

    assert dict(made.messages.values_list("pk", "status")) == {first.pk: Status.SENDING, second.pk: Status.CANCELLED}
    assert made.chunks.get().state == Chunk.State.OPEN, "its pump finishes it, or gives it back"

    made.chunks.update(lease_until=None, holder="")
    Message.objects.filter(pk=first.pk).update(status=Status.QUEUED)
    closing.close_finished()

    assert set(made.messages.values_list("status", flat=True)) == {Status.CANCELLED}
    assert made.chunks.get().state == Chunk.State.DONE


def test_segments_that_only_a_conversation_has_waiting_are_taken_back_too(made):
    Distribution.objects.filter(pk=made.pk).update(state=State.CANCELLED, finished_at=now())
    Tally.objects.filter(pk=made.pk).update(waiting=0, segments_waiting=1)

    closing.close_finished()

    assert set(made.messages.values_list("status", flat=True)) == {Status.CANCELLED}
