"""The door: find the account, verify, keep, and only then answer.

Callbacks that arrive together share one INSERT: each request thread hands its row to a writer thread and waits for the
commit. If the row cannot be kept, the provider hears 503 and sends it again.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import F, Q
from django.utils import timezone

from distributions.engine.wake import wake_soon
from extensions import registry
from extensions.contract import (
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    Provider,
    ProviderError,
    Unreadable,
    WebhookRequest,
)
from extensions.models import AccountState, ProviderAccount, UnreadableCredentials
from intake.sentences import said_lazy as _
from intake.sentences import stored
from organizations import clock, tracing
from organizations.models import Organization
from webhooks.counting import Refused, counter
from webhooks.explaining import FAULTS, Caller, explanations
from webhooks.faults import described
from webhooks.guesses import Guess
from webhooks.models import Callback

logger = logging.getLogger(__name__)

APPLY = "webhooks.tasks.apply"
CACHE_SECONDS = 5.0  # how long an account's credentials serve verification before they are read again
READING_SECONDS = 1.0  # how much longer, while one request reads them
GROUP = 500  # callbacks in one INSERT
KEEP_TIMEOUT = 10.0  # seconds a request waits for its commit


class UnknownAddress(Exception):
    """No such organisation, or it has no account at this provider."""


class WrongMethod(Exception):
    """The provider calls with another method; `allowed` are those it uses."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class NotKept(Exception):
    """The callback could not be stored; the provider has to send it again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An account whose callbacks can be verified."""

    account_id: int
    identity: str  # of the provider account: what it says twice counts once, whichever of our accounts was asked
    provider: Provider


@dataclass(frozen=True, slots=True)
class Kept:
    """`account_id` is None for a probe, of which nothing is kept."""

    account_id: int | None
    provider: type[Provider]


_cache: dict[tuple[str, str], tuple[float, int | None, list[Opened]]] = {}


def forget_accounts() -> None:
    """Read the accounts anew at the next callback."""
    _cache.clear()


def _accounts(organization_id: str, provider: type[Provider]) -> tuple[int | None, list[Opened]]:
    """The organisation's key and the accounts whose callbacks it believes: its own and the installation's."""
    key = (organization_id, provider.key)
    cached = _cache.get(key)
    if cached is not None and cached[0] > time.monotonic():
        return cached[1], cached[2]
    if cached is not None and cached[0] > time.monotonic() - CACHE_SECONDS:  # one request reads them anew, not all
        _cache[key] = (time.monotonic() + READING_SECONDS, *cached[1:])
    organization = Organization.objects.filter(public_id=organization_id).first()
    opened: list[Opened] = []
    if organization is not None:
        believed = Q(organization=organization) | Q(organization=None)
        accounts = ProviderAccount.objects.verifying().filter(believed, provider=provider.key)
        # The living first, the newest first: a replaced account often shares its secrets with its successor.
        for account in accounts.select_related("organization").order_by(F("deleted_at").desc(nulls_first=True), "-pk"):
            try:
                opened.append(Opened(account.pk, account.provider_identity, account.open()))
            except PermissionDenied:
                logger.error("account %s holds another organisation's credentials", account.public_id)
            except UnreadableCredentials:
                logger.error("account %s: none of FERNET_KEYS opens its credentials", account.public_id)
    if len(_cache) > 10_000:  # made-up organisations must not fill the memory
        _cache.clear()
    pk = organization.pk if organization else None
    _cache[key] = (time.monotonic() + CACHE_SECONDS, pk, opened)
    return pk, opened


