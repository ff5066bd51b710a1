"""Twilio's SDK, asked what it sends and accepts. Runs in the SDKs' own environment."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qs

import capture
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client

logging.disable(logging.CRITICAL)


class Fields(dict):
    """All values of each field, as a web framework would hand them over."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def accepts(case: dict[str, Any]) -> bool:
    """Where the SDK fails, at a JSON body without its hash in the URL, nothing was accepted."""
    headers = case["headers"]
    body: Any = case["body"]
    if "json" not in headers.get("Content-Type", ""):
        body = Fields(parse_qs(body, keep_blank_values=True)) if case["method"] == "POST" else {}
    algorithm = get_signature_algorithm(headers.get("X-Twilio-Webhooks-Signature-Settings"))
    validator = RequestValidator(case["credentials"]["auth_token"])
    try:
        return validator.validate(case["url"], body, headers.get("X-Twilio-Signature", ""), algorithm)
    except TypeError:
        return False


def answer(question: dict[str, Any]) -> dict[str, Any]:
    credentials = question["credentials"]
    client = Client(credentials["account_sid"], credentials["auth_token"])

    def send(message: dict[str, Any]) -> dict[str, Any]:
        return capture.sent(
            lambda: client.messages.create(
                to=message["to"],
                body=message["text"],
                status_callback=message["status_callback"],
                validity_period=message["validity"],
                **message["sender"],
            )
        )

    return {
        "messages": [send(message) for message in question["messages"]],
        "check": capture.sent(client.api.v2010.accounts(credentials["account_sid"]).fetch),
        "lookup": capture.sent(
            lambda: client.messages.list(
                to=question["lookup"]["to"],
                from_=question["lookup"]["from"],
                page_size=300,
            )
        ),
        "verdicts": [accepts(case) for case in question["signatures"]],
    }


capture.answer(answer)
