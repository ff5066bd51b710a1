"""What waits on an account that leaves: it goes on from the same number, or where a person has said.

A text has its sender once its distribution has begun: people may have heard from that number already, so nobody but a
person decides that the rest comes from another one. What has not begun follows the organisation's list (R23).
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from distributions.engine import outbox
from distributions.engine.wake import PUMP, wake
from distributions.models import Chunk, Conversation, Distribution, Tally
from distributions.planning.review import route_of
from distributions.replies import conversations
from distributions.states import STATES
from extensions.models import ProviderAccount
from extensions.routing import NoRoute
from intake.sentences import said as _
from organizations import clock, steps

State = Distribution.State

RUNNING = (State.LAUNCHING, State.SENDING)
# The columns of the tally that count texts of which the provider knows, or may know.
REACHED = sorted({row.counted for row in STATES.values() if row.may_have_left and row.counted != "waiting"})


def waiting_on(account: ProviderAccount) -> int:
    """How many texts are left of distributions that have begun through this account."""
    tallies = Tally.objects.filter(pk__in=running_on(account).values("pk"))
    return tallies.aggregate(texts=Sum("waiting"))["texts"] or 0


def running_on(account: ProviderAccount) -> QuerySet[Distribution]:
    """Distributions that have begun through this account and have texts left on it."""
    mine = _left().filter(account=account)
    return _begun(Distribution.objects.filter(pk__in=mine.values("distribution")))


def is_held(distribution: Distribution) -> bool:
    """Whether texts of it wait on an account that may not carry them (any more)."""
    return distribution.state in RUNNING and _held().filter(distribution=distribution).exists()


def follow() -> None:
    """Hand over what may follow without a question (R23); say on the distribution what waits for a person.

    What is paused waits anyway, and may say something else: it is looked at once it is resumed.
    """
    held = _held()
    fresh = _left().filter(account__retiring_at__isnull=False)  # an account that finishes carries only what has begun
    found = Q(pk__in=held.values("distribution")) | Q(pk__in=fresh.values("distribution"))
    waiting = Distribution.objects.filter(found, paused_at=None).select_related("organization__licence")
    begun = set(_begun(waiting).values_list("pk", flat=True))
    settled = Distribution.objects.filter(state__in=RUNNING, paused_at=None).exclude(problem="")
    settled.exclude(pk__in=held.values("distribution")).update(problem="")

    def follow_one(distribution: Distribution) -> None:
        if distribution.pk not in begun:
            problem = _follow_the_list(distribution, _left().filter(distribution=distribution))
        else:
            mine = held.filter(_free(), distribution=distribution)
            accounts = ProviderAccount.objects.filter(pk__in=mine.order_by().values("account")).defer("credentials")
            said = [_follow_the_number(distribution, account, mine) for account in accounts]
            problem = next(filter(None, said), "")
        Distribution.objects.filter(pk=distribution.pk).exclude(problem=problem).update(problem=problem)

    steps.for_each(waiting, follow_one, "hand over what is left of")


def retire() -> None:
    """Delete the accounts that were to finish what they had begun, and have."""
    finishing = ProviderAccount.objects.filter(retiring_at__isnull=False, deleted_at=None)
    waiting = Conversation.objects.filter(state=Conversation.State.OPEN, expires_at__gt=clock.now())
    unsaid = Chunk.objects.filter(state=Chunk.State.OPEN, priority=Chunk.Priority.REPLY)
    written = Distribution.objects.filter(state=State.LAUNCHING).exclude(account=None)
    busy: set[int] = set()
    for rows in (_left(), waiting, unsaid, written):
        of_finishing = rows.filter(account__in=finishing).order_by()
        busy.update(account for account in of_finishing.values_list("account", flat=True).distinct() if account)
    finishing.exclude(pk__in=busy).update(deleted_at=timezone.now())


# --- which texts ------------------------------------------------------------------------------------------------------


def _left() -> QuerySet[Chunk]:
    """Ranges of texts that have not all left. Replies stay on their number: conversations.carry_over."""
    return Chunk.objects.filter(state=Chunk.State.OPEN, priority=Chunk.Priority.BULK, distribution__state__in=RUNNING)


def _held() -> QuerySet[Chunk]:
    """Those of them on accounts that may not carry them."""
    usable = ProviderAccount.objects.usable()
    return _left().exclude(account__in=usable, distribution__organization__licence__sms=True)


def _free() -> Q:
    """Ranges that no pump is at work on."""
    return Q(lease_until=None) | Q(lease_until__lt=clock.now())


def _begun(distributions: QuerySet[Distribution]) -> QuerySet[Distribution]:
    """Those of which a text has left, or may have."""
    reached = Q()
    for column in REACHED:
        reached |= Q(**{f"tally__{column}__gt": 0})
    mine = Chunk.objects.filter(distribution=OuterRef("pk"), priority=Chunk.Priority.BULK)
    taken = mine.filter(Q(state=Chunk.State.DONE) | Q(lease_until__isnull=False) | Q(tries__gt=0))
    return distributions.filter(reached | Exists(taken))


# --- where they go ----------------------------------------------------------------------------------------------------


def hand_over(distribution: Distribution, chunks: QuerySet[Chunk], to: ProviderAccount) -> int:
    """Have another account carry these ranges, and whatever is still to be written; returns how many ranges."""
    with transaction.atomic():
        keys = list(chunks.filter(_free()).exclude(account=to).values_list("pk", flat=True))
        moved = outbox.lock_chunks(Chunk.objects.filter(_free(), pk__in=keys)).update(account=to)
        Distribution.objects.filter(pk=distribution.pk, state__in=RUNNING).update(account=to, had_other_accounts=True)
        wake(PUMP, to.pk)
    return moved


def _follow_the_list(distribution: Distribution, chunks: QuerySet[Chunk]) -> str:
    try:
        account = route_of(distribution).account
    except NoRoute as refusal:
        return refusal.reason
    hand_over(distribution, chunks, account)
    return ""


def _follow_the_number(distribution: Distribution, account: ProviderAccount, chunks: QuerySet[Chunk]) -> str:
    """On to the account that has the same number now; else the sentence that says what a person has to decide."""
    if not distribution.organization.has_sms:
        return _("The remaining texts are waiting: your organisation’s licence no longer includes SMS.")
    successor = conversations.carrier(account)
    if successor is not None and successor.pk != account.pk:
        hand_over(distribution, chunks.filter(account=account), successor)
        return ""
    names = {"name": account.name, "sender": account.sender}
    if account.deleted_at is None:
        return _("“%(name)s” (%(sender)s) cannot send at present, so the remaining texts are waiting.") % names
    return (
        _(
            "“%(name)s” (%(sender)s) was deleted while texts were waiting. Nothing more is sent from another number "
            "until somebody decides so."
        )
        % names
    )
