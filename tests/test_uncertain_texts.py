"""Which texts are uncertain is known without reading the others, whoever moves them and in whatever way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions.engine import due, outbox, uncertain
from distributions.models import Message, UncertainText
from distributions.states import Status
from tests import factories

pytestmark = pytest.mark.django_db


def written() -> set[int]:
    return set(UncertainText.objects.values_list("pk", flat=True))


def there() -> set[int]:
    return set(Message.objects.filter(status=Status.UNCERTAIN).values_list("pk", flat=True))


@pytest.fixture
def made(clinic, account):
    return factories.distribution(clinic, recipients=6, account=account, state="sending", launched_at=timezone.now())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["mark", "unclear", "accepted", "delivered", "requeue", "cancel", "delete", "fail", "touch"]
            ),
            st.integers(0, 5),
        ),
        max_size=20,
    )
)
def test_whatever_happens_to_texts_the_uncertain_ones_are_those_in_the_state(made, account, steps):
    with transaction.atomic():
        keys = list(made.messages.order_by("pk").values_list("pk", flat=True))
        for step, number in steps:
            pk = keys[number]
            if step == "mark":
                outbox.mark([pk], account.pk)
            elif step in ("unclear", "accepted", "delivered"):
                to = {"unclear": Status.UNCERTAIN, "accepted": Status.ACCEPTED, "delivered": Status.DELIVERED}[step]
                outbox.apply([outbox.Change(id=pk, to=to)])
            elif step == "requeue":
                outbox.requeue([pk])
            elif step == "cancel":
                outbox.take_back(Message.objects.filter(pk=pk))
            elif step == "delete":
                Message.objects.filter(pk=pk).delete()
            elif step == "touch":
                Message.objects.filter(pk=pk).update(error="The same state")
            else:
                with transaction.atomic():
                    Message.objects.filter(pk=pk).update(status=Status.UNCERTAIN)
                    transaction.set_rollback(True)
            assert written() == there(), step
        transaction.set_rollback(True)


def test_only_old_enough_ones_are_settled_and_nobody_reads_the_others(made, account):
    keys = list(made.messages.order_by("pk").values_list("pk", flat=True))
    outbox.mark(keys, account.pk)
    outbox.apply([outbox.Change(id=keys[0], to=Status.UNCERTAIN), outbox.Change(id=keys[1], to=Status.UNCERTAIN)])
    Message.objects.filter(pk=keys[0]).update(attempted_at=timezone.now() - timedelta(hours=1))

    with CaptureQueriesContext(connection) as asked:
        assert due.accounts_uncertain() == [account.pk]
    since = timezone.now() - timedelta(minutes=2)
    assert [list(rows.values_list("pk", flat=True)) for rows in due.uncertain(since)] == [[keys[0]], []]
    assert all("distributions_uncertaintext" in query["sql"] for query in asked.captured_queries)


def test_what_is_uncertain_already_is_written_by_the_migration(made):
    keys = list(made.messages.values_list("pk", flat=True))[:2]
    Message.objects.filter(pk__in=keys).update(status=Status.UNCERTAIN)
    UncertainText.objects.all().delete()

    uncertain.TRIGGERS.make_up(connection)
    uncertain.TRIGGERS.make_up(connection)

    assert written() == set(keys)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite drops triggers with a table")
def test_it_goes_on_after_a_migration_has_made_the_table_anew(made):
    uncertain.TRIGGERS.remove(connection)
    made.messages.update(status=Status.UNCERTAIN)

    uncertain.TRIGGERS.keep(connection)

    assert written() == there()
    made.messages.update(status=Status.FAILED)
    assert written() == set()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL updates in place")
def test_messages_are_still_updated_in_place(made, account):
    """No index holds anything that changes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'distributions_message' AND "
            "(indexdef LIKE '%status%' OR indexdef LIKE '%reason%' OR indexdef LIKE '%attempt%')"
        )
        assert cursor.fetchall() == []
