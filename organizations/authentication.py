"""Who calls the API: the owner of the token in the header X-API-TOKEN, or Authorization: Bearer."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from organizations import tokens
from organizations.models import ApiToken, User


class ApiTokenAuthentication(BaseAuthentication):
    """A call has the rights of the token's user. People who were switched off are refused with 401."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        token = request.headers.get("X-API-TOKEN", "").strip() or _bearer(request)
        if not token:
            return None
        found = tokens.find(token)
        if found is None:
            raise AuthenticationFailed(_("The token in X-API-TOKEN is invalid or has been revoked."))
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        """Makes a missing or wrong token 401 rather than 403."""
        return "X-API-TOKEN"


def _bearer(request: Request) -> str:
    scheme, _space, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""
