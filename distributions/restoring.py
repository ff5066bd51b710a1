"""After a restore: nothing that may have left leaves again, and no key is given out twice.

Between the backup and the failure texts have left of which the database knows nothing. So what was running is paused,
and everything of it that could have left is *uncertain* until a report, a look-up that finds it, or a person says
otherwise. docs/backup.md has the whole procedure.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import F, Max, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from distributions.engine import identity, outbox
from distributions.engine.references import EPOCHS_KEPT
from distributions.models import Chunk, Distribution, Epoch, KnownDatabase, Message, Tally
from distributions.planning import starting
from distributions.states import RESTORED, WAITING, Status
from intake.sentences import nsaid as ngettext
from intake.sentences import said as _
from organizations import audit, clock

State = Distribution.State

LEAST_GAP = 1_000_000  # keys that are left out at the least; in fact as many as were ever given out


@dataclass(frozen=True, slots=True)
class Affected:
    """A distribution that was running, or whose time has come since the backup."""

    distribution: Distribution
    uncertain: int  # texts that may have left


def is_needed() -> bool:
    """Whether `after_restore` has anything to do: this is another database, or nothing is known of it."""
    return identity.is_held() or not KnownDatabase.objects.exists()


def affected() -> list[Affected]:
    """What `after_restore` would pause, and how much of it is uncertain; launches that are not written out included."""
    found = []
    for distribution in _running():
        waiting = Message.objects.filter(distribution=distribution, status__in=[*WAITING, Status.UNCERTAIN]).count()
        if distribution.state == State.LAUNCHING and distribution.contact_list is not None:
            waiting += distribution.contact_list.contacts.filter(pk__gt=distribution.cursor).count()
        found.append(Affected(distribution, waiting))
    return found + [Affected(distribution, 0) for distribution in _missed()]


def after_restore() -> list[Affected]:
    """Do what has to be done before the workers may go on; returns what was paused. Harmless if it runs again."""
    _begin_epoch()
    found = []
    for distribution in _running():
        while starting.expand(distribution.pk, after_restore=True):
            pass
        found.append(Affected(distribution, _make_uncertain(distribution)))
    _distrust_the_rest()
    for distribution in _missed():
        _pause(distribution, _("Its time came between the backup and its restore. Resume it if it was not sent then."))
        found.append(Affected(distribution, 0))
    time.sleep(2 * EPOCHS_KEPT)  # until every process has read the new epoch
    identity.remember()
    audit.record(
        "restored from a backup",
        organization=None,
        distributions=len(found),
        uncertain=sum(one.uncertain for one in found),
    )
    return found


def nothing_was_lost() -> None:
    """The database is another one, but has everything: after a failover or an upgrade. Nothing is held back."""
    for model in _models():
        _move_on(model, gap=False)
    identity.remember()
    audit.record("moved without loss", organization=None)


# --- keys ----------------------------------------------------------------------------------------------------------


def _begin_epoch() -> None:
    """Give out only keys that were never given out, and, should some of them have been, prove them anew."""
    for model in _models():
        last = _move_on(model, gap=True)
        if model is Message:
            Epoch.objects.create(first_id=last + 1, salt=secrets.token_hex(8))


def _models() -> Iterator[type[models.Model]]:
    """Every table of ours whose keys count up."""
    return (model for model in apps.get_models() if isinstance(model._meta.pk, models.BigAutoField))


def _move_on(model: type[models.Model], *, gap: bool) -> int:
    """Let the table's next key be above every one it has, with `gap` far above; returns the key before it."""
    table = model._meta.db_table
    highest: int = model._base_manager.aggregate(highest=Max("pk"))["highest"] or 0
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
            sequence = cursor.fetchone()[0]
            cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}")  # noqa: S608
        else:
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        row = cursor.fetchone()
        last = max(highest, row[0] if row else 0)
        last += max(LEAST_GAP, last) if gap else 0
        if not last:
            return 0
        if connection.vendor == "postgresql":
            cursor.execute("SELECT setval(%s, %s)", [sequence, last])
        elif row:
            cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [last, table])
        else:
            cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, last])
    return last


# --- texts ---------------------------------------------------------------------------------------------------------


def _running() -> list[Distribution]:
    """What had begun and not ended at the time of the backup, and has not been dealt with yet."""
    running = Distribution.objects.filter(state__in=(State.LAUNCHING, State.SENDING))
    return list(running.select_related("organization", "contact_list").order_by("pk"))


def _missed() -> list[Distribution]:
    """What was to begin between the backup and now: it may have been sent, and lost with what came after the backup."""
    due = Distribution.objects.filter(state=State.SCHEDULED, send_at__lte=clock.now(), paused_at=None)
    return list(due.select_related("organization").order_by("pk"))


def _make_uncertain(distribution: Distribution) -> int:
    """Nothing of it leaves on its own any more; returns how many texts may have left."""
    with transaction.atomic():
        mine = Message.objects.filter(distribution=distribution)
        _distrust(mine, distribution.account_id)
        count = mine.filter(status=Status.UNCERTAIN).count()
        Chunk.objects.filter(distribution=distribution, state=Chunk.State.OPEN).update(lease_until=None, holder="")
        outbox.recount(distribution.pk)
        problem = ngettext(
            "The database was restored from a backup: it is not known whether %(count)d text had been sent. It is now "
            "uncertain; check it before you resume.",
            "The database was restored from a backup: it is not known whether %(count)d texts had been sent. They are "
            "now uncertain; check them before you resume.",
            count,
        ) % {"count": count}
        _pause(distribution, problem)
    return count


def _distrust_the_rest() -> None:
    """What waited to be said in conversations whose distribution has ended, and what was uncertain already."""
    with transaction.atomic():
        ended = Distribution.objects.filter(state=State.FINISHED)
        unsaid = Chunk.objects.filter(state=Chunk.State.OPEN, priority=Chunk.Priority.REPLY)
        unsaid = unsaid.filter(distribution__in=ended)
        for chunk in unsaid:
            turns = Message.objects.filter(distribution_id=chunk.distribution_id)
            _distrust(turns.filter(pk__range=(chunk.first_id, chunk.last_id)), chunk.account_id)
        for distribution_id in sorted({chunk.distribution_id for chunk in unsaid}):
            outbox.recount(distribution_id)
        counted = Tally.objects.filter(uncertain__gt=0).values("pk")
        Message.objects.filter(distribution__in=counted, status=Status.UNCERTAIN).update(reason=RESTORED)


def _distrust(messages: models.QuerySet[Message], account_id: int | None) -> None:
    """These may have left. With an account a late report finds them; without a time nobody looks them up."""
    messages.filter(status__in=WAITING).update(account=Coalesce(F("account"), Value(account_id)))
    Message.objects.filter(pk__in=messages.values("pk")).move(Status.UNCERTAIN)
    messages.filter(status=Status.UNCERTAIN).update(reason=RESTORED)


def _pause(distribution: Distribution, problem: str) -> None:
    Distribution.objects.filter(pk=distribution.pk).update(
        paused_at=Coalesce(F("paused_at"), timezone.now()), problem=problem
    )
    audit.record("paused", organization=distribution.organization, target=distribution, why="restored from a backup")
