"""MessageMedia (also Sinch MessageMedia and Sinch Engage): the Messages API v1.

Reference: https://github.com/messagemedia/documentation
A message's callback URL gets its delivery reports and its replies, so callbacks are told apart by their shape.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django import forms

from extensions import public_keys, senders
from extensions.contract import (
    FAILURES,
    ApiRequest,
    ApiResponse,
    Category,
    Check,
    Delivery,
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    OutboundSms,
    Provider,
    ProviderError,
    Refused,
    SecretField,
    SenderKind,
    SendResult,
    Text,
    Unclear,
    Unreadable,
    WebhookChange,
    WebhookCheck,
    WebhookRequest,
    by_reference,
    refused_together,
)
from extensions.credential_fields import IdentifierField
from extensions.public_keys import PublicKeyField
from extensions.reading import digest, listed, mappings, moment, object_of, text, within
from intake.sentences import said_lazy as _

BASE_URL = "https://api.messagemedia.com"
# MessageMedia fills in the names that begin with $, and writes the text as JSON needs it.
# https://developers.messagemedia.com/code/webhooks-api-documentation/#parameters-available-in-templates
INBOUND_TEMPLATE = (
    '{"reply_id":"$moId","message_id":"$mtId","source_number":"$sourceAddress",'
    '"destination_number":"$destinationAddress","date_received":"$receivedTimestamp","content":"$esc.json($moContent)"}'
)
ADDS_INBOUND = _("A webhook for what people write by themselves is added to the account: %(url)s")
OTHER_REGIONS = ("au.app.api.sinch.com", "eu.app.api.sinch.com")  # an account lives on one host only
SENDER_TYPES = {
    SenderKind.NUMBER: "INTERNATIONAL",
    SenderKind.SHORT_CODE: "SHORTCODE",
    SenderKind.ALPHANUMERIC: "ALPHANUMERIC",
}
REFERENCE = "reference"  # the key of our reference in a message's metadata
MEDIA = "[media message]"  # what is kept of an MMS

STATES = {  # `status` of a delivery report
    "queued": Delivery.QUEUED,
    "processing": Delivery.QUEUED,
    "processed": Delivery.QUEUED,
    "scheduled": Delivery.QUEUED,
    "held": Delivery.QUEUED,
    "enroute": Delivery.QUEUED,
    "submitted": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "expired": Delivery.EXPIRED,
    "rejected": Delivery.FAILED,
    "failed": Delivery.FAILED,  # or undelivered, as its error code says
    "cancelled": Delivery.FAILED,
    "undefined": Delivery.UNKNOWN,
}
CARRIER_GAVE_UP = {"400", "402", "403", "414"}

# `error_code` of a delivery report: what it means where the status is a failure.
ERRORS = {
    "101": (Category.NONE, "processing"),
    "102": (Category.NONE, "rerouted"),
    "151": (Category.NONE, "held for screening"),
    "200": (Category.NONE, "handed to the carrier"),
    "210": (Category.NONE, "handed to the carrier"),
    "211": (Category.NONE, "handed to the carrier"),
    "212": (Category.NONE, "handed to the carrier"),
    "213": (Category.NONE, "handed to the carrier"),
    "220": (Category.NONE, "delivered"),
    "221": (Category.NONE, "delivered to the handset"),
    "301": (Category.INSUFFICIENT_BALANCE, "usage threshold reached"),
    "302": (Category.OPTED_OUT, "destination blocked"),
    "303": (Category.INVALID_SENDER, "source blocked"),
    "304": (Category.UNKNOWN, "dropped"),
    "305": (Category.REJECTED_CONTENT, "the same text to the same number within 24 hours"),
    "320": (Category.TRANSIENT, "expired before it was handed to the carrier"),
    "330": (Category.TRANSIENT, "gateway failure"),
    "331": (Category.UNKNOWN, "discarded"),
    "332": (Category.UNKNOWN, "no route"),
    "333": (Category.INVALID_SENDER, "source not supported"),
    "400": (Category.UNKNOWN, "undeliverable"),
    "401": (Category.TRANSIENT, "expired at the carrier"),
    "402": (Category.UNKNOWN, "rejected by the carrier"),
    "403": (Category.UNKNOWN, "skipped by the carrier"),
    "405": (Category.UNKNOWN, "cancelled by the carrier"),
    "410": (Category.INVALID_SENDER, "source invalid"),
    "411": (Category.INVALID_RECIPIENT, "destination invalid"),
    "412": (Category.OPTED_OUT, "destination blocked"),
    "413": (Category.INVALID_RECIPIENT, "the destination has no SMS service"),
    "414": (Category.INVALID_RECIPIENT, "destination unreachable"),
}
FIELD_ERRORS = {  # the field that a 400 names
    "destination_number": Category.INVALID_RECIPIENT,
    "source_number": Category.INVALID_SENDER,
    "source_number_type": Category.INVALID_SENDER,
    "content": Category.REJECTED_CONTENT,
    "media": Category.REJECTED_CONTENT,
    "subject": Category.REJECTED_CONTENT,
}
POINTER = re.compile(r"/messages/([0-9]{1,3})/([a-z_]+)")  # "/messages/0/destination_number: …"

# https://github.com/messagemedia/enterprise-webhooks-python
DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA512": hashes.SHA512(),
}
SIGNATURE_HEADER = "X-MessageMedia-Signature"
DIGEST_HEADER = "X-MessageMedia-Digest-Type"
CIPHER_HEADER = "X-MessageMedia-Cipher-Type"
TIME_WINDOW = timedelta(seconds=900)  # either way


REPORT, REPLY, OPT_OUT = "delivery_report_id", "reply_id", "notification_id"  # the field that tells the kind


# A word of an account's template that had no value for this event: "$replyId", "${destinationAddress}".
TEMPLATE_WORD = re.compile(r"\$(?:\{\s*[A-Za-z_][\w.]*\s*\}|[A-Za-z_][\w.]*)", re.ASCII)
CONTENT_WORDS = {"$content", "$moContent", "$mtContent", "$replyContent", "$messageContent"}  # people write "$yes"


# --- what MessageMedia writes ----------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """Text, or a number in a place where text is expected: an account's template may leave out the quotes.

    "" for a word of the template that was not filled in.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    if not isinstance(value, str) or TEMPLATE_WORD.fullmatch(value.strip()):
        return ""
    return value


