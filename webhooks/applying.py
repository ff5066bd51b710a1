"""Applying stored callbacks: account by account, each for a short turn, so that none holds up another.

What only the moment is to blame for (a deadlock, a lost connection, a time limit) is repeated and never given up. What
a callback's own data leads to sets that callback aside, with its reason, for people to see (webhooks/faults.py).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_noop

from distributions.engine import identity, reports, tallies
from distributions.replies import inbound
from extensions import services
from extensions.contract import SELF_TEST, Provider, WebhookRequest
from extensions.models import AccountState, ProviderAccount
from organizations import clock, tracing
from webhooks import forgetting, inbox
from webhooks.faults import described, is_passing, reason
from webhooks.forgetting import organization_of
from webhooks.models import Callback
from webhooks.parsed import Parsed

logger = logging.getLogger(__name__)

State = Callback.State

GROUP = 1_000  # callbacks in one transaction
GROUP_BYTES = 4 * 1024 * 1024  # of their bodies and addresses
REPLIES = 100  # callbacks with replies that are read in one turn
TOGETHER = 10  # of them in one transaction
TURN = 0.5  # seconds that one account is worked for before the next has its turn
TRIES = 3  # of a transaction that only the moment is to blame for
PATIENCE = 3  # turns in which a callback that cannot be applied just now keeps its place; then it makes way
LONGEST_PAUSE = 600  # seconds
LOCK_TIMEOUT, STATEMENT_TIMEOUT = "1500ms", "20s"
PARKED_FOR = timedelta(days=3)  # then a report about a message nobody knows is given up
UNKNOWN = gettext_noop("names a message nobody knows")
STRANGE = gettext_noop("is about a text that Switchboard did not send")
MESSAGE = "message"  # the route by which people's texts come
DUE = "state IN ('new', 'parked')"  # what the index callbacks_due_by_account holds


def apply_due(limit: int = GROUP, *, until: float | None = None) -> int:
    """Apply what is due, the accounts in turn, until about `limit` callbacks are dealt with; returns how many were.

    A turn ends after about TURN seconds and is a matter of its account alone: whatever happens in it, the others have
    theirs. No turn begins after `until` (time.monotonic()). In a restored database they wait: what they lead to needs
    keys, and nobody knows yet which have been given out.
    """
    if identity.says_held():
        return 0
    count = 0
    while True:
        accounts = _accounts_due()
        random.shuffle(accounts)  # so that two workers seldom meet
        before = count
        for account_id in accounts:
            if until is not None and time.monotonic() > until:
                return count
            count += _replies() + _turn_of(account_id, limit)
        if count == before or count >= limit:
            return count


def apply_for(account_id: int) -> int:
    """Apply what one account has due now, for a turn, without waiting for a worker; returns how many were."""
    return 0 if identity.says_held() else _turn_of(account_id, GROUP)


def _replies() -> int:
    """What people wrote goes before every turn of reports, whoever's they are: a STOP waits for no backlog."""
    waiting = Callback.objects.filter(state__in=(State.NEW, State.PARKED), kind=MESSAGE, not_before__lte=clock.now())
    accounts = waiting.order_by().values_list("account_id", flat=True).distinct()
    return sum(_turn_of(account_id, REPLIES, kind=MESSAGE) for account_id in list(accounts))


def _turn_of(account_id: int, limit: int, *, kind: str = "") -> int:
    try:
        return _turn(account_id, limit, kind)
    except Exception as error:
        logger.error("Callbacks of account %s could not be applied: %s", account_id, described(error))
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return 0


WAITING = f"""
    WITH RECURSIVE waiting(account_id) AS (
        SELECT min(account_id) FROM webhooks_callback WHERE {DUE}
        UNION ALL
        SELECT (SELECT min(account_id) FROM webhooks_callback WHERE {DUE} AND account_id > waiting.account_id)
        FROM waiting WHERE waiting.account_id IS NOT NULL
    )
"""  # noqa: S608 (no value from outside)


def due_since() -> datetime | None:
    """Since when the callback that waits longest has been due; None if none is."""
    sql = f"""
        {WAITING}
        SELECT min((
            SELECT min(not_before) FROM webhooks_callback c WHERE {DUE} AND c.account_id = waiting.account_id
        )) FROM waiting WHERE account_id IS NOT NULL
    """  # noqa: S608 (no value from outside)
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchone()[0]
    if isinstance(found, str):  # SQLite knows no times
        found = parse_datetime(found)
        found = found and found.replace(tzinfo=UTC)
    return found if found is not None and found <= clock.read() else None


