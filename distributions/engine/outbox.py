"""The queue, which is the table: claim chunks, mark messages, write results. Every function is one short transaction.

The same statements run on PostgreSQL and SQLite; where they differ, PostgreSQL saves round trips (one statement per
batch) and SQLite relies on its IMMEDIATE transactions, which are exclusive. No transaction is open while a provider is
being called.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone

from distributions.engine import identity, tallies
from distributions.engine.references import reference, sql_salt
from distributions.engine.turns import Line
from distributions.models import Chunk, Distribution, Message, MessageEvent, Tally
from distributions.states import FINAL, REPEATED, STOPPED, TAKEN, TRANSITIONS, Status, sources
from extensions.contract import ID_LENGTHS, WORDS_LENGTHS
from extensions.models import WORKER_SLOTS, WorkerSlot
from intake.sentences import stored_within
from intake.text import fitted_id
from organizations import clock

T = TypeVar("T")

SLOT_LEASE = 8.0  # seconds; renewed while the pump lives


def _running(answers: str) -> str:
    """Whether a distribution (d) sends now. Its conversations go on after it has finished: `answers` tells them."""
    return f"d.paused_at IS NULL AND (d.state IN ('launching', 'sending') OR d.state = 'finished' AND {answers})"


def _carries(account: str, organization: str) -> str:
    """Whether an account may carry an organisation's text now: it is not deleted, access is granted (R34) and its
    credentials are not refused, its extension is enabled unless it is the installation's own (R14), and the licence has
    SMS (R12).
    """
    return f"""EXISTS (
        SELECT 1 FROM extensions_provideraccount a
        JOIN organizations_licence l ON l.organization_id = {organization} AND l.sms
        WHERE a.id = {account} AND a.deleted_at IS NULL AND a.granted_at IS NOT NULL AND a.check_ok IS NOT FALSE AND (
            a.organization_id IS NULL OR EXISTS (
                SELECT 1 FROM extensions_enabledextension e
                WHERE e.organization_id = a.organization_id AND e.provider = a.provider
            )
        )
    )"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until its lease ends."""

    chunk_id: int
    distribution_id: int
    first_id: int
    last_id: int
    tries: int
    organization: str  # its public id
    batch_limit: int  # how many of its messages may share a request; 0: as many as the provider takes
    priority: int = Chunk.Priority.BULK


@dataclass(frozen=True, slots=True)
class Marked:
    """A message that is marked "sending" by the attempt of this number."""

    id: int
    attempt: int
    to: str
    text: str
    repeated: bool  # an earlier attempt may have been taken
    reference: str  # of ours, as it travels


@dataclass(frozen=True, slots=True)
class Change:
    """A move of one message. `attempt` None: whoever attempted it; otherwise only if that attempt is the latest."""

    id: int
    to: Status
    attempt: int | None = None
    message_id: str = ""
    segments: int | None = None
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    id: int
    was: str
    now: str


def retrying(work: Callable[[], T], *, patience: float = 0.0) -> T:
    """Run `work` again on a new connection for up to `patience` seconds while the database is away or deadlocked."""
    give_up_at = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() + pause > give_up_at:
                raise
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


def _postgresql() -> bool:
    return connection.vendor == "postgresql"


def _any(column: str, ids: Sequence[int] | Sequence[str]) -> tuple[str, list[Any]]:
    if _postgresql():
        return f"{column} = ANY(%s)", [list(ids)]
    return f"{column} IN ({', '.join(['%s'] * len(ids))})", list(ids)


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall()) if cursor.description else []


# --- worker slots -----------------------------------------------------------------------------------------------------