def _content(value: Any, otherwise: str) -> str:
    """What the person wrote, word for word."""
    if not isinstance(value, str) or value.strip().replace("{", "").replace("}", "") in CONTENT_WORDS:
        return otherwise
    return value


def _kind_of(sender: str) -> SenderKind:
    """What a sender is, as clean_sender stores it."""
    if not re.fullmatch("[0-9]+", sender):
        return SenderKind.ALPHANUMERIC
    return SenderKind.NUMBER if len(sender) in senders.NUMBER_LENGTHS else SenderKind.SHORT_CODE


def _expiry(validity: timedelta) -> str:
    """The API takes a moment, not a duration: from now, in whole minutes."""
    end = (datetime.now(UTC) + validity).replace(second=0, microsecond=0)
    return end.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _target(url: str) -> str:
    """Path and query as they were sent, still percent-encoded."""
    _scheme, _colon, rest = url.partition("://")
    _host, slash, target = rest.partition("/")
    return slash + target or "/"


def _words(response: ApiResponse) -> str:
    data = object_of(response)
    words = [_text(data.get("message")), *map(_text, listed(data.get("details"))[:3])]
    return " ".join([f"HTTP {response.status}", *filter(None, words)])[:200]


def _faults(response: ApiResponse) -> dict[int, Refused]:
    """What a 400 says of single messages, by their place in the request."""
    if response.status != 400:
        return {}
    found: dict[int, list[tuple[Category, str]]] = defaultdict(list)
    for detail in listed(object_of(response).get("details")):
        if pointer := POINTER.match(_text(detail)):
            category = FIELD_ERRORS.get(pointer[2], Category.UNKNOWN)
            found[int(pointer[1])].append((category, f"HTTP 400 {_text(detail)[:190]}"))
    known = (Category.UNKNOWN,)
    return {place: Refused(*min(faults, key=lambda fault: fault[0] in known)) for place, faults in found.items()}


def _messages(response: ApiResponse) -> list[dict[str, Any]]:
    messages = response.object().get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Unclear(_("HTTP %(status)s with an unreadable body") % {"status": response.status})
    return messages


def _result(answer: dict[str, Any]) -> SendResult:
    """What the answer says of one message. Raises Refused or Unclear."""
    message_id, word = _text(answer.get("message_id")), _text(answer.get("status")).lower()
    if STATES.get(word) in FAILURES:
        raise Refused(Category.UNKNOWN, word)
    if not message_id:
        raise Unclear(_("accepted, but without a message ID"))
    return SendResult(message_id)