def keep(
    organization_id: str,
    slug: str,
    kind: str,
    request: WebhookRequest,
    *,
    address: str = "",
    now: datetime | None = None,
) -> Kept:
    """Verify a callback and store it; returns after the commit. `address` is the caller's.

    Raises UnknownAddress, WrongMethod, TooManyGuesses, NotKept, or, counted and shown to the administrator with their
    reason, InvalidSignature and Unreadable. NotKept also where a provider that repeats such calls, signed, forgot to
    sign one.
    """
    provider = registry.by_slug(slug, request)
    if provider is None or kind not in provider.calls():
        raise UnknownAddress
    if request.method not in provider.webhook_methods:
        raise WrongMethod(provider.webhook_methods)
    if provider.is_probe(request):
        return Kept(None, provider)
    guess = Guess(provider, organization_id, request, address)
    try:
        organization_pk, accounts = _accounts(organization_id, provider)
        if accounts:
            guess.admit()
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        raise NotKept from error
    if organization_pk is None:
        raise UnknownAddress
    caller = (organization_id, slug, kind, address)
    try:
        opened = _explained_opener(caller, accounts, kind, request, now or timezone.now())
    except (InvalidSignature, Unreadable) as refusal:
        (guess.was_wrong if isinstance(refusal, InvalidSignature) else guess.was_right)()
        refuse(organization_pk, slug, kind, refusal)
        if refusal.fault is Fault.UNSIGNED and provider.repeats_unsigned and _has_signed(accounts):
            raise NotKept from refusal
        raise
    guess.was_right()
    try:
        _write(opened, kind, request)
    except _Ended:  # since its credentials were read: perhaps another account has the same ones
        _cache.pop((organization_id, provider.key), None)
        return keep(organization_id, slug, kind, request, address=address, now=now)
    logger.info("A %s callback of %s is kept, for account %s.", kind, provider.key, opened.account_id)
    return Kept(opened.account_id, provider)


def _write(opened: Opened, kind: str, request: WebhookRequest) -> None:
    """Raises NotKept, and _Ended where the account's secrets have ended meanwhile."""
    writer.write(
        Callback(
            account_id=opened.account_id,
            kind=kind,
            method=request.method,
            url=request.url,
            content_type=request.header("Content-Type")[:100],
            body=request.body,
            trace=tracing.current.get(),
            dedupe_key=_digest(f"{opened.identity}:{kind}:{opened.provider.dedupe_key(request)}"),
        )
    )


def _explained_opener(
    caller: Caller, accounts: list[Opened], kind: str, request: WebhookRequest, now: datetime
) -> Opened:
    """As _opener; of many wrong signatures of one caller, most are taken to be like those that were looked into."""
    known = explanations.known(caller)
    try:
        return _opener(accounts, kind, replace(request, explains=False) if known else request, now)
    except InvalidSignature as refusal:
        if known is None:
            explanations.add(caller, refusal)
        elif refusal.fault in FAULTS:
            raise known from None
        raise


def _opener(accounts: list[Opened], kind: str, request: WebhookRequest, now: datetime) -> Opened:
    """The account whose secrets verify the callback; of several, the first that finds something in it.

    Raises InvalidSignature, the refusal of the first account, or Unreadable.
    """
    refusals: list[InvalidSignature] = []
    verified: list[Opened] = []
    for opened in accounts:
        try:
            opened.provider.verify(request, now=now)
        except InvalidSignature as refusal:
            refusals.append(refusal)
            continue
        verified.append(opened)
        if _says_something(opened.provider, kind, request):
            return opened
    if verified:
        return verified[0]
    raise refusals[0] if refusals else InvalidSignature(Fault.NO_ACCOUNT, _("no account of this provider"))


def _says_something(provider: Provider, kind: str, request: WebhookRequest) -> bool:
    """Whether the callback holds a report or a reply. Raises Unreadable.

    One that breaks the reading is kept all the same: it is set aside when it is applied, where people see it.
    """
    try:
        return any(parse(provider, kind, request))
    except ProviderError:
        raise
    except Exception as error:
        logger.error("A callback of %s breaks its reading: %s", provider.key, described(error))
        return True


def _has_signed(accounts: list[Opened]) -> bool:
    """Whether a signed callback of one of these accounts has ever been seen."""
    states = AccountState.objects.filter(pk__in=[opened.account_id for opened in accounts])
    return states.exclude(reports_seen_at=None, inbound_seen_at=None).exists()


def parse(provider: Provider, kind: str, request: WebhookRequest) -> tuple[list[DeliveryReport], list[InboundSms]]:
    """What a callback says: each route carries its own kind (R99), except where the provider mixes them.

    Raises Unreadable.
    """
    reports = provider.parse_reports(request) if kind == "status" or provider.mixes_routes else []
    inbound = provider.parse_inbound(request) if kind == "message" or provider.mixes_routes else []
    return reports, inbound


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def refuse(organization_pk: int, slug: str, kind: str, refusal: InvalidSignature | Unreadable) -> None:
    """Count a refused call, with its reason and without its payload (R100): webhooks/counting.py."""
    refused = Refused(organization_pk, slug[:40], kind, stored(refusal.reason), timezone.now().date())
    try:
        counter.add(refused, refusal.fault)
    except (DatabaseError, InterfaceError):
        connection.close()
        logger.warning("a refused callback could not be counted")


