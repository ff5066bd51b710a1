"""MessageBird's SDK, asked what it sends and accepts. Runs in the SDKs' own environment."""

from __future__ import annotations

import warnings
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import capture
import jwt.api_jwt
import messagebird.signed_request
from messagebird import Client
from messagebird.error import ValidationError
from messagebird.request_validator import RequestValidator
from messagebird.signed_request import SignedRequest

warnings.simplefilter("ignore")


def accepts(case: dict[str, Any]) -> bool:
    """What the current verifier says; a missing url_hash, at which it fails, counts as refused."""
    jwt.api_jwt.datetime = capture.frozen(case["now"])
    validator = RequestValidator(case["credentials"]["signing_key"])
    token = case["headers"].get("MessageBird-Signature-JWT", "")
    try:
        validator.validate_signature(token, case["url"], case["body"].encode())
    except (ValidationError, KeyError):
        return False
    return True


def accepts_legacy(case: dict[str, Any]) -> bool:
    """What the deprecated verifier says."""
    messagebird.signed_request.time.time = lambda: case["now"]
    signed = SignedRequest(
        case["headers"].get("MessageBird-Signature", ""),
        case["headers"].get("MessageBird-Request-Timestamp", ""),
        case["body"],
        dict(parse_qsl(urlsplit(case["url"]).query, keep_blank_values=True)),
    )
    return signed.verify(case["credentials"]["signing_key"]) and signed.is_recent()


def answer(question: dict[str, Any]) -> dict[str, Any]:
    client = Client(question["credentials"]["access_token"])
    sent = [
        capture.sent(
            lambda message=message: client.message_create(
                message["sender"],
                [message["to"].lstrip("+")],
                message["text"],
                {
                    "reference": message["reference"],
                    "reportUrl": message["status_url"],
                    "datacoding": "auto",
                    "validity": message["validity"],
                },
            )
        )
        for message in question["messages"]
    ]
    return {
        "messages": sent,
        "check": capture.sent(client.balance),
        "list": capture.sent(lambda: client.message_list(limit=50)),
        "verdicts": [accepts(case) for case in question["signatures"]],
        "legacy": [accepts_legacy(case) for case in question["legacy"]],
    }


capture.answer(answer)
