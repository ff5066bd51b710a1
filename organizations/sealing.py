"""A secret that its owner may see again for a few minutes: encrypted in their session, gone with it."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import salted_hmac

from organizations.models import User

LIFE = 600  # seconds


def _lock(user: User) -> MultiFernet:
    """Keys of this one user's: what is sealed for somebody opens for nobody else."""
    return MultiFernet([Fernet(_key(secret, user)) for secret in settings.FERNET_KEYS])


def _key(secret: str, user: User) -> bytes:
    return urlsafe_b64encode(salted_hmac(f"sealed-{user.pk}", "key", secret=secret, algorithm="sha256").digest())


def keep(session: SessionBase, name: str, user: User, text: str) -> None:
    session[name] = _lock(user).encrypt(text.encode()).decode()


def see(session: SessionBase, name: str, user: User) -> str | None:
    """What was kept, None where nothing was, or too long ago; then it is gone."""
    sealed = session.get(name)
    if sealed is None:
        return None
    try:
        return _lock(user).decrypt(str(sealed).encode(), ttl=LIFE).decode()
    except InvalidToken:
        session.pop(name)
        return None
