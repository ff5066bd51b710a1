"""Sinch's SDK, asked what it sends and accepts. Runs in the SDKs' own environment."""

from __future__ import annotations

from typing import Any

import capture
from sinch import SinchClient
from sinch.domains.authentication.sinch_events.v1.authentication_validation import (
    calculate_sinch_event_signature,
    compute_signed_data,
)


def client_for(credentials: dict[str, Any]) -> SinchClient:
    return SinchClient(
        key_id=credentials["client_id"],
        key_secret=credentials["client_secret"],
        project_id=credentials["project_id"],
        conversation_region=credentials["region"],
    )


def accepts(case: dict[str, Any]) -> bool:
    """Where the SDK fails, at letters outside ASCII, nothing was accepted."""
    events = client_for(case["credentials"]).conversation.sinch_events(case["credentials"]["webhook_secret"])
    try:
        return events.validate_authentication_header(case["headers"], case["body"].encode())
    except TypeError:
        return False


def signed(case: dict[str, str]) -> str:
    return calculate_sinch_event_signature(
        compute_signed_data(case["body"], case["nonce"], case["timestamp"]), case["secret"]
    )


def answer(question: dict[str, Any]) -> dict[str, Any]:
    def send(message: dict[str, Any]) -> dict[str, Any]:
        client = client_for(message["credentials"])
        client.configuration.token_manager.set_auth_token(
            {"access_token": message["token"], "expires_in": 3599, "scope": "", "token_type": "bearer"}
        )
        return capture.sent(
            lambda: client.conversation.messages.send(
                app_id=message["credentials"]["app_id"],
                message={"text_message": {"text": message["text"]}},
                recipient_identities=[{"channel": "SMS", "identity": message["to"].lstrip("+")}],
                ttl=message["validity"],
                channel_priority_order=["SMS"],
                channel_properties={"SMS_SENDER": message["sender"], "SMS_MAX_NUMBER_OF_MESSAGE_PARTS": "10"},
                message_metadata=message["reference"],
                correlation_id=message["reference"],
            )
        )

    client = client_for(question["credentials"])
    token = capture.sent(client.authentication.get_auth_token)
    client.configuration.token_manager.set_auth_token(
        {"access_token": question["token"], "expires_in": 3599, "scope": "", "token_type": "bearer"}
    )
    return {
        "messages": [send(message) for message in question["messages"]],
        "token": token,
        "check": capture.sent(lambda: client.conversation.apps.get(question["credentials"]["app_id"])),
        "verdicts": [accepts(case) for case in question["signatures"]],
        "signed": [signed(case) for case in question["to_sign"]],
    }


capture.answer(answer)
