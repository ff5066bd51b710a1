"""Vonage (formerly Nexmo): the SMS API, and the callbacks of the SMS API and of the Messages API.

Reference: https://developer.vonage.com/en/api/sms
A dashboard switch of the customer's decides which of the two APIs' formats the callbacks have, so both are read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django import forms

from extensions import json_web_tokens, senders
from extensions.contract import (
    GOOD,
    SELF_TEST_PHONE,
    SELF_TEST_TEXT,
    Again,
    ApiRequest,
    ApiResponse,
    Balance,
    Category,
    Check,
    Delivery,
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    Kind,
    NotTaken,
    OutboundSms,
    OwnNumber,
    Provider,
    Refused,
    Rung,
    SendResult,
    Text,
    Unclear,
    Unreadable,
    WebhookCheck,
    WebhookRequest,
    bounded,
    by_code,
    failed_check,
    self_test_id,
)
from extensions.credential_fields import ChoiceField, GivenSecretField, IdentifierField
from extensions.reading import amount, digits_of, finite, mapping, mappings, object_of, plain, same, text, utf8, within
from intake.sentences import amount as money
from intake.sentences import said_lazy as _

BASE_URL = "https://rest.nexmo.com"

# Without type=unicode, characters outside the GSM 03.38 alphabet arrive damaged.
# https://developer.vonage.com/en/messaging/sms/guides/concatenation-and-encoding
GSM_ONLY = re.compile(
    r"[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà\f^{}\\\[~\]|€]*"
)
CALLBACK_LENGTH = 100  # characters; a longer URL is refused with error 23
CLIENT_REF_LENGTH = 40
TTL = range(20_000, 604_800_001)  # milliseconds

# `status` of each part in the answer to a send. https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms
ACCEPTED = "0"
SEND_ERRORS = {
    "1": (Category.RATE_LIMITED, "throttled"),
    "2": (Category.UNKNOWN, "missing parameter"),
    "3": (Category.UNKNOWN, "invalid parameter"),
    "4": (Category.AUTH_FAILED, "bad credentials"),
    "5": (Category.TRANSIENT, "internal error"),
    "6": (Category.INVALID_RECIPIENT, "message cannot be processed"),
    "7": (Category.OPTED_OUT, "number barred"),
    "8": (Category.AUTH_FAILED, "account barred"),
    "9": (Category.INSUFFICIENT_BALANCE, "not enough credit"),
    "10": (Category.RATE_LIMITED, "too many connections"),
    "11": (Category.AUTH_FAILED, "account not enabled for HTTP"),
    "12": (Category.REJECTED_CONTENT, "message too long"),
    "14": (Category.AUTH_FAILED, "bad signature"),
    "15": (Category.INVALID_SENDER, "sender not allowed"),
    "22": (Category.INVALID_RECIPIENT, "bad network code"),
    "23": (Category.UNKNOWN, "callback URL too long or illegal"),
    "29": (Category.INVALID_RECIPIENT, "demo account: number not on its list"),
    "32": (Category.AUTH_FAILED, "signature and API secret both sent"),
    "33": (Category.INVALID_RECIPIENT, "number deactivated"),
}
NOT_TAKEN = {"1", "5", "10"}
BARRED = "7"  # by the platform, not by the person
INVALID_PARAMETER = "3"
NAMED_PARAMETER = re.compile(
    r"\b(?:invalid|missing|parameter|param|value)\W+(to|from)\b|\b(to|from)\W+(?:param|address)"
)
# "please wait [ 250 ] and retry", in milliseconds. Other brackets are the limit itself: "[ 30 ] INTERVAL [ 1000 ]".
WAIT = re.compile(r"\bwait\s*\[\s*([0-9]{1,9})\s*\]\s*(?:ms|milliseconds)?\s*(?:and retry|$)", re.IGNORECASE)

CHECKS: dict[int, Text] = {  # what the answer to a check means, by its HTTP status
    401: _("Vonage does not recognise this account SID with this auth token. Check both for typing errors."),
    403: _("Vonage recognises the account but refuses access: it may be suspended. Ask Vonage support."),
    429: _("Vonage has received too many requests from this account. Check again in a minute."),
}

# `err-code` of a delivery receipt. https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
RECEIPT_ERRORS = {
    "0": (Category.NONE, ""),
    "1": (Category.UNKNOWN, "unknown"),
    "2": (Category.TRANSIENT, "absent subscriber, temporary"),
    "3": (Category.INVALID_RECIPIENT, "absent subscriber, permanent"),
    "4": (Category.OPTED_OUT, "call barred by user"),
    "5": (Category.INVALID_RECIPIENT, "portability error"),
    "6": (Category.REJECTED_CONTENT, "anti-spam rejection"),
    "7": (Category.TRANSIENT, "handset busy"),
    "8": (Category.TRANSIENT, "network error"),
    "9": (Category.OPTED_OUT, "the recipient asked not to get messages"),
    "10": (Category.REJECTED_CONTENT, "illegal message"),
    "11": (Category.INVALID_RECIPIENT, "unroutable"),
    "12": (Category.INVALID_RECIPIENT, "destination unreachable"),
    "13": (Category.REJECTED_CONTENT, "subscriber age restriction"),
    "14": (Category.INVALID_RECIPIENT, "number blocked by carrier"),
    "15": (Category.TRANSIENT, "the recipient's prepaid credit is used up"),
    "16": (Category.RATE_LIMITED, "gateway quota exceeded"),
    "50": (Category.INVALID_SENDER, "entity filter"),
    "51": (Category.INVALID_SENDER, "header filter"),
    "52": (Category.REJECTED_CONTENT, "content filter"),
    "53": (Category.OPTED_OUT, "consent filter"),
    "54": (Category.REJECTED_CONTENT, "regulation"),
    "99": (Category.UNKNOWN, "general error"),
}
# Error numbers of the Messages API. https://developer.vonage.com/en/api-errors/messages
MESSAGES_ERRORS = by_code(
    {
        Category.RATE_LIMITED: ("1000",),
        Category.UNKNOWN: ("1010", "1020", "1150"),
        Category.TRANSIENT: ("1030", "1100", "1230", "1331"),
        Category.INVALID_RECIPIENT: ("1040", "1170", "1190", "1250", "1260"),
        Category.OPTED_OUT: ("1050", "1240"),
        Category.AUTH_FAILED: ("1060", "1080", "1140"),
        Category.INSUFFICIENT_BALANCE: ("1070",),
        Category.REJECTED_CONTENT: ("1090", "1210"),
        Category.INVALID_SENDER: ("1120",),
    }
)
BLOCKED = {"4", "1050"}  # an OPTED_OUT that is not the person's wish

RECEIPT_STATES = {  # of the SMS API
    "accepted": Delivery.SENT,
    "buffered": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "expired": Delivery.EXPIRED,
    "failed": Delivery.UNDELIVERED,
    "rejected": Delivery.FAILED,
    "unknown": Delivery.UNKNOWN,
}
MESSAGES_STATES = {  # https://developer.vonage.com/en/messages/concepts/message-status
    "submitted": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "rejected": Delivery.UNDELIVERED,  # covers expired, failed and rejected
    "undeliverable": Delivery.FAILED,
    "read": Delivery.READ,
}

# How the `sig` parameter is made. https://developer.vonage.com/en/getting-started/concepts/signing-messages
AUTO = "auto"
SIGNATURE_METHODS = {  # name -> length of the signature in hexadecimal digits
    "md5hash": 32,
    "md5": 32,
    "sha1": 40,
    "sha256": 64,
    "sha512": 128,
}
OLDEST = 24 * 3600 + 300  # seconds; a call is repeated for 24 hours, perhaps with its first timestamp
AHEAD = 300
# What a part of a long text says of itself, the same in every call about it.
PART_FIELDS = ("messageId", "msisdn", "to", "concat-ref", "concat-part", "concat-total", "text")


# --- what Vonage writes ----------------------------------------------------------------------------------------------


def _parameters(request: WebhookRequest) -> dict[str, Any]:
    """The call's parameters: what the body says if there is one, else the query. Raises Unreadable.

    Verification and reading must look at the same place, or an unsigned query could stand in for a signed body.
    """
    if not request.body:
        return dict(request.query)
    if "json" not in request.content_type and not request.body.lstrip().startswith(b"{"):
        return dict(request.form())
    return request.json_object(_("The body must be a JSON object."))


def _string_to_sign(parameters: dict[str, Any]) -> bytes:
    """All parameters but `sig`, sorted; in the values, & and = are replaced. Raises Unreadable."""
    content = ""
    for name, value in sorted(parameters.items()):
        if name == "sig":
            continue
        if isinstance(value, dict | list) or "&" in name or "=" in name:  # could be written so as to hide another
            raise Unreadable(_("A signed parameter must be plain text under a name without & and =."))
        content += f"&{name}={str(value).replace('&', '_').replace('=', '_')}"
    return utf8(content)


def _token(request: WebhookRequest) -> str:
    scheme, _space, token = request.header("Authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _is_part(data: dict[str, Any]) -> bool:
    return plain(data.get("concat")).lower() == "true"


def _count(data: dict[str, Any], name: str) -> int:
    value = plain(data.get(name))
    if not re.fullmatch("[0-9]{1,3}", value):
        raise Unreadable(_("%(name)s must be a number of one to three digits.") % {"name": name})
    return int(value)


def _is_sms(data: dict[str, Any]) -> bool:
    """The Messages API sends other channels' callbacks to the same addresses."""
    return data.get("channel", "sms") == "sms"


