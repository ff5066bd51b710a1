"""Public RSA keys with which a provider's signatures are verified: taken in the form in which it hands them out."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from extensions.credential_fields import PLAIN_INPUT

SMALLEST_KEY = 1024  # bits


class PublicKeyField(forms.CharField):
    """A public key, with or without armour, on several lines or on one; it is stored in PEM."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 5, **PLAIN_INPUT}))
        super().__init__(**kwargs)

    def clean(self, value: Any) -> str:
        """Raises ValidationError that says what is wrong with what was given."""
        value = super().clean(value)
        if "PRIVATE KEY" in value:
            raise ValidationError(_("This is a private key: keep it to yourself and enter the public key."))
        if "CERTIFICATE" in value:
            raise ValidationError(_("This is a certificate: enter the public key alone."))
        if re.fullmatch(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
            raise ValidationError(_("This is the ID of a key: enter the key itself, a much longer text."))
        try:
            der = _der(value)
        except ValueError as error:
            raise ValidationError(
                _(
                    "This is not a public key: enter it from -----BEGIN PUBLIC KEY----- to the end, or as its one "
                    "line of base64."
                )
            ) from error
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValidationError(_("This public key cannot be read: part of it may be missing.")) from error
        if not isinstance(key, RSAPublicKey):
            raise ValidationError(_("This is a public key of another type: callbacks are signed with RSA."))
        if key.key_size < SMALLEST_KEY:
            raise ValidationError(
                _("This RSA key has %(size)d bits: at least %(bits)d are needed, and 2048 are usual."),
                params={"size": key.key_size, "bits": SMALLEST_KEY},
            )
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return pem.decode().strip()


def _der(value: str) -> bytes:
    """The bytes of a key with or without armour. Raises ValueError."""
    bare = re.sub(r"-----(?:BEGIN|END) [A-Z ]+-----|\s", "", value)
    der = base64.b64decode(bare.encode("ascii"), validate=True)
    if not der:
        raise ValueError("no key")
    return der


@lru_cache(maxsize=256)
def load(value: str) -> RSAPublicKey:
    """Raises ValueError."""
    try:
        key = serialization.load_der_public_key(_der(value))
    except UnsupportedAlgorithm as error:
        raise ValueError("unsupported key") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY:
        raise ValueError("no RSA key of the needed size")
    return key