def _accounts_due() -> list[int]:
    """Accounts that have callbacks due: an index look-up for each, however many callbacks wait."""
    now, params = clock.in_sql()
    sql = f"""
        {WAITING}
        SELECT account_id FROM waiting WHERE account_id IS NOT NULL AND EXISTS (
            SELECT 1 FROM webhooks_callback c
            WHERE {DUE} AND c.account_id = waiting.account_id AND c.not_before <= {now}
        )
    """  # noqa: S608 (no value from outside)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [row[0] for row in cursor.fetchall()]


def _turn(account_id: int, limit: int, kind: str = "") -> int:
    """Apply what one account has due (of one route, with `kind`), the oldest first; returns how many were dealt with.

    A turn lasts about TURN seconds.
    Reports go together in one transaction, single replies in small groups. A callback with many replies has one of its
    own, or several. None is overtaken by a later one of the same person: where another worker holds it, or it could not
    be applied to its end just now, that person waits.
    """
    ends_at = time.monotonic() + TURN
    account = ProviderAccount.objects.select_related("organization").get(pk=account_id)
    parsed = _read(account, _due(account_id, limit, kind), ends_at)
    together = [one for one in parsed if one.goes_together]
    count = _apply_group(account, together, ends_at) if together else 0
    waiting: set[str] = set()  # people
    for number, group in enumerate(_groups(one for one in parsed if not one.goes_together)):
        if (count or number) and time.monotonic() > ends_at:
            break
        ready = [one for one in group if not one.people & waiting]
        applied = _apply_group(account, ready, ends_at) if ready else 0
        if applied < len(group) or any(one.unread for one in group):
            waiting.update(*(one.people for one in group))
        count += applied
    return count


def _groups(callbacks: Iterable[Parsed]) -> Iterator[list[Parsed]]:
    """In their order: single replies TOGETHER at most, everything else by itself."""
    group: list[Parsed] = []
    for one in callbacks:
        if group and not (one.is_one_reply and len(group) < TOGETHER):
            yield group
            group = []
        group.append(one)
        if not one.is_one_reply:
            yield group
            group = []
    if group:
        yield group


def _due(account_id: int, limit: int, kind: str = "") -> list[Callback]:
    """The account's callbacks that are due, as many as fit into GROUP_BYTES, but at least one. Locks nothing."""
    due = Callback.objects.filter(
        account_id=account_id, state__in=(State.NEW, State.PARKED), not_before__lte=clock.now()
    ).order_by("not_before", "pk")
    if kind:
        due = due.filter(kind=kind)
    chosen: list[int] = []
    size = 0
    for pk, body, url in due.values_list("pk", Length("body"), Length("url"))[:limit]:
        size += body + url
        if chosen and size > GROUP_BYTES:
            break
        chosen.append(pk)
    found = Callback.objects.in_bulk(chosen)
    return [found[pk] for pk in chosen if pk in found]


def _read(account: ProviderAccount, callbacks: list[Callback], ends_at: float) -> list[Parsed]:
    """What the callbacks say: as many as can be read until `ends_at`, but at least one. No transaction is open."""
    parsed: list[Parsed] = []
    replies = 0
    provider: Provider | None = None
    for callback in callbacks:
        if parsed and (time.monotonic() > ends_at or replies >= REPLIES):
            break
        one = Parsed(callback)
        try:
            provider = provider or account.open()
            _parse(provider, one)
        except Exception as error:
            if is_passing(error):
                _step_back([one], error)
                break
            one.problem = reason(error)
            logger.warning("Callback %s of %s cannot be read: %s", callback.pk, account.provider, described(error))
        parsed.append(one)
        replies += bool(one.inbound)
    return parsed


def _apply_group(account: ProviderAccount, group: list[Parsed], ends_at: float) -> int:
    """Apply these callbacks in one transaction; returns how many were dealt with.

    What only the moment is to blame for is repeated, then tried in halves, in the end alone, and stays due. If the
    data of one is to blame, halving finds it: it is set aside with its reason, the others are applied.
    """
    count = 0
    groups = [group]
    while groups:
        if count and time.monotonic() > ends_at:
            break
        group = groups.pop()
        applied, error = _attempt(account, group, ends_at)
        if error is None:
            count += applied
        elif is_passing(error) and (len(group) == 1 or time.monotonic() > ends_at):
            _step_back(group, error)
            break
        elif len(group) > 1:
            middle = len(group) // 2
            groups += [group[middle:], group[:middle]]
        else:
            count += _set_aside(group[0], error)
    return count


