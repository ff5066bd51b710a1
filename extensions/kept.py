"""Secrets that were typed into a form that is not saved yet: kept sealed for a quarter of an hour, so that none is
typed twice.

Each is a row, encrypted, and sealed for one person's session, organisation, provider and field; the page holds its
handle alone, which opens nothing anywhere else. They are in a table, not in the session: two tabs overwrite nothing of
each other, and a session that is kept in a cookie does not grow.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Collection
from datetime import timedelta

from cryptography.fernet import InvalidToken
from django.contrib.auth.signals import user_logged_out
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest

from extensions.contract import Provider
from extensions.models import KeptSecret
from organizations import clock
from organizations.ids import new_id
from organizations.models import Organization, User

logger = logging.getLogger(__name__)

LIFE = timedelta(minutes=15)
MOST = 40  # of one session: the oldest go first
LONGEST = 16_384  # characters; the fields have shorter limits of their own
_SESSION = "kept"  # the session's own secret for this, in the session


class Drawer:
    """What one session keeps for the form of one provider."""

    def __init__(self, request: HttpRequest, user: User, organization: Organization, provider: type[Provider]) -> None:
        self.session = _session(request)
        self.user, self.organization, self.provider = user, organization, provider

    def keep(self, field: str, secret: str) -> str:
        """Seal a secret; returns the handle by which it is found, "" where it is longer than any credential."""
        if not secret or len(secret) > LONGEST:
            return ""
        purge()
        handle = new_id("KS_", 20)
        KeptSecret.objects.create(
            handle=handle,
            session=self.session,
            organization=self.organization,
            provider=self.provider.key,
            field=field,
            value={**self._seal(field, handle), "secret": secret},
            expires_at=clock.read() + LIFE,
        )
        mine = KeptSecret.objects.filter(session=self.session).order_by("-pk")
        for pk in mine.values_list("pk", flat=True)[MOST:]:
            KeptSecret.objects.filter(pk=pk).delete()
        return handle

    def open(self, field: str, handle: str) -> str:
        """The secret behind a handle; "" where it has run out, was made for anything else, or was tampered with."""
        if not handle:
            return ""
        try:
            row = self._rows().filter(handle=handle, field=field).first()
        except InvalidToken:
            logger.warning("a kept secret cannot be opened: it was changed, or its key is gone")
            return ""
        seal = self._seal(field, handle)
        if row is None or {name: row.value.get(name) for name in seal} != seal:
            return ""
        return str(row.value["secret"])

    def newest(self, fields: Collection[str]) -> dict[str, str]:
        """Field -> the handle of what was kept for it last."""
        rows = self._rows().filter(field__in=fields).order_by("pk")
        return dict(rows.values_list("field", "handle"))

    def forget(self) -> None:
        """Whatever was kept for this form: it has been saved."""
        KeptSecret.objects.filter(session=self.session, provider=self.provider.key).delete()

    def _rows(self) -> QuerySet[KeptSecret]:
        return KeptSecret.objects.filter(
            session=self.session,
            organization=self.organization,
            provider=self.provider.key,
            expires_at__gt=clock.now(),
        )

    def _seal(self, field: str, handle: str) -> dict[str, str]:
        """What stands inside the encrypted value: a row that is copied or renamed opens nothing."""
        return {
            "session": self.session,
            "organization": self.organization.public_id,
            "user": self.user.public_id,
            "provider": self.provider.key,
            "field": field,
            "handle": handle,
        }


def _session(request: HttpRequest) -> str:
    """The digest of a secret of the session's own, which ends with it; whatever the sessions are kept in."""
    token = request.session.get(_SESSION)
    if not isinstance(token, str):
        token = request.session[_SESSION] = secrets.token_urlsafe(16)
    return hashlib.sha256(token.encode()).hexdigest()


def purge() -> int:
    """Delete what has run out; returns how many."""
    count, _per_model = KeptSecret.objects.filter(expires_at__lte=clock.now()).delete()
    return count


@receiver(user_logged_out)
def forget_at_logout(request: HttpRequest, **kwargs: object) -> None:
    """Whoever logs out leaves nothing behind."""
    if request.session.get(_SESSION):
        KeptSecret.objects.filter(session=_session(request)).delete()