def take_slot(account_id: int, holder: str, *, first: bool = False) -> bool:
    """Take or renew a worker slot of this account, or only its first; False if all are taken by others."""
    if not WorkerSlot.objects.filter(account_id=account_id).exists():
        slots = [WorkerSlot(account_id=account_id, number=number) for number in range(WORKER_SLOTS)]
        WorkerSlot.objects.bulk_create(slots, ignore_conflicts=True)
    now, now_params = clock.in_sql()
    lease, lease_params = clock.in_sql(SLOT_LEASE)
    lock = "FOR UPDATE SKIP LOCKED" if _postgresql() else ""
    number = 1 if first else WORKER_SLOTS
    # S608 below and elsewhere in this file: only our own column names and placeholders are put into the text.
    sql = f"""
        UPDATE extensions_pumpseat SET holder = %s, lease_until = {lease} WHERE id = (
            SELECT id FROM extensions_pumpseat
            WHERE account_id = %s AND number < %s AND (holder = %s OR lease_until IS NULL OR lease_until < {now})
            ORDER BY holder = %s DESC, number LIMIT 1 {lock}
        ) RETURNING number
    """  # noqa: S608
    return bool(_rows(sql, [holder, *lease_params, account_id, number, holder, *now_params, holder]))


def has_first_slot(account_id: int, holder: str) -> bool:
    return WorkerSlot.objects.filter(account_id=account_id, holder=holder, number=0).exists()


def renew_slots(holders: Sequence[str]) -> set[str]:
    """Keep the worker slots of these pumps in one statement; returns who still has theirs."""
    chosen, params = _any("holder", holders)
    lease, lease_params = clock.in_sql(SLOT_LEASE)
    sql = f"UPDATE extensions_pumpseat SET lease_until = {lease} WHERE {chosen} RETURNING holder"  # noqa: S608
    return {row[0] for row in _rows(sql, [*lease_params, *params])}


def leave_slot(account_id: int, holder: str) -> None:
    WorkerSlot.objects.filter(account_id=account_id, holder=holder).update(lease_until=None, holder="")


# --- chunks --------------------------------------------------------------------------------------------------------


def lines(account_id: int) -> list[Line]:
    """The distributions that have chunks due at this account: an index look-up for each, however many chunks wait."""
    now, now_params = clock.in_sql()
    due = f"""EXISTS (
        SELECT 1 FROM distributions_chunk c WHERE c.account_id = %s AND c.distribution_id = d.id AND c.state = 'open'
            AND c.priority {{}} {Chunk.Priority.REPLY} AND c.not_before <= {now}
            AND (c.lease_until IS NULL OR c.lease_until < {now})
    )"""  # noqa: S608
    due_params = [account_id, *now_params, *now_params]
    least = "SELECT min(distribution_id) FROM distributions_chunk WHERE account_id = %s AND state = 'open'"
    sql = f"""
        WITH RECURSIVE waiting(id) AS (
            SELECT ({least}) UNION ALL
            SELECT ({least} AND distribution_id > waiting.id) FROM waiting WHERE waiting.id IS NOT NULL
        ), due AS (
            SELECT d.id, o.public_id, {due.format("=")} AND {_running("TRUE")} AS replies,
                {due.format(">")} AND {_running("FALSE")} AS others
            FROM waiting JOIN distributions_distribution d ON d.id = waiting.id
            JOIN organizations_organization o ON o.id = d.organization_id
        )
        SELECT id, public_id, replies FROM due WHERE replies OR others ORDER BY id
    """  # noqa: S608
    rows = _rows(sql, [account_id, account_id, *due_params, *due_params])
    return [Line(distribution_id, organization, bool(replies)) for distribution_id, organization, replies in rows]


