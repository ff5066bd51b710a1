"""MessageBird (Bird), classic SMS API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from simulator import segments
from simulator.callbacks import Plan, doubling
from simulator.numbers import Fate
from simulator.providers.base import Provider, digits, fingerprint, jwt, plus, stamp
from simulator.wire import Answer, BadRequest, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message

HOSTS = {"", "rest.messagebird.com"}
NUMBERS_HOST = "numbers.messagebird.com"
RECIPIENT_LIMIT = 50
PART_LIMIT = 9
KEY_LENGTH = 8  # shorter ones are not keys
NUMBER = re.compile(r"[1-9]\d{6,14}")
ORIGINATOR = re.compile(r"\d{3,17}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
SIGNATURE_LIFE = 60  # seconds

REPORTS: dict[Fate, tuple[str, str, int | None]] = {  # fate: status, statusReason, statusErrorCode
    Fate.SENT: ("sent", "", None),
    Fate.DELIVERED: ("delivered", "successfully delivered", None),
    Fate.UNDELIVERED: ("delivery_failed", "absent subscriber", 27),
    Fate.FAILED: ("delivery_failed", "received network error", 34),
    Fate.EXPIRED: ("expired", "expired", None),
    Fate.LANDLINE: ("delivery_failed", "unknown subscriber", 1),
    Fate.OPTED_OUT: ("delivery_failed", "opted out", 103),
    Fate.CONTENT_REFUSED: ("delivery_failed", "carrier rejected", None),
}


class MessageBird(Provider):
    key = "messagebird"
    success_status = 201
    credential_fields = ("signing_key", "access_token")
    example: ClassVar[Mapping[str, str]] = {
        "signing_key": "PlLrKaqvZNRR5zAjm42ZT6q1SQxgbbGe",
        "access_token": "live_sandbox0accesskey000",
        "sender": "13531234567",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "inbound_format": "direct, flow, json or get",
        "legacy_signature": "true: the older signature",
    }

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        if call.host not in {*HOSTS, NUMBERS_HOST}:
            return _error(404, 98, "Not found (no such endpoint)")
        account = self._account(call)
        if account is None or account.suspended:
            return self.unauthorised()
        match call.method, call.segments:
            case "GET", ["v1", "phone-numbers"] if call.host in ("", NUMBERS_HOST):
                rows = [
                    {"number": digits(number), "country": "NL", "features": ["sms", "voice"], "status": "active"}
                    for number in self.numbers(account)
                ]
                page = {"offset": 0, "limit": 100, "count": len(rows), "totalCount": len(rows), "items": rows}
                return Answer.json(200, page)
            case "POST", ["messages"]:
                return self._send(call, account)
            case "GET", ["messages"]:
                return self._list(call, account)
            case "GET", ["messages", id]:
                message = self.world.messages.get((self.key, id))
                if message is None or message.account is not account:
                    return _error(404, 20, "message not found")
                return Answer.json(200, _resource(_together(message)))
            case "GET", ["balance"]:
                balance = {"payment": "prepaid", "type": "credits", "amount": account.balance}
                return Answer.json(200, balance)
        return _error(404, 98, "Not found (no such endpoint)")

    def unreadable(self, detail: str) -> Answer:
        return _error(422, 21, detail)

    def unauthorised(self) -> Answer:
        return _error(401, 2, "Request not allowed (incorrect access_key)", "access_key")

    def throttled(self, wait: float | None) -> Answer:
        answer = _error(429, 429, "Too many requests")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def broken(self, status: int) -> Answer:
        return _error(status, 99, "Internal error")

    # --- accounts -------------------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        return fingerprint(credentials["access_token"])

    def _account(self, call: Call) -> Account | None:
        user, password = call.basic() or ("", "")
        key = call.token("AccessKey") or (password if user == "AccessKey" else "") or call.query.get("access_key", "")
        return self.known(call, fingerprint(key), access_token=key) if len(key) >= KEY_LENGTH else None

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call, account: Account) -> Answer | Submission:
        try:
            body: dict[str, Any] = call.object()
        except BadRequest:
            body = dict(call.form())
        recipients = _recipients(body.get("recipients"))
        problem = _check(body, recipients)
        if problem:
            return problem
        text = str(body["body"])
        coding = body.get("datacoding", "plain")
        if coding == "plain":
            text = segments.to_gsm(text)  # the default replaces what the GSM alphabet lacks
        parts = segments.count_ucs2(text) if coding == "unicode" else segments.count(text)
        if parts > PART_LIMIT:
            return _error(422, 10, "body is too long", "body")
        extra = {"request": body, "coding": _coding(coding, text), "created": time.time()}
        drafts = []
        for recipient in recipients:
            to = plus(recipient)
            ending = self.ending(account, to)
            if ending.fate is Fate.NO_CREDIT:
                return _error(402, 25, "Not enough balance")
            if ending.fate is Fate.SENDER_REFUSED:
                return _error(422, 10, "originator is not allowed", "originator")
            if ending.fate is not Fate.INVALID_NUMBER:  # wrong ones are left out, unless none is right
                drafts.append(
                    Draft(
                        to,
                        str(body["originator"]),
                        text,
                        ending,
                        reference=str(body.get("reference") or ""),
                        status_url=str(body.get("reportUrl") or ""),
                        segments=parts,
                        extra=extra,
                    )
                )
        if not drafts:
            return _error(422, 9, "no (correct) recipients found", "recipient")
        id = self.new_id()  # one for all recipients
        for draft in drafts:
            draft.id = id

        def answer(accepted: list[Message]) -> Answer:
            extra["together"] = accepted
            return Answer.json(201, _resource(accepted))

        return Submission(account, drafts, answer)

    def new_id(self) -> str:
        return self.hex(32)

    def _list(self, call: Call, account: Account) -> Answer:
        query = call.query
        limit, offset = query.get("limit", "20"), query.get("offset", "0")
        if not limit.isdigit() or not offset.isdigit():
            return _error(422, 10, "limit and offset must be numbers", "limit")
        try:
            first = _moment(query.get("from", "")) or 0.0
            last = _moment(query.get("until", "")) or float("inf")
        except ValueError:
            return _error(422, 10, "from and until must be dates in RFC 3339 format", "from")
        wanted = query.get("recipient", "")
        found = account.sent_to.get(plus(wanted), []) if wanted else account.messages
        found = [message for message in reversed(found) if first <= message.time <= last]
        if query.get("originator"):
            found = [message for message in found if message.sender == query["originator"]]
        groups = list({message.id: _together(message) for message in found}.values())
        chosen = groups[int(offset) : int(offset) + int(limit)]
        return Answer.json(
            200,
            {
                "offset": int(offset),
                "limit": int(limit),
                "count": len(chosen),
                "totalCount": len(groups),
                "links": {"first": None, "previous": None, "next": None, "last": None},
                "items": [_resource(group) for group in chosen],
            },
        )

    # --- what happens to a text -----------------------------------------------------------------------------------

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        """A GET with everything in the query; none without a reference."""
        url = message.status_url or message.account.reports_url
        if not url or not message.reference:
            return []
        status, reason, code = REPORTS[fate]
        fields = {
            "datacoding": message.extra.get("coding", "plain"),
            "id": message.id,
            "mccmnc": "20408",
            "messageLength": str(len(message.text)),
            "messagePartCount": str(message.segments),
            "ported": "0",
            "price[amount]": f"{0.075 * message.segments:.3f}",
            "price[currency]": "EUR",
            "recipient": digits(message.to),
            "reference": message.reference,
            "status": status,
            "statusDatetime": _rfc3339(time.time()),
        }
        if reason:
            fields["statusReason"] = reason
        if code is not None:
            fields["statusErrorCode"] = str(code)
        return [Outgoing("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}")]

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        """As the customer wired it: "direct" (form), "flow" (form), "json" (flow) or "get"."""
        url = account.inbound_url
        if not url:
            return []
        id, to, person = self.new_id(), digits(recipient), digits(sender)
        direct = {
            "id": id,
            "recipient": to,
            "originator": person,
            "body": text,
            "createdDatetime": _rfc3339(time.time()),
        }
        flow = {"originator": person, "payload": text, "recipient": to}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        match account.settings.get("inbound_format", "direct"):
            case "flow":
                outgoing = Outgoing("POST", url, form, urlencode(flow).encode())
            case "json":
                outgoing = Outgoing.json(url, flow)
            case "get":
                outgoing = Outgoing("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(direct)}")
            case _:
                outgoing = Outgoing("POST", url, form, urlencode(direct).encode())
        return [(id, outgoing)]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """Several repeats; how many and when is not documented."""
        return Plan(doubling(60, 3600, 12 * 3600))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """A token over URL and body; `legacy_signature` is the older scheme, over query and body."""
        secret = account.credentials.get("signing_key", "")
        if not secret:
            return outgoing
        now, url, headers = int(time.time()), outgoing.bare_url, dict(outgoing.headers)
        if account.settings.get("legacy_signature"):
            parameters = sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
            body_hash = hashlib.sha256(outgoing.body).digest()
            signed = f"{now}\n{urlencode(parameters)}\n".encode() + body_hash
            headers["MessageBird-Signature"] = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
            headers["MessageBird-Request-Timestamp"] = str(now)
        else:
            claims: dict[str, object] = {
                "iss": "MessageBird",
                "nbf": now,
                "exp": now + SIGNATURE_LIFE,
                "jti": self.uuid(),
                "url_hash": hashlib.sha256(url.encode()).hexdigest(),
            }
            if outgoing.body:
                claims["payload_hash"] = hashlib.sha256(outgoing.body).hexdigest()
            headers["MessageBird-Signature-JWT"] = jwt(secret, claims)
        return Outgoing(outgoing.method, url, headers, outgoing.body)


def _recipients(value: object) -> list[str]:
    """A list of numbers or texts, or one text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value] if isinstance(value, list) else []


