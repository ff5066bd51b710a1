"""The same sums everywhere: home page, list, page, file, API and tally say what the messages say, whatever happened."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from contacts import opt_outs
from contacts.models import Contact, OptOut
from distributions import restoring, services
from distributions.engine import closing, outbox, reports
from distributions.engine.outbox import Change
from distributions.models import Chunk, Conversation, Distribution, Message, Tally
from distributions.planning import leaving, starting
from distributions.replies import conversations, inbound
from distributions.states import Status
from extensions.contract import Delivery, DeliveryReport, InboundSms
from organizations.models import ApiToken, User
from tests import factories
from tests.test_api import Api

pytestmark = pytest.mark.django_db
State = Distribution.State
BASE = "/admin/distributions/distribution"
TAKEN = ("accepted", "sent", "delivered", "undelivered", "expired")
FATES = ("sent", "uncertain", "waiting", "failed", "skipped", "cancelled")
REPLIES = ("9", "2", "more seats", "what?", "STOP", "please do not stop", "HELP", "start")
_ids = count(1)


class World:
    """A clinic with one distribution, to which everything can happen that happens to one."""

    def __init__(self, method: str) -> None:
        self.clinic = factories.organization(language="en")
        self.administrator = User.objects.create(  # without a password: it takes half a second to make one
            organization=self.clinic, role="administrator", email="ada@example.org", use_sms_distributions="enabled"
        )
        self.account = factories.account(self.clinic, sender=f"4477009{next(_ids):05d}")
        people = factories.contact_list(self.clinic, phones=[f"+4477008{index:05d}" for index in range(7)])
        people.contacts.create(organization=self.clinic, phone="", first_name="Nobody")
        people.contacts.create(organization=self.clinic, phone="+447700800000", first_name="Twin", shares_number=True)
        stopped = people.contacts.create(organization=self.clinic, phone="+447700899999", first_name="Stopped")
        OptOut.objects.create(organization=self.clinic, phone=stopped.phone, source="link")
        survey = None
        if method == Distribution.Method.INTERACTIVE:
            survey = factories.survey(self.clinic, questions=factories.THREE_QUESTIONS, thank_you="Thank you!")
        self.distribution = factories.distribution(
            self.clinic,
            contact_list=people,
            method=method,
            survey=survey,
            message_text="Hello ${m://FirstName}. " + "How was it? " * 15,
            account=self.account,
            state=State.LAUNCHING,
            launched_at=timezone.now(),
        )
        self.pk = self.distribution.pk

    def messages(self, *statuses: str):
        return list(Message.objects.filter(distribution=self.pk, status__in=statuses).order_by("pk"))

    def pick(self, number: int, *statuses: str):
        found = self.messages(*statuses)
        return found[number % len(found)] if found else None

    # --- what happens --------------------------------------------------------------------------------------------

    def expand(self, number: int) -> None:
        starting.expand(self.pk)

    def mark(self, number: int) -> None:
        """Some of what waits is marked: all of the same group, as a pump does."""
        ids = [message.pk for message in self.messages("queued")][: 1 + number % 4]
        if ids:
            outbox.mark(ids, self.account.pk)

    def answer(self, number: int) -> None:
        message = self.pick(number, "sending")
        if message is None:
            return
        to = (Status.ACCEPTED, Status.FAILED, Status.UNCERTAIN, Status.QUEUED, Status.ACCEPTED)[number % 5]
        accepted = to is Status.ACCEPTED
        outbox.apply(
            [
                Change(
                    message.pk,
                    to,
                    attempt=message.attempt,
                    message_id=f"SM{next(_ids)}" if accepted else "",
                    segments=1 + number % 3 if accepted and number % 2 else None,
                )
            ]
        )

    def report(self, number: int) -> None:
        message = self.pick(number, "sending", "uncertain", "failed", *TAKEN)
        if message is None:
            return
        status = (Delivery.SENT, Delivery.DELIVERED, Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED)
        Message.objects.filter(pk=message.pk, provider_message_id="").update(provider_message_id=f"SM{next(_ids)}")
        message.refresh_from_db()
        reports.apply_reports(
            self.account, [DeliveryReport(message_id=message.provider_message_id, status=status[number % 5])]
        )

    def reply(self, number: int) -> None:
        firsts = [message for message in self.messages("uncertain", *TAKEN) if message.conversation_id is None]
        if firsts:
            message = firsts[number // len(REPLIES) % len(firsts)]
            sms = InboundSms(
                message_id=f"in{next(_ids)}",
                sender=message.to,
                recipient=f"+{self.account.sender}",
                text=REPLIES[number % len(REPLIES)],
            )
            inbound.apply_inbound(self.account, self.clinic, sms)

    def opt_out(self, number: int) -> None:
        message = self.pick(number, "queued", "sending")
        if message is not None:
            opt_outs.opt_out(self.clinic, message.to, OptOut.Source.LINK)

    def expire(self, number: int) -> None:
        Conversation.objects.filter(distribution=self.pk).update(expires_at=timezone.now() - timedelta(hours=1))
        conversations.expire()

    def settle(self, number: int) -> None:
        message = self.pick(number, "uncertain")
        if message is not None:
            outbox.apply([Change(message.pk, (Status.ACCEPTED, Status.FAILED)[number % 2], message_id="SM-found")])

    def send_again(self, number: int) -> None:
        message = self.pick(number, "uncertain")
        if message is not None:
            services.send_again(message, self.administrator)

    def lose_worker(self, number: int) -> None:
        Chunk.objects.filter(distribution=self.pk).update(lease_until=None)
        for claim in outbox.claim(self.account.pk, f"pump {number}", 5):
            outbox.read(claim)
        Chunk.objects.filter(distribution=self.pk).update(lease_until=None)

    def cancel(self, number: int) -> None:
        services.cancel(Distribution.objects.get(pk=self.pk), self.administrator)

    def sweep(self, number: int) -> None:
        sent = not self.messages("queued", "sending")
        if sent and Distribution.objects.filter(pk=self.pk, state=State.SENDING).exists():
            Chunk.objects.filter(distribution=self.pk).update(state=Chunk.State.DONE)
        closing.close_finished()

    def restore(self, number: int) -> None:
        """What `after_restore` does to texts; its keys, which double each time, are tried in tests/test_restore.py."""
        for distribution in restoring._running():
            while starting.expand(distribution.pk, after_restore=True):
                pass
            restoring._make_uncertain(distribution)
        restoring._distrust_the_rest()
        Distribution.objects.filter(pk=self.pk).update(paused_at=None, problem="")

    def hand_over(self, number: int) -> None:
        other = factories.account(self.clinic, sender=f"4477019{next(_ids):05d}")
        leaving.hand_over(self.distribution, Chunk.objects.filter(distribution=self.pk, state="open"), other)

    def forget(self, number: int) -> None:
        """A contact is deleted."""
        message = self.pick(number, *Status.values)
        if message is not None and message.contact_id:
            Contact.objects.filter(pk=message.contact_id).delete()

    # --- what is said of it --------------------------------------------------------------------------------------

    def truth(self):
        """(texts by state, segments by fate), from the messages alone."""
        texts: Counter[str] = Counter()
        segments: Counter[str] = Counter()
        rows = Message.objects.filter(distribution=self.pk).order_by()
        first = Count("pk", filter=Q(conversation=None))
        for status, number, length in rows.values_list("status").annotate(number=first, length=Sum("segments")):
            texts["waiting" if status in ("queued", "sending") else status] += number
            fate = "waiting" if status in ("queued", "sending") else "sent" if status in TAKEN else status
            segments[fate] += length
        return +texts, +segments

    def assert_the_same_everywhere(self) -> None:
        texts, segments = self.truth()
        total, sent = sum(texts.values()), segments["sent"]
        client = Client()
        client.force_login(self.administrator)
        ApiToken.objects.all().delete()
        api = Api(self.administrator)

        home = client.get("/admin/").content.decode()
        listed = client.get(f"{BASE}/").content.decode()
        page = client.get(f"{BASE}/{self.pk}/change/").content.decode()
        row = api.get(f"distributions/sms/{Distribution.objects.get(pk=self.pk).public_id}").json()["result"]
        (element,) = api.get("distributions/sms").json()["result"]["elements"]
        history = api.get(f"distributions/sms/{row['id']}/history?pageSize=50").json()["result"]["elements"]
        download = b"".join(client.get(f"{BASE}/{self.pk}/messages.csv").streaming_content).decode("utf-8-sig")
        file = [line for line in csv.DictReader(io.StringIO(download)) if not line["FirstName"].startswith("# ")]

        legend = r"<li><i[^>]*></i>([\d,]+) ([a-z]+)</li>"
        recent = home[home.index("distributions-title") :]
        assert numbers(re.findall(legend, recent)) == texts, "home"
        period = home[home.index("period-title") : home.index("refused-title")]
        assert numbers(re.findall(legend, period)) == texts, "home, the last weeks"
        assert int(re.search(r'sb-figure">([\d,]+)<', period)[1]) == total
        outcome = re.search(r"field-outcome[^>]*>(.*?)</td>", listed, re.DOTALL)[1]
        assert numbers(re.findall(r"([\d,]+)\s([a-z]+)", outcome)) == texts, "list"
        if total:
            assert numbers(re.findall(r'aria-label="([^"]*)"', page.split("snd-bar")[1])[0], swap=True) == texts, "page"
            assert int(re.search(r'id="total">([\d,]+)<', page)[1]) == total
            shown = re.findall(r'id="segments-([a-z]+)">([\d,]+)<', page)
            assert +Counter({fate: int(number) for fate, number in shown}) == segments, "page"
        assert element == row
        assert +Counter({name: row["tally"][name] for name in Tally.COLUMNS}) == texts, "API"
        assert row["tally"]["total"] == total
        assert row["stats"]["sent"] == texts["accepted"] + texts["sent"] + texts["delivered"]
        assert row["stats"]["failed"] == texts["undelivered"] + texts["failed"] + texts["expired"]
        assert +Counter(row["segments"]) == segments, "API"
        assert set(row["segments"]) == set(FATES)
        assert row["stats"]["segments"] == sent

        waiting = {"queued": "waiting", "sending": "waiting"}
        assert Counter(waiting.get(line["State"], line["State"]) for line in file) == texts, "file"
        assert sum(int(line["SegmentsSent"]) for line in file) == sent, "file"
        assert Counter(waiting.get(line["status"], line["status"]) for line in history) == texts, "history"
        assert sum(line["segmentsSent"] for line in history) == sent, "history"


def numbers(found, *, swap=False) -> Counter[str]:
    if swap:
        found = [(number, label) for label, number in re.findall(r"([a-z]+): (\d+)", found)]
    return Counter({label: int(number.replace(",", "")) for number, label in found})


EVENTS = [
    name
    for name in vars(World)
    if not name.startswith(("_", "assert")) and name not in ("messages", "pick", "truth", "expand")
]
PHASES = [phase for phase in Phase if phase is not Phase.explain and phase is not Phase.shrink]  # each takes long
# Everybody has the first question, and four have answered it.
TALK = [
    *[("mark", 3), ("mark", 3)],
    *[("answer", 5)] * 7,
    *[("reply", 8 * place) for place in range(4)],
]
UNCERTAIN = [("mark", 9), ("answer", 2)]  # a later question
# What happens most: else few texts would get anywhere.
OFTEN = ("mark", "mark", "answer", "answer", "answer", "report", "reply", "reply")
HAPPENINGS = [*EVENTS, *OFTEN * 4]


@settings(max_examples=15, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(Distribution.Method.values),
    happens=st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 40)), min_size=20, max_size=60),
    early=st.sampled_from([0, 0, 0, 0, 1, 3]),
)
@example(method="interactive", happens=TALK, early=0)
@example(method="interactive", happens=[*TALK, ("cancel", 0), ("sweep", 0)], early=0)
@example(method="interactive", happens=[*TALK, ("expire", 0)], early=0)
@example(method="interactive", happens=[*TALK, *UNCERTAIN, ("restore", 0)], early=0)
@example(method="interactive", happens=[*TALK, *UNCERTAIN, ("send_again", 7), ("cancel", 0), ("sweep", 0)], early=0)
@example(method="interactive", happens=[*TALK, ("sweep", 0), ("restore", 0), ("send_again", 7), ("sweep", 0)], early=0)
@example(method="interactive", happens=[*TALK, ("opt_out", 0), ("mark", 9), ("report", 3)], early=0)
@example(method="invite", happens=[("cancel", 0)], early=0)
@example(method="invite", happens=[("opt_out", 1), ("mark", 3), ("answer", 5), ("cancel", 0), ("answer", 3)], early=0)
def test_all_places_say_what_the_messages_say(method, happens, early):
    with transaction.atomic():  # each example begins with nothing
        world = World(method)
        for name, number in [*happens[:early], ("expand", 0), *happens[early:]]:
            getattr(world, name)(number)
        world.assert_the_same_everywhere()
        counted = Tally.objects.filter(pk=world.pk).values().get()
        outbox.recount(world.pk)
        assert counted == Tally.objects.filter(pk=world.pk).values().get(), "counted exactly, not mended by a recount"
        transaction.set_rollback(True)