def claim(
    account_id: int, holder: str, limit: int, *, distribution_id: int | None = None, replies: bool = False
) -> list[Claim]:
    """Take up to `limit` due chunks of the account for SEND_LEASE seconds: of one distribution, or only of replies.

    Paused and cancelled ones are left alone, and those whose organisation it may not carry (any more).
    """
    known, known_params = identity.condition()
    now, now_params = clock.in_sql()
    lease, lease_params = clock.in_sql(settings.SEND_LEASE)
    joined, asked = "JOIN distributions_distribution d ON d.id = c.distribution_id", []
    which = f"{_running(f'c.priority = {Chunk.Priority.REPLY}')} AND {_carries('c.account_id', 'd.organization_id')}"
    if distribution_id is not None:
        # Asked once, and not of each chunk: so the first ones come from the index, however many wait behind them.
        joined, asked = "", [distribution_id, distribution_id, account_id]
        which = f"""c.distribution_id = %s AND c.priority <= (
            SELECT CASE d.state WHEN 'finished' THEN {Chunk.Priority.REPLY} ELSE {Chunk.Priority.BULK} END
            FROM distributions_distribution d
            WHERE d.id = %s AND {_running("TRUE")} AND {_carries("%s", "d.organization_id")}
        )"""  # noqa: S608
    which += f" AND c.priority = {Chunk.Priority.REPLY}" if replies else ""
    due = f"""
        SELECT c.id FROM distributions_chunk c {joined}
        WHERE c.account_id = %s AND c.state = 'open' AND c.not_before <= {now}
            AND (c.lease_until IS NULL OR c.lease_until < {now}) AND {known} AND {which}
        ORDER BY c.priority, c.not_before, c.id LIMIT %s
    """  # noqa: S608
    due_params = [account_id, *now_params, *now_params, *known_params, *asked, limit]
    chosen = f"= ANY(ARRAY({due} FOR UPDATE OF c SKIP LOCKED))" if _postgresql() else f"IN ({due})"
    sql = f"""
        UPDATE distributions_chunk SET holder = %s, lease_until = {lease} WHERE id {chosen}
        RETURNING id, distribution_id, first_id, last_id, tries,
            (SELECT o.public_id FROM distributions_distribution d JOIN organizations_organization o
             ON o.id = d.organization_id WHERE d.id = distribution_id), batch_limit, priority
    """  # noqa: S608
    rows = _rows(sql, [holder, *lease_params, *due_params])
    return sorted((Claim(*row) for row in rows), key=lambda claimed: claimed.chunk_id)


def read(claimed: Claim) -> list[tuple[int, int]]:
    """The chunk's queued messages as (id, segments).

    What is still marked "sending" belongs to an attempt whose worker is gone, and may have left: it becomes uncertain.
    """
    sql = """
        SELECT id, segments, status, attempt FROM distributions_message
        WHERE id BETWEEN %s AND %s AND distribution_id = %s AND status IN ('queued', 'sending') ORDER BY id
    """
    rows = _rows(sql, [claimed.first_id, claimed.last_id, claimed.distribution_id])
    orphans = [
        Change(id=row[0], to=Status.UNCERTAIN, attempt=row[3], reason=STOPPED)
        for row in rows
        if row[2] == Status.SENDING
    ]
    if orphans:
        apply(orphans)
        MessageEvent.objects.bulk_create(
            MessageEvent(message_id=one.id, source=MessageEvent.Source.SEND, status=Status.UNCERTAIN, category=STOPPED)
            for one in orphans
        )
    return [(row[0], row[1]) for row in rows if row[2] == Status.QUEUED]


