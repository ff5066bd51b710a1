"""For which reasons how many texts stand where they stand is known without reading them, whoever moves them."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions.engine import outbox, reasons
from distributions.models import Conversation, Distribution, Message, ReasonChange
from distributions.states import Status
from extensions.contract import Category
from tests import factories

pytestmark = pytest.mark.django_db

LOST = {"to": Status.UNDELIVERED, "reason": Category.INVALID_RECIPIENT}


def kept(made: Distribution) -> dict[tuple[str, str, bool], int]:
    return {(row["status"], row["reason"], bool(row["is_first"])): row["number"] for row in reasons.of(made)}


def there(made: Distribution) -> dict[tuple[str, str, bool], int]:
    rows = made.messages.exclude(reason="").values_list("status", "reason", "conversation_id")
    return dict(Counter((status, reason, conversation is None) for status, reason, conversation in rows))


@pytest.fixture
def made(clinic, account):
    return factories.distribution(clinic, recipients=6, account=account, state="sending", launched_at=timezone.now())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "mark",
                    "unclear",
                    "lost",
                    "delivered",
                    "requeue",
                    "cancel",
                    "skip",
                    "delete",
                    "undone",
                    "fold",
                    "again",
                ]
            ),
            st.integers(0, 5),
        ),
        max_size=20,
    )
)
def test_whatever_happens_to_texts_the_numbers_are_those_that_counting_gives(made, account, steps):
    with transaction.atomic():
        keys = list(made.messages.order_by("pk").values_list("pk", flat=True))
        for step, number in steps:
            pk = keys[number]
            if step == "mark":
                outbox.mark([pk], account.pk)
            elif step == "unclear":
                outbox.apply([outbox.Change(id=pk, to=Status.UNCERTAIN, reason="stopped")])
            elif step == "lost":
                outbox.apply([outbox.Change(id=pk, **LOST)])
            elif step == "delivered":
                outbox.apply([outbox.Change(id=pk, to=Status.DELIVERED)])
            elif step == "requeue":
                outbox.requeue([pk])
            elif step == "cancel":
                outbox.take_back(Message.objects.filter(pk=pk))
            elif step == "skip":
                Message.objects.filter(pk=pk).move(Status.SKIPPED, reason=Message.Skip.OPTED_OUT)
            elif step == "delete":
                Message.objects.filter(pk=pk).delete()
            elif step == "fold":
                reasons.fold()
            elif step == "again":
                reasons.TRIGGERS.make_up(connection)
            else:
                with transaction.atomic():
                    Message.objects.update(reason=Category.UNKNOWN)
                    transaction.set_rollback(True)
            assert kept(made) == there(made), step
        transaction.set_rollback(True)


def test_what_a_conversation_goes_on_with_is_told_apart(made, clinic, account):
    first = made.messages.latest("pk")
    talk = Conversation.objects.create(
        organization=clinic,
        distribution=made,
        message=first,
        account=account,
        phone=first.to,
        expires_at=timezone.now(),
    )
    Message.objects.create(
        organization=clinic,
        distribution=made,
        conversation=talk,
        to=first.to,
        text="2",
        status="failed",
        reason="unknown",
    )
    Message.objects.filter(pk=first.pk).update(status="failed", reason="unknown")

    assert kept(made) == {("failed", "unknown", True): 1, ("failed", "unknown", False): 1}


def test_a_large_number_is_a_row_once_it_was_added_up(made):
    made.messages.update(status=Status.FAILED, reason=Category.UNKNOWN)

    reasons.fold()

    assert list(ReasonChange.objects.values_list("texts", "is_sum")) == [(6, True)]
    assert reasons.fold() == 0, "what was added up is left alone until something comes to it"
    made.messages.update(status=Status.DELIVERED, reason="")
    reasons.fold()
    assert not ReasonChange.objects.exists(), "nothing is no row"


def test_nothing_is_left_of_a_distribution_that_is_gone(made):
    made.messages.update(status=Status.FAILED, reason=Category.UNKNOWN)
    reasons.fold()
    pk = made.pk

    made.delete()
    reasons.fold()

    assert not ReasonChange.objects.filter(distribution=pk).exists()


def test_texts_that_arrive_write_nothing_beside(made, account):
    keys = list(made.messages.values_list("pk", flat=True))
    outbox.mark(keys, account.pk)
    outbox.apply([outbox.Change(id=pk, to=Status.DELIVERED) for pk in keys])

    assert not ReasonChange.objects.exists()


def test_the_page_reads_no_text(made, client):
    client.force_login(factories.administrator(made.organization))
    made.messages.update(status=Status.FAILED, reason=Category.UNKNOWN)

    with CaptureQueriesContext(connection) as asked:
        pages = [client.get(f"/admin/distributions/distribution/{made.pk}/{name}/") for name in ("reasons", "carriers")]

    assert [page.status_code for page in pages] == [200, 200]
    assert [row["number"] for _state, _why, row in pages[0].context["reasons"]] == [6]
    assert not [query["sql"] for query in asked if 'FROM "distributions_message"' in query["sql"]]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite drops triggers with a table")
def test_it_goes_on_after_a_migration_has_made_the_table_anew(made):
    reasons.TRIGGERS.remove(connection)
    made.messages.update(status=Status.FAILED, reason=Category.UNKNOWN)

    reasons.TRIGGERS.keep(connection)

    assert kept(made) == there(made)
