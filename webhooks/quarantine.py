"""Callbacks that were set aside: what administrators are shown of them, and how operators have them tried again."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from distributions.engine.wake import wake_soon
from extensions.contract import Provider
from extensions.traffic import SetAside
from organizations import audit, clock
from organizations.models import Organization, User
from webhooks.inbox import APPLY
from webhooks.models import Callback

SHOWN_FOR = timedelta(days=30)
TRIED_AGAIN = gettext_noop("tried callbacks again")


def set_aside() -> QuerySet[Callback]:
    """Callbacks that could not be applied, without their content."""
    return Callback.objects.filter(state=Callback.State.UNREADABLE).defer("body", "url", "pending")


def of_provider(organization: Organization, provider: type[Provider]) -> list[SetAside]:
    """What was set aside of this provider's callbacks to this organisation, one row for each route and reason."""
    rows = Callback.objects.filter(
        state=Callback.State.UNREADABLE,
        account__organization=organization,
        account__provider=provider.key,
        received_at__gte=timezone.now() - SHOWN_FOR,
    )
    told = rows.order_by().values("error", "kind").annotate(calls=Count("pk"), latest=Max("received_at"))
    return [SetAside(reason=row["error"], kind=row["kind"], count=row["calls"], last_at=row["latest"]) for row in told]


def try_again(callbacks: QuerySet[Callback], user: User | None = None) -> int:
    """Have set-aside callbacks applied once more, for example after an update; returns how many.

    What is still wrong with one sets it aside again. Written into the audit trail of each organisation.
    """
    with transaction.atomic():
        waiting = callbacks.filter(state=Callback.State.UNREADABLE).order_by("pk").select_for_update(of=("self",))
        keys = list(waiting.values_list("pk", flat=True))
        chosen = Callback.objects.filter(pk__in=keys)
        owners = chosen.order_by().values_list("account__organization").annotate(calls=Count("pk"))
        counts = dict(owners.filter(~Q(account__organization=None)))
        chosen.update(state=Callback.State.NEW, tries=0, error="", not_before=clock.now())
        for organization in Organization.objects.filter(pk__in=counts).order_by("pk"):
            audit.record(TRIED_AGAIN, organization=organization, actor=user, count=counts[organization.pk])
        transaction.on_commit(partial(wake_soon, APPLY))
    return len(keys)