# All that arrived together in one statement, whose text is the same for any number: the callbacks and what is asked
# about their accounts. Of a model's rows, PostgreSQL would plan fourteen values for each.
_GIVEN = {
    "account_id": "bigint",
    "kind": "text",
    "method": "text",
    "url": "text",
    "content_type": "text",
    "body": "bytea",
    "dedupe_key": "text",
    "trace": "text",
}
_INSERT = f"""
    WITH living AS (SELECT id FROM {ProviderAccount._meta.db_table} WHERE id = ANY(%s) AND ended_at IS NULL),
    kept AS (
        INSERT INTO {Callback._meta.db_table} ({", ".join(_GIVEN)}, received_at, not_before, state, tries, error)
        SELECT given.*, statement_timestamp(), statement_timestamp(), 'new', 0, ''
        FROM unnest({", ".join(f"%s::{kind}[]" for kind in _GIVEN.values())}) AS given({", ".join(_GIVEN)})
        WHERE account_id IN (SELECT id FROM living)
        ON CONFLICT DO NOTHING
    )
    SELECT id FROM living
"""  # noqa: S608 (our own names)


class _Ended(Exception):
    """The secrets of the account have ended, although this process still had them in its memory."""


class Writer:
    """Writes callbacks in groups: while one INSERT commits, the next group gathers."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callback, Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def write(self, callback: Callback) -> None:
        """Store a callback; returns after the commit. One that was stored before is fine. Raises NotKept."""
        if connection.in_atomic_block:  # the caller's own transaction: another thread could not take part in it
            if self._insert([callback]):
                raise _Ended
            return
        self._start()
        done: Future[None] = Future()
        self._queue.put((callback, done))
        try:
            done.result(timeout=KEEP_TIMEOUT)
        except TimeoutError as error:
            raise NotKept from error

    def close(self) -> None:
        """End the writer thread and its connection, once everything handed over is written."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                self._queue.put(None)
                self._thread.join()
            self._thread = None

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="callback-writer", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            group = self._take()
            if not group:
                connection.close()
                return
            self._store(group)
            wake_soon(APPLY)

    def _store(self, group: list[tuple[Callback, Future[None]]]) -> None:
        """Write a group; where one callback cannot be stored, each by itself, so that the others are."""
        try:
            ended = self._insert([callback for callback, _done in group])
        except Exception as error:
            connection.close()
            if len(group) > 1 and not isinstance(error, OperationalError | InterfaceError):
                for one in group:
                    self._store([one])
                return
            logger.warning("%d callbacks could not be stored (%s)", len(group), type(error).__name__)
            for _callback, done in group:
                done.set_exception(NotKept())
            return
        for callback, done in group:
            if callback.account_id in ended:
                done.set_exception(_Ended())
            else:
                done.set_result(None)

    def _take(self) -> list[tuple[Callback, Future[None]]]:
        """What has been handed over, waiting for the first; [] when the thread is to end."""
        group: list[tuple[Callback, Future[None]]] = []
        while True:
            handed = self._queue.get()
            if handed is None:
                if group:
                    self._queue.put(None)  # write these first
                return group
            group.append(handed)
            if len(group) == GROUP or self._queue.empty():
                return group

    def _insert(self, callbacks: list[Callback]) -> set[int]:
        """Store what belongs to accounts whose secrets are believed; returns the other accounts' keys."""
        keys = {callback.account_id for callback in callbacks}
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                columns = [[getattr(callback, name) for callback in callbacks] for name in _GIVEN]
                cursor.execute(_INSERT, [list(keys), *columns])
                return keys - {pk for (pk,) in cursor.fetchall()}
        living = set(ProviderAccount.objects.filter(pk__in=keys, ended_at=None).values_list("pk", flat=True))
        for callback in callbacks:
            callback.received_at = callback.not_before = clock.read()
        believed = [callback for callback in callbacks if callback.account_id in living]
        Callback.objects.bulk_create(believed, ignore_conflicts=True)
        return keys - living


writer = Writer()