def _check(body: dict[str, Any], recipients: list[str]) -> Answer | None:
    for name in ("originator", "body"):
        if not body.get(name):
            return _error(422, 9, f"{name} is required", name)
    if not recipients:
        return _error(422, 9, "no (correct) recipients found", "recipient")
    if len(recipients) > RECIPIENT_LIMIT:
        return _error(422, 10, f"at most {RECIPIENT_LIMIT} recipients", "recipients")
    if not all(NUMBER.fullmatch(recipient) for recipient in recipients):
        return _error(422, 9, "no (correct) recipients found", "recipient")
    if not ORIGINATOR.fullmatch(str(body["originator"])):
        return _error(422, 10, "originator is invalid", "originator")
    if body.get("datacoding", "plain") not in ("plain", "unicode", "auto"):
        return _error(422, 10, "datacoding is invalid", "datacoding")
    if not str(body.get("validity") or "1").isdigit():
        return _error(422, 10, "validity must be a number of seconds", "validity")
    return None


def _coding(asked: str, text: str) -> str:
    if asked != "auto":
        return asked
    return "plain" if segments.to_gsm(text) == text else "unicode"


def _together(message: Message) -> list[Message]:
    """The messages of the same request, which share one id."""
    return list(message.extra.get("together") or [message])


def _resource(messages: list[Message]) -> dict[str, Any]:
    first = messages[0]
    request, id = first.extra.get("request", {}), first.id
    items = []
    for message in messages:
        status, reason, code = REPORTS[message.fate or Fate.SENT]
        item: dict[str, Any] = {
            "recipient": int(digits(message.to)),
            "status": status,
            "statusDatetime": _rfc3339(message.time),
            "messagePartCount": message.segments,
        }
        if message.fate not in (None, Fate.SENT):
            item |= {
                "statusReason": reason,
                "statusErrorCode": code,
                "messageLength": len(message.text),
                "mccmnc": "20408",
                "price": {"amount": 0.075 * message.segments, "currency": "EUR"},
            }
        items.append(item)
    delivered = sum(item["status"] == "delivered" for item in items)
    failed = sum(item["status"] in ("delivery_failed", "expired") for item in items)
    return {
        "id": id,
        "href": f"https://rest.messagebird.com/messages/{id}",
        "direction": "mt",
        "type": "sms",
        "originator": first.sender,
        "body": first.text,
        "reference": first.reference or None,
        "validity": request.get("validity"),
        "gateway": 10,
        "typeDetails": {},
        "datacoding": first.extra.get("coding", "plain"),
        "mclass": 1,
        "scheduledDatetime": None,
        "createdDatetime": _rfc3339(first.time),
        "recipients": {
            "totalCount": len(items),
            "totalSentCount": len(items),
            "totalDeliveredCount": delivered,
            "totalDeliveryFailedCount": failed,
            "items": items,
        },
    }


def _rfc3339(moment: float) -> str:
    return stamp(moment, "%Y-%m-%dT%H:%M:%S+00:00")


def _moment(text: str) -> float | None:
    """Raises ValueError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text.replace(" ", "+"))  # a bare plus in a query arrives as a blank
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _error(status: int, code: int, description: str, parameter: str | None = None) -> Answer:
    return Answer.json(status, {"errors": [{"code": code, "description": description, "parameter": parameter}]})