def mark(ids: Sequence[int], account_id: int, *, chunk_id: int | None = None, holder: str = "") -> list[Marked]:
    """Mark queued messages "sending" in one statement, before their requests leave.

    With `chunk_id`, only while `holder` has it: whoever has stood still for longer than the lease marks nothing. What
    somebody else holds in this moment, such as a cancel of very many, is skipped and not waited for.

    Pause, cancel and opt-outs are read in that very statement, and so are the account's deletion and grant, its
    extension's switch and the licence: nothing leaves after any of them was committed. Those who have opted out since
    the launch are skipped, those who were forgotten or whose text is not kept any more (number or wording are empty),
    and those of whom somebody has yet to decide whether they have (replies/doubts.py); of what may not be sent now
    nothing comes back, nor of a database that was restored from a backup.
    """
    known, known_params = identity.condition()
    chosen, params = _any("m.id", ids)
    if _postgresql():
        chosen = f"""m.id = ANY(ARRAY(
            SELECT m.id FROM distributions_message m WHERE {chosen} AND m.status = 'queued'
            ORDER BY m.id FOR NO KEY UPDATE SKIP LOCKED
        ))"""  # noqa: S608
    now, now_params = clock.in_sql()
    ours, ours_params = "", []
    if chunk_id is not None:
        ours = f"""AND EXISTS (
            SELECT 1 FROM distributions_chunk k WHERE k.id = %s AND k.holder = %s AND k.lease_until > {now}
        )"""  # noqa: S608
        ours_params = [chunk_id, holder, *now_params]
    salt = sql_salt("m.id" if _postgresql() else "distributions_message.id")  # SQLite knows no aliases in RETURNING
    sql = f"""
        UPDATE distributions_message AS m SET
            account_id = %s, attempt = m.attempt + 1, attempted_at = {now}, (status, reason) = (
                SELECT CASE WHEN x.why <> '' THEN 'skipped' ELSE 'sending' END,
                    CASE WHEN x.why <> '' THEN x.why WHEN m.reason = '{REPEATED}' THEN m.reason ELSE '' END
                FROM (SELECT CASE
                    WHEN m."to" = '' OR m.text = '' THEN '{Message.Skip.OPTED_OUT}'
                    WHEN EXISTS (
                        SELECT 1 FROM contacts_optout o
                        WHERE o.organization_id = m.organization_id AND o.phone = m."to" AND o.ended_at IS NULL
                    ) THEN '{Message.Skip.OPTED_OUT}'
                    WHEN m.conversation_id IS NULL AND EXISTS (
                        SELECT 1 FROM distributions_doubt q
                        WHERE q.organization_id = m.organization_id AND q.phone = m."to" AND q.decided_at IS NULL
                            AND NOT EXISTS (
                                SELECT 1 FROM contacts_optout o WHERE o.organization_id = q.organization_id
                                    AND o.phone = q.phone AND o.created_at >= q.created_at
                            )
                    ) THEN '{Message.Skip.IN_DOUBT}'
                    ELSE '' END AS why
                ) x
            )
        WHERE {chosen} AND m.status = 'queued' AND {known} {ours} AND EXISTS (
            SELECT 1 FROM distributions_distribution d
            WHERE d.id = m.distribution_id AND {_running("m.conversation_id IS NOT NULL")}
        ) AND {_carries("%s", "m.organization_id")}
        RETURNING id, status, attempt, "to", text, distribution_id, reason, conversation_id, segments, {salt}
    """  # noqa: S608
    with transaction.atomic() if connection.vendor == "sqlite" else nullcontext():
        rows = _rows(sql, [account_id, *now_params, *params, *known_params, *ours_params, account_id])
        if rows:
            identity.count_mark()
    skipped = [(row[5], row[7] is None, row[8]) for row in rows if row[1] == Status.SKIPPED]
    if skipped:
        _count_moves((*row, Status.QUEUED, Status.SKIPPED) for row in skipped)
    marked = (
        Marked(
            id=row[0],
            attempt=row[2],
            to=row[3],
            text=row[4],
            repeated=row[6] == REPEATED,
            reference=reference(row[0], row[9]),
        )
        for row in rows
        if row[1] == Status.SENDING
    )
    return sorted(marked, key=lambda message: message.id)


def _count_moves(moves: Iterable[tuple[int, bool, int, str, str]]) -> None:
    """Count messages that have moved, as (distribution, whether it is somebody's first text, segments, from, to)."""
    texts: Counter[tuple[int, str, str]] = Counter()
    segments: Counter[tuple[int, str, str]] = Counter()
    for distribution_id, is_first, length, was, now in moves:
        texts[distribution_id, was, now] += is_first
        segments[distribution_id, was, now] += length
    with tallies.counted():
        for distribution_id, was, now in texts:
            key = distribution_id, was, now
            tallies.count(distribution_id, was, segments[key], texts=texts[key], off=True)
            tallies.count(distribution_id, now, segments[key], texts=texts[key])


