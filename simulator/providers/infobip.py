"""Infobip, SMS API v3."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from simulator import segments
from simulator.callbacks import Plan
from simulator.numbers import Fate
from simulator.providers.base import Provider, basic, digits, fingerprint, iso_ms, plus
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message

HOST = re.compile(r"(?:[a-z0-9-]+\.)?api(?:\d|-[a-z0-9]+)?\.infobip\.com")
NUMBER = re.compile(r"[1-9]\d{6,14}")
SENDER = re.compile(r"\d{3,15}|(?=.*[A-Za-z])[\x20-\x7e]{3,11}")

STATUSES = {  # id: group id, group name, name, description
    3: (1, "PENDING", "PENDING_WAITING_DELIVERY", "Message sent, waiting for delivery report"),
    5: (3, "DELIVERED", "DELIVERED_TO_HANDSET", "Message delivered to handset"),
    6: (5, "REJECTED", "REJECTED_NETWORK", "Network is forbidden"),
    9: (2, "UNDELIVERABLE", "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered"),
    11: (5, "REJECTED", "REJECTED_SOURCE", "Invalid Source address"),
    12: (5, "REJECTED", "REJECTED_NOT_ENOUGH_CREDITS", "Not enough credits"),
    14: (5, "REJECTED", "REJECTED_DESTINATION_BLOCKLISTED", "Destination is on the block list"),
    15: (4, "EXPIRED", "EXPIRED_EXPIRED", "Message expired"),
    23: (5, "REJECTED", "REJECTED_DUPLICATE_MESSAGE_ID", "Rejected duplicate message ID"),
    25: (5, "REJECTED", "REJECTED_MESSAGE_TOO_LONG", "Message too long"),
    26: (1, "PENDING", "PENDING_ACCEPTED", "Message sent to next instance"),
    52: (5, "REJECTED", "REJECTED_DESTINATION", "Invalid destination address"),
}
ERRORS = {  # id: group id, group name, name, description, permanent
    0: (0, "OK", "NO_ERROR", "No Error", False),
    1: (1, "HANDSET_ERRORS", "EC_UNKNOWN_SUBSCRIBER", "Unknown Subscriber", True),
    27: (1, "HANDSET_ERRORS", "EC_ABSENT_SUBSCRIBER", "Absent Subscriber", False),
    561: (3, "OPERATOR_ERRORS", "EC_MESSAGE_BLOCKED", "Message blocked by the operator", True),
    629: (1, "HANDSET_ERRORS", "EC_DESTINATION_CANNOT_RECEIVE_SMS", "Destination cannot receive SMS", True),
    4101: (3, "OPERATOR_ERRORS", "EC_VALIDITY_EXPIRED", "Validity period expired", False),
}
REFUSALS = {Fate.INVALID_NUMBER: 52, Fate.OPTED_OUT: 14, Fate.NO_CREDIT: 12, Fate.SENDER_REFUSED: 11}
REPORTS = {  # fate: status id, error id
    Fate.SENT: (3, 0),
    Fate.DELIVERED: (5, 0),
    Fate.UNDELIVERED: (9, 27),
    Fate.FAILED: (6, 0),
    Fate.EXPIRED: (15, 4101),
    Fate.LANDLINE: (9, 629),
    Fate.CONTENT_REFUSED: (6, 561),
}
ACCEPTED = 26
KEY_LENGTH = 8  # shorter ones are not keys


def _status(id: int) -> dict[str, object]:
    group, group_name, name, description = STATUSES[id]
    return {"groupId": group, "groupName": group_name, "id": id, "name": name, "description": description}


def _error(id: int) -> dict[str, object]:
    group, group_name, name, description, permanent = ERRORS[id]
    return {
        "groupId": group,
        "groupName": group_name,
        "id": id,
        "name": name,
        "description": description,
        "permanent": permanent,
    }


class Infobip(Provider):
    key = "infobip"
    tells_wait = True
    credential_fields = ("api_key", "webhook_username", "webhook_password", "base_url")
    example: ClassVar[Mapping[str, str]] = {
        "api_key": "sandbox-key-0123456789abcdef",
        "webhook_username": "clinic42",
        "webhook_password": "sandbox-webhook-password-7301",
        "base_url": "abc123.api.infobip.com",
        "sender": "35312345678",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "balance_scope": "false: 403 on the balance",
        "intermediate_reports": "true: not only final reports",
    }

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        account = self._account(call)
        if account is None:
            return self._unauthorised(call)
        if (call.host and not self._is_host(account, call.host)) or len(call.segments) != 3:
            return _problem(404, "E404", "Requested resource not found")
        if account.suspended:
            return self._forbidden(call)
        match call.method, call.path.strip("/"):
            case "POST", "sms/3/messages":
                return self._send(call, account)
            case "GET", "sms/3/logs":
                return self._logs(call, account)
            case "GET", "sms/3/reports":
                return self._reports(call, account)
            case "GET", "numbers/1/numbers":
                rows = [
                    {"number": digits(each), "country": "IE", "capabilities": ["SMS"]} for each in self.numbers(account)
                ]
                return Answer.json(200, {"numbers": rows, "numberCount": len(rows)})
            case "GET", "account/1/balance":
                if not account.settings.get("balance_scope", True):
                    return _legacy(403, "FORBIDDEN", "Forbidden")
                return Answer.json(200, {"balance": account.balance, "currency": "EUR"})
            case "POST", "sms/1/preview":
                text = str(call.object().get("text", ""))
                preview = {"textPreview": text, "messageCount": segments.count(text), "charactersRemaining": 0}
                return Answer.json(200, {"originalText": text, "previews": [preview]})
        return _problem(404, "E404", "Requested resource not found")

    def unreadable(self, detail: str) -> Answer:
        return _problem(400, "E400", detail)

    def unauthorised(self) -> Answer:
        return _problem(401, "E401", "Invalid or missing credentials")

    def _unauthorised(self, call: Call) -> Answer:
        if call.path.startswith("/account"):
            return _legacy(401, "UNAUTHORIZED", "Invalid login details")
        return self.unauthorised()

    def _forbidden(self, call: Call) -> Answer:
        if call.path.startswith("/account"):
            return _legacy(403, "FORBIDDEN", "Forbidden")
        return _problem(403, "E403", "The account is not allowed to do this")

    def throttled(self, wait: float | None) -> Answer:
        answer = _problem(429, "E429", "Too many requests")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def broken(self, status: int) -> Answer:
        return _problem(status, "E500", "General error")

    def account_id(self, credentials: dict[str, str]) -> str:
        return fingerprint(credentials["api_key"])

    def _account(self, call: Call) -> Account | None:
        key = call.token("App")
        return self.known(call, fingerprint(key), api_key=key) if len(key) >= KEY_LENGTH else None

    def _is_host(self, account: Account, host: str) -> bool:
        return host == account.credentials.get("base_url", host) and bool(HOST.fullmatch(host))

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call, account: Account) -> Answer | Submission:
        body = call.object()
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return _violations([("messages", "must not be empty")])
        violations = [found for index, message in enumerate(messages) for found in _check(index, message)]
        if violations:
            return _violations(violations)

        results: list[dict[str, Any] | None] = []  # None: decided by what becomes of the next draft
        drafts: list[Draft] = []
        ids: set[str] = set()
        for message in messages:
            for destination in message["destinations"]:
                draft = self._draft(account, message, destination)
                refusal = self._refusal(draft, ids)
                ids.add(draft.id)
                if refusal:
                    results.append(_result(draft.id, draft.to, refusal, draft.text))
                else:
                    drafts.append(draft)
                    results.append(None)
        bulk_id = f"{time.time_ns() // 1_000_000}-{len(self.world.ledger)}"
        for draft in drafts:
            draft.extra["bulkId"] = bulk_id

        def answer(accepted: list[Message]) -> Answer:
            taken = iter(accepted)
            entries = [result or _accepted(next(taken)) for result in results]
            return Answer.json(200, {"bulkId": bulk_id, "messages": entries})

        return Submission(account, drafts, answer)

    def _draft(self, account: Account, message: dict[str, Any], destination: dict[str, Any]) -> Draft:
        to = plus(str(destination["to"]))
        webhooks, options = message.get("webhooks") or {}, message.get("options") or {}
        delivery = webhooks.get("delivery") or {}
        id = str(destination.get("messageId") or self.new_id())
        return Draft(
            to,
            str(message["sender"]),
            str(message["content"]["text"]),
            self.ending(account, to),
            reference=id,
            status_url=str(delivery.get("url") or ""),
            id=id,
            extra={
                "callbackData": webhooks.get("callbackData"),
                "campaignReferenceId": options.get("campaignReferenceId"),
                "notify": delivery.get("notify", True),
                "intermediateReport": delivery.get("intermediateReport", False),
            },
        )

    def _refusal(self, draft: Draft, ids: set[str]) -> int:
        """The status id that refuses this one message, 0 if it is taken."""
        if draft.id in ids or (self.key, draft.id) in self.world.messages:
            return 23
        if segments.count(draft.text) > 25 or len(draft.text.encode()) > 4000:
            return 25
        return REFUSALS.get(draft.ending.fate, 0)

    def new_id(self) -> str:
        return f"{time.time_ns() // 1_000_000}{self.hex(10)}"

    # --- look-up --------------------------------------------------------------------------------------------------

    def _wanted(self, call: Call, account: Account) -> list[Message]:
        """The account's messages, newest first, that the query's messageId and to leave."""
        query = call.query
        ids = [id for part in (query.get("messageId", ""),) for id in part.split(",") if id]
        if ids:
            named = (self.world.messages.get((self.key, id)) for id in ids)
            found = [message for message in named if message and message.account is account]
        else:
            found = list(reversed(account.messages))
        if query.get("to"):
            found = [message for message in found if digits(message.to) == query["to"]]
        if query.get("bulkId"):
            found = [message for message in found if message.extra.get("bulkId") == query["bulkId"]]
        limit = query.get("limit", "50")
        return found[: int(limit) if limit.isdigit() else 50]

    def _logs(self, call: Call, account: Account) -> Answer:
        return Answer.json(
            200,
            {
                "results": [
                    {
                        **self._entry(message, *(REPORTS[message.fate] if message.fate else (ACCEPTED, 0))),
                        "destination": digits(message.to),
                        "content": {"text": message.text},
                    }
                    for message in self._wanted(call, account)
                ]
            },
        )

    def _reports(self, call: Call, account: Account) -> Answer:
        """Each report is handed out once."""
        due = [
            message
            for message in self._wanted(call, account)
            if message.fate not in (None, Fate.SENT) and not message.extra.get("handed_out")
        ]
        for message in due:
            message.extra["handed_out"] = True
        entries = [self._entry(message, *REPORTS[message.fate]) for message in due if message.fate]
        return Answer.json(200, {"results": entries})

    # --- what happens to a text -----------------------------------------------------------------------------------

    def course(self, message: Message) -> list[Fate]:
        """Only the final report, unless the message or the account asks for intermediate ones."""
        fates = super().course(message)
        if message.extra.get("intermediateReport") or message.account.settings.get("intermediate_reports"):
            return fates
        return [fate for fate in fates if fate is not Fate.SENT]

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        url = message.status_url or message.account.reports_url
        if not url or not message.extra.get("notify", True):
            return []
        return [Outgoing.json(url, {"results": [self._entry(message, *REPORTS[fate])]})]

    def _entry(self, message: Message, status: int, error: int) -> dict[str, object]:
        return {
            "bulkId": message.extra.get("bulkId", ""),
            "price": {"pricePerMessage": 0.0412, "currency": "EUR"},
            "status": _status(status),
            "error": _error(error),
            "messageId": message.id,
            "to": digits(message.to),
            "sender": message.sender,
            "sentAt": iso_ms(message.time, "+0000"),
            "doneAt": iso_ms(time.time(), "+0000"),
            "messageCount": message.segments,
            "mccMnc": "27201",
            "callbackData": message.extra.get("callbackData"),
            "platform": {"entityId": "", "applicationId": "default"},
            "campaignReferenceId": message.extra.get("campaignReferenceId"),
        }

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        if not account.inbound_url:
            return []
        id = self.new_id()
        entry = {
            "applicationId": "default",
            "entityId": "",
            "messageId": id,
            "from": digits(sender),
            "to": digits(recipient),
            "text": text,
            "cleanText": text,
            "keyword": text.split()[0].upper() if text.split() else "NO_KEYWORD",
            "receivedAt": iso_ms(time.time(), "+0000"),
            "smsCount": segments.count(text),
            "price": {"pricePerMessage": 0, "currency": "EUR"},
            "callbackData": "",
            "campaignReferenceId": "",
        }
        body = {"results": [entry], "messageCount": 1, "pendingMessageCount": 0}
        return [(id, Outgoing.json(account.inbound_url, body))]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """Repeat n comes 1 + n² minutes after the failure; how many there are is not documented, we take ten."""
        return Plan(tuple(60.0 * (1 + n * n) for n in range(1, 11)))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """Basic authentication as support configured it; nothing signs the body."""
        headers = dict(outgoing.headers)
        user, password = account.credentials.get("webhook_username"), account.credentials.get("webhook_password")
        if user:
            headers["Authorization"] = basic(user, password or "")
        return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)


def _check(index: int, message: object) -> list[tuple[str, str]]:
    """What is wrong with one entry of `messages`, as (property, violation)."""
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        return [(where, "must be an object")]
    found = []
    sender, content, destinations = message.get("sender"), message.get("content"), message.get("destinations")
    if not isinstance(sender, str) or not SENDER.fullmatch(sender):
        found.append((f"{where}.sender", "must be a valid sender"))
    if not isinstance(content, dict) or not isinstance(content.get("text"), str) or not content["text"]:
        found.append((f"{where}.content.text", "must not be blank"))
    if not isinstance(destinations, list) or not destinations:
        return [*found, (f"{where}.destinations", "must not be empty")]
    for number, destination in enumerate(destinations):
        to = destination.get("to") if isinstance(destination, dict) else None
        if not isinstance(to, str) or not NUMBER.fullmatch(to):
            found.append((f"{where}.destinations[{number}].to", "must be a phone number in international format"))
        elif len(str(destination.get("messageId", ""))) > 200:
            found.append((f"{where}.destinations[{number}].messageId", "size must be between 0 and 200"))
    return found


def _result(id: str, to: str, status: int, text: str) -> dict[str, Any]:
    return {
        "messageId": id,
        "status": _status(status),
        "destination": digits(to),
        "details": {"messageCount": segments.count(text)},
    }


def _accepted(message: Message) -> dict[str, Any]:
    return _result(message.id, message.to, ACCEPTED, message.text)


def _problem(status: int, code: str, description: str, violations: list[dict[str, str]] | None = None) -> Answer:
    return Answer.json(
        status,
        {
            "errorCode": code,
            "description": description,
            "action": "See the documentation.",
            "violations": violations or [],
            "resources": [{"name": "API reference", "url": "https://www.infobip.com/docs/api"}],
        },
    )


def _violations(found: list[tuple[str, str]]) -> Answer:
    entries = [{"property": name, "violation": violation} for name, violation in found]
    return _problem(400, "E400", "Request cannot be processed. Invalid request structure.", entries)


def _legacy(status: int, code: str, text: str) -> Answer:
    return Answer.json(
        status, {"requestError": {"serviceException": {"messageId": code, "text": text, "validationErrors": {}}}}
    )
