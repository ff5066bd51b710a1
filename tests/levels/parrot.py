"""A made-up provider that only sends: the first level of CONTRIBUTING's recipe, as a file in extensions/providers/."""

from __future__ import annotations

import re

from django import forms

from extensions.contract import (
    ApiRequest,
    ApiResponse,
    Check,
    OutboundSms,
    Provider,
    SecretField,
    SenderKind,
    SendResult,
    Unclear,
)
from extensions.reading import object_of

API = "https://api.parrot.example/v2"


class Parrot(Provider):
    key = "parrot"
    name = "Parrot & Söhne"
    slug = "parrot-sms"
    docs_url = "https://docs.parrot.example/v2"
    coverage = "Numbers in all countries."
    setup = "Let Parrot enable its API for your account."
    sender_help = "A number of your account, with its country code."
    host_patterns = (r"api\.parrot\.example",)

    class Credentials(forms.Form):
        api_key = SecretField(label="API key", help_text="Settings → API.")

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        if re.fullmatch(r"[1-9][0-9]{7,14}", value):
            return value, SenderKind.NUMBER
        raise forms.ValidationError("Write digits only, with the country code.")

    def build_check(self) -> ApiRequest:
        return ApiRequest("GET", f"{API}/account", headers=self._headers())

    def parse_check(self, response: ApiResponse) -> Check:
        if response.status == 200:
            return Check(ok=True, detail="Parrot knows this key.")
        return Check(ok=False, detail=f"Parrot answered {response.status}.")

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        body = {"from": self.sender, "to": sms.to, "text": sms.text, "reference": sms.reference}
        return ApiRequest("POST", f"{API}/messages", headers=self._headers(), json=body)

    def parse_send(self, response: ApiResponse) -> SendResult:
        data = object_of(response)
        if error := self.http_error(response, str(data.get("message", ""))):
            raise error
        if not isinstance(data.get("id"), str) or not data["id"]:
            raise Unclear("the answer has no id")
        return SendResult(data["id"])

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Key {self.credentials['api_key']}"}
