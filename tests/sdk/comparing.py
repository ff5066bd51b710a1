"""Requests in comparable form: what is asked of the provider, however it is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from extensions.contract import ApiRequest, InvalidSignature, OutboundSms
from tests import provider_cases


@dataclass(frozen=True)
class Meaning:
    method: str
    url: str  # without the query
    query: Mapping[str, str]
    authorization: str
    coding: str  # "json", "form" or ""
    content: Any


def of_ours(request: ApiRequest) -> Meaning:
    """A request as we build it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    authorization = headers.get("authorization", "")
    if request.auth:
        authorization = "Basic " + base64.b64encode(":".join(request.auth).encode()).decode()
    url = urlsplit(request.url)
    if request.json is not None:
        coding, content = "json", request.json
    elif request.form is not None:
        coding, content = "form", dict(request.form)
    else:
        coding, content = "", None
    return Meaning(
        request.method, url._replace(query="").geturl(), dict(parse_qsl(url.query)), authorization, coding, content
    )


def of_theirs(sent: Mapping[str, Any]) -> Meaning:
    """A request as `capture.py` saw the SDK send it."""
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    url = urlsplit(sent["url"])
    coding, content = "", None
    if sent["method"] != "GET" and sent["body"]:
        coding = "json" if "json" in headers.get("content-type", "") else "form"
        content = (
            json.loads(sent["body"]) if coding == "json" else dict(parse_qsl(sent["body"], keep_blank_values=True))
        )
    return Meaning(
        sent["method"],
        url._replace(query="").geturl(),
        dict(parse_qsl(url.query)),
        headers.get("authorization", ""),
        coding,
        content,
    )


def question(sms: OutboundSms) -> dict[str, Any]:
    """The message as the SDK's script gets it."""
    return {
        "to": sms.to,
        "text": sms.text,
        "reference": sms.reference,
        "status_url": sms.status_url,
        "validity": int(sms.validity.total_seconds()),
    }


def signature_cases(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The signed and forged callbacks of a provider's file, as the SDK's script gets them."""
    found = []
    for _heading, case in provider_cases.cases(data, "signature"):
        provider = provider_cases.provider_of(data, case)
        request = provider_cases.callback_of(data, case, case.get("kind", "status"))
        found.append(
            {
                "name": case["name"],
                "method": request.method,
                "url": request.url,
                "headers": dict(request.headers),
                "body": request.body.decode(),
                "now": case.get("now", data.get("now", provider_cases.NOW)).timestamp(),
                "credentials": dict(provider.credentials),
            }
        )
    return found


def accepts(provider: Any, request: Any, now: Any) -> bool:
    """Whether our verification lets the callback in."""
    try:
        provider.verify(request, now=now)
    except InvalidSignature:
        return False
    return True


def differences(data: Mapping[str, Any], verdicts: list[bool]) -> dict[str, set[str]]:
    """The names of the cases that only the SDK accepts ("lax"), and of those that only we accept ("strict")."""
    cases = [case for _heading, case in provider_cases.cases(data, "signature")]
    assert len(cases) == len(verdicts)
    pairs = list(zip(cases, verdicts, strict=True))
    return {
        "lax": {case["name"] for case, theirs in pairs if theirs and not case["valid"]},
        "strict": {case["name"] for case, theirs in pairs if case["valid"] and not theirs},
    }
