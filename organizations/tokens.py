"""API tokens: made, recognised, ended."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from organizations.models import ApiToken, User

PREFIX_LENGTH = 8
ENDED = gettext_noop("ended an API token")  # in the audit trail
SIGHTING_EVERY = timedelta(minutes=1)  # `last_used_at` is not written more often


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def regenerate(user: User) -> str:
    """A new token for this user; the old one ends at once. The result is the only copy: show it and forget it."""
    User.objects.select_for_update().get(pk=user.pk)  # two clicks at once make two tokens, one after the other
    end(user)
    token = secrets.token_urlsafe(30)
    ApiToken.objects.create(user=user, digest=digest_of(token), prefix=token[:PREFIX_LENGTH])
    return token


def end(user: User) -> bool:
    """End the user's token; False if there was none."""
    return bool(ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now()))


def find(token: str) -> ApiToken | None:
    """The working token that reads so, with its user, organisation and licence; None if there is none."""
    found = (
        ApiToken.objects.select_related("user__organization__licence")
        .filter(digest=digest_of(token), revoked_at=None)
        .first()
    )
    if found is None or not found.user.is_active:
        return None
    now = timezone.now()
    if found.last_used_at is None or found.last_used_at < now - SIGHTING_EVERY:
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
    return found
