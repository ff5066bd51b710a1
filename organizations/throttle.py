"""Slows down the guessing of passwords. The audit trail is its memory: no cache, so it holds across processes."""

from __future__ import annotations

import math
from datetime import timedelta

from django.db.models import Count, Max, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_noop

from organizations.models import AuditEvent

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 5  # failures for one account from one address
PER_ADDRESS = 30  # failures from one address, whatever the account: an office may share one

LOGIN_FAILED = gettext_noop("login failed")


def account_key(email: str) -> str:
    """Stands for what was typed as e-mail, which may be somebody's password in the wrong field."""
    return salted_hmac("organizations.throttle", email.strip().lower()).hexdigest()[:16]


def minutes_to_wait(request: HttpRequest, email: str) -> int:
    """How many minutes this address must wait before it may try this account again; 0 if it need not."""
    now = timezone.now()
    of_account = Q(detail__account=account_key(email))
    failures = AuditEvent.objects.filter(
        action=LOGIN_FAILED, at__gt=now - WINDOW, address=request.META.get("REMOTE_ADDR")
    ).aggregate(
        count=Count("pk"),
        last=Max("at"),
        count_of_account=Count("pk", filter=of_account),
        last_of_account=Max("at", filter=of_account),
    )
    if failures["count_of_account"] >= PER_ACCOUNT:
        last = failures["last_of_account"]
    elif failures["count"] >= PER_ADDRESS:
        last = failures["last"]
    else:
        return 0
    return max(1, math.ceil((last + WINDOW - now).total_seconds() / 60))
