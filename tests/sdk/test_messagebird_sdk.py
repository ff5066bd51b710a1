"""MessageBird's official SDK and we send the same and accept the same."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from extensions.contract import WebhookRequest
from extensions.providers.messagebird import MessageBird
from tests.provider_cases import FOLDER, NOW, load, provider_of, sms_of
from tests.sdk.comparing import accepts, differences, of_ours, of_theirs, question, signature_cases

DATA = load(FOLDER / "messagebird.toml")
SENDERS = ("13531234567", "QUALTRICS")
TEXTS = ("Hi Ann, 2 questions", "Hi Ann – 2 questions ☺")

# What only the SDK accepts, and why we do not.
TOO_LAX = {"no jti": "the provider's Go and Node SDKs demand it, and without it a repeat cannot be told"}


# What only we accept: the SDK has another verifier for it, to which it is compared below.
OLDER = {"the older signature where the account accepts it"}


def _with_legacy(case):
    return MessageBird({**case["credentials"], "accepted_signatures": "also-legacy"})


def _legacy_cases():
    """(name, whether it is valid, the callback as the SDK gets it)"""
    cases = {case["name"]: case for case in signature_cases(DATA) if "legacy signature" in case["name"]}
    genuine = cases["the legacy signature alone is not enough"]
    yield "genuine", True, genuine
    yield "changed query", False, cases["the legacy signature with a changed query"]
    yield "too old", False, {**genuine, "now": genuine["now"] + 60}
    yield "changed timestamp", False, _with_header(genuine, "MessageBird-Request-Timestamp", "1795342531")
    yield "changed body", False, {**genuine, "body": "added"}
    signed = {**genuine, "method": "POST", "body": "originator=31612345678&payload=Ja&recipient=13531234567"}
    yield "with a body", True, _with_header(signed, "MessageBird-Signature", _legacy_signature(signed))


def _with_header(case, name, value):
    return {**case, "headers": {**case["headers"], name: value}}


def _legacy_signature(case):
    query = urlencode(sorted(parse_qsl(urlsplit(case["url"]).query, keep_blank_values=True)))
    timestamp = case["headers"]["MessageBird-Request-Timestamp"]
    content = f"{timestamp}\n{query}\n".encode() + hashlib.sha256(case["body"].encode()).digest()
    return base64.b64encode(hmac.digest(case["credentials"]["signing_key"].encode(), content, "sha256")).decode()


@pytest.fixture(scope="module")
def sdk(ask):
    provider = provider_of(DATA)
    return ask(
        "messagebird",
        credentials=provider.credentials,
        messages=[
            {**question(sms_of(provider, {"text": text})), "sender": sender} for text in TEXTS for sender in SENDERS
        ],
        signatures=signature_cases(DATA),
        legacy=[case for _name, _valid, case in _legacy_cases()],
    )


def test_we_send_what_the_sdk_sends(sdk):
    sent = iter(sdk["messages"])
    for text in TEXTS:
        for sender in SENDERS:
            provider = provider_of(DATA, {"sender": sender})
            ours = of_ours(provider.build_send(sms_of(provider, {"text": text})))
            theirs = of_theirs(next(sent))

            theirs.content["recipients"] = theirs.content["recipients"].split(",")  # a list as text: both are taken
            assert ours == theirs


def test_we_check_credentials_as_the_sdk_reads_the_balance(sdk):
    assert of_ours(provider_of(DATA).build_check()) == of_theirs(sdk["check"])


def test_we_look_messages_up_where_the_sdk_lists_them(sdk):
    provider = provider_of(DATA)
    request = provider.build_lookup(sms_of(provider, {}), attempted_at=NOW)
    assert request is not None
    ours, theirs = of_ours(request), of_theirs(sdk["list"])

    assert (ours.method, ours.url, ours.authorization) == (theirs.method, theirs.url, theirs.authorization)
    assert ours.query["limit"] == theirs.query["limit"]


def test_the_sdk_accepts_and_refuses_what_we_do_unless_it_is_too_lax(sdk):
    found = differences(DATA, sdk["verdicts"])

    assert found == {"lax": set(TOO_LAX), "strict": OLDER}


def test_the_legacy_signature_is_read_as_the_sdk_reads_it_where_an_account_accepts_it(sdk):
    for (name, valid, case), theirs in zip(_legacy_cases(), sdk["legacy"], strict=True):
        request = WebhookRequest(case["method"], case["url"], case["headers"], case["body"].encode())
        now = datetime.fromtimestamp(case["now"], UTC)

        assert accepts(_with_legacy(case), request, now) is theirs is valid, name
        assert not accepts(MessageBird(case["credentials"]), request, now), "off unless the account says so"


def test_a_legacy_signature_from_the_future_is_refused_although_the_sdk_takes_it():
    _name, _valid, genuine = next(_legacy_cases())
    request = WebhookRequest(genuine["method"], genuine["url"], genuine["headers"])

    assert not accepts(_with_legacy(genuine), request, datetime.fromtimestamp(genuine["now"] - 60, UTC))