def finish(claimed: Claim, holder: str) -> bool:
    """Nothing of this chunk is left to send; False if something was put back into it meanwhile (`requeue`).

    Then it is given back instead. `tries` tells: the row's lock makes the two take turns.
    """
    mine = Chunk.objects.filter(pk=claimed.chunk_id, holder=holder)
    if mine.filter(tries=claimed.tries).update(state=Chunk.State.DONE, lease_until=None, holder=""):
        return True
    mine.update(lease_until=None, holder="")
    return False


def release(chunk_id: int, holder: str, *, delay: float = 0.0, failed: bool = False, batch_limit: int = 0) -> None:
    """Give a chunk back with messages in it, due again in `delay` seconds; `failed` if some were not taken.

    With `batch_limit`, no more of them than that share a request from now on.
    """
    not_before, params = clock.in_sql(delay)
    sql = f"""
        UPDATE distributions_chunk SET lease_until = NULL, holder = '', not_before = {not_before}, tries = tries + %s,
            batch_limit = CASE WHEN %s > 0 THEN %s ELSE batch_limit END
        WHERE id = %s AND holder = %s
    """  # noqa: S608
    _rows(sql, [*params, int(failed), batch_limit, batch_limit, chunk_id, holder])


def requeue(ids: Iterable[int]) -> int:
    """Put uncertain messages back into the queue: only once it is known, or a person has decided, that they may go.

    Returns how many went back.
    """
    with tallies.counted():
        uncertain = Message.objects.filter(pk__in=list(ids), status=Status.UNCERTAIN).order_by("pk")
        columns = ("pk", "distribution_id", "conversation_id", "segments")
        rows = list(uncertain.select_for_update(no_key=True).values_list(*columns))
        Message.objects.filter(pk__in=[row[0] for row in rows]).update(status=Status.QUEUED, error="", reason=REPEATED)
        for pk, distribution_id, _conversation_id, _segments in rows:
            Chunk.objects.filter(distribution_id=distribution_id, first_id__lte=pk, last_id__gte=pk).update(
                state=Chunk.State.OPEN, tries=F("tries") + 1
            )
        for distribution_id in sorted({row[1] for row in rows if row[2] is None}):
            Distribution.objects.filter(pk=distribution_id, state=Distribution.State.FINISHED).update(
                state=Distribution.State.SENDING, finished_at=None
            )
        _count_moves((row[1], row[2] is None, row[3], Status.UNCERTAIN, Status.QUEUED) for row in rows)
    return len(rows)


def take_back(messages: QuerySet[Message]) -> list[int]:
    """Cancel those of the messages that are queued, and count them; returns their keys.

    What a pump is marking in this moment is skipped, not waited for: it leaves, or comes back and is taken back by
    the periodic check. So this never stands in anybody's way while it holds thousands of rows.
    """
    queued = messages.filter(status=Status.QUEUED).order_by("pk")
    if connection.features.has_select_for_update_skip_locked:
        queued = queued.select_for_update(skip_locked=True, no_key=True)
    with tallies.counted():
        rows = list(queued.values_list("pk", "distribution_id", "conversation_id", "segments"))
        for start in range(0, len(rows), 1_000):
            Message.objects.filter(pk__in=[row[0] for row in rows[start : start + 1_000]]).move(Status.CANCELLED)
        _count_moves((row[1], row[2] is None, row[3], Status.QUEUED, Status.CANCELLED) for row in rows)
    return [row[0] for row in rows]


