"""Sinch, Conversation API v1, SMS channel."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from simulator import segments
from simulator.callbacks import Plan, doubling
from simulator.numbers import Fate, ending_with
from simulator.providers.base import Provider, digits, iso_ms, plus
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message, World

TOKEN_HOSTS = {"", "auth.sinch.com"}
API_HOSTS = {"eu.conversation.api.sinch.com": "eu", "us.conversation.api.sinch.com": "us"}
TOKEN_LIFE = 3599  # seconds
NUMBER = re.compile(r"\+?[1-9]\d{6,14}")
TTL = re.compile(r"(\d+(?:\.\d+)?)s")
ULID_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

REPORTS = {  # fate: status, reason code, sub code
    Fate.SENT: ("QUEUED_ON_CHANNEL", "", ""),
    Fate.DELIVERED: ("DELIVERED", "", ""),
    Fate.UNDELIVERED: ("FAILED", "RECIPIENT_NOT_REACHABLE", "UNSPECIFIED_SUB_CODE"),
    Fate.FAILED: ("FAILED", "CHANNEL_REJECT", "UNSPECIFIED_SUB_CODE"),
    Fate.EXPIRED: ("FAILED", "DELIVERY_TIMED_OUT", "UNSPECIFIED_SUB_CODE"),
    Fate.LANDLINE: ("FAILED", "RECIPIENT_INVALID_CHANNEL_IDENTITY", "UNSPECIFIED_SUB_CODE"),
    Fate.OPTED_OUT: ("FAILED", "RECIPIENT_NOT_OPTED_IN", "UNSPECIFIED_SUB_CODE"),
    Fate.SENDER_REFUSED: ("FAILED", "CHANNEL_BAD_CONFIGURATION", "INACTIVE_SENDER"),
    Fate.CONTENT_REFUSED: ("FAILED", "DELIVERY_REJECTED_DUE_TO_POLICY", "UNSPECIFIED_SUB_CODE"),
}
STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class Sinch(Provider):
    key = "sinch"
    tells_wait = True
    credential_fields = ("client_id", "client_secret", "region", "project_id", "app_id", "webhook_secret")
    example: ClassVar[Mapping[str, str]] = {
        "client_id": "f3a1c9d0-7b52-4e1a-9c66-0d5b8e2f4a17",
        "client_secret": "sandbox-client-secret",
        "region": "eu",
        "project_id": "11111111-2222-3333-4444-555555555555",
        "app_id": "01K9XW0000AAAAAAAAAAAAAAAA",
        "webhook_secret": "sandbox-webhook-secret-7301",
        "sender": "353861000000",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "token_life": "seconds",
        "sms_channel": "false: texts are accepted, then fail",
        "callback_secret": "of a text's own callback_url",
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        # Bearer tokens and when they end (monotonic); a restart forgets them, as an expiry would.
        self._tokens: dict[str, tuple[Account, float]] = {}

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        if call.path == "/oauth2/token":
            return self._token(call)
        account, problem = self._authenticate(call)
        if account is None:
            return problem
        parts = call.segments
        if account.suspended:
            return _error(403, "The billing limit of the project is reached")
        if parts[:2] != ["v1", "projects"] or len(parts) < 4 or not self._is_here(account, call.host, parts[2]):
            return _error(404, "The project or app does not exist in this region")
        match call.method, parts[3:]:
            case "POST", ["messages:send"]:
                return self._send(call, account, parts[2])
            case "GET", ["apps", app]:
                return self._app(account, app)
            case "GET", ["apps", app, "webhooks"]:
                return self._webhooks(account, app)
            case "POST", ["webhooks"]:
                return self._add_webhook(call, account)
            case "GET", ["messages", id]:
                message = self.world.messages.get((self.key, id))
                if message is None or message.account is not account:
                    return _error(404, "The message does not exist")
                return Answer.json(200, {"id": id, "direction": "TO_CONTACT", "metadata": message.reference})
        return _error(501, "Not implemented")

    def unreadable(self, detail: str) -> Answer:
        return _error(400, detail)

    def unauthorised(self) -> Answer:
        answer = _error(401, "The token is invalid")
        answer.headers["www-authenticate"] = 'Bearer error="invalid_token", error_description="The token is invalid"'
        return answer

    def throttled(self, wait: float | None) -> Answer:
        answer = _error(429, "The rate limit is reached")
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def broken(self, status: int) -> Answer:
        return _error(status, "Internal error")

    # --- accounts and tokens --------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        return credentials["client_id"]

    def _by_key(self, call: Call) -> Account | None:
        user, password = call.basic() or ("", "")
        account = self.known(call, user, client_id=user, client_secret=password)
        return account if account and account.credentials["client_secret"] == password else None

    def _token(self, call: Call) -> Answer:
        account = self._by_key(call)
        if call.host not in TOKEN_HOSTS:
            return _error(404, "Not found")
        if account is None:
            return Answer.json(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if call.form().get("grant_type") != "client_credentials":
            return Answer.json(400, {"error": "unsupported_grant_type", "error_description": "client_credentials only"})
        life = int(account.settings.get("token_life", TOKEN_LIFE))
        token = f"eyJ{self.hex(64)}"
        self._tokens[token] = (account, time.monotonic() + life)
        return Answer.json(200, {"access_token": token, "expires_in": life, "scope": "", "token_type": "bearer"})

    def _authenticate(self, call: Call) -> tuple[Account | None, Answer]:
        token = call.token("Bearer")
        if token:
            account, ends = self._tokens.get(token, (None, 0.0))
            call.account = account
            if account and ends > time.monotonic():
                return account, Answer(200)
            answer = _error(401, "The token has expired")
            answer.headers["www-authenticate"] = 'Bearer error="invalid_token", error_description="Token expired"'
            return None, answer
        return self._by_key(call), self.unauthorised()

    def _is_here(self, account: Account, host: str, project: str) -> bool:
        """Whether the project lives in the region that was called; an unregistered account tells by its first send."""
        region = API_HOSTS.get(host, "")
        wanted = account.credentials.get("region", "").lower()
        if host and (not region or (wanted and wanted != region)):
            return False
        return account.credentials.get("project_id", project) == project

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call, account: Account, project: str) -> Answer | Submission:
        body = call.object()
        app = body.get("app_id")
        if not isinstance(app, str) or not app:
            return _error(400, "app_id: must not be empty")
        if account.credentials.get("app_id", app) != app:
            return _error(404, "The app does not exist")
        identity, text, violation = _read(body)
        if violation:
            return _error(400, violation)
        to = plus(identity)
        ending = self.ending(account, to)
        if ending.fate is Fate.INVALID_NUMBER:
            return _error(400, f"recipient: the channel identity {identity} is not a valid phone number")
        if ending.fate is Fate.NO_CREDIT:
            return _error(403, "The billing limit of the project is reached")
        properties = body.get("channel_properties") or {}
        most = properties.get("SMS_MAX_NUMBER_OF_MESSAGE_PARTS", "255")
        if segments.count(text) > int(most):
            ending = ending_with(Fate.FAILED)
        if not account.registered:
            region = API_HOSTS.get(call.host, "")
            account.credentials.update(project_id=project, app_id=app, **({"region": region} if region else {}))
        draft = Draft(
            to,
            str(properties.get("SMS_SENDER", "")),
            text,
            ending,
            reference=str(body.get("correlation_id") or body.get("message_metadata") or ""),
            status_url=str(body.get("callback_url") or ""),
            extra={
                "correlation_id": str(body.get("correlation_id") or ""),
                "metadata": str(body.get("message_metadata") or ""),
            },
        )
        return Submission(account, [draft], _accepted)

    def new_id(self) -> str:
        return "01K" + "".join(self.world.random.choices(ULID_LETTERS, k=23))

    # --- app and webhooks -----------------------------------------------------------------------------------------

    def _app(self, account: Account, app: str) -> Answer:
        if account.credentials.get("app_id", app) != app:
            return _error(404, "The app does not exist")
        channels = [{"channel": "SMS", "state": {"status": "ACTIVE"}, "static_bearer": {"token": "simulated"}}]
        return Answer.json(
            200,
            {
                "id": app,
                "display_name": "Simulated app",
                "processing_mode": "DISPATCH",
                "channel_credentials": channels if account.settings.get("sms_channel", True) else [],
                "rate_limits": {"inbound": 25, "outbound": 25, "webhooks": 25},
                "queue_stats": {"outbound_size": 0, "outbound_limit": 500_000},
                "dispatch_retention_policy": {"retention_type": "MESSAGE_EXPIRE_POLICY", "ttl_days": 0},
            },
        )

    def _webhooks(self, account: Account, app: str) -> Answer:
        if account.credentials.get("app_id", app) != app:
            return _error(404, "The app does not exist")
        targets: dict[str, list[str]] = {}
        for url, trigger in ((account.reports_url, "MESSAGE_DELIVERY"), (account.inbound_url, "MESSAGE_INBOUND")):
            if url:
                targets.setdefault(url, []).append(trigger)
        webhooks = [
            {"id": f"W{number}", "app_id": app, "target": url, "target_type": "HTTP", "triggers": triggers}
            for number, (url, triggers) in enumerate(targets.items())
        ]
        return Answer.json(200, {"webhooks": webhooks})

    def _add_webhook(self, call: Call, account: Account) -> Answer:
        body = call.object()
        target, triggers = str(body.get("target", "")), body.get("triggers") or []
        if not target or len(target) > 742:
            return _error(400, "target: must be a URL of at most 742 characters")
        if "MESSAGE_DELIVERY" in triggers:
            account.reports_url = target
        if "MESSAGE_INBOUND" in triggers:
            account.inbound_url = target
        account.credentials["webhook_secret"] = str(body.get("secret", ""))
        self.world.save_accounts()
        return Answer.json(200, {**body, "id": f"W{self.hex(8)}"})

    # --- what happens to a text -----------------------------------------------------------------------------------

    def course(self, message: Message) -> list[Fate]:
        return super().course(message) if message.account.settings.get("sms_channel", True) else [Fate.FAILED]

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        account = message.account
        url = message.status_url or account.reports_url
        if not url:
            return []
        status, code, sub_code = REPORTS[fate]
        if not account.settings.get("sms_channel", True):
            code = "CHANNEL_CONFIGURATION_MISSING"
        metadata = message.extra.get("metadata", "")
        report: dict[str, Any] = {
            "message_id": message.id,
            "conversation_id": "",
            "status": status,
            "channel_identity": {"channel": "SMS", "identity": digits(message.to), "app_id": ""},
            "contact_id": "",
            "metadata": metadata,
            "processing_mode": "DISPATCH",
        }
        if code:
            description = "The underlying channel reported: simulated failure"
            report["reason"] = {"code": code, "description": description, "sub_code": sub_code}
        outgoing = Outgoing.json(
            url,
            {
                **self._envelope(account, message.time),
                "message_metadata": metadata,
                "correlation_id": message.extra.get("correlation_id", ""),
                "message_delivery_report": report,
            },
        )
        if message.status_url:  # an overridden callback URL has a secret of its own
            outgoing.secret = str(account.settings.get("callback_secret", ""))
        return [outgoing]

    def _envelope(self, account: Account, accepted: float) -> dict[str, Any]:
        return {
            "app_id": account.credentials.get("app_id", ""),
            "accepted_time": iso_ms(accepted, "Z"),
            "event_time": iso_ms(time.time(), "120394Z"),  # nine digits of a second, as they may come
            "project_id": account.credentials.get("project_id", ""),
        }

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        if not account.inbound_url:
            return []
        id, now = self.new_id(), time.time()
        body = {
            **self._envelope(account, now),
            "message_metadata": "",
            "correlation_id": "",
            "message": {
                "id": id,
                "direction": "TO_APP",
                "contact_message": {"text_message": {"text": text}},
                "channel_identity": {"channel": "SMS", "identity": digits(sender), "app_id": ""},
                "conversation_id": "",
                "contact_id": "",
                "metadata": "",
                "accept_time": iso_ms(now, "Z"),
                "sender_id": digits(recipient),
                "processing_mode": "DISPATCH",
                "injected": False,
            },
        }
        return [(id, Outgoing.json(account.inbound_url, body))]

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """Exponential; the steps are those that Sinch names for its other SMS API."""
        return Plan(doubling(5, 81_920, 163_835))

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """HMAC over body, nonce and time; a webhook without a secret carries no signature headers at all."""
        secret = outgoing.secret or account.credentials.get("webhook_secret", "")
        if not secret:
            return outgoing
        nonce, now = self.new_id(), str(int(time.time()))
        signed = hmac.digest(secret.encode(), b".".join((outgoing.body, nonce.encode(), now.encode())), "sha256")
        headers = {
            **outgoing.headers,
            "x-sinch-webhook-signature": base64.b64encode(signed).decode(),
            "x-sinch-webhook-signature-nonce": nonce,
            "x-sinch-webhook-signature-timestamp": now,
            "x-sinch-webhook-signature-algorithm": "HmacSHA256",
        }
        return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)


def _accepted(messages: list[Message]) -> Answer:
    message = messages[0]
    return Answer.json(200, {"message_id": message.id, "accepted_time": iso_ms(message.time, "Z")})


def _read(body: dict[str, Any]) -> tuple[str, str, str]:
    """Recipient, text, and what is wrong ("" if nothing)."""
    try:
        identities = body["recipient"]["identified_by"]["channel_identities"]
        identity, channel = identities[0]["identity"], identities[0]["channel"]
    except (KeyError, TypeError, IndexError):
        return "", "", "recipient: identified_by.channel_identities must not be empty"
    if channel != "SMS" or not isinstance(identity, str) or not NUMBER.fullmatch(identity):
        return "", "", "recipient: the channel identity is not valid"
    try:
        text = body["message"]["text_message"]["text"]
    except (KeyError, TypeError):
        text = ""
    if not isinstance(text, str) or not text:
        return "", "", "message: text_message.text must not be empty"
    properties = body.get("channel_properties") or {}
    if not isinstance(properties, dict) or not all(
        isinstance(value, str) and len(value) <= 1024 for value in properties.values()
    ):
        return "", "", "channel_properties: must be a map of strings of at most 1024 characters"
    if not properties.get("SMS_MAX_NUMBER_OF_MESSAGE_PARTS", "1").isdigit():
        return "", "", "channel_properties: SMS_MAX_NUMBER_OF_MESSAGE_PARTS must be an integer"
    for name, limit in (("message_metadata", 1024), ("correlation_id", 128)):
        if len(str(body.get(name) or "")) > limit:
            return "", "", f"{name}: must be at most {limit} characters"
    ttl = TTL.fullmatch(str(body.get("ttl", "3s")))
    if not ttl or float(ttl[1]) < 3:
        return "", "", "ttl: must be a duration of at least 3s"
    return identity, text, ""


def _error(status: int, message: str) -> Answer:
    error = {"code": status, "message": message, "status": STATUS_NAMES.get(status, "UNKNOWN"), "details": []}
    return Answer.json(status, {"error": error})
