"""Twilio's official SDK and we send the same and accept the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.provider_cases import FOLDER, NOW, load, provider_of, sms_of
from tests.sdk.comparing import differences, of_ours, of_theirs, question, signature_cases

DATA = load(FOLDER / "twilio.toml")
SENDERS = {  # as stored -> as the SDK's caller names it
    "13531234567": {"from_": "+13531234567"},
    "40404": {"from_": "40404"},
    "MyClinic": {"from_": "MyClinic"},
    "MG" + "0" * 32: {"messaging_service_sid": "MG" + "0" * 32},
}
CALLBACK = "https://surveys.example.com/distribution-providers/v1/receive/distribution/status/twilio-sms/ORG42?mid=7c1f"
VALIDITY = timedelta(hours=4)

# What only the SDK accepts, and why that is too lax (docs/providers/twilio.md).
TOO_LAX = {"another account's SID, rightly signed": "the SDK leaves the account to its caller"}


@pytest.fixture(scope="module")
def sdk(ask):
    provider = provider_of(DATA)
    return ask(
        "twilio",
        credentials=provider.credentials,
        messages=[
            {
                **question(sms_of(provider, {"text": "Hi Ann – 2 questions ☺", "validity": VALIDITY.total_seconds()})),
                "sender": sender,
                "status_callback": f"{CALLBACK}#rc=3&rp=5xx,ct,rt",
            }
            for sender in SENDERS.values()
        ],
        lookup={"to": "+31612345678", "from": "+13531234567"},
        signatures=signature_cases(DATA),
    )


def test_we_send_what_the_sdk_sends(sdk):
    for sender, sent in zip(SENDERS, sdk["messages"], strict=True):
        provider = provider_of(DATA, {"sender": sender})
        sms = sms_of(provider, {"text": "Hi Ann – 2 questions ☺", "validity": VALIDITY.total_seconds()})

        assert of_ours(provider.build_send(sms)) == of_theirs(sent)


def test_we_check_credentials_as_the_sdk_reads_the_account(sdk):
    assert of_ours(provider_of(DATA).build_check()) == of_theirs(sdk["check"])


def test_we_look_messages_up_as_the_sdk_lists_them(sdk):
    provider = provider_of(DATA)
    request = provider.build_lookup(sms_of(provider, {}), attempted_at=NOW)
    assert request is not None

    assert of_ours(request) == of_theirs(sdk["lookup"])


def test_the_sdk_accepts_and_refuses_what_we_do_unless_it_is_too_lax(sdk):
    found = differences(DATA, sdk["verdicts"])

    assert found == {"lax": set(TOO_LAX), "strict": set()}
