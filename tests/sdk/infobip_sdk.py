"""Infobip's SDK, asked what it sends. It has no verifier. Runs in the SDKs' own environment."""

from __future__ import annotations

from typing import Any

import capture
from infobip_api_client import ApiClient, Configuration
from infobip_api_client.api.sms_api import SmsApi
from infobip_api_client.models import (
    SmsDestination,
    SmsMessage,
    SmsMessageContent,
    SmsMessageOptions,
    SmsMessageRequestOptions,
    SmsRequest,
    SmsTextContent,
    SmsWebhooks,
    ValidityPeriod,
    ValidityPeriodTimeUnit,
)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    credentials = question["credentials"]
    configuration = Configuration(
        host=f"https://{credentials['base_url']}",
        api_key={"APIKeyHeader": credentials["api_key"]},
        api_key_prefix={"APIKeyHeader": "App"},
    )
    api = SmsApi(ApiClient(configuration))
    messages = [
        SmsMessage(
            sender=message["sender"],
            destinations=[SmsDestination(to=message["to"].lstrip("+"), message_id=message["reference"])],
            content=SmsMessageContent(SmsTextContent(text=message["text"])),
            options=SmsMessageOptions(
                validity_period=ValidityPeriod(
                    amount=message["validity"] // 60, time_unit=ValidityPeriodTimeUnit.MINUTES
                )
            ),
            webhooks=SmsWebhooks(content_type="application/json", callback_data=message["reference"]),
        )
        for message in question["messages"]
    ]
    request = SmsRequest(messages=messages, options=SmsMessageRequestOptions(include_sms_count_in_response=True))
    return {
        "batch": capture.sent(lambda: api.send_sms_messages(request)),
        "lookup": capture.sent(
            lambda: api.get_outbound_sms_message_logs(message_id=[question["messages"][0]["reference"]])
        ),
    }


capture.answer(answer)
