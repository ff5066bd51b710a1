"""Whatever order pumps work, die and stand still in: a text left once or not at all, and its row says which."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions.engine import outbox
from distributions.engine.outbox import Change
from distributions.models import Chunk, Distribution, Message
from distributions.states import TAKEN, Status
from tests import factories

pytestmark = pytest.mark.django_db

PUMPS = ("one", "two", "three")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "mark", "leave", "answer", "refuse", "too many", "die", "lapse", "look up"]),
        st.sampled_from(PUMPS),
    ),
    max_size=40,
)


class World:
    """Two chunks of three texts, three pumps, and the book of a provider. Only the statements are real."""

    def __init__(self, made):
        self.made, self.book = made, Counter()
        self.claims, self.queued = {}, defaultdict(list)
        self.in_line, self.out = defaultdict(list), defaultdict(list)  # marked; left and not answered yet

    def claim(self, pump):
        for claim in [] if pump in self.claims else outbox.claim(self.made.account_id, pump, 1):
            self.claims[pump] = claim
            self.queued[pump] = [pk for pk, _segments in outbox.read(claim)]

    def mark(self, pump):
        if pump in self.claims and self.queued[pump]:
            group, self.queued[pump] = self.queued[pump][:2], self.queued[pump][2:]
            chunk_id = self.claims[pump].chunk_id
            self.in_line[pump] += outbox.mark(group, self.made.account_id, chunk_id=chunk_id, holder=pump)

    def leave(self, pump):
        """A request leaves only while the lease lasts: `lapse` ends it for all."""
        for message in self.in_line.pop(pump, []):
            self.book[message.id] += 1
            self.out[pump].append(message)

    def answer(self, pump):
        for message in self.out.pop(pump, []):
            outbox.apply([Change(message.id, Status.ACCEPTED, attempt=message.attempt, message_id=f"SM{message.id}")])
        self.end(pump)

    def refuse(self, pump):
        """Refused for good: the provider took nothing."""
        for message in self.in_line.pop(pump, []):
            outbox.apply([Change(message.id, Status.FAILED, attempt=message.attempt)])
        self.end(pump)

    def too_many(self, pump):
        for message in self.in_line.pop(pump, []):
            outbox.apply([Change(message.id, Status.QUEUED, attempt=message.attempt)])
            if pump in self.claims:
                self.queued[pump].append(message.id)

    def end(self, pump):
        if pump in self.claims and not (self.queued[pump] or self.in_line[pump] or self.out[pump]):
            outbox.finish(self.claims.pop(pump), pump)

    def die(self, pump):
        self.claims.pop(pump, None)
        for things in (self.queued, self.in_line, self.out):
            things.pop(pump, None)

    def lapse(self, _pump):
        """All leases end. Who stood still goes on: what is in line is put back, and answers still come."""
        Chunk.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))
        for pump in PUMPS:
            self.too_many(pump)

    def look_up(self, _pump):
        """No sooner than a lease after the attempt, and the provider's book is asked."""
        self.lapse(_pump)
        for message in Message.objects.filter(status=Status.UNCERTAIN):
            if self.book[message.pk]:
                outbox.apply([Change(message.pk, Status.ACCEPTED)])
            else:
                outbox.requeue([message.pk])

    def check(self):
        for pk, status in Message.objects.values_list("pk", "status"):
            assert self.book[pk] <= 1, "sent twice"
            if status in TAKEN:
                assert self.book[pk] == 1, "shown as sent, but it never left"
            if status in (Status.QUEUED, Status.FAILED):
                assert self.book[pk] == 0, "it has left, and its row denies it"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_in_any_order_of_pumps_kills_and_answers_a_text_leaves_once_and_its_row_says_so(account, steps):
    Chunk.objects.all().delete()
    Message.objects.all().delete()
    made = factories.distribution(account.organization, recipients=6, account=account, state=Distribution.State.SENDING)
    ids = sorted(made.messages.values_list("pk", flat=True))
    for first in (0, 3):
        Chunk.objects.create(distribution=made, account=account, first_id=ids[first], last_id=ids[first + 2])
    world = World(made)

    for step, pump in steps:
        getattr(world, step.replace(" ", "_"))(pump)
        world.check()

    for pump in PUMPS:
        world.die(pump)
    for _round in range(8):
        for step in ("look up", "claim", "mark", "leave", "answer", "mark", "leave", "answer"):
            getattr(world, step.replace(" ", "_"))("one")
            world.check()
    assert set(Message.objects.values_list("status", flat=True)) <= {Status.ACCEPTED, Status.FAILED}, (
        "nothing is stranded"
    )
    accepted = Message.objects.filter(status=Status.ACCEPTED).count()
    assert sum(world.book.values()) == accepted
