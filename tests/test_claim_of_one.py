"""A claim of one distribution finds its first chunks by index, and asks what every other claim asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from distributions.engine import outbox
from distributions.models import Chunk, Distribution, KnownDatabase
from extensions.models import EnabledExtension, ProviderAccount
from organizations.models import Licence
from tests import factories
from tests.test_turns import launched

pytestmark = pytest.mark.django_db

HINDRANCES = {  # model, and what of it keeps a chunk from being claimed
    "paused": (Distribution, {"paused_at": timezone.now()}),
    "cancelled": (Distribution, {"state": Distribution.State.CANCELLED}),
    "scheduled": (Distribution, {"state": Distribution.State.SCHEDULED}),
    "finished": (Distribution, {"state": Distribution.State.FINISHED}),
    "deleted": (ProviderAccount, {"deleted_at": timezone.now()}),
    "not granted": (ProviderAccount, {"granted_at": None}),
    "refused": (ProviderAccount, {"check_ok": False}),
    "switched off": (EnabledExtension, {"provider": "another"}),
    "no licence": (Licence, {"sms": False}),
    "done": (Chunk, {"state": Chunk.State.DONE}),
    "somebody's": (Chunk, {"lease_until": timezone.now() + timedelta(days=1)}),
    "not yet": (Chunk, {"not_before": timezone.now() + timedelta(days=1)}),
    "restored": (KnownDatabase, {"identity": "another", "position": 10**9}),
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_it_asks_all_that_every_claim_asks(hindrance):
    account = factories.account(factories.organization())
    made, beside = launched(account, 3, account.organization), launched(account, 3, account.organization)
    model, values = HINDRANCES[hindrance]

    with transaction.atomic():
        EnabledExtension.objects.exclude(provider=account.provider).delete()
        model.objects.update(**values)
        assert outbox.claim(account.pk, "me", 9, distribution_id=made.pk) == []
        assert outbox.claim(account.pk, "me", 9) == []
        transaction.set_rollback(True)

    [claimed] = outbox.claim(account.pk, "me", 9, distribution_id=made.pk)
    assert claimed.distribution_id == made.pk
    assert outbox.claim(account.pk, "another", 9, distribution_id=made.pk) == [], "it has a lease now"
    assert outbox.claim(factories.account(account.organization).pk, "me", 9, distribution_id=beside.pk) == []


def test_of_a_finished_distribution_replies_alone_are_claimed_and_the_first_come_first():
    shared = factories.account(None)
    made = launched(shared, 3)
    Chunk.objects.all().delete()
    now = timezone.now()
    replies, bulk = Chunk.Priority.REPLY, Chunk.Priority.BULK
    rows = [(bulk, 9), (bulk, 5), (replies, 1), (bulk, 5), (replies, 3)]  # priority, how many minutes it has been due
    keys = [
        Chunk.objects.create(
            distribution=made,
            account=shared,
            first_id=1,
            last_id=1,
            priority=priority,
            not_before=now - timedelta(minutes=minutes),
        ).pk
        for priority, minutes in rows
    ]
    Distribution.objects.filter(pk=made.pk).update(state=Distribution.State.FINISHED)
    [first] = outbox.claim(shared.pk, "me", 1, distribution_id=made.pk)
    [second] = outbox.claim(shared.pk, "me", 9, distribution_id=made.pk)
    assert [first.chunk_id, second.chunk_id] == [keys[4], keys[2]]

    Distribution.objects.filter(pk=made.pk).update(state=Distribution.State.SENDING)
    taken = [outbox.claim(shared.pk, "me", 1, distribution_id=made.pk)[0].chunk_id for _turn in range(3)]
    assert taken == [keys[0], keys[1], keys[3]]
