"""MessageMedia, Messages API v1."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulator.callbacks import Plan, doubling
from simulator.numbers import Fate
from simulator.providers.base import Provider, iso_ms
from simulator.wire import Answer, Call, Draft, Outgoing, Submission
from simulator.world import Account, Message, World

DEFAULT_HOST = "api.messagemedia.com"
HOSTS = {DEFAULT_HOST, "au.app.api.sinch.com", "eu.app.api.sinch.com"}
BATCH_LIMIT = 100
LONGEST_URL = 1_000
EVENTS = {
    *("RECEIVED_SMS", "OPT_OUT_SMS", "RECEIVED_MMS", "ENROUTE_DR", "EXPIRED_DR", "REJECTED_DR", "FAILED_DR"),
    *("DELIVERED_DR", "SUBMITTED_DR"),
}
NUMBER = re.compile(r"\+[1-9]\d{6,14}")
SOURCE = re.compile(r"\+?\d{3,15}|[A-Za-z0-9_-]{3,11}")
SOURCE_TYPES = {None, "INTERNATIONAL", "ALPHANUMERIC", "SHORTCODE"}
DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA224": hashes.SHA224,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}

REFUSALS = {  # fate: the field at fault, the complaint; one bad message refuses the whole request
    Fate.INVALID_NUMBER: ("destination_number", "is not a valid phone number"),
    Fate.SENDER_REFUSED: ("source_number", "is not registered to this account"),
}
REPORTS = {  # fate: status, error_code
    Fate.SENT: ("submitted", "200"),
    Fate.DELIVERED: ("delivered", "220"),
    Fate.UNDELIVERED: ("failed", "400"),
    Fate.FAILED: ("failed", "330"),
    Fate.EXPIRED: ("expired", "401"),
    Fate.LANDLINE: ("failed", "414"),
    Fate.OPTED_OUT: ("rejected", "302"),
    Fate.NO_CREDIT: ("rejected", "301"),
    Fate.CONTENT_REFUSED: ("rejected", "331"),
}


class MessageMedia(Provider):
    key = "messagemedia"
    success_status = 202
    handles_stop = True
    credential_fields = ("username", "password")
    example: ClassVar[Mapping[str, str]] = {
        "username": "Xy7sandboxKey",
        "password": "sandbox-api-secret",
        "sender": "353861000000",
    }
    settings: ClassVar[Mapping[str, str]] = {
        "host": "the one the account lives on",
        "signed": "false: callbacks are not signed",
        "digest": "SHA224, SHA256, SHA-256, SHA512, …",
        "billing_units": "false: reports do not count the parts",
        "webhooks_feature": "false: 403 on the webhooks",
        "opt_out_events": "true: an opt-out has a callback of its own",
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._key = self._load_key()  # at once: made for the first report, it would hold that one up

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call) -> Answer | Submission:
        account = self._account(call)
        if account is None or (call.host and account.settings.get("host", call.host) != call.host):
            return self.unauthorised()  # an account lives on one host; the others do not know it
        if account.suspended:
            return Answer.json(403, {"message": "Access denied"})
        match call.method, call.segments:
            case "POST", ["v1", "messages"]:
                return self._send(call, account)
            case "GET", ["v1", "messages", id]:
                message = self.world.messages.get((self.key, id))
                if message is None or message.account is not account:
                    return Answer.json(404, {"message": "Resource not found"})
                return Answer.json(200, _resource(message))
            case "GET", ["v1", "webhooks", "messages"]:
                return self._webhooks(call, account)
            case "POST", ["v1", "webhooks", "messages"]:
                return self._add_webhook(call, account)
        return Answer.json(404, {"message": "Resource not found"})

    def unreadable(self, detail: str) -> Answer:
        return _refused([f"/: {detail}"])

    def unauthorised(self) -> Answer:
        return Answer.json(401, {"message": "Invalid authentication credentials"})

    def throttled(self, wait: float | None) -> Answer:
        answer = Answer.json(429, {"message": "Too many requests"})
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:g}"
        return answer

    def broken(self, status: int) -> Answer:
        return Answer.json(status, {"message": "Internal server error"})

    # --- accounts -------------------------------------------------------------------------------------------------

    def account_id(self, credentials: dict[str, str]) -> str:
        return credentials["username"]

    def _account(self, call: Call) -> Account | None:
        if call.host and call.host not in HOSTS:
            return None
        user, password = call.basic() or ("", "")
        account = self.known(call, user, username=user, password=password)
        return account if account and account.credentials["password"] == password else None

    def _webhooks(self, call: Call, account: Account) -> Answer:
        if not account.settings.get("webhooks_feature", True):
            return Answer.json(403, {"message": "The feature is not enabled"})
        query = call.query
        page, size = query.get("page", "0"), query.get("page_size", "10")
        if not page.isdigit() or not size.isdigit():
            return _refused(["/page: must be a number"])
        found = [
            {"id": "w1", "url": account.inbound_url, "method": "POST", "encoding": "JSON", "events": ["RECEIVED_SMS"]}
        ]
        data = found if account.inbound_url and page == "0" else []
        return Answer.json(200, {"page": int(page), "pageSize": int(size), "pageData": data})

    def _add_webhook(self, call: Call, account: Account) -> Answer:
        if not account.settings.get("webhooks_feature", True):
            return Answer.json(403, {"message": "The feature is not enabled"})
        body = call.object()
        url, events = body.get("url"), body.get("events")
        if not isinstance(url, str) or not url.startswith("http") or len(url) > LONGEST_URL:
            return _refused(["/url: must be a valid URL"])
        if body.get("method") not in ("POST", "GET", "PUT", "DELETE", "PATCH") or body.get("encoding") != "JSON":
            return _refused(["/encoding: this simulator knows JSON alone"])
        if not isinstance(events, list) or not set(events) <= EVENTS or not events:
            return _refused(["/events: must hold at least one known event"])
        try:
            template = json.loads(str(body.get("template", "")))
        except ValueError:
            return _refused(["/template: is not JSON once it is filled in"])
        if url == account.inbound_url:
            return Answer.json(409, {"message": "A webhook with this URL and method exists"})
        if template.get("reply_id") != "$moId" or "$moContent" not in str(template.get("content")):
            return _refused(["/template: names no reply"])  # nothing could be read of what it sends
        account.inbound_url = url
        self.world.save_accounts()
        return Answer.json(201, {**body, "id": self.uuid()})

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call, account: Account) -> Answer | Submission:
        messages = call.object().get("messages")
        if not isinstance(messages, list) or not 1 <= len(messages) <= BATCH_LIMIT:
            return _refused([f"/messages: must hold 1 to {BATCH_LIMIT} messages"])
        details = [detail for index, message in enumerate(messages) for detail in _check(index, message)]
        if details:
            return _refused(details)
        drafts = []
        for index, message in enumerate(messages):
            ending = self.ending(account, message["destination_number"])
            if ending.fate in REFUSALS:
                field, complaint = REFUSALS[ending.fate]
                details.append(f"/messages/{index}/{field}: {complaint}")
            metadata = message.get("metadata") or {}
            drafts.append(
                Draft(
                    message["destination_number"],
                    message.get("source_number") or "",
                    message["content"],
                    ending,
                    reference=next(iter(metadata.values()), ""),
                    status_url=message.get("callback_url") or "",
                    extra={"request": message},
                )
            )
        if details:
            return _refused(details)
        if call.host:
            account.settings.setdefault("host", call.host)
        return Submission(
            account, drafts, lambda accepted: Answer.json(202, {"messages": [_resource(item) for item in accepted]})
        )

    def new_id(self) -> str:
        return self.uuid()

    # --- what happens to a text -----------------------------------------------------------------------------------

    def reports(self, message: Message, fate: Fate) -> list[Outgoing]:
        """None unless the message asked for them: `delivery_report` is off by default."""
        request = message.extra.get("request", {})
        url = message.status_url or message.account.reports_url
        if not url or not request.get("delivery_report"):
            return []
        status, code = REPORTS[fate]
        now = iso_ms(time.time(), "Z")
        body: dict[str, Any] = {
            "callback_url": url,
            "delivery_report_id": self.uuid(),
            "source_number": message.to,
            "date_received": now,
            "status": status,
            "delay": 0,
            "submitted_date": now,
            "original_text": message.text,
            "message_id": message.id,
            "vendor_account_id": _vendor(message.account),
            "error_code": code,
            "metadata": request.get("metadata") or {},
        }
        if message.account.settings.get("billing_units", True):
            body["billing_units"] = message.segments
        return [Outgoing.json(url, body)]

    def inbound(self, account: Account, sender: str, recipient: str, text: str) -> list[tuple[str, Outgoing]]:
        """A reply goes to the callback URL of the text it answers, anything else to the account's webhook."""
        last = account.last_to(sender)
        url = (last.status_url if last else "") or account.inbound_url
        if not url:
            return []
        reply_id, now = self.uuid(), iso_ms(time.time(), "Z")
        body = {
            "metadata": last.extra.get("request", {}).get("metadata") or {} if last else {},
            "message_id": last.id if last else None,
            "reply_id": reply_id,
            "date_received": now,
            "callback_url": url,
            "destination_number": recipient,
            "source_number": sender,
            "vendor_account_id": _vendor(account),
            "content": text,
        }
        found = [(reply_id, Outgoing.json(url, body))]
        if sender in account.opted_out and account.settings.get("opt_out_events") and account.inbound_url:
            notification_id = self.uuid()
            notification = {
                "notification_id": notification_id,
                "account_id": account.id,
                "source_number": sender,
                "destination_number": recipient,
                "date_received": now,
                "content": text,
                "metadata": {},
            }
            found.append((notification_id, Outgoing.json(account.inbound_url, notification)))
        return found

    # --- callbacks ------------------------------------------------------------------------------------------------

    def plan(self, account: Account, url: str) -> Plan:
        """Growing pauses; schedule and total time are not documented."""
        return Plan(doubling(20, 3600, 24 * 3600), read_timeout=20)

    def _load_key(self) -> rsa.RSAPrivateKey:
        """The signing key, kept beside the ledger."""
        path = self.world.state_dir / "messagemedia.pem"
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            assert isinstance(key, rsa.RSAPrivateKey)
            return key
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return key

    def published(self) -> dict[str, str]:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"public_key": base64.b64encode(public).decode()}

    def sign(self, account: Account, outgoing: Outgoing, attempt: int = 0) -> Outgoing:
        """RSA over request line, Date header and body; nothing at all where secure callbacks are off."""
        if not account.settings.get("signed", True):
            return outgoing
        digest = account.settings.get("digest", "SHA256")
        parts = urlsplit(outgoing.bare_url)
        line = f"{outgoing.method} {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1"
        date = formatdate(usegmt=True)
        key = self._forged_key if account.credentials.get("forged") else self._key
        signature = key.sign(
            f"{line}{date}".encode() + outgoing.body, padding.PKCS1v15(), DIGESTS[digest.replace("-", "")]()
        )
        headers = {
            **outgoing.headers,
            "Date": date,
            "X-MessageMedia-Signature": base64.b64encode(signature).decode(),
            "X-MessageMedia-Digest-Type": digest,
            "X-MessageMedia-Cipher-Type": "RSA",
            "X-MessageMedia-Key-Id": "9b6a2d0e-4c11-4d57-8f3e-2a1b0c9d8e7f",
        }
        return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)

    @cached_property
    def _forged_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def forger(self, account: Account) -> Account:
        forger = super().forger(account)
        forger.credentials["forged"] = "yes"
        return forger


