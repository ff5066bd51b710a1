"""Vonage's SDK, asked what it sends and accepts. Runs in the SDKs' own environment."""

from __future__ import annotations

import json
import warnings
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import capture
import jwt.api_jwt
from vonage import Auth, Vonage
from vonage_jwt import verify_signature
from vonage_jwt.errors import VonageVerifyJwtError
from vonage_sms import SmsMessage

warnings.simplefilter("ignore")
METHODS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # by the length of a signature


def parameters(case: dict[str, Any]) -> dict[str, Any] | None:
    if not case["body"]:
        return dict(parse_qsl(urlsplit(case["url"]).query, keep_blank_values=True))
    if "json" not in case["headers"].get("Content-Type", ""):
        return dict(parse_qsl(case["body"], keep_blank_values=True))
    try:
        return json.loads(case["body"])
    except ValueError:
        return None


def accepts(case: dict[str, Any]) -> bool:
    credentials = case["credentials"]
    secret = credentials["signature_secret"]
    authorization = case["headers"].get("Authorization", "")
    if authorization:
        jwt.api_jwt.datetime = capture.frozen(case["now"])
        try:
            return verify_signature(authorization.removeprefix("Bearer "), secret)
        except VonageVerifyJwtError:
            return False
    found = parameters(case)
    if found is None:
        return False
    method = credentials["signature_method"]
    if method == "auto":
        method = METHODS.get(len(found.get("sig", "")), "sha256")
    if method == "md5hash":
        return False  # the SDK cannot make it: None as its method raises TypeError
    auth = Auth(credentials["account_sid"], credentials["auth_token"], None, None, secret, method)
    return auth.check_signature(found)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    credentials = question["credentials"]
    client = Vonage(Auth(api_key=credentials["account_sid"], api_secret=credentials["auth_token"]))
    messages = [
        SmsMessage(
            to=message["to"].lstrip("+"),
            from_=message["sender"],
            text=message["text"],
            type=message["type"],
            client_ref=message["reference"],
            status_report_req=True,
            callback=message["status_url"],
            ttl=message["validity"] * 1000,
        )
        for message in question["messages"]
    ]
    signed = []
    for parameters in question["to_sign"]:
        for method in ("md5", "sha1", "sha256", "sha512"):
            auth = Auth(credentials["account_sid"], None, None, None, credentials["signature_secret"], method)
            signed.append({**parameters, "sig": auth.sign_params(dict(parameters))})
    return {
        "messages": [capture.sent(lambda message=message: client.sms.send(message)) for message in messages],
        "check": capture.sent(client.account.get_balance),
        "verdicts": [accepts(case) for case in question["signatures"]],
        "signed": signed,
    }


capture.answer(answer)
