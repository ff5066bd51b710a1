"""Infobip's official SDK and we send the same."""

from __future__ import annotations

import pytest

from extensions.providers.infobip import Infobip
from tests.provider_cases import NOW, sms_of
from tests.sdk.comparing import of_ours, of_theirs, question

CREDENTIALS = {
    "api_key": "sandbox-key",
    "webhook_username": "hookuser",
    "webhook_password": "sandbox-password",
    "base_url": "xyz123.api.infobip.com",
}
INFOBIP = Infobip(CREDENTIALS, sender="868686")
MESSAGES = [
    sms_of(INFOBIP, {"text": "How was your visit? https://s.example/a1", "reference": "7c1f"}),
    sms_of(INFOBIP, {"text": "Hi Ann – 2 questions ☺", "reference": "7c20", "to": "+353871234567", "validity": 3600}),
]


@pytest.fixture(scope="module")
def sdk(ask):
    messages = [{**question(sms), "sender": "868686"} for sms in MESSAGES]
    return ask("infobip", credentials=CREDENTIALS, messages=messages)


def test_we_send_what_the_sdk_sends(sdk):
    assert of_ours(INFOBIP.build_batch(MESSAGES)) == of_theirs(sdk["batch"])


def test_we_look_messages_up_as_the_sdk_reads_the_logs(sdk):
    request = INFOBIP.build_lookup(MESSAGES[0], attempted_at=NOW)
    assert request is not None

    assert of_ours(request) == of_theirs(sdk["lookup"])
