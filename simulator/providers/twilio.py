"""Twilio, Programmable Messaging, API 2010-04-01."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from simulator import segments
from simulator.callbacks import Plan
from simulator.numbers import Fate
from simulator.providers.base import Provider, stamp
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message

HOSTS = {"", "api.twilio.com"}
MESSAGING_HOSTS = {"", "messaging.twilio.com"}
VERSION = "2010-04-01"
POOL_NUMBER = "+15005550006"  # what a Messaging Service picks

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
E164 = re.compile(r"\+[1-9]\d{6,14}")
SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,6}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")

REFUSALS = {  # fate: HTTP status, code, message
    Fate.INVALID_NUMBER: (400, 21211, "The 'To' number {to} is not a valid phone number."),
    Fate.OPTED_OUT: (400, 21610, "Attempt to send to unsubscribed recipient"),
    Fate.NO_CREDIT: (400, 20005, "Account not active"),
    Fate.SENDER_REFUSED: (400, 21606, "The 'From' phone number is not a valid, SMS-capable sender for this account."),
}
REPORTS = {  # fate: MessageStatus, ErrorCode
    Fate.QUEUED: ("queued", None),
    Fate.SENT: ("sent", None),
    Fate.DELIVERED: ("delivered", None),
    Fate.UNDELIVERED: ("undelivered", 30003),
    Fate.FAILED: ("failed", 30008),
    Fate.EXPIRED: ("failed", 30036),
    Fate.LANDLINE: ("undelivered", 30006),
    Fate.INVALID_NUMBER: ("undelivered", 30005),
    Fate.OPTED_OUT: ("failed", 21610),
    Fate.NO_CREDIT: ("failed", 30002),
    Fate.SENDER_REFUSED: ("failed", 30034),
    Fate.CONTENT_REFUSED: ("undelivered", 30007),
}
ERROR_TEXTS = {
    30002: "Account suspended",
    30003: "Unreachable destination handset",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    30034: "US A2P 10DLC - Message from an Unregistered Number",
    30036: "Validity Period Expired",
    21610: "Attempt to send to unsubscribed recipient",
}


@lru_cache(maxsize=16)
def _rfc2822(second: int) -> str:
    return stamp(second, "%a, %d %b %Y %H:%M:%S +0000")


def signature(secret: str, url: str, parameters: list[tuple[str, str]], digest: str = "sha1") -> str:
    """X-Twilio-Signature over the URL and the decoded POST parameters."""
    values: dict[str, set[str]] = {}
    for name, value in parameters:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), digest).digest()).decode()


class Twilio(Provider):
    key = "twilio"
    success_status = 201
    handles_stop = True
    credential_fields = ("account_sid", "auth_token")
    example: ClassVar[Mapping[str, str]] = {
        "account_sid": "AC0123456789abcdef0123456789abcdef",
        "auth_token": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "sender": "15005550006",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "secondary_auth_token": "verifies and signs beside the account's own",
        "status": "of the account",
        "type": "of the account",
        "owner_account_sid": "of the account",
        "services": "the messaging services that are owned, a list",
        "numbers": "the numbers that are owned, a list",
        "advanced_opt_out": "true: its callbacks say what is an opt-out",
        "shared_key": '{"id", "secret"}: callbacks are signed with it, by HMAC_SHA256',
    }

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        parts = call.segments
        if parts[0] == "v1":
            return self._service(call, parts)
        if call.host not in HOSTS or parts[0] != VERSION or len(parts) < 3 or parts[1] != "Accounts":
            return self._missing(call)
        account = self._account(call)
        if account is None:
            return self.unauthorised()
        if parts[2].removesuffix(".json") != account.id:
            return self._missing(call)
        if account.suspended:
            return _error(403, 20403, "Account suspended")
        match call.method, parts[3:]:
            case "POST", ["Messages.json"]:
                return self._send(call, account)
            case "GET", ["Messages.json"]:
                return self._list(call, account)
            case "GET", ["Messages", name]:
                message = self.world.messages.get((self.key, name.removesuffix(".json")))
                if message is None or message.account is not account:
                    return self._missing(call)
                return Answer.json(200, self._resource(message))
            case "GET", ["Balance.json"]:
                balance = {"account_sid": account.id, "balance": f"{account.balance:.2f}", "currency": "USD"}
                return Answer.json(200, balance)
            case "GET", ["IncomingPhoneNumbers.json"]:
                return self._numbers(call, account)
            case "GET", []:
                return Answer.json(200, self._account_resource(account))
        return self._missing(call)

    def unreadable(self, detail: str) -> Answer:
        return _error(400, 20001, detail)

    def unauthorised(self) -> Answer:
        return _error(401, 20003, "Authenticate")

    def throttled(self, wait: float | None) -> Answer:
        answer = _error(429, 20429, "Too Many Requests")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def broken(self, status: int) -> Answer:
        return _error(status, 20500 if status == 500 else 20503, "Internal Server Error")

    def account_id(self, credentials: dict[str, str]) -> str:
        return credentials["account_sid"]

    def _account(self, call: Call) -> Account | None:
        basic = call.basic()
        if basic is None:
            return None
        user, password = basic
        if not ACCOUNT_SID.fullmatch(user):
            return None
        account = self.known(call, user, account_sid=user, auth_token=password)
        if account is None:
            return None
        tokens = (account.credentials["auth_token"], account.settings.get("secondary_auth_token"))
        return account if password in tokens else None

    def _missing(self, call: Call) -> Answer:
        return _error(404, 20404, f"The requested resource {call.path} was not found")

    def _service(self, call: Call, parts: list[str]) -> Answer:
        account = self._account(call)
        if account is None:
            return self.unauthorised()
        if call.host not in MESSAGING_HOSTS or len(parts) != 3 or parts[1] != "Services":
            return self._missing(call)
        services = account.settings.get("services")
        if not SERVICE_SID.fullmatch(parts[2]) or (services is not None and parts[2] not in services):
            return self._missing(call)
        return Answer.json(
            200,
            {
                "sid": parts[2],
                "account_sid": account.id,
                "friendly_name": "Simulated service",
                "inbound_request_url": account.inbound_url or None,
                "use_inbound_webhook_on_number": False,
            },
        )

    def _account_resource(self, account: Account) -> dict[str, object]:
        return {
            "sid": account.id,
            "friendly_name": "Simulated account",
            "status": account.settings.get("status", "active"),
            "type": account.settings.get("type", "Full"),
            "owner_account_sid": account.settings.get("owner_account_sid", account.id),
            "auth_token": account.credentials["auth_token"],
            "uri": f"/{VERSION}/Accounts/{account.id}.json",
        }

    def _numbers(self, call: Call, account: Account) -> Answer:
        wanted = call.query.get("PhoneNumber", "")
        owned = account.settings.get("numbers")  # None = every number that is asked for is theirs
        found = [wanted] if wanted and (owned is None or wanted in owned) else []
        numbers = [
            {
                "phone_number": number,
                "friendly_name": f"Number {number[-4:]}",
                "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
                "sms_url": account.inbound_url,
            }
            for number in (found if wanted else self.numbers(account))
        ]
        return Answer.json(200, {"incoming_phone_numbers": numbers, "page": 0, "page_size": 50})

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call, account: Account) -> Answer | Submission:
        form = call.form()
        to, sender, service = form.get("To", ""), form.get("From", ""), form.get("MessagingServiceSid", "")
        text, callback = form.get("Body", ""), form.get("StatusCallback", "")
        if not to:
            return _error(400, 21604, "A 'To' phone number is required.")
        if not E164.fullmatch(to):
            return _error(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if not sender and not service:
            return _error(400, 21603, "A 'From' phone number is required.")
        if service and not SERVICE_SID.fullmatch(service):
            return _error(400, 21705, "The Messaging Service is invalid.")
        if sender and not SENDER.fullmatch(sender):
            return _error(400, 21212, f"The 'From' number {sender} is not a valid phone number, shortcode, or sender.")
        if not text:
            return _error(400, 21602, "Message body is required.")
        if len(text) > 1600:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        if callback and not _is_callback(callback):
            return _error(400, 21609, f"The 'StatusCallback' URL {callback} is not a valid URL.")
        validity = form.get("ValidityPeriod", "36000")
        if not validity.isdigit() or not 1 <= int(validity) <= 36000:
            return _error(400, 21624, "The 'ValidityPeriod' must be between 1 and 36000 seconds.")
        ending = self.ending(account, to)
        if ending.fate in REFUSALS:
            status, code, message = REFUSALS[ending.fate]
            return _error(status, code, message.format(to=to))
        references = list(parse_qs(urlsplit(callback).query).values())
        draft = Draft(
            to,
            sender or service,
            text,
            ending,
            # There is no client reference: the first value in the callback's query is what the customer goes by.
            reference=references[0][0] if references else "",
            status_url=callback,
            extra={"service": service, "from": sender or None},
        )
        return Submission(account, [draft], lambda accepted: Answer.json(201, self._resource(accepted[0])))

    def new_id(self) -> str:
        return f"SM{self.hex(32)}"

    def _resource(self, message: Message) -> dict[str, object]:
        service = message.extra.get("service") or None
        first = "accepted" if service else "queued"
        status, code = REPORTS[message.fate] if message.fate else (first, None)
        date, account = _rfc2822(int(message.time)), message.account.id
        uri = f"/{VERSION}/Accounts/{account}/Messages/{message.id}.json"
        final = message.fate not in (None, Fate.QUEUED, Fate.SENT)
        return {
            "sid": message.id,
            "account_sid": account,
            "api_version": VERSION,
            "messaging_service_sid": service,
            "from": self._from(message) if message.fate or not service else None,
            "to": message.to,
            "body": message.text,
            "status": status,
            "direction": "outbound-api",
            "num_segments": "0" if service and not message.fate else str(message.segments),
            "num_media": "0",
            "price": f"-{message.segments * 0.0075:.5f}" if final else None,
            "price_unit": "USD" if final else None,
            "error_code": code,
            "error_message": ERROR_TEXTS[code] if code else None,
            "date_created": date,
            "date_sent": date if message.fate not in (None, Fate.QUEUED) else None,
            "date_updated": date,
            "uri": uri,
            "subresource_uris": {"media": uri.replace(".json", "/Media.json")},
        }

    def _from(self, message: Message) -> str:
        return message.extra.get("from") or (POOL_NUMBER if message.sender.startswith("MG") else message.sender)

    def _list(self, call: Call, account: Account) -> Answer:
        query = call.query
        found = account.sent_to.get(query["To"], []) if query.get("To") else account.messages
        if query.get("From"):
            found = [message for message in found if self._from(message) == query["From"]]
        try:
            first, last = _dates(query)
            size = min(max(int(query.get("PageSize", 50)), 1), 1000)
            page = max(int(query.get("Page", 0)), 0)
        except ValueError:
            return _error(400, 20001, "Invalid DateSent, Page or PageSize")
        dated = any(name.startswith("DateSent") for name in query)  # what is in the queue has no date
        sent = [message for message in reversed(found) if not dated or message.fate not in (None, Fate.QUEUED)]
        found = [message for message in sent if first <= message.time < last]
        chosen = found[page * size : (page + 1) * size]
        path = f"/{VERSION}/Accounts/{account.id}/Messages.json"
        more = urlencode({**query, "Page": page + 1, "PageSize": size}) if len(found) > (page + 1) * size else ""
        return Answer.json(
            200,
            {
                "messages": [self._resource(message) for message in chosen],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(len(chosen) - 1, 0),
                "uri": f"{path}?{call.query_string}",
                "first_page_uri": f"{path}?{urlencode({**query, 'Page': 0, 'PageSize': size})}",
                "next_page_uri": f"{path}?{more}" if more else None,
                "previous_page_uri": None,
            },
        )

    # --- what happens to a text -----------------------------------------------------------------------------------

    def course(self, message: Message) -> list[Fate]:
        fates = super().course(message)
        return [Fate.QUEUED, *fates] if message.extra.get("service") and fates else fates

    def reply_address(self, message: Message) -> str:
        return self._from(message)

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        if not message.status_url:
            return []
        status, code = REPORTS[fate]
        fields = {
            "SmsSid": message.id,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": message.to,
            "MessageSid": message.id,
            "AccountSid": message.account.id,
            "From": self._from(message),
            "ApiVersion": VERSION,
        }
        if message.extra.get("service"):
            fields["MessagingServiceSid"] = message.extra["service"]
        if code:
            fields["ErrorCode"] = str(code)
        if status in ("delivered", "undelivered"):
            fields["RawDlrDoneDate"] = datetime.now(UTC).strftime("%y%m%d%H%M")
        return [_post(message.status_url, fields)]

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        if not account.inbound_url:
            return []
        sid = self.new_id()
        fields = {
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": sid,
            "NumMedia": "0",
            "FromZip": "",
            "SmsSid": sid,
            "SmsStatus": "received",
            "Body": text,
            "FromCountry": "",
            "To": recipient,
            "NumSegments": str(segments.count(text)),
            "MessageSid": sid,
            "AccountSid": account.id,
            "From": sender,
            "ApiVersion": VERSION,
        }
        opt_out = {"STOP": "STOP", "START": "START", "HELP": "HELP"}.get(text.strip().upper())
        if opt_out and account.settings.get("advanced_opt_out"):
            fields["OptOutType"] = opt_out
        return [(sid, _post(account.inbound_url, fields))]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """One repeat where no connection came about, unless the URL's fragment (`#rc=3&rp=5xx,ct,rt`) says more."""
        overrides = dict(parse_qsl(url.partition("#")[2]))
        repeats = min(int(overrides.get("rc", 1)), 5)
        wanted = frozenset(overrides.get("rp", "ct").split(","))
        if "all" in wanted:
            wanted = frozenset({"4xx", "5xx", "ct", "rt"})
        if "4xx" in wanted:
            wanted |= {"429"}
        total = min(int(overrides.get("tt", 15000)), int(overrides.get("rt", 15000))) / 1000
        return Plan(tuple(2.0**n for n in range(repeats)), wanted, total, int(overrides.get("ct", 5000)) / 1000)

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        headers = dict(outgoing.headers)
        url, parameters = outgoing.bare_url, []
        if outgoing.method == "POST" and headers.get("Content-Type", "").startswith("application/json"):
            url += f"{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(outgoing.body).hexdigest()}"
        elif outgoing.method == "POST":
            parameters = parse_qsl(outgoing.body.decode(), keep_blank_values=True)
        shared = account.settings.get("shared_key")  # {"id": …, "secret": …}
        if shared:
            headers["X-Twilio-Signature"] = signature(shared["secret"], url, parameters, "sha256")
            headers["X-Twilio-Webhooks-Signature-Settings"] = f"key={shared['id']},algorithm=HMAC_SHA256"
        else:
            headers["X-Twilio-Signature"] = signature(account.credentials["auth_token"], url, parameters)
        if attempt:
            token = hashlib.sha256(outgoing.url.encode() + outgoing.body).hexdigest()[:32]
            headers["I-Twilio-Idempotency-Token"] = token
        return Outgoing(outgoing.method, url, headers, outgoing.body)


def _error(status: int, code: int, message: str) -> Answer:
    return Answer.json(
        status,
        {
            "code": code,
            "message": message,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        },
    )


def _post(url: str, fields: dict[str, str]) -> Outgoing:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return Outgoing("POST", url, headers, urlencode(fields).encode())


@lru_cache(maxsize=1024)
def _is_callback_host(scheme: str, netloc: str) -> bool:
    return scheme in ("http", "https") and bool(netloc) and "_" not in netloc


def _is_callback(url: str) -> bool:
    parts = urlsplit(url)
    return _is_callback_host(parts.scheme, parts.netloc)


def _dates(query: dict[str, str]) -> tuple[float, float]:
    """The span that DateSent, DateSent> and DateSent< (the `=` belongs to the query) leave; raises ValueError."""
    first, last = 0.0, float("inf")
    for name, value in query.items():
        if not name.startswith("DateSent"):
            continue
        moment = datetime.fromisoformat(value)
        whole_day = len(value) == 10
        start = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        end = start + (timedelta(days=1) if whole_day else timedelta(seconds=1)).total_seconds()
        if name == "DateSent":
            first, last = start, end
        elif name == "DateSent>":
            first = start
        elif name == "DateSent<":
            last = end
    return first, last
