"""What an administrator does to an account: add, verify, grant, withdraw, move, try, replace,
delete. Each leaves an audit event.

No transaction is open while a provider is being called.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import phonenumbers
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop

from extensions import client, entitlements, health, selftest, tokens, traffic
from extensions.contract import (
    Check,
    Delivery,
    DeliveryReport,
    NotTaken,
    OutboundSms,
    Provider,
    ProviderError,
    Refused,
    SenderKind,
)
from extensions.models import WORKER_SLOTS, AccountState, ProviderAccount, TestMessage, WorkerSlot
from extensions.webhook_urls import webhook_url
from intake import examples
from intake.masking import mask_number
from intake.sentences import joined
from intake.sentences import said as _
from organizations import audit
from organizations.ids import new_id
from organizations.models import Organization, User

VERIFIED = gettext_noop("verified")
GRANTED = gettext_noop("granted access to")
WITHDRAWN = gettext_noop("withdrew access to")
MOVED = gettext_noop("moved to the top of the list")
REPLACED = gettext_noop("replaced")
RETIRED = gettext_noop("took out of the list")
TESTED = gettext_noop("sent a test message through")
CALLED = gettext_noop("tested the webhooks of")


def create_account(
    organization: Organization | None,
    provider: type[Provider],
    *,
    name: str,
    sender: str,
    sender_kind: SenderKind,
    values: Mapping[str, str],
    user: User | None = None,
    **fields: object,
) -> ProviderAccount:
    """Save an account together with the rows the send engine keeps for it. No rights are checked here."""
    with transaction.atomic():
        account = ProviderAccount.objects.create(
            organization=organization,
            provider=provider.key,
            name=name,
            sender=sender,
            sender_kind=sender_kind.value,
            credentials=ProviderAccount.seal(organization, dict(values)),
            created_by=user,
            **fields,
        )
        AccountState.objects.create(account=account)
        WorkerSlot.objects.bulk_create(WorkerSlot(account=account, number=number) for number in range(WORKER_SLOTS))
    return account


def add_account(
    organization: Organization,
    user: User,
    provider: type[Provider],
    *,
    name: str,
    sender: str,
    sender_kind: SenderKind,
    values: Mapping[str, str],
    replaces: ProviderAccount | None = None,
    end_former: bool = False,
    request: HttpRequest | None = None,
) -> ProviderAccount:
    """Add an account. It carries no traffic until access is granted (R34).

    With `replaces` it stands behind that account, which stays in use until `take_over`: a mistyped secret interrupts
    nothing. `end_former` ends the former's secrets then. Raises PermissionDenied where the licence or the vendor's
    switch is missing, or `replaces` is another organisation's or deleted.
    """
    require_extension(organization, provider)
    if replaces is not None and (replaces.organization_id != organization.pk or replaces.deleted_at is not None):
        raise PermissionDenied(_("The account to be replaced no longer exists."))
    with transaction.atomic():
        account = create_account(
            organization,
            provider,
            name=name,
            sender=sender,
            sender_kind=sender_kind,
            values=values,
            user=user,
            replaces=replaces,
            ends_former=replaces is not None and end_former,
            **({} if replaces is None else {"listed_at": replaces.listed_at}),
        )
        audit.record(
            audit.ADDED,
            organization=organization,
            actor=user,
            request=request,
            target=account,
            provider=provider.key,
            **({"replaces": replaces.public_id} if replaces else {}),
        )
    return account


def require_extension(organization: Organization, provider: type[Provider]) -> None:
    """Raises PermissionDenied unless licence and vendor allow this organisation to use `provider` (R12, R14)."""
    if not entitlements.has_sms(organization):
        raise PermissionDenied(_("SMS is an add-on, and your organisation's licence does not include it."))
    if provider.key not in entitlements.enabled_keys(organization):
        raise PermissionDenied(_("This extension is not enabled for your organisation."))


def grant(account: ProviderAccount, user: User, *, request: HttpRequest | None = None) -> None:
    """Grant access to all users: the last step of set-up (R29). A second grant changes nothing.

    Raises PermissionDenied where the licence or the vendor's switch is missing.
    """
    assert account.organization is not None
    require_extension(account.organization, account.provider_class)
    now = timezone.now()
    with transaction.atomic():
        granted = ProviderAccount.objects.alive().filter(pk=account.pk, granted_at=None)
        if granted.update(granted_at=now, granted_by=user):
            account.granted_at, account.granted_by = now, user
            audit.record(GRANTED, organization=account.organization, actor=user, request=request, target=account)


def grant_if_proven(
    account: ProviderAccount, user: User, *, unproved: bool = False, request: HttpRequest | None = None
) -> bool:
    """Grant access once the provider has confirmed the credentials, which it is asked for unless it has already.

    `unproved` grants where the provider was asked before and said nothing. False if access is not granted; then the
    account's `check_ok` and `check_detail` say why. Raises PermissionDenied as `grant` does.
    """
    assert account.organization is not None
    require_extension(account.organization, account.provider_class)
    if not is_proven(account, user, unproved=unproved, request=request):
        return False
    grant(account, user, request=request)
    return True


def is_proven(
    account: ProviderAccount, user: User, *, unproved: bool = False, request: HttpRequest | None = None
) -> bool:
    """Whether the credentials are known to be good, which the provider is asked about where it is not known.

    `unproved` is somebody's word that they may be relied on although the provider, when asked before, said nothing.
    """
    if account.check_ok or (unproved and account.is_unanswered):
        return True
    return verify(account, user, request=request).ok


class Rest(enum.Enum):
    """What becomes of the texts that wait on an account when it leaves."""

    STOP = "stop"  # they are cancelled
    FINISH = "finish"  # it sends them, and is deleted then
    HOLD = "hold"  # they wait until access is granted again
    HAND_OVER = "hand_over"  # another account sends them, from its own number


def withdraw(
    account: ProviderAccount,
    user: User,
    *,
    rest: Rest | None = None,
    to: ProviderAccount | None = None,
    request: HttpRequest | None = None,
) -> None:
    """Take the grant back: the next in the list is in use at once. What is not granted is left as it is.

    `rest` and `to` are those of `delete`; an account that sends nothing cannot FINISH. Texts that wait go on by
    themselves when access is granted again.
    """
    listed = ProviderAccount.objects.alive().filter(pk=account.pk, granted_at__isnull=False)
    with transaction.atomic():
        if not listed.update(granted_at=None, granted_by=None):
            return
        account.granted_at = account.granted_by = None
        audit.record(WITHDRAWN, organization=account.organization, actor=user, request=request, target=account)
        _pass_on_rest(account, user, rest, to)


def move_to_top(account: ProviderAccount, user: User, *, request: HttpRequest | None = None) -> None:
    """Make it the first in the list: it is in use at once if it may carry traffic (R22).

    Whatever has begun stays on its number. Of two administrators who move at once, the second one is on top.
    """
    assert account.organization is not None
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=account.organization.pk)
        listed = ProviderAccount.objects.alive().filter(organization=account.organization_id)
        first = listed.only("listed_at").first()
        if first is None or first.pk == account.pk:
            return
        listed_at = first.listed_at - timedelta(microseconds=1)
        if listed.filter(pk=account.pk).update(listed_at=listed_at):
            account.listed_at = listed_at
            audit.record(MOVED, organization=account.organization, actor=user, request=request, target=account)


def take_over(
    account: ProviderAccount, user: User, *, rest: Rest | None = None, request: HttpRequest | None = None
) -> bool:
    """Put `account` in the place of the one that it replaces, with the grant of that one, which is deleted.

    Texts that wait go on by themselves where the number stays the same; else `rest` says what becomes of them, and
    HAND_OVER means that `account` sends them. False where there is nothing, or nothing any more, to take over from.
    Whether the credentials work is the caller's question: see `is_proven`.
    """
    former_id = account.replaces_id
    if former_id is None:
        return False
    listed = ProviderAccount.objects.alive().filter(pk__in=[account.pk, former_id])
    with transaction.atomic():
        locked = {row.pk: row for row in listed.select_for_update(no_key=True, of=("self",)).order_by("pk")}
        if len(locked) < 2:
            return False
        former = locked[former_id]
        listed_at = min(row.listed_at for row in locked.values())
        ProviderAccount.objects.filter(pk=account.pk).update(listed_at=listed_at)
        account.listed_at = listed_at
        if former.granted_at is not None:
            grant(account, user, request=request)
        if rest is None and account.has_number_of(former):
            rest = Rest.HAND_OVER
        delete(former, user, rest=rest, to=account, at_once=account.ends_former, request=request)
        audit.record(
            REPLACED,
            organization=account.organization,
            actor=user,
            request=request,
            target=former,
            by=account.public_id,
        )
    return True


def _pass_on_rest(account: ProviderAccount, user: User, rest: Rest | None, to: ProviderAccount | None) -> None:
    if rest is Rest.STOP:
        traffic.stop(account, user)
    elif rest is Rest.HAND_OVER and to is not None:
        traffic.hand_over(account, to, user)


def delete(
    account: ProviderAccount,
    user: User,
    *,
    rest: Rest | None = None,
    to: ProviderAccount | None = None,
    at_once: bool = False,
    request: HttpRequest | None = None,
) -> None:
    """Take an account out of use. It verifies callbacks for CALLBACK_GRACE_DAYS more, and history names it (R26).

    With `at_once` its secrets end too: no web process believes anything that they sign from the commit on. (An account
    that is to FINISH goes on with them.)

    `rest` says what becomes of the texts of distributions that have begun through it; `to` is the account that carries
    them after HAND_OVER. Without a word on it they follow the number, or wait until somebody decides.
    """
    now = timezone.now()
    listed = ProviderAccount.objects.filter(pk=account.pk, deleted_at=None)
    with transaction.atomic():
        if rest is Rest.FINISH:
            if listed.filter(retiring_at=None).update(retiring_at=now):
                account.retiring_at = now
                audit.record(RETIRED, organization=account.organization, actor=user, request=request, target=account)
            return
        ended_at = now if at_once else None
        if not listed.update(deleted_at=now, ended_at=ended_at):
            return
        account.deleted_at, account.ended_at = now, ended_at
        audit.record(
            audit.DELETED,
            organization=account.organization,
            actor=user,
            request=request,
            target=account,
            **({"secrets": "ended at once"} if at_once else {}),
        )
        _pass_on_rest(account, user, rest, to)


# --- calls to the provider --------------------------------------------------------------------------------------------


def verify(account: ProviderAccount, user: User, *, request: HttpRequest | None = None) -> Check:
    """Ask the provider whether the credentials are good, and keep its answer.

    If they are, an account that had stopped sends again; if they are refused, it carries no traffic any more. Where the
    provider could not be asked, or does not tell, the check is `is_open`, and what was known before still holds.
    """
    try:
        check = _check(account)
    except Refused as refusal:
        check = Check(ok=False, detail=refusal.detail)
    except ProviderError as problem:
        why = _("The provider could not be asked: %(why)s") % {"why": problem}
        check = Check(ok=False, detail=why, is_open=True)
    detail = joined((check.detail, *check.warnings))
    ok = None if check.is_open else check.ok
    with transaction.atomic():
        asked = ProviderAccount.objects.filter(pk=account.pk)
        if ok is None:
            asked = asked.filter(check_ok=None)
        asked.update(checked_at=timezone.now(), check_ok=ok, check_detail=detail)
        account.refresh_from_db(fields=["checked_at", "check_ok", "check_detail"])
        audit.record(
            VERIFIED,
            organization=account.organization,
            actor=user,
            request=request,
            target=account,
            result={True: "good", False: "refused", None: "not asked"}[ok],
        )
        if ok:
            health.resume(account)
    return check


_BUSY = (408, 425, 429)  # the provider takes no call now; that, or an error of its own, says nothing about us


def _check(account: ProviderAccount) -> Check:
    tokens.forget(account)  # a token from before would prove nothing about the credentials now
    provider = _open(account)
    answer = client.call(provider, provider.build_check())
    check = provider.parse_check(answer)
    if answer.status in _BUSY or answer.status >= 500:
        return replace(check, ok=False, is_open=True)
    return check


def _open(account: ProviderAccount) -> Provider:
    return account.open(tokens.token_for(account))


def try_webhooks(
    account: ProviderAccount, user: User, *, request: HttpRequest | None = None
) -> list[selftest.SelfTest]:
    """Call our own public addresses as the provider would: each route that this account uses."""
    results = [selftest.run(account, kind) for kind in account.routes]
    audit.record(
        CALLED,
        organization=account.organization,
        actor=user,
        request=request,
        target=account,
        result=", ".join(f"{result.kind}: {'good' if result.ok else 'not good'}" for result in results),
    )
    return results


def read_number(text: str, organization: Organization) -> str:
    """A number as an administrator types it, in E.164. Raises ValidationError that says what would be right."""
    try:
        number = phonenumbers.parse(text, organization.default_region)
    except phonenumbers.NumberParseException:
        number = None
    possible = phonenumbers.ValidationResult.IS_POSSIBLE  # not IS_POSSIBLE_LOCAL_ONLY: a number without its area code
    if number is None or phonenumbers.is_possible_number_with_reason(number) != possible:
        raise ValidationError(
            _("This is not a phone number. Write it with the country code, for example %(example)s."),
            params={"example": examples.number(organization.default_region)},
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def send_test(
    account: ProviderAccount,
    user: User | None,
    to: str,
    text: str,
    *,
    request: HttpRequest | None = None,
    organization: Organization | None = None,
) -> TestMessage:
    """Send one message through `account`, whether it is in use or not, and keep what the provider answered.

    `to` is E.164; `user` is None from the command line; `organization` is for whom, where the account is the
    installation's. Raises PermissionDenied where the licence or the vendor's switch is missing, and ValidationError
    where that number must not be texted.
    """
    organization = account.organization or organization
    assert organization is not None
    if barred := traffic.barred(organization, to):
        raise ValidationError(barred)
    if account.organization is not None:
        require_extension(organization, account.provider_class)
    test = TestMessage(account=account, reference=new_id("t", 15), to=mask_number(to), status=Delivery.UNKNOWN)
    test.save()  # before the call: a report may come before the provider's answer
    sms = OutboundSms(
        to=to,
        text=text,
        reference=test.reference,
        status_url=webhook_url("status", account.provider_class, organization),
        sender=account.sender,
    )
    answer: dict[str, str] = {}
    try:
        provider = _open(account)
        result = provider.parse_send(client.call(provider, provider.build_send(sms)))
    except (Refused, NotTaken) as problem:
        status, detail = Delivery.FAILED, problem.detail
    except ProviderError as problem:
        status, detail = Delivery.UNKNOWN, _("The answer was not clear: %(why)s") % {"why": problem}
    else:
        status, detail = Delivery.QUEUED, ""
        answer = {"provider_message_id": result.message_id}
    with transaction.atomic():
        mine = TestMessage.objects.filter(pk=test.pk)
        mine.update(**answer)
        mine.filter(status=Delivery.UNKNOWN).update(status=status, detail=detail)  # unless a report was faster
        audit.record(
            TESTED,
            organization=organization,
            actor=user,
            request=request,
            target=account,
            result=status.value,
        )
    test.refresh_from_db()
    return test


# What a report may still change: a later word never takes back an earlier final one.
_OPEN = (Delivery.UNKNOWN, Delivery.QUEUED, Delivery.SENT)


def record_test_reports(account: ProviderAccount, reports: Sequence[DeliveryReport]) -> list[bool]:
    """Note what became of the test messages that reports of `account` speak of; for each, whether it is about one.

    They are found by our reference or the provider's id, in one look for all of them. An unknown word or a late one
    changes nothing.
    """
    references = {report.reference for report in reports if report.reference}
    message_ids = {report.message_id for report in reports if report.message_id}
    if not references and not message_ids:
        return [False] * len(reports)
    tests = TestMessage.objects.filter(account=account)
    named = Q(reference__in=references) | Q(provider_message_id__in=message_ids)
    known: dict[str, int] = {}
    for pk, *names in tests.filter(named).order_by("pk").values_list("pk", "provider_message_id", "reference"):
        known |= {name: pk for name in names if name}
    found = [known.get(report.reference) or known.get(report.message_id) for report in reports]
    for report, test in zip(reports, found, strict=True):
        if test and report.status not in (Delivery.UNKNOWN, Delivery.QUEUED):
            open_one = tests.filter(pk=test, status__in=_OPEN)
            open_one.update(status=report.status, detail=report.error[:255])
    return [test is not None for test in found]