def lock_chunks(chunks: QuerySet[Chunk]) -> QuerySet[Chunk]:
    """These chunks, locked in the order of their keys: two who change several never wait for each other."""
    keys = chunks.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)
    return Chunk.objects.filter(pk__in=list(keys))


# --- results and reports -------------------------------------------------------------------------------------------


def _sources(to: str) -> list[str]:
    # A result that says "not taken" belongs to the attempt under way. Out of "uncertain" only `requeue` leads back.
    return [Status.SENDING] if to == Status.QUEUED else sources(to)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def _apply_sql(*, tally: bool) -> str:
    allowed = "\n".join(f"WHEN '{to}' THEN m.status IN ({_listed(_sources(to))})" for to in TRANSITIONS if _sources(to))
    # Everybody's first text is counted by its state, and the segments of every text: `had` before, `has` now.
    deltas = [
        f"sum(CASE WHEN conversation_id IS NULL THEN (now IN ({states}))::int - (was IN ({states}))::int ELSE 0 END)"
        for name in Tally.COLUMNS
        for states in [_listed(status for status in Status.values if tallies.column(status) == name)]
    ] + [
        f"sum(CASE WHEN now IN ({states}) THEN has ELSE 0 END - CASE WHEN was IN ({states}) THEN had ELSE 0 END)"
        for states in map(_listed, Tally.SEGMENTS.values())
    ]
    columns = (*Tally.COLUMNS, *Tally.SEGMENTS)
    summed = ", ".join(f"{delta} AS {name}" for name, delta in zip(columns, deltas, strict=True))
    updates = ", ".join(f"{name} = t.{name} + d.{name}" for name in columns)
    both_taken = f"was IN ({_listed(TAKEN)}) AND now IN ({_listed(TAKEN)})"  # the same to whoever counts segments
    # Locked in the order of their keys, as everywhere (distributions/engine/tallies.py).
    tallied = f""", deltas AS (
            SELECT distribution_id, {summed} FROM moved
            WHERE had <> has OR was <> now AND (conversation_id IS NULL OR NOT ({both_taken})) GROUP BY distribution_id
        ), locked AS (
            SELECT t.distribution_id FROM distributions_tally t
            WHERE t.distribution_id IN (SELECT distribution_id FROM deltas)
            ORDER BY t.distribution_id FOR NO KEY UPDATE OF t
        ), tallied AS (
            UPDATE distributions_tally t SET {updates}
            FROM locked JOIN deltas d ON d.distribution_id = locked.distribution_id
            WHERE t.distribution_id = locked.distribution_id
        )"""  # noqa: S608
    return f"""
        WITH v AS (
            SELECT * FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[])
            AS v(id, attempt, status, message_id, segments, reason, error)
        ), old AS (
            SELECT m.id, m.status AS was, m.segments AS had, CASE v.status {allowed} ELSE false END AS moves,
                v.status, v.message_id, v.segments, v.reason, v.error
            FROM distributions_message m JOIN v ON v.id = m.id
            WHERE v.attempt IS NULL OR v.attempt = m.attempt
            ORDER BY m.id FOR NO KEY UPDATE OF m
        ), moved AS (
            UPDATE distributions_message m SET
                status = CASE WHEN old.moves THEN old.status ELSE m.status END,
                reason = CASE WHEN old.moves THEN old.reason ELSE m.reason END,
                error = CASE WHEN old.moves THEN old.error ELSE m.error END,
                provider_message_id = CASE WHEN old.message_id <> '' THEN old.message_id ELSE m.provider_message_id END,
                segments = COALESCE(NULLIF(old.segments, 0), m.segments),
                accepted_at = CASE WHEN m.accepted_at IS NULL AND old.status <> 'queued' AND old.status <> 'uncertain'
                    THEN clock_timestamp() ELSE m.accepted_at END,
                settled_at = CASE WHEN old.moves AND old.status IN ({_listed(FINAL)})
                    THEN clock_timestamp() ELSE m.settled_at END
            FROM old WHERE m.id = old.id AND (old.moves OR old.message_id <> '')
            RETURNING m.id, old.was, m.status AS now, m.distribution_id, m.conversation_id, old.had, m.segments AS has
        ){tallied if tally else ""}
        SELECT id, was, now, distribution_id, conversation_id, had, has FROM moved
    """  # noqa: S608


