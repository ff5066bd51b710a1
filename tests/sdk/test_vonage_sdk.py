"""Vonage's official SDK and we send the same and accept the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from extensions.contract import WebhookRequest
from tests.provider_cases import FOLDER, load, provider_of, sms_of
from tests.sdk.comparing import accepts, differences, of_ours, of_theirs, question, signature_cases

DATA = load(FOLDER / "vonage.toml")
NOW = datetime(2026, 11, 22, 10, 15, 32, tzinfo=UTC)
TEXTS = {"Hi Ann, 2 questions": "text", "Grüße & {100 %} = ok €": "text", "Hi Ann – 2 questions ☺": "unicode"}

# What only the SDK accepts, and why that is too lax (docs/providers/vonage.md).
TOO_LAX = {
    "a timestamp that is no number": "the SDK checks no time",
    "older than a day": "the SDK checks no time",
    "more than five minutes ahead": "the SDK checks no time",
    "another account's API key": "the SDK leaves the API key to its caller",
    "no API key": "the SDK leaves the API key to its caller",
    "a query beside a signed body": "query and body must not be mixed",
    "a name written so as to hide another parameter": "names are not escaped, so two sets can have one signature",
    "a changed body under a genuine token": "the SDK does not check payload_hash",
    "no payload hash": "the SDK does not check payload_hash",
    "another issuer": "the SDK does not check the issuer",
    "no issuer": "the SDK does not check the issuer",
    "a token for another API key": "the SDK leaves the API key to its caller",
    "a token without an API key": "the SDK leaves the API key to its caller",
    "no time of issue": "the SDK checks no age",
    "issued more than a day ago": "the SDK checks no age",
    "a token with a query beside the body": "the query is not signed",
    "a token without a body": "the query is not signed",
}
# The plain MD5 hash, the provider's default, cannot be made with the current SDK.
SDK_CANNOT = {"md5hash, found out", "md5hash, pinned"}


def _parameter_sets(count):
    """Callbacks with all that can go wrong in signing: blanks, signs of the query, other scripts, repeated prefixes."""
    draw = random.Random(7)
    alphabet = "abzAZ09 &=%+_-.;#?/\\\"'<>äß€☺漢\n"
    for _ in range(count):
        names = {"".join(draw.choices("abcXYZ-_.09", k=draw.randint(1, 12))) for _ in range(draw.randint(0, 8))}
        values = {name: "".join(draw.choices(alphabet, k=draw.randint(0, 30))) for name in names}
        yield {**values, "api-key": "a1b2c3d4", "timestamp": "1795342530", "messageId": "0A1", "status": "delivered"}


@pytest.fixture(scope="module")
def sdk(ask):
    provider = provider_of(DATA)
    messages = [
        {**question(sms_of(provider, {"text": text})), "type": kind, "sender": sender}
        for text, kind in TEXTS.items()
        for sender in ("13531234567", "Qualtrics")
    ]
    return ask(
        "vonage",
        credentials=provider.credentials,
        messages=messages,
        signatures=signature_cases(DATA),
        to_sign=list(_parameter_sets(150)),
    )


def test_we_send_what_the_sdk_sends(sdk):
    sent = iter(sdk["messages"])
    for text in TEXTS:
        for sender in ("13531234567", "Qualtrics"):
            provider = provider_of(DATA, {"sender": sender})
            ours = of_ours(provider.build_send(sms_of(provider, {"text": text})))
            theirs = of_theirs(next(sent))

            assert theirs.content.pop("status-report-req") == "True"
            assert ours.content.pop("status-report-req") == "1"  # both mean yes
            assert ours == theirs


def test_we_check_credentials_as_the_sdk_reads_the_balance(sdk):
    assert of_ours(provider_of(DATA).build_check()) == of_theirs(sdk["check"])


def test_the_sdk_accepts_and_refuses_what_we_do_unless_it_is_too_lax(sdk):
    found = differences(DATA, sdk["verdicts"])

    assert found["lax"] == set(TOO_LAX)
    assert {name for name in found["strict"] if name not in SDK_CANNOT} == set()


def test_whatever_the_sdk_signs_we_accept_and_not_when_it_was_changed(sdk):
    provider = provider_of(DATA)
    url = "https://surveys.example.com/distribution-providers/v1/receive/distribution/status/vonage-sms/ORG42"
    assert len(sdk["signed"]) == 600
    for parameters in sdk["signed"]:
        changed = {**parameters, "status": "failed"}

        assert accepts(provider, WebhookRequest("GET", f"{url}?{urlencode(parameters)}"), NOW), parameters
        assert accepts(provider, WebhookRequest("POST", url, {}, urlencode(parameters).encode()), NOW), parameters
        assert not accepts(provider, WebhookRequest("GET", f"{url}?{urlencode(changed)}"), NOW), parameters