def _reference(value: dict[str, Any]) -> str:
    return _text(within(value, "metadata", REFERENCE))


def _event(request: WebhookRequest) -> tuple[dict[str, Any], str]:
    """The callback's content and the name of the field that tells its kind. Raises Unreadable."""
    data = request.json_object()
    named = [kind for kind in (REPORT, REPLY, OPT_OUT) if kind in data]
    kind = next((kind for kind in named if _text(data[kind])), "")
    if not kind and len(named) > 1:  # none has an id: a template for all events, of which no word was filled in
        is_report, is_reply = bool(_text(data.get("status"))), bool(_content(data.get("content"), ""))
        kind = REPORT if is_report and REPORT in named else REPLY if is_reply and REPLY in named else named[-1]
    elif not kind and named:
        kind = named[0]
    if kind:
        return data, kind
    raise Unreadable(
        _("None of %(names)s is there: the webhook's template needs MessageMedia's field names.")
        % {"names": ", ".join((REPORT, REPLY, OPT_OUT))}
    )


class MessageMedia(Provider):
    key = "messagemedia"
    name = "MessageMedia"
    slug = "messagemedia"
    aliases = ("messagemedia-sms",)
    docs_url = "https://support.messagemedia.com/"
    keywords = ("Sinch MessageMedia", "Sinch Engage", "Message Media", "Nachrichtenmedien")
    sender_after = "password"
    webhook_check = WebhookCheck.SIGNATURE
    webhook_secrets = ("webhook_public_key",)
    account_fields = ("username",)
    mixes_routes = True
    typical: ClassVar = {
        "username": "[0-9A-Za-z]{10,20}",
        "password": "[0-9A-Za-z]{24,}|(?=.*[^0-9A-Za-z])[!-~]{12,}",
        "webhook_public_key": r"(?s)-----BEGIN PUBLIC KEY-----.*|[0-9A-Za-z+/=\s]{200,}",
    }
    host_patterns = (r"api\.messagemedia\.com",)
    batch_size = 100
    max_in_flight = 4  # requests; no limit is published, five a second is our own rule
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 100.0)

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        username = IdentifierField(
            label=_("Username (API key)"),
            max_length=128,
            allowed="A-Za-z0-9._~-",  # no colon: it ends the user name of Basic authentication
            suggest=_("An API key has letters and digits only: %(suggestion)s"),
            wrong=_("An API key has letters and digits only."),
            help_text=_("Your MessageMedia API key, created under Basic authentication."),
        )
        password = SecretField(
            label=_("Password (API secret)"),
            help_text=_("The secret of the same API key, shown when the key is created."),
        )
        webhook_public_key = PublicKeyField(
            label=_("Enterprise webhook public key"),
            max_length=8192,
            help_text=_(
                "The public key that verifies callbacks and replies: several lines, or one long line of letters and "
                "digits. Ask your MessageMedia representative for it."
            ),
        )

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        value = value.strip()
        if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{3,11}", value):
            return value, SenderKind.ALPHANUMERIC
        if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,2}", value):
            raise forms.ValidationError(_("An alphanumeric sender has 3 to 11 characters, for example MyClinic."))
        return senders.plain_sender(value)

    # --- sending ------------------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, content: Any = None) -> ApiRequest:
        return ApiRequest(
            method,
            f"{BASE_URL}{path}",
            headers={"Accept": "application/json"},
            auth=(self.credentials["username"], self.credentials["password"]),
            json=content,
        )

    def _message(self, sms: OutboundSms) -> dict[str, Any]:
        sender = sms.sender or self.sender
        kind = _kind_of(sender)
        return {
            "content": sms.text,
            "destination_number": sms.to,
            "source_number": f"+{sender}" if kind is SenderKind.NUMBER else sender,
            "source_number_type": SENDER_TYPES[kind],
            "format": "SMS",
            "delivery_report": True,  # without it, no report comes
            "callback_url": sms.status_url,
            "message_expiry_timestamp": _expiry(sms.validity),
            "metadata": {REFERENCE: sms.reference},
        }

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        return self.build_batch([sms])

    def build_batch(self, messages: Sequence[OutboundSms]) -> ApiRequest:
        return self._request("POST", "/v1/messages", {"messages": [self._message(sms) for sms in messages]})

    def parse_send(self, response: ApiResponse) -> SendResult:
        if error := self.http_error(response, _words(response)):
            raise _faults(response).get(0, error)
        messages = _messages(response)
        if len(messages) != 1:
            raise Unclear(
                _("HTTP %(status)s with %(number)s messages instead of one")
                % {"status": response.status, "number": len(messages)}
            )
        return _result(messages[0])

    def parse_batch(self, response: ApiResponse, messages: Sequence[OutboundSms]) -> list[SendResult | ProviderError]:
        """All or nothing: one bad message keeps the whole request from being taken. The others may go again at once."""
        if error := self.http_error(response, _words(response)):
            faults = {place: fault for place, fault in _faults(response).items() if place < len(messages)}
            if not faults:
                raise error
            return refused_together(faults, len(messages))
        answers = {_reference(answer): answer for answer in _messages(response)}
        return by_reference(messages, answers, _result)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        return self._request("GET", "/v1/webhooks/messages?page=0&page_size=1")

    def parse_check(self, response: ApiResponse) -> Check:
        words = _words(response)
        if response.status == 200 and object_of(response):
            return Check(ok=True, detail=_("The API key and the secret are right."))
        if response.status == 403:
            return Check(
                ok=True,
                detail=_("The API key and the secret are right."),
                warnings=[
                    _("The account has no webhooks (%(words)s): ask MessageMedia to switch them on.") % {"words": words}
                ],
            )
        why: dict[int, Text] = {
            401: _(
                "MessageMedia refuses the API key or the secret. They may also belong to another region: this works "
                "with accounts on api.messagemedia.com, not with those on %(others)s."
            )
            % {"others": ", ".join(OTHER_REGIONS)},
            404: _("The address of MessageMedia's API was not found: verify again later."),
            429: _("MessageMedia has received too many requests: verify again in a minute."),
        }
        sentence = why.get(response.status, _("MessageMedia could not answer now: verify again later."))
        return Check(ok=False, detail=_("%(sentence)s (%(words)s)") % {"sentence": sentence, "words": words})

    # --- what else the API tells --------------------------------------------------------------------------------

    def build_webhooks(self) -> ApiRequest:
        return self._request("GET", "/v1/webhooks/messages?page=0&page_size=100")

    def webhook_changes(self, response: ApiResponse, reports_url: str, inbound_url: str) -> list[WebhookChange]:
        """For what answers no message of ours: every message names the address of its own reports and replies."""
        if error := self.http_error(response, _words(response)):
            raise error
        rows = mappings(response.object().get("pageData"))
        if any(text(row.get("url")) == inbound_url and text(row.get("method")) == "POST" for row in rows):
            return []
        content = {
            "url": inbound_url,
            "method": "POST",
            "encoding": "JSON",
            "events": ["RECEIVED_SMS"],
            "template": INBOUND_TEMPLATE,
        }
        request = self._request("POST", "/v1/webhooks/messages", content)
        return [WebhookChange(ADDS_INBOUND % {"url": inbound_url}, request)]

    def parse_webhook_change(self, response: ApiResponse) -> None:
        """409: it is there already."""
        error = self.http_error(response, _words(response)) if response.status != 409 else None
        if error:
            raise error

    # --- callbacks ----------------------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """RSA over request line, Date header and raw body, glued together with nothing between them.

        The request line is rebuilt as HTTP/1.1, as it was signed: a proxy may have changed the version on the way.
        """
        signature = request.header(SIGNATURE_HEADER)
        digest = DIGESTS.get(request.header(DIGEST_HEADER).strip().upper().replace("-", ""))
        date = request.header("Date")
        if not signature:
            raise InvalidSignature(
                Fault.UNSIGNED, _("not signed: secure callbacks are off, or no signature key is enabled")
            )
        if digest is None:
            raise InvalidSignature(
                Fault.METHOD, _("signed with another digest than %(names)s") % {"names": ", ".join(DIGESTS)}
            )
        if request.header(CIPHER_HEADER).strip().upper() != "RSA":
            raise InvalidSignature(Fault.METHOD, _("signed with another cipher than RSA"))
        if not date:
            raise InvalidSignature(Fault.UNSIGNED, _("the Date header is missing: does the proxy forward it?"))
        try:
            signed_by_them = base64.b64decode(signature.strip(), validate=True)
            key = public_keys.load(self.credentials["webhook_public_key"])
        except ValueError as error:
            raise InvalidSignature(
                Fault.SECRET, _("the signature is not base64, or the account's public key cannot be read")
            ) from error

        @cache
        def signs(target: str) -> bool:
            request_line = f"{request.method} {target} HTTP/1.1"
            data = f"{request_line}{date}".encode(errors="replace") + request.body
            try:
                key.verify(signed_by_them, data, padding.PKCS1v15(), digest)
            except WrongSignature:
                return False
            return True

        if not signs(_target(request.url)):
            if other := request.signed_for(lambda url: signs(_target(url))):
                raise InvalidSignature(Fault.ADDRESS, other)
            raise InvalidSignature(
                Fault.SECRET, _("wrong signature: made with another key, or the call or its address was altered")
            )
        dated = moment(date)
        if dated is None:
            raise InvalidSignature(Fault.CLOCK, _("the Date header is not a date"))
        if abs(dated - now) > TIME_WINDOW:
            raise InvalidSignature(
                Fault.CLOCK, _("dated more than %(seconds)s seconds from now") % {"seconds": TIME_WINDOW.seconds}
            )

    def dedupe_key(self, request: WebhookRequest) -> str:
        """The vendor's own id: the same reply may come by the message's address and by the account's webhook."""
        try:
            data, kind = _event(request)
        except Unreadable:
            return super().dedupe_key(request)
        if not _text(data.get(kind)):  # the account's template names none: what the whole callback says has to do
            return super().dedupe_key(request)
        return digest(json.dumps([kind, _text(data[kind])]))

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        data, kind = _event(request)
        if kind != REPORT:
            return []
        message_id = _text(data.get("message_id"))
        if not message_id:
            raise Unreadable(_("%(name)s is missing.") % {"name": "message_id"})
        word, code = _text(data.get("status")).lower(), _text(data.get("error_code"))
        status, category, error = STATES.get(word, Delivery.UNKNOWN), Category.NONE, ""
        if status is Delivery.FAILED and word == "failed" and code in CARRIER_GAVE_UP:
            status = Delivery.UNDELIVERED
        if status in FAILURES:
            category, meaning = ERRORS.get(code, (Category.UNKNOWN, ""))
            if category is Category.NONE:
                category = Category.TRANSIENT if status is Delivery.EXPIRED else Category.UNKNOWN
            error = ": ".join(filter(None, (code or word, meaning)))
        elif status is Delivery.UNKNOWN:
            error = f"status {word} {code}".strip()
        return [DeliveryReport(message_id, _reference(data), status, category, error)]

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        data, kind = _event(request)
        if kind == REPORT:
            return []
        sender = _text(data.get("source_number"))
        if not sender:
            raise Unreadable(_("%(name)s is missing.") % {"name": "source_number"})
        content = data.get("content")
        return [
            InboundSms(
                message_id=_text(data.get(kind)),
                sender=senders.e164(sender),
                recipient=senders.e164(_text(data.get("destination_number"))),
                text=_content(content, MEDIA if data.get("attachments") else ""),
                in_reply_to=_text(data.get("message_id")),
                opt_out=True if kind == OPT_OUT else None,
            )
        ]

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _("SMS to most countries; which numbers and sender IDs are possible differs by region and country.")
    sender_label = _("Phone number or alphanumeric sender")
    sender_help = _(
        "A number of your MessageMedia account, country code first, for example 35312345678; a short code; or an "
        "alphanumeric sender of 3 to 11 letters, digits, hyphens and underscores. It must be registered for your "
        "account. Surveys by text need a number."
    )
    setup = _(
        "1. Log in to MessageMedia and create an API key under Basic authentication. Keep the key and the secret: the "
        "key is the username of the form, the secret its password.\n"
        "2. Send this to your account representative or the support: “Please switch on secure callbacks (enterprise "
        "webhooks) for our account, with a signature key of cipher RSA and digest SHA256, enable that key and send us "
        "its public key. Please also create a webhook with the method POST, the encoding JSON and your sample template "
        "for the events RECEIVED_SMS and OPT_OUT_SMS: {inbound_url} ”\n"
        "3. Enter the public key in the form. Until calls are signed with it, they are refused and listed here.\n"
        "4. Delivery reports, and replies to a message, need no webhook. Every message names its own address: "
        "{reports_url}"
    )
    webhook_check_note = _(
        "Strong: each call is signed by MessageMedia with a private key that nobody else has (RSA over the address, "
        "the date and the body), and checked with the public key you enter. Unsigned or altered calls, and those dated "
        "more than 15 minutes from now, are refused."
    )
