"""Whose request it is, on pages for people who are logged in."""

from __future__ import annotations

from django.http import HttpRequest

from organizations.models import Organization, User


def current_user(request: HttpRequest) -> User:
    """The logged-in user; admin pages are not reached by anybody else."""
    user = request.user
    assert isinstance(user, User)
    return user


def current_organization(request: HttpRequest) -> Organization | None:
    """The organisation of the logged-in user, None for a platform operator."""
    return current_user(request).organization
