"""Growth: each hot statement and page beside itself, with few rows in the database and with many.

The same database is measured at SMALL messages and again at `messages`; rows are copied by the database itself from
those that the factories make. What is compared is the work of one run, here and in the database, in CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from django.db import connection, models, transaction
from django.db.models.functions import Mod
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench import rig
from bench.rig import row, verdict
from contacts.models import Contact, ContactList, OptOut
from distributions import services, tasks
from distributions.engine import outbox, reasons
from distributions.models import Chunk, Conversation, Distribution, InboundMessage, Message, Tally
from distributions.planning import starting
from distributions.states import Status
from extensions.contract import Category
from extensions.models import AccountState
from keeping import retention
from organizations import tokens
from tests import factories
from webhooks.models import Callback

SMALL = 10_000
LARGE = 1_000_000  # so that it ends in about five minutes; `--messages 3000000` is what is promised
BOUND = 1.3
USUAL = 5_000  # texts of an ordinary distribution
FEW = 120  # small distributions that there are from the beginning: more than any page of them shows
OPEN = 5_000  # texts that one distribution has still to send, whatever the size
RUNS = 40
FAILED = 50  # one text of so many does not arrive
AT_ONCE = 1.0  # seconds that a cancel may take before its task goes on
PATIENCE, QUICK = 1.0, 0.1  # seconds that are spent on one thing, after three runs
NUMBER = "'+4477' || lpad(({})::text, 8, '0')"
State = Distribution.State
CANCEL = "cancel a third of all: the request, whose task goes on"


def run(messages: int = LARGE) -> bool:
    print(f"\nGrowth: {SMALL:,} messages in the database, then {messages:,}")
    world = World()
    few = world.measure(SMALL)
    many = world.measure(messages)
    row("ms of CPU, with the database's", f"{SMALL:,}", f"{messages:,}", "ratio")
    for name, before in few.items():
        row(name, f"{before:.1f}", f"{many[name]:.1f}", f"{many[name] / before:.2f}")
    # It does some of its work at once, by the clock, and leaves the rest to a task: what it takes is the measure.
    cancel = many.pop(CANCEL) / 1000
    worst = max(many, key=lambda name: many[name] / few[name])
    return all(
        [
            verdict(f"growth of what grows most ({worst})", many[worst] / few[worst], BOUND, at_most=True),
            verdict("seconds of CPU until a cancel is in force", cancel, AT_ONCE, at_most=True),
        ]
    )


def copies(template: models.Model, rows: str, **columns: str) -> None:
    """Copy a row in the database, once for each row of the SELECT `rows` (`r`), with other values in these columns."""
    model = type(template)
    names = [field.column for field in model._meta.concrete_fields if not field.primary_key or field.column in columns]
    values = ", ".join(columns.get(str(name), f't."{name}"') for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    table, key = model._meta.db_table, model._meta.pk
    sql = f'INSERT INTO {table} ({listed}) SELECT {values} FROM {table} t, ({rows}) r WHERE t."{key.attname}" = %s'
    with connection.cursor() as cursor:
        cursor.execute(sql, [template.pk])


@dataclass
class Going:
    """What is measured by ending it: made anew for each size."""

    distribution: Distribution
    contact_list: ContactList


class World:
    """An organisation with a list of a third of all messages' people, and everything that comes of texting them."""

    def __init__(self) -> None:
        self.size = self.last_person = 0
        now = timezone.now()
        self.clinic = factories.organization(support_contact="Ada, ada@example.org")
        self.administrator = factories.administrator(self.clinic)
        self.account = factories.account(self.clinic, "twilio")
        AccountState.objects.filter(pk=self.account.pk).update(messages_per_second=100_000)
        self.patients = factories.contact_list(self.clinic, 1, phone="+447799999999", name="Patients")
        self.person = self.patients.contacts.get()
        self.survey = factories.survey(self.clinic)
        common = {"survey": self.survey, "account": self.account, "launched_at": now}
        self.sent = factories.distribution(
            self.clinic, contact_list=self.patients, recipients=1, state=State.FINISHED, finished_at=now, **common
        )
        self.sent.messages.update(
            status=Status.DELIVERED, attempt=1, attempted_at=now - timedelta(hours=1), accepted_at=now
        )
        self.text = self.sent.messages.get()
        Tally.objects.filter(pk=self.sent.pk).update(waiting=0, delivered=1)
        self.open = factories.distribution(self.clinic, recipients=1, state=State.SENDING, **common)
        self.drafts = {
            name: factories.distribution(
                self.clinic, contact_list=contact_list, survey=self.survey, message_text="Hello ${m://FirstName}, STOP?"
            )
            for name, contact_list in {
                "100 people": factories.contact_list(self.clinic, 100, phone="+4478009{:05d}"),
                "a third": self.patients,
            }.items()
        }
        self.by_text = factories.interactive(self.clinic, self.account, recipients=1)
        self.talk = Conversation.objects.create(
            organization=self.clinic,
            distribution=self.by_text,
            message=self.by_text.messages.get(),
            account=self.account,
            phone="+447799999998",
            state=Conversation.State.EXPIRED,
            expires_at=now - timedelta(days=2),
        )
        self.stopped = OptOut.objects.create(organization=self.clinic, phone="+447799999997", source="keyword")
        self.reply = InboundMessage.objects.create(
            organization=self.clinic,
            account=self.account,
            provider_message_id="first",
            sender="+447799999999",
            contact=self.person,
            message=self.text,
            text="Thank you",
        )
        self.callback = Callback.objects.create(
            account=self.account,
            kind="status",
            method="POST",
            url="https://surveys.example.org/distribution-providers/v1/receive/status/twilio-sms/x",
            body=b"MessageSid=SM1&MessageStatus=delivered",
            dedupe_key="first",
            state=Callback.State.APPLIED,
        )
        for _number in range(FEW):
            self._usual(1)
        self.going = self._going(1)
        self.client = Client(SERVER_NAME="localhost")
        self.client.force_login(self.administrator)
        self.token = tokens.regenerate(self.administrator)
        self._open_texts()

    # --- rows ---------------------------------------------------------------------------------------------------------

    def grow(self, size: int) -> None:
        """Bring the database to so many messages and what goes with them."""
        new = size - self.size
        first = self.size + 1
        people = f"SELECT n FROM generate_series({first // 3 + 1}, {size // 3}) n"
        copies(self.person, people, phone=NUMBER.format("r.n"), public_id="'CID_' || r.n", first_name="'Ada' || r.n")
        last = self.sent.messages.latest("pk").pk
        self._texts(self.sent, self.text, f"id > {self.last_person or self.person.pk}")
        arrived = self.sent.messages.filter(status=Status.DELIVERED)
        arrived.filter(pk__gt=last).annotate(place=Mod("pk", FAILED)).filter(place=0).update(
            status=Status.UNDELIVERED, reason=Category.INVALID_RECIPIENT
        )
        while reasons.fold():  # as the periodic check does
            pass
        failed = self.sent.messages.filter(status=Status.UNDELIVERED).count()
        Tally.objects.filter(pk=self.sent.pk).update(delivered=arrived.count(), undelivered=failed)
        for start in range(0, new // 3, USUAL):
            self._usual(min(USUAL, new // 3 - start))
        self._what_came_back(first, size)
        self.going = self._going(size // 3)
        self.last_person = self.patients.contacts.latest("pk").pk
        self.size = size
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")

    def _texts(self, to: Distribution, template: Message, which: str) -> None:
        people = f"SELECT id, phone FROM contacts_contact WHERE contact_list_id = {to.contact_list_id} AND {which}"
        copies(template, people, contact_id="r.id", to="r.phone", distribution_id=str(to.pk))

    def _usual(self, number: int) -> None:
        """Another distribution, to the first people of the list."""
        template = Distribution.objects.get(pk=self.sent.pk)
        made = Distribution.objects.create(
            organization=self.clinic,
            name="Last month's",
            survey=self.survey,
            contact_list=self.patients,
            state=State.FINISHED,
            account=self.account,
            launched_at=template.launched_at,
            finished_at=template.finished_at,
        )
        Tally.objects.create(distribution=made, delivered=number)
        last = self.patients.contacts.order_by("pk").values_list("pk", flat=True)[number - 1]
        self._texts(made, self.text, f"id <= {last}")

    def _going(self, number: int) -> Going:
        """A distribution of which nothing has left so far, to a list of its own."""
        goners = factories.contact_list(self.clinic, 1, phone="+447899999999", name="Goners")
        some = goners.contacts.get()
        rows = f"SELECT n FROM generate_series(1, {number - 1}) n"
        copies(some, rows, phone=NUMBER.format("r.n"), public_id="'CIE_' || r.n")
        made = factories.distribution(
            self.clinic,
            contact_list=goners,
            recipients=1,
            state=State.SENDING,
            survey=self.survey,
            account=self.account,
            launched_at=timezone.now(),
        )
        text = made.messages.get()
        self._texts(made, text, f"id > {some.pk}")
        Tally.objects.filter(pk=made.pk).update(waiting=number, segments=number, segments_waiting=number)
        self._chunks(made)
        return Going(made, goners)

    def _chunks(self, distribution: Distribution) -> None:
        first = distribution.messages.earliest("pk").pk
        last = distribution.messages.latest("pk").pk
        Chunk.objects.bulk_create(
            Chunk(distribution=distribution, account=self.account, first_id=start, last_id=min(start + 499, last))
            for start in range(first, last + 1, 500)
        )

    def _open_texts(self) -> None:
        some = Contact.objects.get(contact_list=self.open.contact_list_id)
        rows = f"SELECT n FROM generate_series(1, {OPEN - 1}) n"
        copies(some, rows, phone=NUMBER.format("r.n"), public_id="'CIF_' || r.n")
        self._texts(self.open, self.open.messages.get(), f"id > {some.pk}")
        Tally.objects.filter(pk=self.open.pk).update(waiting=OPEN, segments=OPEN, segments_waiting=OPEN)
        self._chunks(self.open)

    def _what_came_back(self, first: int, last: int) -> None:
        every = "SELECT n FROM generate_series({}, {}) n".format
        copies(self.stopped, every(first // 50 + 1, last // 50), phone=NUMBER.format("20000000 + r.n"))
        copies(
            self.reply,
            every(first // 20 + 1, last // 20),
            provider_message_id="'in-' || r.n",
            received_at="t.received_at - r.n * interval '1 second'",
        )
        firsts = f'SELECT id, "to" FROM distributions_message WHERE distribution_id = {self.sent.pk}'
        firsts += f" ORDER BY id OFFSET {first // 50 + 1} LIMIT {(last - first) // 50}"
        copies(self.talk, firsts, message_id="r.id", phone='r."to"')
        copies(self.callback, every(first // 10 + 1, last // 10), dedupe_key="'c-' || r.n")

    # --- what is measured ---------------------------------------------------------------------------------------------

    def measure(self, size: int) -> dict[str, float]:
        """Milliseconds for each thing, with so many messages in the database."""
        began = time.monotonic()
        self.grow(size)
        print(f"  {size:,} messages: {time.monotonic() - began:.0f} s to fill")
        found = {name: timed(work) for name, work in self.statements().items()}
        found |= {name: timed(self._page(address)) for name, address in self.pages().items()}
        with self._uncertain():
            found["periodic check, one text uncertain"] = timed(tasks.sweep)
        found |= {name: timed(work, runs=1) for name, work in self.endings().items()}
        return found

    def statements(self) -> dict[str, Callable[[], object]]:
        ids = list(self.open.messages.order_by("pk").values_list("pk", flat=True)[:100])
        changes = [outbox.Change(id=pk, to=Status.FAILED) for pk in self._delivered()]
        return {
            "claim": undone(self._claim),
            "mark 100": undone(lambda: outbox.mark(ids, self.account.pk)),
            "apply 100 results": undone(lambda: outbox.apply(changes)),
            "write 5,000 texts of a launch": undone(self._expand),
            "periodic check, idle": tasks.sweep,
            "a portion of the daily walk": undone(lambda: retention.portion("callbacks")),
        }

    def _claim(self) -> None:
        """As a pump does: who waits, then the first chunks of two whose turn it is."""
        outbox.lines(self.account.pk)
        for made in (self.open, self.going.distribution):
            outbox.claim(self.account.pk, "bench", 2, distribution_id=made.pk)

    def _delivered(self) -> list[int]:
        return list(self.open.messages.order_by("-pk").values_list("pk", flat=True)[:100])

    def _expand(self) -> None:
        made = Distribution.objects.create(
            organization=self.clinic,
            name="Next",
            survey=self.survey,
            contact_list=self.open.contact_list,
            message_text="Hello",
            account=self.account,
            state=State.LAUNCHING,
            launched_at=timezone.now(),
        )
        Tally.objects.create(distribution=made)
        starting.expand(made.pk)

    def _uncertain(self) -> _Uncertain:
        return _Uncertain(self.sent, self.text)

    def pages(self) -> dict[str, str]:
        """Name and address."""

        def of(name: str, *arguments: object) -> str:
            return reverse(f"admin:{name}", args=arguments)

        one, sent = "distributions_distribution", self.sent.pk
        history = of(f"{one}_messages", sent)
        people = of("contacts_contact_changelist")
        of_list = f"{people}?contact_list__id__exact={self.patients.pk}"
        middle = self.sent.messages.order_by("contact_id")[self.sent.messages.count() // 2].contact_id
        inbound, opt_outs = of("distributions_inboundmessage_changelist"), of("contacts_optout_changelist")
        lists = "contacts_contactlist"
        pages = {
            "home": reverse("admin:index"),
            "distributions": of(f"{one}_changelist"),
            "a distribution": of(f"{one}_change", sent),
            "its progress": of(f"{one}_progress", sent),
            "its reasons": of(f"{one}_reasons", sent),
            "its carriers": of(f"{one}_carriers", sent),
            "its recipients": history,
            "its recipients, from the middle": f"{history}?after={middle}",
            "its recipients, in a state nobody is in": f"{history}?state=expired",
            "its recipients, by number": f"{history}?number=%2B447700000007",
            "contact lists": of(f"{lists}_changelist"),
            "a contact list": of(f"{lists}_change", self.patients.pk),
            "upload to a list": of(f"{lists}_upload", self.patients.pk),
            "question before a list is deleted": of(f"{lists}_delete", self.patients.pk),
            "contacts": people,
            "contacts of a list": of_list,
            "contacts of a list, a later page": f"{of_list}&p=30",
            "contacts of a list, by number": f"{of_list}&q=%2B447700000007",
            "contacts of a list, by name": f"{of_list}&q=Ada7",
            "contacts of a list, no hit": f"{of_list}&q=Nobody",
            "contacts of a list, opted out": f"{of_list}&opted_out=yes",
            "contacts of a list, without a number": f"{of_list}&number=no",
            "a contact": of("contacts_contact_change", self.person.pk),
            "a contact's texts": of("distributions_of_contact", self.person.pk),
            "inbound": inbound,
            "inbound, a later page": f"{inbound}?p=8",
            "inbound, by number": f"{inbound}?q=%2B4477",
            "inbound, a meaning nobody had": f"{inbound}?meaning__exact=help",
            "inbound, with a stop word in them": f"{inbound}?mentions_stopping__exact=1",
            "opt-outs": opt_outs,
            "opt-outs, by number": f"{opt_outs}?q=%2B447720000007",
            "opt-outs, let back in": f"{opt_outs}?active=no",
            "opt-outs, by a source nobody had": f"{opt_outs}?source__exact=import",
            "compose": of(f"{one}_edit", self.drafts["100 people"].pk),
            "review of a draft to 100 people": of(f"{one}_review", self.drafts["100 people"].pk),
            "review of a draft to a third of all": of(f"{one}_review", self.drafts["a third"].pk),
        }
        api = "/API/v3/distributions/sms"
        return pages | {"API: distributions": f"{api}?surveyId={self.survey.public_id}"}

    def _page(self, address: str) -> Callable[[], object]:
        def look() -> None:
            answer = self.client.get(address, headers={"X-API-TOKEN": self.token})
            if answer.status_code != 200:
                raise RuntimeError(f"{address}: {answer.status_code}")

        return look

    def endings(self) -> dict[str, Callable[[], object]]:
        """What is over once it is measured."""
        delete = reverse("admin:contacts_contactlist_delete", args=[self.going.contact_list.pk])

        def end() -> None:
            answer = self.client.post(delete, {"post": "yes"})
            if answer.status_code != 302:
                raise RuntimeError(f"{delete}: {answer.status_code}")

        return {
            CANCEL: lambda: services.cancel(self.going.distribution, self.administrator),
            "delete a list of a third of all": end,
        }


class _Uncertain:
    """One text of a large distribution is uncertain meanwhile."""

    def __init__(self, distribution: Distribution, message: Message) -> None:
        self.tally = Tally.objects.filter(pk=distribution.pk)
        self.message = Message.objects.filter(pk=message.pk)

    def __enter__(self) -> None:
        self.message.update(status=Status.ACCEPTED)
        outbox.apply([outbox.Change(id=self.message.get().pk, to=Status.SENT)])
        self.message.update(status=Status.SENDING)
        outbox.apply([outbox.Change(id=self.message.get().pk, to=Status.UNCERTAIN)])
        self.tally.update(uncertain=1)

    def __exit__(self, *_error: object) -> None:
        outbox.apply([outbox.Change(id=self.message.get().pk, to=Status.DELIVERED)])
        self.tally.update(uncertain=0)


def undone(work: Callable[[], object]) -> Callable[[], object]:
    """The same, and nothing of it stays."""

    def tried() -> None:
        with transaction.atomic():
            work()
            transaction.set_rollback(True)

    return tried


def timed(work: Callable[[], object], runs: int = RUNS) -> float:
    """Milliseconds of CPU, here and in the database, of the cheapest of some runs: other work does not count."""
    ends_at = time.monotonic() + (QUICK if rig.is_quick else PATIENCE)
    found: list[float] = []
    while len(found) < runs and (len(found) < 3 or time.monotonic() < ends_at):
        began = _cpu()
        work()
        found.append(1000 * (_cpu() - began))
    return min(found)


def _cpu() -> float:
    """Seconds that this process and its connection's have worked."""
    nanoseconds = int(Path(f"/proc/{_backend()}/schedstat").read_text().split()[0])
    return time.process_time() + nanoseconds / 1e9


@cache
def _backend() -> int:
    """The database's process for this connection. It works alone, so that all of its work is seen."""
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
