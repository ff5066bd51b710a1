"""Providers that do not exist, for tests of what is the same for all.

`Sends`, `Reports` and `Acme` are the levels of CONTRIBUTING's recipe: one that only sends, one that reports too, one
that has everything. `Plain` has everything in the least form.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django import forms

from extensions.contract import (
    ApiRequest,
    ApiResponse,
    Capabilities,
    Category,
    Check,
    Delivery,
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    OutboundSms,
    Provider,
    Refused,
    SecretField,
    SenderKind,
    SendResult,
    WebhookCheck,
    WebhookRequest,
)


class Sends(Provider):
    key = "sends"
    name = "Only Sends"
    slug = "only-sends"
    host_patterns = (r"api\.acme\.example",)

    class Credentials(forms.Form):
        account = forms.RegexField(
            r"^AC\d{6}$",
            label="Account number",
            help_text="Settings → API.",
            error_messages={"invalid": "An account number is AC and six digits, for example AC123456."},
        )
        api_key = SecretField(label="API key", help_text="Settings → API → Show key.")
        region = forms.ChoiceField(label="Region", choices=[("eu", "Europe"), ("us", "United States")])

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        if re.fullmatch(r"[1-9]\d{7,14}", value):
            return value, SenderKind.NUMBER
        if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{3,11}", value):
            return value, SenderKind.ALPHANUMERIC
        if value.startswith(("+", "00")):
            raise forms.ValidationError(
                "Leave out the + or 00: %(suggestion)s.", params={"suggestion": value.lstrip("+0")}
            )
        raise forms.ValidationError("Write a number with its country code, or a word of 3 to 11 characters.")

    def build_check(self) -> ApiRequest:
        return ApiRequest("GET", "https://api.acme.example/account", auth=("", self.credentials["api_key"]))

    def parse_check(self, response: ApiResponse) -> Check:
        if response.status == 401:
            return Check(ok=False, detail="Acme says: “Key unknown” (401).")
        if response.status >= 429:
            return Check(ok=False, detail=f"Acme could not be asked ({response.status}).")
        return Check(ok=True, detail="Acme knows this account.")

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        return ApiRequest("POST", "https://api.acme.example/messages", json={"to": sms.to, "reference": sms.reference})

    def parse_send(self, response: ApiResponse) -> SendResult:
        if response.status != 202:
            raise Refused(Category.INVALID_RECIPIENT, "21: no such number")
        return SendResult(message_id="acme-1")


class Reports(Sends):
    key = "reports"
    name = "Reports Too"
    slug = "reports-too"
    setup = "Set “Reports” to {reports_url}\n"
    webhook_secrets = ("api_key",)

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        if request.header("X-Acme-Key") != self.credentials["api_key"]:
            raise InvalidSignature(Fault.SECRET, "wrong key")

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        found = request.json()["reports"]
        return [DeliveryReport(one["id"], one["reference"], status=Delivery(one["state"])) for one in found]


class Acme(Reports):
    key = "acme"
    name = "Acme SMS"
    slug = "acme-sms"
    docs_url = "https://docs.acme.example/sms/v2"
    keywords = ("Roadrunner",)
    coverage = "Worldwide, with local numbers in Japan."
    setup = (
        "1. In Acme, open Settings → Webhooks.\n"
        "2. Set “Reports” to {reports_url}\n"
        "3. Set “Incoming” to {inbound_url} and save.\n"
    )
    sender_help = "The country code first, for example 13531234567, or a word of up to 11 characters."
    webhook_check_note = "Acme signs every call with your API key."
    batch_size = 100

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        return [InboundSms(sms["id"], sms["from"], sms["to"], sms["text"]) for sms in request.json()["texts"]]


class Plain(Acme):
    key = "plain"
    name = "Plain Text"
    slug = "plain"
    keywords = ()
    coverage = ""
    setup = ""
    docs_url = ""
    batch_size = 1
    webhook_check = WebhookCheck.SECRET_URL

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        if not value.isdigit():
            raise forms.ValidationError("Write digits only.")
        return value, SenderKind.NUMBER

    @classmethod
    def capabilities(cls, kind: SenderKind) -> Capabilities:
        return Capabilities(two_way=False, stop_words_reach_us=False, delivery_reports=False)


def answers(*bodies: Any) -> Any:
    """A stand-in for `extensions.client.call` that gives these answers (status or exception) in turn, then repeats."""
    left = list(bodies)

    def call(provider: Provider, request: ApiRequest, **_options: Any) -> ApiResponse:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return ApiResponse(answer, body=b"{}")

    return call
