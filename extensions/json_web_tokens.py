"""Reads JSON Web Tokens that a provider signs with a secret we share with it, and makes them for the self-test.

Pure: no clock and no claim is judged here, the provider's file does that.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from jwt import PyJWS, PyJWTError
from jwt.algorithms import HMACAlgorithm

from extensions.contract import Fault, InvalidSignature
from intake.data import read_json
from intake.sentences import said_lazy as _


class _Hmac(HMACAlgorithm):
    """Takes a key of any length: the provider makes the secret, so nobody here could act on a warning."""

    def check_key_length(self, key: bytes) -> str | None:
        return None


_jws = PyJWS(algorithms=[])
_jws.register_algorithm("HS256", _Hmac(_Hmac.SHA256))
_jws.register_algorithm("HS384", _Hmac(_Hmac.SHA384))
_jws.register_algorithm("HS512", _Hmac(_Hmac.SHA512))


def claims(token: str, secret: str, *, algorithms: Collection[str]) -> dict[str, Any]:
    """The claims of a token signed with `secret` by one of `algorithms`. Raises InvalidSignature."""
    try:
        content = read_json(_jws.decode(token, secret, algorithms=list(algorithms)))
    except (PyJWTError, ValueError, RecursionError) as error:
        raise InvalidSignature(
            Fault.SECRET, _("wrong signature: the token is not signed with the account's secret")
        ) from error
    if not isinstance(content, dict):
        raise InvalidSignature(Fault.CONTENT, _("the signed token holds no claims"))
    return content


def make(content: dict[str, Any], secret: str) -> str:
    """A token with these claims, signed by HS256 as the provider would."""
    return _jws.encode(json.dumps(content).encode(), secret, algorithm="HS256", headers={"typ": "JWT"})


def signed_part(token: str) -> str:
    """What of the token is signed, its id included. The signature itself can be written in more than one way."""
    return token.strip().rpartition(".")[0]


def seconds(value: Any) -> float | None:
    """A claim that is a time in seconds since 1970, None if it is anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    return None
