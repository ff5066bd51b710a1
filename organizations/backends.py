"""Logging in by e-mail."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from organizations.models import User


class EmailBackend(BaseBackend):
    """Django's own backend without its permission tables, which are not used here."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        user = User.objects.by_email(username)
        if user is None:
            User().set_password(password)  # as slow as a real check, so that time does not tell who exists
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: int) -> User | None:
        """The user with organisation, licence and what decides about permissions, which every page asks for."""
        users = User.objects.select_related("organization__licence", "user_type").prefetch_related("groups")
        user = users.filter(pk=user_id).first()
        return user if user and user.is_active else None
