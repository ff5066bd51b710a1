"""A made-up provider that sends and reports: the second level of CONTRIBUTING's recipe."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from django import forms

from extensions.contract import (
    SELF_TEST,
    ApiRequest,
    ApiResponse,
    Check,
    Delivery,
    DeliveryReport,
    Fault,
    InvalidSignature,
    Kind,
    OutboundSms,
    Provider,
    SecretField,
    SenderKind,
    SendResult,
    Unclear,
    Unreadable,
    WebhookRequest,
    self_test_id,
)
from extensions.reading import object_of

API = "https://api.magpie.example/v1"
STATES = {"sent": Delivery.SENT, "delivered": Delivery.DELIVERED, "absent": Delivery.UNDELIVERED}


class Magpie(Provider):
    key = "magpie"
    name = "Magpie"
    slug = "magpie-sms"
    docs_url = "https://docs.magpie.example/v1"
    coverage = "Numbers in Europe."
    setup = "1. In Magpie, open Settings.\n2. Set the address for reports to {reports_url}"
    sender_help = "A number of your account, with its country code."
    webhook_check_note = "Every call is signed with your API key."
    webhook_secrets = ("api_key",)
    host_patterns = (r"api\.magpie\.example",)
    messages_per_second: ClassVar[Mapping[SenderKind, float]] = {SenderKind.NUMBER: 5.0}

    class Credentials(forms.Form):
        api_key = SecretField(label="API key", help_text="Settings → API.")

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        if re.fullmatch(r"[1-9][0-9]{7,14}", value):
            return value, SenderKind.NUMBER
        raise forms.ValidationError("Write digits only, with the country code.")

    def build_check(self) -> ApiRequest:
        return ApiRequest("GET", f"{API}/account", auth=("key", self.credentials["api_key"]))

    def parse_check(self, response: ApiResponse) -> Check:
        return Check(ok=response.status == 200, detail=f"Magpie answered {response.status}.")

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        body = {"from": self.sender, "to": sms.to, "text": sms.text, "reference": sms.reference}
        return ApiRequest("POST", f"{API}/messages", auth=("key", self.credentials["api_key"]), json=body)

    def parse_send(self, response: ApiResponse) -> SendResult:
        data = object_of(response)
        if error := self.http_error(response, str(data.get("message", ""))):
            raise error
        if not isinstance(data.get("id"), str) or not data["id"]:
            raise Unclear("the answer has no id")
        return SendResult(data["id"])

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        said = request.header("X-Signature")
        if not said:
            raise InvalidSignature(Fault.UNSIGNED, "the header X-Signature is missing")
        if not hmac.compare_digest(said.encode(errors="replace"), self._signature(request).encode()):
            raise InvalidSignature(Fault.SECRET, "wrong signature")

    def _signature(self, request: WebhookRequest) -> str:
        signed = request.url.encode(errors="replace") + b"\n" + request.body
        return hmac.new(self.credentials["api_key"].encode(), signed, "sha256").hexdigest()

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        data = request.json()
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            raise Unreadable("There is no id.")
        reference, state = data.get("reference"), data.get("state")
        status = STATES.get(state, Delivery.UNKNOWN) if isinstance(state, str) else Delivery.UNKNOWN
        return [DeliveryReport(data["id"], reference if isinstance(reference, str) else "", status)]

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest | None:
        body = json.dumps({"id": self_test_id(now), "reference": SELF_TEST, "state": "sent"}).encode()
        sample = WebhookRequest("POST", url, {"Content-Type": "application/json"}, body)
        headers = {**sample.headers, "X-Signature": self._signature(sample)}
        return WebhookRequest("POST", url, headers, body)