def _words(part: dict[str, Any]) -> str:
    code = plain(part.get("status"))
    _category, label = SEND_ERRORS.get(code, (Category.UNKNOWN, ""))
    return f"{code}: {plain(part.get('error-text')) or label}"[:200]


def _sentence(status: str, code: str, label: str) -> str:
    return ": ".join(filter(None, (code or status, label)))[:200]


class Vonage(Provider):
    key = "vonage"
    name = "Vonage"
    slug = "vonage-sms"
    aliases = ("vonage",)
    docs_url = "https://developer.vonage.com/en/messaging/sms/overview"
    keywords = ("Nexmo",)
    sender_after = "auth_token"
    webhook_check = WebhookCheck.SIGNATURE
    webhook_secrets = ("signature_secret",)
    account_fields = ("account_sid",)
    typical: ClassVar = {
        "account_sid": "[0-9A-Za-z]{8}",
        "auth_token": "[!-~]{12,23}",
        "signature_secret": "[!-~]{24,}",
    }
    host_patterns = (r"rest\.nexmo\.com",)
    webhook_methods = ("GET", "HEAD", "POST")  # as the account's webhook format says
    repeats_unsigned = True  # https://developer.vonage.com/en/messages/concepts/signed-webhooks
    max_in_flight = 5  # more parallel connections earn error 10
    # 30 requests a second for all uses of the API key together; room for others
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 25.0)

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        account_sid = IdentifierField(
            label=_("Account SID"),
            max_length=64,
            allowed="A-Za-z0-9",
            suggest=_("The account SID has letters and digits only: %(suggestion)s"),
            wrong=_("The account SID has letters and digits only, for example a1b2c3d4."),
            help_text=_(
                "Your Vonage account ID, called API key in the dashboard's API settings, for example a1b2c3d4."
            ),
        )
        auth_token = GivenSecretField(
            label=_("Auth token"),
            help_text=_("For access to the API: called API secret in the dashboard, under API settings."),
            mistakes={r"[^!-~]": _("Enter the token alone: it has no spaces, line breaks or accents in it.")},
        )
        signature_secret = GivenSecretField(
            label=_("Signature secret"),
            help_text=_("The secret that your webhook signatures are made with: under API settings in the dashboard."),
            mistakes={r"\s": _("Enter the secret alone: it has no spaces or line breaks in it.")},
        )
        signature_method = ChoiceField(
            label=_("Signature method"),
            choices=[
                (AUTO, _("Detect from the signature")),
                ("md5hash", _("MD5 hash")),
                ("md5", _("MD5 HMAC")),
                ("sha1", _("SHA-1 HMAC")),
                ("sha256", _("SHA-256 HMAC")),
                ("sha512", _("SHA-512 HMAC")),
            ],
            help_text=_(
                "As under API settings in the dashboard. Choosing the method is safer than having it detected: then "
                "no weaker one is accepted."
            ),
        )

    # --- sending ------------------------------------------------------------------------------------------------

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        ttl = int(sms.validity.total_seconds() * 1000)
        form = {
            "from": sms.sender or self.sender,
            "to": sms.to.lstrip("+"),
            "text": sms.text,
            "type": "text" if GSM_ONLY.fullmatch(sms.text) else "unicode",
            "status-report-req": "1",
            "ttl": str(min(max(ttl, TTL[0]), TTL[-1])),
        }
        if sms.reference:
            form["client-ref"] = sms.reference[:CLIENT_REF_LENGTH]
        if sms.status_url and len(sms.status_url) <= CALLBACK_LENGTH:  # else the account's own status URL is used
            form["callback"] = sms.status_url
        return ApiRequest(
            "POST",
            f"{BASE_URL}/sms/json",
            headers={"Accept": "application/json"},
            auth=(self.credentials["account_sid"], self.credentials["auth_token"]),
            form=form,
        )

    def parse_send(self, response: ApiResponse) -> SendResult:
        """A long text is answered with one entry per part; the first part's id stands for the message."""
        parts = self._parts(response)
        states = [plain(part.get("status")) for part in parts]
        refused = [part for part, state in zip(parts, states, strict=True) if state != ACCEPTED]
        if not refused:
            message_id = plain(parts[0].get("message-id"))
            if not message_id:
                raise Unclear(_("accepted, but without a message ID"))
            count = plain(response.object().get("message-count"))
            return SendResult(message_id, segments=int(count) if re.fullmatch("[1-9][0-9]{0,3}", count) else len(parts))
        if len(refused) < len(parts):
            raise Unclear(
                _("%(accepted)s of %(parts)s parts accepted, the others refused: %(words)s")
                % {"accepted": len(parts) - len(refused), "parts": len(parts), "words": _words(refused[0])}
            )
        raise self._send_error(refused[0])

    def _parts(self, response: ApiResponse) -> list[dict[str, Any]]:
        """The entries of the answer, one per part. Raises Refused, NotTaken and Unclear for the whole request."""
        data = object_of(response)
        words = ": ".join(filter(None, (plain(data.get(name)) for name in ("title", "detail", "error-code-label"))))
        low = plain(data.get("type")).endswith("#low-balance")
        said = Rung(Again.NEVER, Category.INSUFFICIENT_BALANCE) if low else None
        error = self.http_error(response, f"HTTP {response.status} {words}".strip()[:200], said=said)
        parts = data.get("messages")
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            raise error or Unclear(_("HTTP %(status)s with an unreadable body") % {"status": response.status})
        if error and not isinstance(error, Refused):  # one that refuses may say why part by part
            raise error
        if error and any(plain(part.get("status")) == ACCEPTED for part in parts):
            raise Unclear(_("HTTP %(status)s, yet parts are accepted") % {"status": response.status})
        return parts

    @staticmethod
    def _send_error(part: dict[str, Any]) -> Refused | NotTaken | Unclear:
        """What the `status` of a part that was not accepted means."""
        code = plain(part.get("status"))
        words = _words(part)
        if not code or part.get("message-id"):
            return Unclear(_("neither accepted nor refused: %(words)s") % {"words": words})
        category, _label = SEND_ERRORS.get(code, (Category.UNKNOWN, ""))
        if code in NOT_TAKEN:
            wait = WAIT.search(words)
            return NotTaken(words, retry_after=bounded(int(wait[1]) / 1000) if wait else None, category=category)
        if code == INVALID_PARAMETER and (named := NAMED_PARAMETER.search(words.lower())):
            category = Category.INVALID_RECIPIENT if "to" in named.groups() else Category.INVALID_SENDER
        return Refused(category, words, blocked=code == BARRED)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        return self.build_balance()

    def parse_check(self, response: ApiResponse) -> Check:
        data = object_of(response)
        balance = finite(data.get("value"))
        if response.status != 200 or balance is None:
            unknown = _("Vonage's answer was not understood (HTTP %(status)s). Check again later.")
            return failed_check(response, CHECKS, unknown % {"status": response.status})
        warnings: list[Text] = []
        if balance <= 0 and data.get("autoReload") is not True:
            warnings.append(_("The balance is used up: Vonage will refuse messages until you top it up."))
        return Check(
            True,
            _(
                "The account SID and the auth token are right; the balance is %(balance)s EUR. The signature secret "
                "cannot be checked ahead: the first signed call from Vonage confirms it."
            )
            % {"balance": money(f"{balance:.2f}")},
            warnings,
        )

    # --- what else the API tells --------------------------------------------------------------------------------

    def _account_call(self, path: str) -> ApiRequest:
        return ApiRequest(
            "GET",
            f"{BASE_URL}{path}",
            headers={"Accept": "application/json"},
            auth=(self.credentials["account_sid"], self.credentials["auth_token"]),
        )

    def build_numbers(self) -> ApiRequest:
        return self._account_call("/account/numbers?size=100")

    def parse_numbers(self, response: ApiResponse) -> list[OwnNumber]:
        """https://developer.vonage.com/en/api/numbers#getOwnedNumbers; without any, the answer is {}."""
        if error := self.http_error(response):
            raise error
        rows = mappings(response.object().get("numbers"))
        able = [row for row in rows if "SMS" in (row.get("features") or ["SMS"])]
        return [OwnNumber(digits_of(row.get("msisdn")), text(row.get("country"))) for row in able]

    def build_balance(self) -> ApiRequest:
        return self._account_call("/account/get-balance")

    def parse_balance(self, response: ApiResponse) -> Balance:
        if error := self.http_error(response):
            raise error
        return Balance(amount(response.object().get("value")), "EUR")

    # --- callbacks ----------------------------------------------------------------------------------------------

    @classmethod
    def is_probe(cls, request: WebhookRequest) -> bool:
        """Saving the address in the dashboard makes Vonage call it once, empty."""
        return not request.body and not request.query

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        if _token(request):
            self._verify_token(request, now)
        else:
            self._verify_parameters(request, now)

    def _verify_token(self, request: WebhookRequest, now: datetime) -> None:
        """Messages API. https://developer.vonage.com/en/messages/concepts/signed-webhooks"""
        claims = json_web_tokens.claims(_token(request), self.credentials["signature_secret"], algorithms=["HS256"])
        if not request.body or request.query:
            raise InvalidSignature(
                Fault.CONTENT, _("the token signs the body only: the call must have a body and no query")
            )
        if claims.get("iss") != "Vonage":
            raise InvalidSignature(Fault.OTHER_ACCOUNT, _("the token was not issued by Vonage"))
        if not same(plain(claims.get("payload_hash")), hashlib.sha256(request.body).hexdigest()):
            raise InvalidSignature(Fault.CONTENT, _("the body is not the one that was signed"))
        self._judge(plain(claims.get("api_key")), json_web_tokens.seconds(claims.get("iat")), now)

    def _verify_parameters(self, request: WebhookRequest, now: datetime) -> None:
        """SMS API: the parameter `sig`, over all other parameters. Host and path are not signed."""
        try:
            parameters = _parameters(request)
            content = _string_to_sign(parameters)
        except Unreadable as error:
            raise InvalidSignature(
                Fault.CONTENT, _("the call cannot be read, so its signature cannot be checked")
            ) from error
        signature = plain(parameters.get("sig")).lower()
        if not signature:
            raise InvalidSignature(
                Fault.UNSIGNED, _("the call is not signed: Vonage support switches signatures on for an account")
            )
        if request.body and request.query:
            raise InvalidSignature(
                Fault.CONTENT, _("parameters in the query and in the body: only one of them is signed")
            )
        pinned = self.credentials.get("signature_method") or AUTO
        methods = [pinned] if pinned != AUTO else list(SIGNATURE_METHODS)
        methods = [method for method in methods if SIGNATURE_METHODS.get(method) == len(signature)]
        if not methods:
            raise InvalidSignature(
                Fault.METHOD, _("the signature's length does not fit the signature method of the account")
            )
        matches = [same(signature, self._sign(content, method)) for method in methods]
        if not any(matches):
            raise InvalidSignature
        timestamp = plain(parameters.get("timestamp"))
        self._judge(
            plain(parameters.get("api-key")), int(timestamp) if re.fullmatch("[0-9]{1,12}", timestamp) else None, now
        )

    def _sign(self, content: bytes, method: str) -> str:
        secret = self.credentials["signature_secret"].encode()
        if method == "md5hash":
            return hashlib.md5(content + secret, usedforsecurity=False).hexdigest()  # what the provider's default is
        return hmac.new(secret, content, method).hexdigest()

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        """By POST-JSON, as the set-up steps recommend."""
        parameters = {
            "messageId": self_test_id(now),
            "msisdn": SELF_TEST_PHONE,
            "to": self.sender,
            **({"status": "delivered", "err-code": "0"} if kind == "status" else {"text": SELF_TEST_TEXT}),
            "api-key": self.credentials["account_sid"],
            "timestamp": str(int(now.timestamp())),
            "nonce": self_test_id(now),
        }
        pinned = self.credentials.get("signature_method") or AUTO
        parameters["sig"] = self._sign(_string_to_sign(parameters), "sha256" if pinned == AUTO else pinned)
        return WebhookRequest("POST", url, {"Content-Type": "application/json"}, json.dumps(parameters).encode())

    def _judge(self, api_key: str, signed_at: float | None, now: datetime) -> None:
        """What must be true of a signed call besides its signature."""
        if signed_at is None:
            raise InvalidSignature(Fault.CLOCK, _("the signed time is missing"))
        if not -AHEAD <= now.timestamp() - signed_at <= OLDEST:
            raise InvalidSignature(Fault.CLOCK, _("the signed time is outside the window of 24 hours"))
        if not same(api_key, self.credentials["account_sid"]):
            raise InvalidSignature(Fault.OTHER_ACCOUNT, _("the call is for another Vonage account (api-key)"))

    def dedupe_key(self, request: WebhookRequest) -> str:
        """Over what is signed, nonce or token id included, so that an unsigned change makes no new callback of it."""
        if token := _token(request):
            return hashlib.sha256(utf8(json_web_tokens.signed_part(token)) + b"\0" + request.body).hexdigest()
        try:
            parameters = _parameters(request)
            content = _string_to_sign(parameters)
        except Unreadable:
            return super().dedupe_key(request)
        if _is_part(parameters) and "messageId" in parameters:
            # Repeated, it may have another nonce. A whole text is known by its id; of a part that is gone by then,
            # since its text is complete, nobody would know any more that it is not another text.
            content = utf8("\0".join(plain(parameters.get(name)) for name in PART_FIELDS))
        return hashlib.sha256(content).hexdigest()

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        data = _parameters(request)
        if "status" not in data or not _is_sms(data):
            return []
        if "message_uuid" in data:
            return [self._messages_report(data)]
        status = plain(data.get("status")).lower()
        message_id, reference = plain(data.get("messageId")), plain(data.get("client-ref"))
        if not message_id and not reference:
            raise Unreadable(_("messageId is missing: it must name the message part that the receipt is about."))
        delivery = RECEIPT_STATES.get(status, Delivery.UNKNOWN)
        code = plain(data.get("err-code"))
        category, label = RECEIPT_ERRORS.get(code, (Category.UNKNOWN, ""))
        if code == "0" and delivery in (Delivery.UNDELIVERED, Delivery.FAILED):
            category = Category.UNKNOWN
        bad = delivery not in GOOD
        return [
            DeliveryReport(
                message_id,
                reference=reference,
                status=delivery,
                category=category if bad else Category.NONE,
                error=_sentence(status, code if code != "0" else "", label) if bad else "",
                part=message_id,
                blocked=bad and code in BLOCKED,
            )
        ]

    @staticmethod
    def _messages_report(data: dict[str, Any]) -> DeliveryReport:
        status = plain(data.get("status")).lower()
        delivery = MESSAGES_STATES.get(status, Delivery.UNKNOWN)
        error = mapping(data.get("error"))
        named = (plain(error.get(name)) for name in ("title", "code", "type"))
        code = next((found[1] for text in named if (found := re.search(r"(?:^|#)(1[0-9]{3})\b", text))), "")
        bad = delivery not in GOOD
        return DeliveryReport(
            plain(data.get("message_uuid")),
            reference=plain(data.get("client_ref")),
            status=delivery,
            category=MESSAGES_ERRORS.get(code, Category.UNKNOWN) if bad else Category.NONE,
            error=_sentence(status, code, plain(error.get("detail") or error.get("reason"))) if bad else "",
            blocked=bad and code in BLOCKED,
        )

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        data = _parameters(request)
        if "status" in data or not _is_sms(data):
            return []
        if "message_uuid" in data:
            return [self._messages_inbound(data)]
        if not {"msisdn", "text", "messageId"} & data.keys():
            return []
        message_id, sender = plain(data.get("messageId")), plain(data.get("msisdn"))
        if not message_id or not sender:
            raise Unreadable(_("%(name)s is missing.") % {"name": "msisdn" if message_id else "messageId"})
        sms = InboundSms(message_id, senders.e164(sender), senders.e164(plain(data.get("to"))), plain(data.get("text")))
        if not _is_part(data):
            return [sms]
        part, total = _count(data, "concat-part"), _count(data, "concat-total")
        if not 1 <= part <= total:
            raise Unreadable(
                _("concat-part is %(part)s of %(total)s: it must be between 1 and concat-total.")
                % {"part": part, "total": total}
            )
        return [replace(sms, concat_ref=plain(data.get("concat-ref")), concat_part=part, concat_total=total)]

    @staticmethod
    def _messages_inbound(data: dict[str, Any]) -> InboundSms:
        sender, recipient, text = data.get("from"), data.get("to"), data.get("text")
        if isinstance(sender, dict) and isinstance(recipient, dict):  # the older shape, v0.1
            sender, recipient = sender.get("number"), recipient.get("number")
            text = within(data, "message", "content", "text")
        message_id, sender = plain(data.get("message_uuid")), plain(sender)
        if not message_id or not sender:
            raise Unreadable(_("%(name)s is missing.") % {"name": "from" if message_id else "message_uuid"})
        return InboundSms(message_id, senders.e164(sender), senders.e164(plain(recipient)), plain(text))

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _("SMS to most countries; which numbers and sender IDs are possible differs by region and country.")
    sender_label = _("Phone number, sender ID or message service ID")
    sender_help = _(
        "A number of your Vonage account, country code first, without + or 00, for example 35312345678; or an "
        "alphanumeric sender ID of up to 11 letters and digits. Surveys by text need a number. A sender ID must be "
        "allowed in the countries you send to."
    )
    setup = _(
        "1. Log in to the Vonage dashboard and open API settings.\n"
        "2. Under SMS settings, either format of the webhooks will do: SMS API or Messages API.\n"
        "3. As delivery receipts webhook (status URL), enter {reports_url}\n"
        "4. As inbound SMS webhook, which surveys by text need, enter {inbound_url}\n"
        "5. If your number has a webhook of its own under Numbers, enter the same URL there.\n"
        "6. Choose POST-JSON as webhook format; GET and POST are understood as well.\n"
        "7. Save. Vonage calls both addresses once to try them.\n"
        "8. Copy the signature secret and note the signature method, both on the same page.\n"
        "9. Signatures on SMS webhooks are off by default: ask Vonage support to switch them on for your account. "
        "Until then its calls are refused and shown on this page."
    )
    webhook_check_note = _(
        "Each call is signed with your signature secret and carries its time. Calls that are not signed, were altered, "
        "are more than 24 hours old or come from another Vonage account are refused. HMAC with SHA-256 or SHA-512 is "
        "the strongest signature method; MD5 hash is the weakest."
    )
