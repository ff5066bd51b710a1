"""Vonage, SMS API (rest.nexmo.com), with callbacks of the SMS API or of the Messages API."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from simulator import segments
from simulator.callbacks import Plan, doubling
from simulator.numbers import Fate
from simulator.providers.base import Provider, digits, jwt, plus, stamp
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message

HOSTS = {"", "rest.nexmo.com"}
NUMBER = re.compile(r"[1-9]\d{6,14}")
SENDER = re.compile(r"[1-9]\d{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
PRICE = "0.07250000"
NETWORK = "20408"
PART_LENGTH = 153  # letters per part of a long inbound text

REFUSALS = {  # fate: status, error-text
    Fate.INVALID_NUMBER: ("6", "The message was rejected - unroutable number"),
    Fate.NO_CREDIT: ("9", "Quota Exceeded - rejected"),
    Fate.SENDER_REFUSED: ("15", "Illegal Sender Address - rejected"),
}
RECEIPTS = {  # fate: status, err-code
    Fate.SENT: ("accepted", "0"),
    Fate.DELIVERED: ("delivered", "0"),
    Fate.UNDELIVERED: ("failed", "2"),
    Fate.FAILED: ("rejected", "1"),
    Fate.EXPIRED: ("expired", "1"),
    Fate.LANDLINE: ("failed", "12"),
    Fate.OPTED_OUT: ("rejected", "9"),
    Fate.CONTENT_REFUSED: ("rejected", "6"),
}
MESSAGES_API = {  # fate: status, error title
    Fate.SENT: ("submitted", ""),
    Fate.DELIVERED: ("delivered", ""),
    Fate.UNDELIVERED: ("rejected", "1330"),
    Fate.FAILED: ("undeliverable", "1250"),
    Fate.EXPIRED: ("rejected", "1331"),
    Fate.LANDLINE: ("rejected", "1190"),
    Fate.OPTED_OUT: ("rejected", "1240"),
    Fate.CONTENT_REFUSED: ("rejected", "1210"),
}


def signature(secret: str, parameters: dict[str, str], method: str) -> str:
    """The `sig` parameter; "md5hash" is the plain hash, the other methods are HMACs."""
    text = "".join(
        f"&{name}={re.sub('[&=]', '_', value)}" for name, value in sorted(parameters.items()) if name != "sig"
    )
    if method == "md5hash":
        return hashlib.md5((text + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest()


class Vonage(Provider):
    key = "vonage"
    credential_fields = ("account_sid", "auth_token", "signature_secret")
    example: ClassVar[Mapping[str, str]] = {
        "account_sid": "a1b2c3d4",
        "auth_token": "sandbox-api-secret",
        "signature_secret": "ThisIsTheSignatureSecretOf32Chars",
        "signature_method": "auto",
        "sender": "13531234567",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "signed": "false: callbacks are not signed",
        "signature_method": "md5hash, md5, sha1, sha256 or sha512",
        "webhook_format": "POST-JSON, POST or GET",
        "messages_api": "true: callbacks of the Messages API",
    }

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        if call.host not in HOSTS:
            return _problem(404, "Not Found")
        match call.method, call.path.rstrip("/"):
            case "POST" | "GET", "/sms/json":
                return self._send(call)
            case "GET", "/account/get-balance":
                account = self._account(call, call.query)
                if account is None:
                    return Answer.json(401, {"error-code": "401", "error-code-label": "authentication failed"})
                return Answer.json(200, {"value": account.balance, "autoReload": False})
            case "GET", "/account/numbers":
                account = self._account(call, call.query)
                if account is None:
                    return Answer.json(401, {"error-code": "401", "error-code-label": "authentication failed"})
                rows = [
                    {"country": "GB", "msisdn": digits(number), "type": "mobile-lvn", "features": ["SMS", "VOICE"]}
                    for number in self.numbers(account)
                ]
                return Answer.json(200, {"count": len(rows), "numbers": rows})
            case "POST", "/account/settings":
                return self._settings(call)
        return _problem(404, "Not Found")

    def unreadable(self, detail: str) -> Answer:
        return _failure("3", detail)

    def unauthorised(self) -> Answer:
        return _problem(401, "Unauthorized")

    def throttled(self, wait: float | None) -> Answer:
        answer = _problem(429, "Rate Limit Hit")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def over_rate(self, submission: Submission, wait: float) -> Answer:
        milliseconds = max(round(wait * 1000), 1)
        return _failure("1", f"Throughput Rate Exceeded - please wait [ {milliseconds} ] and retry")

    def broken(self, status: int) -> Answer:
        return _problem(status, "Internal Server Error")

    # --- accounts -------------------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        return credentials["account_sid"]

    def _account(self, call: Call, parameters: dict[str, str]) -> Account | None:
        """By Basic authentication, by api_key and api_secret, or by api_key and sig."""
        key, secret = call.basic() or (parameters.get("api_key", ""), parameters.get("api_secret", ""))
        if not secret and parameters.get("sig"):
            call.account = account = self.world.account(self.key, key)
            if account is None:
                return None
            expected = signature(account.credentials.get("signature_secret", ""), parameters, self._method(account))
            return account if hmac.compare_digest(expected, parameters["sig"].lower()) else None
        account = self.known(call, key, account_sid=key, auth_token=secret)
        return account if account and account.credentials["auth_token"] == secret else None

    def _method(self, account: Account) -> str:
        method = account.settings.get("signature_method") or account.credentials.get("signature_method", "")
        return method if method in ("md5hash", "md5", "sha1", "sha256", "sha512") else "md5hash"

    def _settings(self, call: Call) -> Answer:
        parameters = {**call.query, **call.form()}
        account = self._account(call, parameters)
        if account is None:
            return Answer.json(401, {"error-code": "401", "error-code-label": "authentication failed"})
        account.inbound_url = parameters.get("moCallBackUrl", account.inbound_url)
        account.reports_url = parameters.get("drCallBackUrl", account.reports_url)
        most = int(account.rate or 30)
        return Answer.json(
            200,
            {
                "mo-callback-url": account.inbound_url,
                "dr-callback-url": account.reports_url,
                "max-outbound-request": most,
                "max-inbound-request": 30,
                "max-calls-per-second": most,
            },
        )

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call) -> Answer | Submission:
        form = {**call.query, **call.form()}
        if form.get("sig") and form.get("api_secret"):
            return _failure("32", "Signature And API Secret Both Supplied")
        account = self._account(call, form)
        if account is None:
            return _failure("14", "Invalid Signature") if form.get("sig") else _failure("4", "Bad Credentials")
        if account.suspended:
            return _failure("8", "Account Barred")
        problem = _check(form)
        if problem:
            return problem
        to, text, unicode = plus(form["to"]), form["text"], form.get("type") == "unicode"
        ending = self.ending(account, to)
        if ending.fate in REFUSALS:
            return _failure(*REFUSALS[ending.fate])
        if not unicode:
            text = segments.to_gsm(text)  # nothing is converted by itself: other letters are lost
        draft = Draft(
            to,
            form["from"],
            text,
            ending,
            reference=form.get("client-ref", ""),
            status_url=form.get("callback", ""),
            segments=segments.count_ucs2(text) if unicode else segments.count(text),
            extra={"report": form.get("status-report-req", "1") not in ("0", "false")},
        )
        return Submission(account, [draft], _accepted)

    def new_id(self) -> str:
        """The first part's id; the others count on from it."""
        return f"0A{self.hex(13).upper()}01"

    # --- what happens to a text -----------------------------------------------------------------------------------

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        """One receipt per part."""
        account = message.account
        url = message.status_url or account.reports_url
        if not url or not message.extra.get("report", True):
            return []
        requests = []
        for id in _part_ids(message):
            if account.settings.get("messages_api"):
                requests.append(Outgoing.json(url, _messages_status(message, id, fate)))
                continue
            status, code = RECEIPTS[fate]
            fields = {
                "msisdn": digits(message.to),
                "to": message.sender,
                "network-code": NETWORK,
                "messageId": id,
                "price": "0.00000000" if fate is Fate.OPTED_OUT else PRICE,
                "status": status,
                "scts": stamp(time.time(), "%y%m%d%H%M"),
                "err-code": code,
                "api-key": account.id,
                "message-timestamp": stamp(time.time(), "%Y-%m-%d %H:%M:%S"),
            }
            if message.reference:
                fields["client-ref"] = message.reference
            requests.append(_callback(account, url, fields))
        return requests

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        """A long text arrives part by part, in any order; the Messages API joins it."""
        if not account.inbound_url:
            return []
        if account.settings.get("messages_api"):
            return self._messages_inbound(account, sender, recipient, text)
        count = segments.count(text)
        length = PART_LENGTH if segments.to_gsm(text) == text else 67
        parts = [text[start : start + length] for start in range(0, len(text), length)] if count > 1 else [text]
        reference = str(self.world.random.randrange(1, 256))
        now, words, found = time.time(), text.split(), []
        for number, part in enumerate(parts, 1):
            id = f"0B{self.hex(14).upper()}"
            fields = {
                "msisdn": digits(sender),
                "to": digits(recipient),
                "messageId": id,
                "text": part,
                "type": "text" if segments.to_gsm(text) == text else "unicode",
                "keyword": words[0].upper() if words else "",
                "api-key": account.id,
                "message-timestamp": stamp(now, "%Y-%m-%d %H:%M:%S"),
            }
            if len(parts) > 1:
                fields |= {
                    "concat": "true",
                    "concat-ref": reference,
                    "concat-total": str(len(parts)),
                    "concat-part": str(number),
                }
            found.append((id, _callback(account, account.inbound_url, fields)))
        self.world.random.shuffle(found)
        return found

    def _messages_inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        id = self.uuid()
        body = {
            "channel": "sms",
            "message_uuid": id,
            "to": digits(recipient),
            "from": digits(sender),
            "timestamp": stamp(time.time(), "%Y-%m-%dT%H:%M:%SZ"),
            "text": text,
            "message_type": "text",
            "sms": {"num_messages": str(segments.count(text))},
            "usage": {"currency": "EUR", "price": "0.0"},
        }
        return [(id, Outgoing.json(account.inbound_url, body))]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """5 s doubling up to 15 minutes, for 24 hours; other 4xx are final."""
        return Plan(doubling(5, 900, 24 * 3600), frozenset({"ct", "rt", "429", "5xx"}))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """A `sig` parameter, or the Messages API's token; nothing where support has not switched signing on."""
        secret = account.credentials.get("signature_secret", "")
        if not secret or not account.settings.get("signed", True):
            return outgoing
        now, headers = int(time.time()), dict(outgoing.headers)
        if account.settings.get("messages_api"):
            claims: dict[str, object] = {
                "iat": now,
                "jti": self.uuid(),
                "iss": "Vonage",
                "payload_hash": hashlib.sha256(outgoing.body).hexdigest(),
                "api_key": account.id,
            }
            headers["Authorization"] = f"Bearer {jwt(secret, claims)}"
            return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)
        added = {"timestamp": str(now), "nonce": self.uuid()}
        parts = urlsplit(outgoing.bare_url)
        if outgoing.method == "GET":
            # Parameters that belong to the customer's URL come first; all are signed alike.
            parameters = dict(parse_qsl(parts.query, keep_blank_values=True)) | added
            parameters["sig"] = signature(secret, parameters, self._method(account))
            url = parts._replace(query=urlencode(parameters)).geturl()
            return Outgoing("GET", url, headers, b"")
        is_json = headers.get("Content-Type", "").startswith("application/json")
        text = outgoing.body.decode()
        parameters = json.loads(text) if is_json else dict(parse_qsl(text, keep_blank_values=True))
        parameters = {name: str(value) for name, value in parameters.items()} | added
        parameters["sig"] = signature(secret, parameters, self._method(account))
        body = json.dumps(parameters) if is_json else urlencode(parameters)
        return Outgoing(outgoing.method, outgoing.url, headers, body.encode())


