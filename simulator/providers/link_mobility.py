"""LINK Mobility, common platform SMS REST API."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from simulator import segments
from simulator.callbacks import Plan, doubling
from simulator.numbers import Fate, ending_with
from simulator.providers.base import Provider, basic, stamp
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message

HOST = re.compile(r"wsx\.sp247\.net|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.linkmobility\.io")
BATCH_LIMIT = 1000
SEGMENT_LIMIT = 254
DESTINATION = re.compile(r"\+[1-9]\d{6,14}")
SOURCES = {  # sourceTON: what the source must look like
    "MSISDN": re.compile(r"\+[1-9]\d{6,14}"),
    "SHORTNUMBER": re.compile(r"\d{1,14}"),
    "ALPHANUMERIC": re.compile(r"(?=[^0-9+])[\x20-\x7e]{2,11}"),
}

RESULTS = {  # fate: resultCode, in reports; almost nothing is refused at once
    Fate.SENT: 1000,
    Fate.DELIVERED: 1001,
    Fate.UNDELIVERED: 1006,
    Fate.FAILED: 2,
    Fate.EXPIRED: 1002,
    Fate.INVALID_NUMBER: 2104,
    Fate.OPTED_OUT: 2105,
    Fate.LANDLINE: 2101,
    Fate.NO_CREDIT: 106,
    Fate.SENDER_REFUSED: 2000,
    Fate.CONTENT_REFUSED: 3000,
}
QUEUED = 1005
THROTTLED = 3


class LinkMobility(Provider):
    key = "link_mobility"
    credential_fields = ("username", "password", "platform_id", "platform_partner_id", "endpoint_host", "gate_id")
    example: ClassVar[Mapping[str, str]] = {
        "username": "linkuser",
        "password": "sandbox-link-password",
        "platform_id": "COMMON_API",
        "platform_partner_id": "23456",
        "endpoint_host": "wsx.sp247.net",
        "gate_id": "p3TfV6nE",
        "sender": "+353861000000",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "gate_username": "in place of the API's",
        "gate_password": "in place of the API's",
        "gate_headers": "what the gate adds to its calls",
        "acknowledge": "true: an answer without a body is none",
    }

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        if call.host and not HOST.fullmatch(call.host):
            return _error(404, 404, "Not found")
        account = self._account(call)
        if account is None:
            return self.unauthorised()
        if call.host and account.credentials.get("endpoint_host", call.host) != call.host:
            return self.unauthorised()
        if account.suspended:
            return _error(403, 106101, "Access denied")
        match call.method, call.segments:
            case "POST", ["sms", "send"]:
                return self._send(account, call.object())
            case "POST", ["sms", "sendbatch"]:
                return self._send_batch(account, call.object())
            case "GET", ["gate", "partnergate", "platform", platform, "partner", partner, *rest]:
                return self._gate(account, platform, partner, rest)
        return _error(404, 404, "Not found")

    def unreadable(self, detail: str) -> Answer:
        return _error(400, 400, detail)

    def unauthorised(self) -> Answer:
        return _error(401, 106100, "Authentication failed")

    def throttled(self, wait: float | None) -> Answer:
        answer = _error(429, 429, "Too many requests")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def over_rate(self, submission: Submission, wait: float) -> Answer:
        """The excess is not a status but a result code, without a message id."""
        if submission.drafts and submission.drafts[0].extra["batch"]:
            entries = [
                {"refId": draft.reference, "resultCode": THROTTLED, "message": "Throttling exceeded"}
                for draft in submission.drafts
            ]
            return Answer.json(200, entries)
        return Answer.json(200, {"resultCode": THROTTLED, "description": "Throttling exceeded"})

    def broken(self, status: int) -> Answer:
        return _error(status, 106000, "Unknown error")

    # --- accounts and gates ---------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        return credentials["username"]

    def _account(self, call: Call) -> Account | None:
        user, password = call.basic() or ("", "")
        account = self.known(call, user, username=user, password=password)
        return account if account and account.credentials["password"] == password else None

    def _gate(self, account: Account, platform: str, partner: str, rest: list[str]) -> Answer:
        known = account.credentials
        if known.get("platform_id", platform) != platform:
            return _error(400, 103201, "Invalid platformId")
        if known.get("platform_partner_id", partner) != partner:
            return _error(400, 103202, "Invalid platformPartnerId")
        gate_id = rest[1] if len(rest) == 2 and rest[0] == "id" else known.get("gate_id", "")
        gate: dict[str, Any] = {
            "type": "PARTNER_GATE",
            "id": gate_id,
            "refId": None,
            "platformId": platform,
            "platformPartnerId": partner,
            "destinations": [
                {
                    "url": url,
                    "contentType": "application/json",
                    "username": account.settings.get("gate_username", known["username"]),
                    "password": account.settings.get("gate_password", known["password"]),
                    "customParameters": {},
                }
                for url in dict.fromkeys((account.reports_url, account.inbound_url))
                if url
            ],
            "gateType": "ALL",
            "ttl": 172_800_000,
            "acknowledge": bool(account.settings.get("acknowledge")),
            "throttle": 100,
            "customParameters": {},
        }
        if not rest:
            return Answer.json(200, [gate])
        if len(rest) != 2 or rest[0] != "id" or known.get("gate_id", gate_id) != gate_id:
            return _error(404, 103304, "Gate not found")
        return Answer.json(200, gate)

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, account: Account, body: dict[str, Any]) -> Answer | Submission:
        problem = self._shared_problem(account, body) or _message_problem(body)
        if problem:
            return problem
        draft = self._draft(account, body, body, batch=False)

        def answer(accepted: list[Message]) -> Answer:
            return Answer(204) if body.get("ignoreResponse") is True else Answer.json(200, _entry(accepted[0]))

        return Submission(account, [draft], answer)

    def _send_batch(self, account: Account, body: dict[str, Any]) -> Answer | Submission:
        messages = body.get("sendRequestMessages")
        if not isinstance(messages, list) or not 1 <= len(messages) <= BATCH_LIMIT:
            return _error(400, 400, f"sendRequestMessages must hold 1 to {BATCH_LIMIT} messages")
        problem = self._shared_problem(account, body)
        for message in messages:
            problem = problem or _message_problem(message)
        if problem:
            return problem
        drafts = [self._draft(account, body, message, batch=True) for message in messages]

        def answer(accepted: list[Message]) -> Answer:
            entries = [_entry(message) for message in accepted]
            return Answer(204) if body.get("ignoreResponse") is True else Answer.json(200, entries)

        return Submission(account, drafts, answer)

    def _shared_problem(self, account: Account, body: dict[str, Any]) -> Answer | None:
        known, gates = account.credentials, body.get("deliveryReportGates") or []
        platform, partner = str(body.get("platformId") or ""), str(body.get("platformPartnerId") or "")
        if not platform or known.get("platform_id", platform) != platform:
            return _error(400, 106200, "Invalid platformId")
        if not partner or known.get("platform_partner_id", partner) != partner:
            return _error(400, 106201, "Invalid platformPartnerId")
        if body.get("useDeliveryReport", True) and not gates:
            return _error(400, 106300, "No gate for delivery reports")
        if gates and known.get("gate_id", gates[0]) not in gates:
            return _error(400, 106301, "Gate not available")
        if not account.registered:
            account.credentials.update(platform_id=platform, platform_partner_id=partner)
            if gates:
                account.credentials["gate_id"] = str(gates[0])
        return None

    def _draft(self, account: Account, shared: dict[str, Any], message: dict[str, Any], *, batch: bool) -> Draft:
        to, source, text = message["destination"], message["source"], message["userData"]
        ending = self.ending(account, to)
        pattern = SOURCES.get(message.get("sourceTON") or "ALPHANUMERIC")
        if not DESTINATION.fullmatch(to):
            ending = ending_with(Fate.INVALID_NUMBER)
        elif not pattern or not pattern.fullmatch(source):
            ending = ending_with(Fate.SENDER_REFUSED)
        elif any(ord(letter) > 0xFFFF for letter in text) or segments.count(text) > SEGMENT_LIMIT:
            ending = ending_with(Fate.CONTENT_REFUSED)  # two bytes a letter: no emoji
        parameters = {**(message.get("customParameters") or {}), **(shared.get("customParameters") or {})}
        return Draft(
            to,
            source,
            text,
            ending,
            reference=str(message.get("refId") or ""),
            extra={
                "batch": batch,
                "count": str(parameters.get("replySmsCount", "")).lower() == "true",
                "report": bool(shared.get("useDeliveryReport", True)),
            },
        )

    def new_id(self) -> str:
        """Base64, so with `+`, `/` or `=` at times."""
        return base64.b64encode(self.world.random.randbytes(16)).decode()

    # --- what happens to a text -----------------------------------------------------------------------------------

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        """One call per part: long texts get `$0`, `$1`, … behind the id."""
        account = message.account
        if not account.reports_url or not message.extra.get("report", True):
            return []
        now = stamp(time.time(), "%Y-%m-%dT%H:%M:%SZ")
        several = message.segments > 1
        return [
            Outgoing.json(
                account.reports_url,
                {
                    "refId": message.reference or None,
                    "id": f"{message.id}${part}" if several else message.id,
                    "operator": "ie.vodafone",
                    "sentTimestamp": stamp(message.time, "%Y-%m-%dT%H:%M:%SZ"),
                    "timestamp": now,
                    "resultCode": RESULTS[fate],
                    "operatorResultCode": "2" if fate is Fate.DELIVERED else None,
                    "segments": message.segments,
                    "gateCustomParameters": {},
                    "customParameters": {"received": now},
                },
            )
            for part in range(message.segments)
        ]

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        """A gate may carry both: where there is no URL for inbound texts, they go where the reports go."""
        url = account.inbound_url or account.reports_url
        if not url:
            return []
        id, now = f"mo-{self.new_id()}", stamp(time.time(), "%Y-%m-%dT%H:%M:%SZ")
        number = recipient if recipient.startswith("+") or len(recipient) > 6 else f"IE-{recipient}"
        words = text.split()
        body = {
            "destination": number,
            "subNumber": None,
            "source": sender,
            "content": {"type": "SMS", "userData": text, "encoding": "TEXT"},
            "operator": "ie.vodafone",
            "timestamp": now,
            "messageId": id,
            "operatorTimestamp": now,
            "operatorMessageId": "77",
            "route": {
                "type": "KEYWORD_ROUTE",
                "id": "k1",
                "refId": "survey",
                "gateIds": [account.credentials.get("gate_id", "")],
                "platformId": "SMSC",
                "platformPartnerId": account.credentials.get("platform_partner_id", ""),
                "platformServiceType": "",
                "platformServiceId": "",
                "customParameters": {},
                "number": number,
                "keyword": words[0].upper() if words else "",
                "keywordType": "FIRST_WORD",
                "active": True,
                "start": "2025-01-01T00:00:00Z",
                "end": "2035-01-01T00:00:00Z",
                "shared": False,
                "description": "Survey",
            },
            "gateCustomParameters": {},
            "customParameters": {"moReferenceId": id},
        }
        return [(id, Outgoing.json(url, body))]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """Until the gate's 48 hours are over; the spacing is not documented."""
        return Plan(doubling(60, 3600, 48 * 3600))

    def taken(self, account: Account, status: int, body: bytes) -> bool:
        """A gate with `acknowledge` also wants a body."""
        return 200 <= status < 300 and (bool(body) or not account.settings.get("acknowledge"))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """Basic authentication as the gate's destination holds it; nothing signs the body."""
        known, settings = account.credentials, account.settings
        user = settings.get("gate_username", known.get("username", ""))
        headers = {**outgoing.headers, **settings.get("gate_headers", {})}
        if user:
            headers["Authorization"] = basic(user, settings.get("gate_password", known.get("password", "")))
        return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)


def _message_problem(message: object) -> Answer | None:
    if not isinstance(message, dict):
        return _error(400, 400, "A message must be an object")
    for name in ("source", "destination", "userData"):
        if not isinstance(message.get(name), str) or not message[name]:
            return _error(400, 400, f"{name} is mandatory")
    return None


def _entry(message: Message) -> dict[str, Any]:
    """A single send says `description` where a batch says `message`."""
    entry: dict[str, Any] = {"messageId": message.id}
    if message.extra["batch"]:
        entry |= {"refId": message.reference or None, "resultCode": QUEUED, "message": "Queued"}
    else:
        entry |= {"resultCode": QUEUED, "description": "Queued"}
    if message.extra["count"]:
        entry["smsCount"] = message.segments
    return entry


def _error(status: int, code: int, description: str) -> Answer:
    body = {"status": code, "description": description, "translatedDescription": description}
    return Answer.json(status, body)