def _attempt(account: ProviderAccount, group: list[Parsed], ends_at: float) -> tuple[int, Exception | None]:
    """One transaction, repeated a few times while only the moment is to blame; how many it applied, or its error."""
    pause = 0.02
    for tries_left in reversed(range(TRIES)):
        for one in group:
            one.begin()
        try:
            with _transaction():
                return _apply(account, group, ends_at), None
        except Exception as error:
            problem = error
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        if not tries_left or not is_passing(problem) or time.monotonic() + pause > ends_at:
            break
        time.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 (no secret): so that two do not meet again
        pause *= 4
    logger.warning(
        "%d callbacks of account %s could not be applied at once: %s", len(group), account.public_id, described(problem)
    )
    return 0, problem


@contextmanager
def _transaction() -> Iterator[None]:
    """A transaction that waits for no lock for long: a reply must not stand behind somebody's import."""
    with tallies.counted():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    [LOCK_TIMEOUT, STATEMENT_TIMEOUT],
                )
        yield


def _apply(account: ProviderAccount, parsed: list[Parsed], ends_at: float) -> int:
    """Apply those that are still as they were read and that no other worker holds; returns how many.

    One with more replies than the turn has time for is applied as far as it goes.
    """
    held = _hold([one.callback for one in parsed])
    waiting: set[str] = set()  # people, an earlier callback of whom another worker holds
    group: list[Parsed] = []
    for one in parsed:
        if one.callback.pk in held and not one.people & waiting:
            group.append(one)
        else:
            waiting |= one.people
    _apply_reports(account, group)
    group = _apply_replies(account, group, ends_at)
    _remember(account, group)
    _mark(group)
    forgetting.redact(account, [(one.callback, bool(one.inbound)) for one in group if not one.unread])
    return len(group)


def _apply_replies(account: ProviderAccount, group: list[Parsed], ends_at: float) -> list[Parsed]:
    """Apply the replies of these callbacks until `ends_at`, the oldest's in any case; returns those that had a turn.

    Two transactions with texts of the same people must not wait for each other, so all go through them in one order.
    """
    if not any(one.unread for one in group):  # reports
        return group
    done: list[Parsed] = []
    for one in sorted(group, key=lambda one: min(one.people, default="")):
        if any(each is group[0] for each in done) and time.monotonic() > ends_at:
            break
        _apply_inbound(account, one, ends_at)
        done.append(one)
    return done


def _hold(callbacks: list[Callback]) -> set[int]:
    """Lock them for this transaction; the keys of those that were free and unchanged."""
    rows = Callback.objects.filter(pk__in=[callback.pk for callback in callbacks]).order_by("pk")
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    now = {pk: found for pk, *found in rows.values_list("pk", "state", "tries", "pending")}
    return {one.pk for one in callbacks if now.get(one.pk) == [one.state, one.tries, one.pending]}


def _apply_inbound(account: ProviderAccount, one: Parsed, ends_at: float) -> None:
    """Apply its replies until `ends_at`, but at least one: a provider may hand over thousands in one call."""
    if not one.unread:
        return
    called = account.organization or organization_of(one.callback)
    in_order = sorted(one.unread, key=lambda position: one.inbound[position].sender)
    for count, position in enumerate(in_order):
        if count and time.monotonic() > ends_at:
            one.unread = in_order[count:]
            return
        sms = one.inbound[position]
        key = one.callback.dedupe_key if not position else f"{one.callback.dedupe_key}/{position}"
        named = sms if sms.message_id else replace(sms, message_id=key)  # some providers give no id
        with tracing.under(one.callback.trace):
            inbound.apply_inbound(account, called, named, received_at=one.callback.received_at)
    one.unread = []


