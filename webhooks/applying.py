"""Applying stored callbacks in bulk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from distributions import reports
from extensions import services
from extensions.contract import SELF_TEST, DeliveryReport, InboundSms, Provider, ProviderError, WebhookRequest
from extensions.models import AccountState, ProviderAccount
from organizations.models import Organization
from webhooks import inbox
from webhooks.models import Callback

logger = logging.getLogger(__name__)

State = Callback.State

GROUP = 1_000  # callbacks in one transaction
PARKED_FOR = timedelta(days=3)  # then a report about a message nobody knows is given up


@dataclass
class Parsed:
    """A callback and what it says. `waiting` are the positions of its reports that have not found their message."""

    callback: Callback
    reports: list[DeliveryReport] = field(default_factory=list)
    inbound: list[InboundSms] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)


def apply_due(limit: int = GROUP) -> int:
    """Apply up to `limit` due callbacks in one transaction; returns how many there were.

    If that fails, each is tried on its own, so that one that cannot be applied holds up no other.
    """
    try:
        with transaction.atomic():
            callbacks = _due(limit)
            _apply(callbacks)
            return len(callbacks)
    except InterfaceError:
        raise
    except DatabaseError:
        logger.exception("A group of callbacks could not be applied at once; trying each on its own.")
        return _apply_singly(limit)


def _due(limit: int) -> list[Callback]:
    due = Callback.objects.filter(state__in=(State.NEW, State.PARKED), not_before__lte=timezone.now()).order_by("pk")
    if connection.features.has_select_for_update_skip_locked:
        due = due.select_for_update(skip_locked=True)
    return list(due[:limit])


def _apply_singly(limit: int) -> int:
    count = 0
    for pk in [callback.pk for callback in _unlocked(limit)]:
        try:
            with transaction.atomic():
                _apply(list(Callback.objects.select_for_update().filter(pk=pk, state__in=(State.NEW, State.PARKED))))
        except DatabaseError as error:
            logger.exception("Callback %s cannot be applied.", pk)
            Callback.objects.filter(pk=pk).update(state=State.UNREADABLE, error=type(error).__name__)
        count += 1
    return count


def _unlocked(limit: int) -> Sequence[Callback]:
    due = Callback.objects.filter(state__in=(State.NEW, State.PARKED), not_before__lte=timezone.now())
    return list(due.order_by("pk").only("pk")[:limit])


def _apply(callbacks: list[Callback]) -> None:
    by_account: dict[int, list[Callback]] = {}
    for callback in callbacks:
        by_account.setdefault(callback.account_id, []).append(callback)
    accounts = ProviderAccount.objects.select_related("organization").in_bulk(list(by_account))
    for account_id, group in by_account.items():
        _apply_account(accounts[account_id], group)


def _apply_account(account: ProviderAccount, callbacks: list[Callback]) -> None:
    try:
        provider = account.open()
    except PermissionDenied:
        logger.error("account %s holds another organisation's credentials", account.public_id)
        provider = None
    parsed = [_parse(provider, callback) for callback in callbacks]
    _apply_reports(account, parsed)
    for one in parsed:
        for sms in one.inbound:
            organization = account.organization or _organization_of(one.callback)
            if organization is not None:
                message_id = sms.message_id or one.callback.dedupe_key  # some providers give no id
                reports.apply_inbound(account, organization, replace(sms, message_id=message_id))
    _remember(account, parsed)
    now = timezone.now()
    for one in parsed:
        callback = one.callback
        if callback.state == State.UNREADABLE:
            continue
        if not one.waiting:
            callback.state, callback.pending = State.APPLIED, None
        elif now - callback.received_at > PARKED_FOR:
            callback.state, callback.error = State.APPLIED, "names a message nobody knows"
        else:
            callback.state, callback.pending = State.PARKED, one.waiting
            callback.tries = min(callback.tries + 1, 20)
            callback.not_before = now + timedelta(seconds=min(3600, 2**callback.tries))
    Callback.objects.bulk_update(callbacks, ["state", "pending", "tries", "not_before", "error"], batch_size=500)


def _parse(provider: Provider | None, callback: Callback) -> Parsed:
    parsed = Parsed(callback)
    if provider is None:
        callback.state, callback.error = State.UNREADABLE, "the account's credentials cannot be used"
        return parsed
    request = WebhookRequest(
        method=callback.method,
        url=callback.url,
        headers={"Content-Type": callback.content_type},
        body=bytes(callback.body),
    )
    try:
        found, inbound = inbox.parse(provider, callback.kind, request)
    except (ProviderError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.exception("Callback %s of %s cannot be read.", callback.pk, provider.key)
        callback.state, callback.error = State.UNREADABLE, type(error).__name__
        return parsed
    found = [report for report in found if not report.message_id.startswith(SELF_TEST)]
    parsed.inbound = [sms for sms in inbound if not sms.message_id.startswith(SELF_TEST)]
    positions = range(len(found)) if callback.pending is None else callback.pending
    parsed.reports = found
    parsed.waiting = [position for position in positions if position < len(found)]
    if callback.pending is not None:
        parsed.inbound = []  # kept the first time
    return parsed


def _apply_reports(account: ProviderAccount, parsed: list[Parsed]) -> None:
    places = [(one, position) for one in parsed for position in one.waiting]
    if not places:
        return
    known = reports.apply_reports(account, [one.reports[position] for one, position in places])
    for one in parsed:
        one.waiting = []
    for (one, position), is_known in zip(places, known, strict=True):
        report = one.reports[position]
        is_known = is_known or services.record_test_report(
            account, report.reference, report.status, report.error, message_id=report.message_id
        )
        if not is_known:
            one.waiting.append(position)


def _remember(account: ProviderAccount, parsed: list[Parsed]) -> None:
    """When each kind of callback was last seen, for the account's check-list."""
    seen = {}
    if any(one.reports for one in parsed):
        seen["reports_seen_at"] = timezone.now()
    if any(one.inbound for one in parsed):
        seen["inbound_seen_at"] = timezone.now()
    if seen:
        AccountState.objects.filter(pk=account.pk).update(**seen)


def _organization_of(callback: Callback) -> Organization | None:
    """The organisation that the callback's address names: it tells whose reply the installation's account received."""
    name = WebhookRequest(callback.method, callback.url).path.rstrip("/").rsplit("/", 1)[-1]
    return Organization.objects.filter(public_id=name).first()


def purge() -> int:
    """Delete callbacks that are older than the retention time; returns how many."""
    until = timezone.now() - timedelta(days=settings.CALLBACK_RETENTION_DAYS)
    count, _per_model = Callback.objects.filter(received_at__lt=until).exclude(state=State.PARKED).delete()
    return count