def _callback(account: Account, url: str, fields: dict[str, str]) -> Outgoing:
    """In the account's "Webhook format"."""
    match account.settings.get("webhook_format", "POST-JSON"):
        case "GET":
            return Outgoing("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}")
        case "POST":
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Outgoing("POST", url, headers, urlencode(fields).encode())
    return Outgoing.json(url, fields)


def _part_ids(message: Message) -> list[str]:
    return [f"{message.id[:-2]}{part:02X}" for part in range(1, message.segments + 1)]


def _messages_status(message: Message, id: str, fate: Fate) -> dict[str, Any]:
    status, title = MESSAGES_API[fate]
    body: dict[str, Any] = {
        "message_uuid": id,
        "to": digits(message.to),
        "from": message.sender,
        "timestamp": stamp(time.time(), "%Y-%m-%dT%H:%M:%SZ"),
        "status": status,
        "channel": "sms",
        "usage": {"currency": "EUR", "price": PRICE},
        "destination": {"network_code": NETWORK},
        "sms": {"count_total": str(message.segments)},
    }
    if message.reference:
        body["client_ref"] = message.reference
    if title:
        body["error"] = {
            "type": f"https://developer.vonage.com/api-errors/messages#{title}",
            "title": title,
            "detail": "Simulated failure",
            "instance": id,
        }
    return body