def _mark(group: list[Parsed]) -> None:
    """Write down what became of each callback."""
    now = clock.read() if any(one.waiting for one in group) else None
    applied: list[int] = []
    strange: list[int] = []
    parked: list[Callback] = []
    for one in group:
        callback = one.callback
        if one.problem:
            _set_state(callback.pk, state=State.UNREADABLE, error=one.problem)
        elif one.unread:
            _set_state(callback.pk, pending=one.pending)
        elif not one.waiting or now is None:
            (strange if one.strange else applied).append(callback.pk)
        elif now - callback.received_at > PARKED_FOR:
            _set_state(callback.pk, state=State.APPLIED, error=UNKNOWN)
        else:
            tries = min(callback.tries + 1, 20) if callback.state == State.PARKED else 1
            not_before = now + timedelta(seconds=min(3600, 2**tries))
            parked.append(
                Callback(pk=callback.pk, state=State.PARKED, pending=one.waiting, tries=tries, not_before=not_before)
            )
    for one in group:
        with tracing.under(one.callback.trace):
            count = len(one.waiting)
            became = f"parked: {count} reports wait" if count else "applied"
            if one.unread:
                became = f"applied in part: {len(one.unread)} replies are left"
            logger.info("Callback %d is %s.", one.callback.pk, became)
    for keys, note in ((applied, ""), (strange, STRANGE)):
        if keys:
            Callback.objects.filter(pk__in=keys).update(state=State.APPLIED, pending=None, error=note)
    Callback.objects.bulk_update(parked, ["state", "pending", "tries", "not_before"], batch_size=500)


def _set_state(pk: int, **fields: Any) -> None:
    Callback.objects.filter(pk=pk).update(**fields)


def _set_aside(one: Parsed, error: Exception) -> int:
    """Put a callback that cannot be applied where people see it; returns 1, or 0 if that did not work either."""
    one.problem = reason(error)
    with tracing.under(one.callback.trace):
        logger.error("Callback %s is set aside: %s", one.callback.pk, described(error))
    waiting = Callback.objects.filter(pk=one.callback.pk, state=one.callback.state, tries=one.callback.tries)
    with transaction.atomic():
        set_aside = waiting.update(state=State.UNREADABLE, error=one.problem)
        if set_aside:
            forgetting.redact(one.callback.account, [(one.callback, True)])
    return set_aside


def _step_back(group: list[Parsed], error: Exception) -> None:
    """They stay due, from now on each on its own, and after a few times with growing pauses."""
    logger.warning("%d callbacks stay due: %s", len(group), described(error))
    for tries, callbacks in groupby(sorted((one.callback for one in group), key=_tries), key=_tries):
        later = clock.now() + timedelta(seconds=min(LONGEST_PAUSE, 2 ** max(0, tries + 1 - PATIENCE)))
        fields: dict[str, Any] = {"tries": min(tries + 1, 20)}
        if tries + 1 > PATIENCE:
            fields["not_before"] = later
        waiting = Callback.objects.filter(pk__in=[callback.pk for callback in callbacks], tries=tries)
        waiting.filter(state__in=(State.NEW, State.PARKED)).update(**fields)


def _tries(callback: Callback) -> int:
    return callback.tries


def _parse(provider: Provider, one: Parsed) -> None:
    callback = one.callback
    request = WebhookRequest(
        method=callback.method,
        url=callback.url,
        headers={"Content-Type": callback.content_type},
        body=bytes(callback.body),
    )
    found, inbound = inbox.parse(provider, callback.kind, request)
    one.reports = [report for report in found if not report.message_id.startswith(SELF_TEST)]
    if callback.pending is None or any(
        position >= len(one.reports) for position in callback.pending
    ):  # some are unread
        one.inbound = [sms for sms in inbound if not sms.message_id.startswith(SELF_TEST)]


def _apply_reports(account: ProviderAccount, parsed: list[Parsed]) -> None:
    """Whose message is not there yet waits for it. Without a reference of ours there is none to wait for: it is about a
    test message, or about what somebody else has sent through this account, which is counted.
    """
    places = [(one, position) for one in parsed for position in one.waiting]
    if not places:
        return
    said = [one.reports[position] for one, position in places]
    known = reports.apply_reports(account, said, [one.callback.trace for one, _position in places])
    for one in parsed:
        one.waiting = []
    strangers = []
    for (one, position), report, is_known in zip(places, said, known, strict=True):
        if not is_known and reports.names_ours(report):
            one.waiting.append(position)
        elif not is_known:
            strangers.append((one, report))
    tests = services.record_test_reports(account, [report for _one, report in strangers])
    for (one, _report), is_test in zip(strangers, tests, strict=True):
        one.strange += not is_test


def _remember(account: ProviderAccount, parsed: list[Parsed]) -> None:
    """When each kind of callback was last seen, for the account's check-list, and how many reports were strange."""
    seen: dict[str, Any] = {}
    if any(one.reports for one in parsed):
        seen["reports_seen_at"] = timezone.now()
    if any(one.inbound for one in parsed):
        seen["inbound_seen_at"] = timezone.now()
    if strange := sum(one.strange for one in parsed):
        seen["strange_reports"] = F("strange_reports") + strange
    if seen:
        AccountState.objects.filter(pk=account.pk).update(**seen)