_APPLY, _APPLY_AND_TALLY = _apply_sql(tally=False), _apply_sql(tally=True)


def apply(changes: Sequence[Change]) -> list[Moved]:
    """Write results or reports in one go; a move that its message's state does not allow changes nothing.

    At most one change per message. Returns what was touched, with the state before and after.
    """
    if not changes:
        return []
    if _postgresql():
        ordered = sorted(changes, key=lambda change: change.id)
        params = [
            [change.id for change in ordered],
            [change.attempt for change in ordered],
            [str(change.to) for change in ordered],
            [fitted_id(change.message_id, ID_LENGTHS["message_id"]) for change in ordered],
            [change.segments for change in ordered],
            [str(change.reason)[:24] for change in ordered],
            [stored_within(change.error, WORDS_LENGTHS["error"]) for change in ordered],
        ]
        if not tallies.is_open():  # on its own: one statement and no transaction around it
            return [Moved(*row[:3]) for row in _rows(_APPLY_AND_TALLY, params)]
        rows = _rows(_APPLY, params)
        for _id, was, now, distribution_id, conversation_id, had, has in rows:
            is_first = int(conversation_id is None)
            tallies.count(distribution_id, was, had, texts=is_first, off=True)
            tallies.count(distribution_id, now, has, texts=is_first)
        return [Moved(*row[:3]) for row in rows]
    return _apply_row_by_row(changes)


def _apply_row_by_row(changes: Sequence[Change]) -> list[Moved]:
    moved: list[Moved] = []
    with tallies.counted():
        rows = Message.objects.in_bulk([change.id for change in changes])
        for change in changes:
            message = rows.get(change.id)
            if message is None or change.attempt not in (None, message.attempt):
                continue
            fields: dict[str, Any] = {}
            now = timezone.now()
            moves = message.status in _sources(change.to)
            if moves:
                fields["status"], fields["reason"] = change.to, str(change.reason)[:24]
                fields["error"] = change.error
                if change.to in FINAL:
                    fields["settled_at"] = now
            if change.message_id:
                fields["provider_message_id"] = fitted_id(change.message_id, ID_LENGTHS["message_id"])
            if not fields:
                continue
            if change.segments:
                fields["segments"] = change.segments
            if message.accepted_at is None and change.to not in (Status.QUEUED, Status.UNCERTAIN):
                fields["accepted_at"] = now
            Message.objects.filter(pk=message.pk).update(**fields)
            to = change.to if moves else message.status
            moved.append(Moved(message.pk, message.status, to))
            is_first = int(message.conversation_id is None)
            tallies.count(message.distribution_id, message.status, message.segments, texts=is_first, off=True)
            tallies.count(message.distribution_id, to, fields.get("segments", message.segments), texts=is_first)
    return moved


def recount(distribution_id: int) -> None:
    """Rebuild a distribution's tally from its messages."""
    with transaction.atomic():
        tally = Tally.objects.select_for_update(no_key=True).get(pk=distribution_id)
        counts: Counter[str] = Counter()
        messages = Message.objects.filter(distribution_id=distribution_id).order_by()
        groups = messages.values_list("status").annotate(
            first=Count("pk", filter=Q(conversation=None)), n=Sum("segments")
        )
        for status, first, segments in groups:
            counts[tallies.column(status)] += first
            counts.update({name: segments for name, states in Tally.SEGMENTS.items() if status in states})
        columns = (*Tally.COLUMNS, *Tally.SEGMENTS)
        Tally.objects.filter(pk=tally.pk).update(**{name: counts[name] for name in columns})