def _check(index: int, message: object) -> list[str]:
    """What is wrong with one message, each with a JSON pointer."""
    where = f"/messages/{index}"
    if not isinstance(message, dict):
        return [f"{where}: must be an object"]
    found = []
    content, to, source = (message.get(name) for name in ("content", "destination_number", "source_number"))
    if not isinstance(content, str) or not 1 <= len(content) <= 5000:
        found.append(f"{where}/content: must have 1 to 5000 characters")
    if not isinstance(to, str) or not NUMBER.fullmatch(to):
        found.append(f"{where}/destination_number: must be in E.164 format")
    if source is not None and (not isinstance(source, str) or not SOURCE.fullmatch(source)):
        found.append(f"{where}/source_number: is not valid")
    if message.get("source_number_type") not in SOURCE_TYPES:
        found.append(f"{where}/source_number_type: is not valid")
    metadata = message.get("metadata") or {}
    if (
        not isinstance(metadata, dict)
        or len(metadata) > 10
        or not all(isinstance(value, str) and len(value) <= 256 and len(key) <= 100 for key, value in metadata.items())
    ):
        found.append(f"{where}/metadata: at most 10 pairs of strings")
    return found


def _resource(message: Message) -> dict[str, Any]:
    status = REPORTS[message.fate][0] if message.fate else "queued"
    return {"format": "SMS", **message.extra.get("request", {}), "message_id": message.id, "status": status}


def _vendor(account: Account) -> dict[str, str]:
    return {"vendor_id": "MessageMedia", "account_id": account.id}


def _refused(details: list[str]) -> Answer:
    return Answer.json(400, {"message": "The request is not valid.", "details": details})
