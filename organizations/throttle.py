"""Slows down the guessing of secrets. An attempt is counted before the slow hash, and taken back if it was right.

Every limit counts attempts that failed or are under way:

- for one account from one address, and for one address whatever the account (an office may share one);
- for one account from anywhere, slower. Strangers who use it up must not lock out the owner: a browser in which the
  owner has logged in before carries a signed cookie and passes it, with a limit of its own.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_noop, ngettext

from organizations.attempts import store
from organizations.models import User, fold_email

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 5  # for one account from one address
PER_ADDRESS = 30  # from one address
SLOW_WINDOW = timedelta(hours=24)
PER_ACCOUNT_ANYWHERE = 50  # for one account, from addresses and browsers that are not known
KNOWN_FOR = timedelta(days=180)
PER_DEVICE = 10  # with one cookie, ever: each log-in makes a new one

LOGIN_FAILED = gettext_noop("login failed")
_SALT = "organizations.throttle"
_DEVICE = "known_device_"


class Throttled(Exception):
    """Too many attempts; the message is for people."""

    def __init__(self, seconds: int, *, anywhere: bool = False) -> None:
        self.minutes = minutes = math.ceil(seconds / 60)
        if anywhere:
            hours = math.ceil(seconds / 3600)
            message = ngettext(
                "Somebody has tried too many wrong passwords for this e-mail. Log in where you have logged in before, "
                "ask an administrator for a new link, or wait %(hours)d hour.",
                "Somebody has tried too many wrong passwords for this e-mail. Log in where you have logged in before, "
                "ask an administrator for a new link, or wait %(hours)d hours.",
                hours,
            ) % {"hours": hours}
        else:
            message = ngettext(
                "Too many failed log-ins. Try again in %(minutes)d minute.",
                "Too many failed log-ins. Try again in %(minutes)d minutes.",
                minutes,
            ) % {"minutes": minutes}
        super().__init__(message)


@dataclass
class Attempt:
    """Reservations of one attempt. A failed attempt leaves them; `release` takes them back."""

    keys: list[str] = field(default_factory=list)

    def reserve(self, key: str, limit: int, within: timedelta, *, anywhere: bool = False) -> Self:
        """Count the attempt under `key` too. Raises Throttled, with nothing counted, where the limit is reached."""
        if seconds := store().reserve(key, limit, within):
            self.release()
            raise Throttled(seconds, anywhere=anywhere)
        self.keys.append(key)
        return self

    def release(self) -> None:
        for key in self.keys:
            store().release(key)
        self.keys.clear()


def network_of(address: str | None) -> str:
    """Whom an address counts as: IPv4 as it is, IPv6 by its /64, which is what one subscriber has at least."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
        ip = ip.ipv4_mapped
    return str(ip)


def account_key(email: str) -> str:
    """Stands for what was typed as e-mail, which may be somebody's password in the wrong field."""
    return salted_hmac(_SALT, fold_email(email)).hexdigest()[:16]


def reserve_login(request: HttpRequest, email: str) -> Attempt:
    """Count an attempt to log in, before the password is looked at. Raises Throttled."""
    user = User.objects.by_email(email)
    # However an e-mail is written, what finds the same user counts as the same account.
    account = f"user-{user.pk}" if user else account_key(email)
    network = network_of(request.META.get("REMOTE_ADDR"))
    attempt = Attempt().reserve(f"login:{account}:{network}", PER_ACCOUNT, WINDOW)
    attempt.reserve(f"login-address:{network}", PER_ADDRESS, WINDOW)
    device = _device_of(request, user) if user else ""
    if device and not store().reserve(f"login-device:{device}", PER_DEVICE, KNOWN_FOR):
        attempt.keys.append(f"login-device:{device}")
        return attempt
    return attempt.reserve(f"login-account:{account}", PER_ACCOUNT_ANYWHERE, SLOW_WINDOW, anywhere=True)


def reserve_old_password(user: User) -> Attempt:
    """Count an attempt at one's own password by somebody who is logged in as `user`. Raises Throttled."""
    return Attempt().reserve(f"old-password:{user.pk}", PER_ACCOUNT, WINDOW)


# --- known devices ----------------------------------------------------------------------------------------------------


def remember_device(response: HttpResponse, user: User) -> None:
    """Give the browser a cookie that passes the limit per account. Another password ends it."""
    value = signing.dumps([user.pk, _fingerprint(user), secrets.token_urlsafe(12)], salt=_SALT)
    response.set_cookie(
        _cookie_of(user),
        value,
        max_age=KNOWN_FOR,
        path="/admin/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _device_of(request: HttpRequest, user: User) -> str:
    """The random name of a browser that this user has logged in with; "" for any other."""
    try:
        pk, fingerprint, device = signing.loads(
            request.COOKIES.get(_cookie_of(user), ""), salt=_SALT, max_age=KNOWN_FOR
        )
    except (signing.BadSignature, ValueError):
        return ""
    known = pk == user.pk and constant_time_compare(fingerprint, _fingerprint(user))
    return str(device) if known else ""


def _cookie_of(user: User) -> str:
    """One for each user, so that people who share a computer do not take it from each other."""
    return _DEVICE + salted_hmac(_SALT, f"cookie-{user.pk}").hexdigest()[:12]


def _fingerprint(user: User) -> str:
    return salted_hmac(_SALT, f"password-{user.password}").hexdigest()[:24]
