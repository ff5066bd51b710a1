"""Links by which people set their own password. They are shown and passed on by hand: no e-mail server is needed."""

from __future__ import annotations

import time

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from organizations.models import User


class PasswordLinks(PasswordResetTokenGenerator):
    """Links that end with what they were made for: a change of role, or being switched off, ends them for good."""

    def _make_hash_value(self, user: AbstractBaseUser, timestamp: int) -> str:
        assert isinstance(user, User)
        return f"{super()._make_hash_value(user, timestamp)}{user.role}{user.is_active}{user.times_switched_off}"


password_links = PasswordLinks()
SESSION_KEY = "invitation_for"
SHOWN_FOR = 600  # seconds


def offer(request: HttpRequest, user: User) -> HttpResponse:
    """Send the browser to the page that shows a link for `user` once."""
    request.session[SESSION_KEY] = [user.pk, time.time()]  # whom, not the link: nothing secret is kept
    return HttpResponseRedirect(reverse("admin:organizations_user_invitation", args=[user.pk]))


def take(request: HttpRequest, user: User) -> str | None:
    """The link that was offered for `user`, for as long as the page may be loaded anew; None otherwise."""
    whom, since = request.session.get(SESSION_KEY) or (None, 0)
    if whom != user.pk or not 0 <= time.time() - since <= SHOWN_FOR:
        return None
    return link_for(user)


def link_for(user: User) -> str:
    """A link that works until the password is set, or for `days_valid()` days."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return settings.PUBLIC_URL + reverse("admin:set_password", args=[uid, password_links.make_token(user)])


def days_valid() -> int:
    return int(settings.PASSWORD_RESET_TIMEOUT // 86_400)
