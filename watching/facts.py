"""What is so at present that somebody should be told, and since when: one row for each, as long as it lasts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from distributions.models import Distribution, Doubt
from extensions import registry
from extensions.models import AccountState, ProviderAccount
from intake.sentences import stored
from organizations import clock, steps
from organizations.models import Organization, User
from watching import health
from watching.models import Fact, Kind

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=15)  # that a reply awaits a decision before anybody is mailed
REPORTS_WITHIN = timedelta(hours=2)  # of the end of a distribution; the slowest networks take minutes
LOOKED_BACK = timedelta(days=3)
OVER_AFTER = {Kind.HEALTH: timedelta(minutes=10)}  # what comes and goes is told once; everything else is over at once


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is so now. `about` names the row, by an id of ours that stays."""

    kind: Kind
    organization_id: int | None
    about: str = ""
    names: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.organization_id or ''}:{self.about}"[:160]


def look() -> None:
    """Write down what is so now, and that what is not so any more is over. Harmless however many look at once.

    Where one kind cannot be looked at, the others are all the same, and what was so stays so.
    """
    steps.for_each(FINDERS, _look_at, "look at")


def _look_at(kind: Kind) -> None:
    with health.bounded() if kind != Kind.HEALTH else nullcontext():
        found = {one.key: one for one in FINDERS[kind]()}
    now = clock.read()
    lasting = Fact.objects.filter(kind=kind, ended_at=None)
    lasting.filter(key__in=found).update(seen_at=now)
    over = lasting.exclude(key__in=found).filter(seen_at__lte=now - OVER_AFTER.get(kind, timedelta(0)))
    over.update(ended_at=now)
    known = set(lasting.values_list("key", flat=True))
    new = [one for key, one in found.items() if key not in known]
    Fact.objects.bulk_create(
        [
            Fact(
                organization_id=one.organization_id,
                kind=one.kind,
                key=one.key,
                names=one.names,
                began_at=now,
                seen_at=now,
            )
            for one in new
        ],
        ignore_conflicts=True,
    )
    for one in new:
        logger.warning("It begins: %s.", one.key)


def _stopped() -> Iterator[Found]:
    """(Of the installation's own account operators are told.)"""
    rows = AccountState.objects.filter(stopped_at__isnull=False, account__deleted_at=None).select_related("account")
    for state in rows:
        account = state.account
        assert state.stopped_at is not None
        yield Found(
            Kind.ACCOUNT_STOPPED,
            account.organization_id,
            f"{account.public_id} {state.stopped_at:%Y%m%d%H%M%S}",
            {
                "account": account.name,
                "provider": account.provider_name,
                "id": account.public_id,
                "key": account.provider,
            },
        )


def _reports_away() -> Iterator[Found]:
    """Accounts whose provider took texts and has said nothing since, of distributions that ended some time ago."""
    now = timezone.now()
    silent = Distribution.objects.filter(
        Q(account__state__reports_seen_at=None) | Q(account__state__reports_seen_at__lt=F("launched_at")),
        state=Distribution.State.FINISHED,
        finished_at__range=(now - LOOKED_BACK, now - REPORTS_WITHIN),
        account__deleted_at=None,
        account__organization__isnull=False,
        tally__accepted__gt=0,
    )
    for account in ProviderAccount.objects.filter(Exists(silent.filter(account=OuterRef("pk")))):
        provider = registry.find(account.provider)
        if provider is not None and "status" in provider.calls():
            names = {"account": account.name, "provider": account.provider_name, "key": account.provider}
            yield Found(Kind.CALLBACKS_AWAY, account.organization_id, account.public_id, names)


def _stuck() -> Iterator[Found]:
    """Planned or running distributions with a problem; one that somebody is changing just now is not news."""
    for row in Distribution.objects.stuck().exclude(problem="").order_by():
        names = {"distribution": row.name, "problem": stored(row.problem), "pk": str(row.pk)}
        yield Found(Kind.DISTRIBUTION_PROBLEM, row.organization_id, row.public_id, names)


def _doubts() -> Iterator[Found]:
    waiting = Doubt.objects.undecided().filter(created_at__lte=timezone.now() - PATIENCE).order_by()
    for organization_id in waiting.values_list("organization_id", flat=True).distinct():
        yield Found(Kind.DOUBTS_WAIT, organization_id)


def _unreadable() -> Iterator[Found]:
    """(Of the installation's own account operators are told, by /health.)"""
    for account in health.unreadable_accounts():
        if account.organization_id is not None:
            names = {"account": account.name, "id": account.public_id}
            yield Found(Kind.UNREADABLE, account.organization_id, account.public_id, names)


def _unlicensed() -> Iterator[Found]:
    """Organisations that have accounts, and no licence to use them any more."""
    accounts = ProviderAccount.objects.alive().filter(organization=OuterRef("pk"))
    for pk in Organization.objects.exclude(licence__sms=True).filter(Exists(accounts)).values_list("pk", flat=True):
        yield Found(Kind.LICENCE_ENDED, pk)


def _unwell() -> Iterator[Found]:
    for check in health.checks():
        if not check.ok:
            yield Found(Kind.HEALTH, None, check.name, {"check": check.name, "problem": stored(check.problem)})


FINDERS: dict[Kind, Callable[[], Iterator[Found]]] = {
    Kind.ACCOUNT_STOPPED: _stopped,
    Kind.CALLBACKS_AWAY: _reports_away,
    Kind.DISTRIBUTION_PROBLEM: _stuck,
    Kind.DOUBTS_WAIT: _doubts,
    Kind.UNREADABLE: _unreadable,
    Kind.LICENCE_ENDED: _unlicensed,
    Kind.HEALTH: _unwell,
}


STALE = timedelta(minutes=1)
ELSEWHERE_NOWHERE = (Kind.CALLBACKS_AWAY, Kind.UNREADABLE)


def present(user: User) -> QuerySet[Fact]:
    """What is so at present that this person's home page shows in no other way."""
    lasting = Fact.objects.filter(ended_at=None, seen_at__gte=timezone.now() - STALE).order_by("began_at")
    if user.is_operator:
        return lasting.filter(organization=None)
    return lasting.filter(organization=user.organization_id or 0, kind__in=ELSEWHERE_NOWHERE).select_related(
        "organization"
    )
