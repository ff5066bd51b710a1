"""Tokens that a provider signs: whose signature holds, by which way of signing, and what a claim may be."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from extensions import json_web_tokens
from extensions.contract import Fault, InvalidSignature

SECRET = "a secret that we share with the provider, long enough for every one of its algorithms"
ALL = ("HS256", "HS384", "HS512")


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def read(token, secret=SECRET, algorithms=ALL):
    return json_web_tokens.claims(token, secret, algorithms=algorithms)


@pytest.mark.parametrize("algorithm", ALL)
def test_what_is_signed_with_the_secret_is_read(algorithm):
    token = jwt.encode({"jti": "1", "n": 2}, SECRET, algorithm)

    assert read(token) == {"jti": "1", "n": 2}
    assert read(token, algorithms=[algorithm]) == {"jti": "1", "n": 2}


def test_what_we_make_ourselves_reads_as_the_providers():
    assert read(json_web_tokens.make({"jti": "1"}, SECRET), algorithms=["HS256"]) == {"jti": "1"}
    assert jwt.decode(json_web_tokens.make({"jti": "1"}, SECRET), SECRET, algorithms=["HS256"]) == {"jti": "1"}


@pytest.mark.parametrize("secret", ["", "s", SECRET.upper(), SECRET + " "])
def test_another_secret_opens_nothing(secret):
    with pytest.raises(InvalidSignature) as refusal:
        read(jwt.encode({"jti": "1"}, SECRET, "HS256"), secret or "x")

    assert refusal.value.fault is Fault.SECRET
    assert SECRET not in str(refusal.value)


def test_another_way_of_signing_than_the_providers_is_none():
    token = jwt.encode({"jti": "1"}, SECRET, "HS512")

    with pytest.raises(InvalidSignature):
        read(token, algorithms=["HS256"])


def test_a_token_that_says_it_needs_no_signature_is_refused():
    unsigned = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded({'jti': '1'})}."

    for token in (unsigned, unsigned[:-1], f"{unsigned}AAAA"):
        with pytest.raises(InvalidSignature):
            read(token)
        with pytest.raises(InvalidSignature):
            read(token, algorithms=["none"])


def test_what_was_changed_after_it_was_signed_is_refused():
    head, _body, signature = jwt.encode({"jti": "1"}, SECRET, "HS256").split(".")

    with pytest.raises(InvalidSignature):
        read(f"{head}.{encoded({'jti': '2'})}.{signature}")


@pytest.mark.parametrize("token", ["", ".", "..", "...", "x", "x.y.z", "☃.☃.☃", "\0", "a" * 100_000])
def test_what_is_no_token_is_refused_as_one(token):
    with pytest.raises(InvalidSignature):
        read(token)


@pytest.mark.parametrize("content", [b"[]", b"1", b'"x"', b"null", b"{", b"", b"[" * 100_000, b'{"n": 1e999999}'])
def test_what_is_well_signed_and_holds_no_claims_is_refused(content):
    token = jwt.PyJWS().encode(content, SECRET, algorithm="HS256")

    with pytest.raises(InvalidSignature) as refusal:
        read(token)
    assert refusal.value.fault in (Fault.CONTENT, Fault.SECRET)


def test_the_signed_part_is_the_same_however_the_signature_is_written():
    token = jwt.encode({"jti": "1"}, SECRET, "HS256")

    assert json_web_tokens.signed_part(f"  {token}\n") == json_web_tokens.signed_part(token)
    assert json_web_tokens.signed_part(f"{token}=") == token.rpartition(".")[0]
    assert json_web_tokens.signed_part("no dots") == ""


@pytest.mark.parametrize(
    ("value", "found"),
    [(0, 0), (1, 1), (1.5, 1.5), (2**53 - 1, 2**53 - 1), (2**53, None), (-1, None), (-0.1, None)]
    + [(value, None) for value in (True, False, None, "1", [1], {}, float("inf"), float("nan"))],
)
def test_a_time_is_a_number_of_seconds_that_a_clock_can_have(value, found):
    assert json_web_tokens.seconds(value) == found
