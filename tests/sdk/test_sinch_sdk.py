"""Sinch's official SDK and we send the same and accept the same."""

from __future__ import annotations

import random

import pytest

from extensions.contract import WebhookRequest
from tests.provider_cases import FOLDER, NOW, callback_url, load, provider_of, sms_of
from tests.sdk.comparing import accepts, differences, of_ours, of_theirs, question, signature_cases

DATA = load(FOLDER / "sinch.toml")
SENDERS = ("353861000000", "50123", "MyClinic")
REGIONS = ("eu", "us")
TEXTS = ("Hi Ann, 2 questions", "Sì, grazie 👍", "x" * 1600)

# What only the SDK accepts, and why we do not: it looks neither at the time nor at the algorithm.
TOO_LAX = {
    "301 seconds late": "outside the time window",
    "301 seconds early": "outside the time window",
    "a replay after a day": "outside the time window",
    "the algorithm in another spelling": "the algorithm is pinned",
    "without the algorithm": "the algorithm is pinned",
}


def _messages():
    """(provider, message) of every combination."""
    for region in REGIONS:
        for sender in SENDERS:
            provider = provider_of(DATA, {"sender": sender, "credentials": {"region": region}})
            for text in TEXTS:
                yield provider, sms_of(provider, {"text": text})


def _to_sign(count):
    """Bodies with all that can go wrong in signing: dots, other scripts, line ends, nothing at all."""
    draw = random.Random(7)
    alphabet = 'ab.Z09 {}":,\\\n\r\täß€☺👍漢'
    for number in range(count):
        yield {
            "body": "".join(draw.choices(alphabet, k=draw.randint(0, 60))),
            "nonce": f"01KAMNWC{number:018d}",
            "timestamp": str(int(NOW.timestamp()) + draw.randint(-300, 300)),
            "secret": "".join(draw.choices("abc.ä€", k=draw.randint(1, 30))),
        }


@pytest.fixture(scope="module")
def sdk(ask):
    provider = provider_of(DATA)
    return ask(
        "sinch",
        credentials=provider.credentials,
        token=provider.token,
        messages=[
            {**question(sms), "credentials": provider.credentials, "sender": provider.sender, "token": provider.token}
            for provider, sms in _messages()
        ],
        signatures=signature_cases(DATA),
        to_sign=list(_to_sign(200)),
    )


def test_we_send_what_the_sdk_sends(sdk):
    for (provider, sms), sent in zip(_messages(), sdk["messages"], strict=True):
        assert of_ours(provider.build_send(sms)) == of_theirs(sent)


def test_we_fetch_the_access_token_as_the_sdk_does(sdk):
    assert of_ours(provider_of(DATA).build_token()) == of_theirs(sdk["token"])


def test_we_check_credentials_as_the_sdk_reads_the_app(sdk):
    assert of_ours(provider_of(DATA).build_check()) == of_theirs(sdk["check"])


def test_the_sdk_accepts_and_refuses_what_we_do_unless_it_is_too_lax(sdk):
    found = differences(DATA, sdk["verdicts"])

    assert found["lax"] == set(TOO_LAX)
    assert found["strict"] == set()


def test_whatever_the_sdk_signs_we_accept_and_not_when_it_was_changed(sdk):
    for case, signature in zip(_to_sign(200), sdk["signed"], strict=True):
        provider = provider_of(DATA, {"credentials": {"webhook_secret": case["secret"]}})
        headers = {
            "X-Sinch-Webhook-Signature": signature,
            "X-Sinch-Webhook-Signature-Nonce": case["nonce"],
            "X-Sinch-Webhook-Signature-Timestamp": case["timestamp"],
            "X-Sinch-Webhook-Signature-Algorithm": "HmacSHA256",
        }
        url, body = callback_url(type(provider), "status"), case["body"].encode()

        assert accepts(provider, WebhookRequest("POST", url, headers, body), NOW), case
        assert not accepts(provider, WebhookRequest("POST", url, headers, body + b" "), NOW), case