def _accepted(messages: list[Message]) -> Answer:
    message = messages[0]
    entries = [
        {
            "to": digits(message.to),
            "message-id": id,
            "status": "0",
            "remaining-balance": f"{message.account.balance:.8f}",
            "message-price": PRICE,
            "network": NETWORK,
            **({"client-ref": message.reference} if message.reference else {}),
        }
        for id in _part_ids(message)
    ]
    return Answer.json(200, {"message-count": str(len(entries)), "messages": entries})


def _check(form: dict[str, str]) -> Answer | None:
    for name in ("from", "to", "text"):
        if not form.get(name):
            return _failure("2", f"Missing {name} param")
    if not NUMBER.fullmatch(form["to"]):
        return _failure("3", "Invalid to param")
    if not SENDER.fullmatch(form["from"]):
        return _failure("3", "Invalid from param")
    if form.get("type", "text") not in ("text", "unicode", "binary"):
        return _failure("3", "Invalid type param")
    if len(form.get("client-ref", "")) > 40:
        return _failure("3", "Invalid client-ref param")
    ttl = form.get("ttl", "259200000")
    if not ttl.isdigit() or not 20_000 <= int(ttl) <= 604_800_000:
        return _failure("3", "Invalid ttl param")
    if len(form["text"]) > 3200:
        return _failure("12", "Message Too Long")
    callback = form.get("callback", "")
    if callback and (len(callback) > 100 or not callback.startswith(("http://", "https://"))):
        return _failure("23", "Invalid Callback URL")
    return None


def _failure(status: str, text: str) -> Answer:
    """HTTP 200 all the same: the status of the message counts."""
    return Answer.json(200, {"message-count": "1", "messages": [{"status": status, "error-text": text}]})


def _problem(status: int, title: str) -> Answer:
    return Answer.json(
        status,
        {
            "type": f"https://developer.vonage.com/api-errors#{title.lower().replace(' ', '-')}",
            "title": title,
            "detail": title,
            "instance": "797a8f199c45014ab7b08bfe9cc1c12c",
        },
    )
