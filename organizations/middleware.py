"""What every request gets: the user's language and time zone, and an address for the audit trail."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from organizations import audit
from organizations.models import User


class AuditAddressMiddleware:
    """Tells the audit trail where the request comes from; after what makes REMOTE_ADDR right behind a proxy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = audit.client_address.set(request.META.get("REMOTE_ADDR"))
        try:
            return self.get_response(request)
        finally:
            audit.client_address.reset(before)


def preferred_language(user: User) -> str:
    """The user's own language, else their organisation's; "" where neither says."""
    return user.language or (user.organization.language if user.organization else "")


class UserPreferencesMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/admin/") and isinstance(request.user, User):
            organization = request.user.organization
            language = preferred_language(request.user)
            if language:
                translation.activate(language)
                request.LANGUAGE_CODE = language
            zone = request.user.time_zone or (organization.time_zone if organization else "")
            if zone:
                timezone.activate(zoneinfo.ZoneInfo(zone))
        try:
            return self.get_response(request)
        finally:
            timezone.deactivate()
