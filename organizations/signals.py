"""Writes log-ins into the audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from organizations import audit
from organizations.models import User
from organizations.throttle import LOGIN_FAILED, account_key

LOGGED_IN = gettext_noop("logged in")
LOGGED_OUT = gettext_noop("logged out")


@receiver(user_logged_in)
def record_login(request: HttpRequest, user: User, **kwargs: Any) -> None:
    audit.record(LOGGED_IN, organization=user.organization, actor=user, request=request)


@receiver(user_logged_out)
def record_logout(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        audit.record(LOGGED_OUT, organization=user.organization, actor=user, request=request)


@receiver(user_login_failed)
def record_failed_login(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """What was typed is kept only as a keyed hash: it may be a password in the wrong field."""
    typed = str(credentials.get("username", ""))
    user = User.objects.by_email(typed)
    audit.record(
        LOGIN_FAILED,
        organization=user.organization if user else None,
        request=request,
        target=user,
        account=account_key(typed),
    )
