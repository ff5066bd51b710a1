"""MessageBird (now Bird): the classic SMS API.

Reference: https://developers.messagebird.com/api/sms-messaging/
Its owner is replacing it by a new platform. What a change of API would touch is here: the base URL and the
authorisation below, `verify`, and what `webhook_check_note`, `coverage` and `setup` say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from django import forms
from django.http import HttpResponse

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
    LookUp,
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
    failed_check,
    self_test_id,
)
from extensions.credential_fields import ChoiceField, GivenSecretField
from extensions.reading import (
    amount,
    digest,
    digits_of,
    finite,
    listed,
    mapping,
    mappings,
    object_of,
    plain,
    same,
    text,
    utf8,
    within,
)
from intake.sentences import amount as money
from intake.sentences import said_lazy as _

BASE_URL = "https://rest.messagebird.com"
NUMBERS_URL = "https://numbers.messagebird.com/v1"
AUTHORIZATION = "AccessKey {}"
SIGNATURE_HEADER = "MessageBird-Signature-JWT"
LEGACY_SIGNATURE_HEADER = "MessageBird-Signature"
LEGACY_TIME_HEADER = "MessageBird-Request-Timestamp"
ALGORITHMS = ("HS256", "HS384", "HS512")
LEEWAY = 1  # seconds
LEGACY_WINDOW = 10  # seconds, before and after
# Whether the deprecated signature is still sent without the token is not known, so an account may take it.
TOKEN_ONLY, ALSO_LEGACY = "token", "also-legacy"

# https://developers.messagebird.com/api/#errors
ERRORS = {
    2: Category.AUTH_FAILED,
    9: Category.UNKNOWN,  # missing parameter, or none that is right
    10: Category.UNKNOWN,  # invalid parameter
    20: Category.UNKNOWN,  # not found
    21: Category.UNKNOWN,  # bad request
    25: Category.INSUFFICIENT_BALANCE,
    98: Category.UNKNOWN,  # no such endpoint
    99: Category.TRANSIENT,  # internal
}
INTERNAL_ERROR = 99
PARAMETERS = {  # the parameter that an error 9 or 10 names
    "recipient": Category.INVALID_RECIPIENT,
    "recipients": Category.INVALID_RECIPIENT,
    "originator": Category.INVALID_SENDER,
    "body": Category.REJECTED_CONTENT,
}

CHECKS: dict[int, Text] = {  # what the answer to a check means, by its HTTP status
    401: _(
        "MessageBird does not recognise this access token. Check it for typing errors; the signing key is a "
        "different value."
    ),
    403: _("MessageBird recognises the access token but refuses access. Ask MessageBird support."),
    429: _("MessageBird has received too many requests from this account. Check again in a minute."),
}

# https://developers.messagebird.com/api/sms-messaging/#sms-statuses
STATES = {
    "scheduled": Delivery.QUEUED,
    "pending": Delivery.QUEUED,
    "accepted": Delivery.QUEUED,
    "sent": Delivery.SENT,
    "buffered": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "delivery_failed": Delivery.UNDELIVERED,
    "expired": Delivery.EXPIRED,
}

# `statusErrorCode`, often absent: 103 is MessageBird's, the rest are causes of the mobile network (GSM MAP).
# https://docs.bird.com/connectivity-platform/sms/sms-platform-extended-error-codes
STATUS_ERROR_CODES = {
    "103": Category.OPTED_OUT,
    "1": Category.INVALID_RECIPIENT,  # unknown subscriber
    "2": Category.INVALID_RECIPIENT,
    "3": Category.INVALID_RECIPIENT,
    "5": Category.INVALID_RECIPIENT,
    "6": Category.TRANSIENT,  # absent subscriber
    "9": Category.INVALID_RECIPIENT,  # illegal subscriber
    "11": Category.INVALID_RECIPIENT,  # not provisioned
    "12": Category.INVALID_RECIPIENT,  # illegal equipment
    "13": Category.INVALID_RECIPIENT,  # call barred
    "21": Category.INVALID_RECIPIENT,  # facility not supported
    "27": Category.TRANSIENT,  # absent subscriber
    "31": Category.TRANSIENT,  # busy
    "32": Category.TRANSIENT,  # delivery failures
    "33": Category.TRANSIENT,
    "34": Category.TRANSIENT,
    "35": Category.TRANSIENT,
    "36": Category.TRANSIENT,
}
STATUS_REASONS = {  # part of the reason, in lower case with blanks for underscores
    "opted out": Category.OPTED_OUT,
    "unknown subscriber": Category.INVALID_RECIPIENT,
    "received network error": Category.TRANSIENT,
    "balance": Category.INSUFFICIENT_BALANCE,
    "carrier rejected": Category.REJECTED_CONTENT,
    "capacity": Category.RATE_LIMITED,
}
RAN_OUT = ("expired", "dlr not received")  # its validity ended without a receipt

LOOKUP_MARGIN = timedelta(minutes=5)  # their clock is not ours
LOOKUP_LIMIT = 50


# --- what MessageBird writes -----------------------------------------------------------------------------------------


def _errors(response: ApiResponse) -> list[dict[str, Any]]:
    """The errors that an answer lists; it has none of its own where it comes from a machine on the way."""
    return mappings(object_of(response).get("errors")) if 400 <= response.status < 500 else []


def _told(errors: list[dict[str, Any]]) -> str:
    return "; ".join(f"{plain(error.get('code'))}: {plain(error.get('description'))}" for error in errors)[:200]


def _said(error: dict[str, Any]) -> Rung | None:
    """What an error says beyond the status of the answer, None if that is nothing."""
    code = plain(error.get("code"))
    number = int(code) if re.fullmatch("[0-9]{1,4}", code) else 0
    if number == INTERNAL_ERROR:
        return Rung(Again.UNCLEAR)
    category = ERRORS.get(number, Category.UNKNOWN)
    if number in (9, 10):
        category = PARAMETERS.get(plain(error.get("parameter")).lower(), category)
    return None if category is Category.UNKNOWN else Rung(Again.NEVER, category)


def _first_recipient(message: dict[str, Any]) -> dict[str, Any]:
    return mapping(next(iter(listed(within(message, "recipients", "items"))), None))


def _state(report: dict[str, Any]) -> tuple[Delivery, Category, str]:
    """What became of the message, why, and in the provider's own words; the latter two only where it went wrong."""
    word = plain(report.get("status")).lower()
    status = STATES.get(word, Delivery.UNKNOWN)
    if status in GOOD:
        return status, Category.NONE, ""
    code = plain(report.get("statusErrorCode") or report.get("statuserrorcode"))
    words = plain(report.get("statusReason") or report.get("statusreason"))
    reason = words.lower().replace("_", " ")
    error = ": ".join(filter(None, (code, words or word)))[:200]
    if reason in RAN_OUT:
        return Delivery.EXPIRED, Category.UNKNOWN, error
    category = STATUS_ERROR_CODES.get(code) or next(
        (category for part, category in STATUS_REASONS.items() if part in reason), Category.UNKNOWN
    )
    return status, category, error


def _fields(request: WebhookRequest) -> dict[str, str]:
    """What the call says, in the body if it has one, else in the query; names in lower case, the last of a name wins.

    Raises Unreadable.
    """
    if not request.body:
        pairs: list[tuple[str, Any]] = list(request.query.items())
    elif "json" in request.content_type or request.body.lstrip().startswith(b"{"):
        pairs = list(request.json_object(_("The body must be a JSON object.")).items())
    else:
        pairs = list(request.form_pairs())
    return {name.lower(): plain(value) for name, value in pairs}


def _first(data: dict[str, str], *names: str) -> str:
    return next((data[name] for name in names if data.get(name)), "")


class MessageBird(Provider):
    key = "messagebird"
    name = "MessageBird"
    slug = "messagebird-sms"
    aliases = ("twilio-sms",)  # the path in older set-up instructions
    docs_url = "https://developers.messagebird.com/api/sms-messaging/"
    keywords = ("Bird", "Message Bird")
    sender_after = "access_token"
    webhook_check = WebhookCheck.SIGNATURE
    webhook_secrets = ("signing_key",)
    webhook_methods = ("GET", "POST")  # reports come by GET
    typical: ClassVar = {
        "signing_key": "[0-9A-Za-z]{32}",
        "access_token": "(?:live|test)_[!-~]{10,}|[0-9A-Za-z]{25}",
    }
    host_patterns = (r"rest\.messagebird\.com", r"numbers\.messagebird\.com")
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 20.0)

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        signing_key = GivenSecretField(
            label=_("Signing key"),
            help_text=_(
                "Verifies inbound messages and delivery reports: under Developers, API settings in MessageBird."
            ),
            mistakes={r"\s": _("Enter the key alone: it has no spaces or line breaks in it.")},
        )
        access_token = GivenSecretField(
            label=_("Access token"),
            help_text=_(
                "For access to the API, also called access key: on the dashboard, under Developers, API access."
            ),
            mistakes={
                r"[^!-~]": _(
                    "Enter the token alone, without AccessKey before it: it has no spaces, line breaks or accents."
                )
            },
        )
        accepted_signatures = ChoiceField(
            label=_("Accepted signatures"),
            choices=[(TOKEN_ONLY, _("Only the signed token")), (ALSO_LEGACY, _("Also the older signature"))],
            help_text=_(
                "The older signature does not cover the address, and MessageBird is giving it up. Choose it only if "
                "calls are refused because they have no other."
            ),
            error_messages={"invalid_choice": _("%(value)s is not on the list: choose one of the two.")},
        )

    # --- sending ------------------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, content: Any = None) -> ApiRequest:
        headers = {
            "Authorization": AUTHORIZATION.format(self.credentials["access_token"]),
            "Accept": "application/json",
        }
        return ApiRequest(method, f"{BASE_URL}{path}", headers=headers, json=content)

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        content: dict[str, Any] = {
            "originator": sms.sender or self.sender,
            "recipients": [sms.to.lstrip("+")],
            "body": sms.text,
            "datacoding": "auto",  # the default replaces characters outside GSM 03.38
            "validity": max(1, int(sms.validity.total_seconds())),
        }
        if sms.reference:
            content["reference"] = sms.reference  # without it, no status report comes
        if sms.status_url:
            content["reportUrl"] = sms.status_url
        return self._request("POST", "/messages", content)

    def parse_send(self, response: ApiResponse) -> SendResult:
        if error := self._error(response):
            raise error
        data = response.object()
        recipient = _first_recipient(data)
        message_id = plain(data.get("id"))
        if not message_id or not recipient:
            raise Unclear(_("HTTP %(status)s without a message ID") % {"status": response.status})
        status, category, words = _state(recipient)
        if status not in GOOD and status is not Delivery.UNKNOWN:
            raise Refused(category, words)
        parts = recipient.get("messagePartCount")
        return SendResult(
            message_id,
            segments=parts if isinstance(parts, int) and not isinstance(parts, bool) and parts > 0 else None,
            status=status if status in GOOD else Delivery.QUEUED,
        )

    @classmethod
    def _error(cls, response: ApiResponse) -> Refused | NotTaken | Unclear | None:
        """What an answer other than 2xx means: the first of its errors decides, all of them are told."""
        errors = _errors(response)
        return cls.http_error(response, _told(errors), said=_said(errors[0]) if errors else None)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        return self._request("GET", "/balance")

    def parse_check(self, response: ApiResponse) -> Check:
        data = object_of(response)
        balance = finite(data.get("amount"))
        if response.status != 200 or balance is None:
            unknown = _("MessageBird's answer was not understood (HTTP %(status)s). Check again later.")
            return failed_check(response, CHECKS, unknown % {"status": response.status})
        warnings: list[Text] = []
        if data.get("payment") == "prepaid" and balance <= 0:
            warnings.append(_("The balance is used up: MessageBird will refuse messages until you top it up."))
        if self.credentials["access_token"].startswith("test_"):
            warnings.append(_("This is a test token: messages sent with it reach nobody. Use the live token to send."))
        return Check(
            True,
            _(
                "The access token is right; the balance is %(amount)s %(unit)s. The signing key cannot be checked "
                "ahead: the first signed call from MessageBird confirms it."
            )
            % {"amount": money(f"{balance:.2f}"), "unit": plain(data.get("type"))},
            warnings,
        )

    # --- what else the API tells --------------------------------------------------------------------------------

    def build_numbers(self) -> ApiRequest:
        request = self._request("GET", "")
        return replace(request, url=f"{NUMBERS_URL}/phone-numbers?limit=100")

    def parse_numbers(self, response: ApiResponse) -> list[OwnNumber]:
        """https://developers.messagebird.com/api/numbers/#list-purchased-numbers"""
        if error := self.http_error(response):
            raise error
        rows = mappings(response.object().get("items"))
        able = [row for row in rows if "sms" in (row.get("features") or ["sms"])]
        return [OwnNumber(digits_of(row.get("number")), text(row.get("country"))) for row in able]

    def build_balance(self) -> ApiRequest:
        return self._request("GET", "/balance")

    def parse_balance(self, response: ApiResponse) -> Balance:
        if error := self.http_error(response):
            raise error
        data = response.object()
        return Balance(amount(data.get("amount")), text(data.get("type")))

    # --- settling an unclear send -------------------------------------------------------------------------------

    def build_lookup(self, sms: OutboundSms, *, attempted_at: datetime) -> ApiRequest | None:
        """The messages to this person since shortly before the attempt; ours is told by its reference."""
        since = (attempted_at - LOOKUP_MARGIN).astimezone(UTC)
        query = {
            "recipient": sms.to.lstrip("+"),
            "direction": "mt",
            "from": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "limit": str(LOOKUP_LIMIT),
        }
        return self._request("GET", f"/messages?{urlencode(query)}")

    def parse_lookup(self, response: ApiResponse, sms: OutboundSms) -> LookUp:
        if error := self.lookup_error(response, _told(_errors(response))):
            raise error
        data = response.object()
        items = data.get("items")
        if not isinstance(items, list):
            raise Unclear(_("HTTP 200 without a list of messages"))
        for item in items:
            if isinstance(item, dict) and sms.reference and item.get("reference") == sms.reference:
                status, category, words = _state(_first_recipient(item))
                return LookUp(True, plain(item.get("id")), status=status, category=category, error=words)
        total = data.get("totalCount")
        if not isinstance(total, int) or total > len(items):
            raise Unclear(_("the answer does not name all messages to this person"))
        return LookUp(False)

    # --- callbacks ----------------------------------------------------------------------------------------------

    @classmethod
    def recognises(cls, request: WebhookRequest) -> bool:
        return any(request.header(name) for name in (SIGNATURE_HEADER, LEGACY_SIGNATURE_HEADER, LEGACY_TIME_HEADER))

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """https://developers.messagebird.com/api/#verifying-http-requests"""
        token = request.header(SIGNATURE_HEADER).strip()
        if token:
            self._verify_token(token, request, now)
        elif not request.header(LEGACY_SIGNATURE_HEADER):
            raise InvalidSignature(
                Fault.UNSIGNED, _("the call is not signed: it has no %(name)s header") % {"name": SIGNATURE_HEADER}
            )
        elif self.credentials.get("accepted_signatures") != ALSO_LEGACY:
            raise InvalidSignature(
                Fault.METHOD,
                _("the call has only the legacy signature, which does not cover the address; it needs %(name)s")
                % {"name": SIGNATURE_HEADER},
            )
        else:
            self._verify_legacy(request, now)

    def _verify_token(self, token: str, request: WebhookRequest, now: datetime) -> None:
        claims = json_web_tokens.claims(token, self.credentials["signing_key"], algorithms=ALGORITHMS)
        if claims.get("iss") != "MessageBird":
            raise InvalidSignature(Fault.OTHER_ACCOUNT, _("the token was not issued by MessageBird"))
        not_before, expires = json_web_tokens.seconds(claims.get("nbf")), json_web_tokens.seconds(claims.get("exp"))
        if not_before is None or expires is None or not plain(claims.get("jti")):
            raise InvalidSignature(Fault.CLOCK, _("the token lacks nbf, exp or jti"))
        if not_before > now.timestamp() + LEEWAY:
            raise InvalidSignature(Fault.CLOCK, _("the token is not valid yet: check the clock of this server"))
        if expires <= now.timestamp() - LEEWAY:
            raise InvalidSignature(Fault.CLOCK, _("the token has expired"))
        signed_url = plain(claims.get("url_hash"))

        def fits(url: str) -> bool:
            return same(signed_url, digest(url))

        if not fits(request.url):
            raise InvalidSignature(
                Fault.ADDRESS,
                request.signed_for(fits)
                or _("the address called is not the one that was signed, or its query was changed"),
            )
        content = plain(claims.get("payload_hash"))
        if not request.body and content:
            raise InvalidSignature(Fault.CONTENT, _("a body was signed, but the call has none"))
        if request.body and not same(content, hashlib.sha256(request.body).hexdigest()):
            raise InvalidSignature(Fault.CONTENT, _("the body is not the one that was signed"))

    def _verify_legacy(self, request: WebhookRequest, now: datetime) -> None:
        """Over time, sorted query and body. Raises InvalidSignature."""
        timestamp = request.header(LEGACY_TIME_HEADER).strip()
        query = sorted(parse_qsl(urlsplit(request.url).query, keep_blank_values=True), key=lambda pair: pair[0])
        content = utf8(f"{timestamp}\n{urlencode(query, errors='surrogatepass')}\n")
        signed = content + hashlib.sha256(request.body).digest()
        expected = hmac.new(utf8(self.credentials["signing_key"]), signed, "sha256").digest()
        if not same(request.header(LEGACY_SIGNATURE_HEADER).strip(), base64.b64encode(expected).decode()):
            raise InvalidSignature
        if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now.timestamp() - int(timestamp)) > LEGACY_WINDOW:
            raise InvalidSignature(Fault.CLOCK, _("the signed time is outside the window"))

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        """A report by GET, as MessageBird makes it; an inbound message by POST."""
        said = {"id": self_test_id(now)}
        if kind == "status":
            said |= {"recipient": SELF_TEST_PHONE, "status": "delivered", "statusDatetime": now.isoformat()}
        else:
            said |= {"originator": SELF_TEST_PHONE, "recipient": self.sender, "body": SELF_TEST_TEXT}
        called, body = (f"{url}?{urlencode(said)}", b"") if kind == "status" else (url, urlencode(said).encode())
        signed_at = int(now.timestamp())
        claims = {
            "iss": "MessageBird",
            "nbf": signed_at,
            "exp": signed_at + 60,
            "jti": self_test_id(now),
            "url_hash": digest(called),
            **({"payload_hash": hashlib.sha256(body).hexdigest()} if body else {}),
        }
        headers = {SIGNATURE_HEADER: json_web_tokens.make(claims, self.credentials["signing_key"])}
        if kind == "status":
            return WebhookRequest("GET", called, headers)
        return WebhookRequest("POST", called, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, body)

    def dedupe_key(self, request: WebhookRequest) -> str:
        """The token's id counts: the same short answer twice is two callbacks, although their bodies are equal."""
        signed = json_web_tokens.signed_part(request.header(SIGNATURE_HEADER))
        return digest(f"{signed}\0{super().dedupe_key(request)}")

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        data = _fields(request)
        if "status" not in data:
            return []
        message_id, reference = data.get("id", ""), data.get("reference", "")
        if not message_id and not reference:
            raise Unreadable(_("id is missing: it must name the message that the report is about."))
        status, category, words = _state(data)
        return [DeliveryReport(message_id, reference=reference, status=status, category=category, error=words)]

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        data = _fields(request)
        texts = ("message", "body", "payload") if "shortcode" in data else ("body", "payload", "message")
        if "status" in data or not any(name in data for name in texts):
            return []
        sender = _first(data, "originator", "sender")
        if not sender:
            raise Unreadable(_("originator is missing: it must be the number of the person who wrote."))
        recipient, text = _first(data, "recipient", "receiver", "shortcode"), _first(data, *texts)
        message_id = _first(data, "id", "message_id", "mid")
        written_at = _first(data, "createddatetime", "receive_datetime", "date_utc", "date").replace(" ", "+")
        if not message_id and written_at:
            content = "\0".join((sender, recipient, text, written_at))
            message_id = digest(content)
        return [InboundSms(message_id, senders.e164(sender), senders.e164(recipient), text)]

    @classmethod
    def webhook_response(cls, kind: str) -> HttpResponse:
        return HttpResponse(b"OK", content_type="text/plain")

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _(
        "SMS to most countries; which numbers and sender IDs are possible differs by region and country. Uses the "
        "classic API, which its owner, Bird, is replacing: keys of both platforms work side by side through "
        "31 December 2026."
    )
    sender_label = _("Phone number or sender ID")
    sender_help = _(
        "A number of your MessageBird account, country code first, without + or 00, for example 35312345678; or an "
        "alphanumeric sender ID of up to 11 letters and digits. Surveys by text need a number. Some countries want "
        "a sender ID registered."
    )
    setup = _(
        "Before you add the account, so that delivery reports arrive:\n"
        "1. Log in to MessageBird and open Developers.\n"
        "2. Open API settings.\n"
        "3. As URL for status reports, enter {reports_url}\n"
        "4. Note the signing key, on the same page.\n"
        "\n"
        "For surveys by text as well:\n"
        "5. Open Flow Builder and choose Create new flow.\n"
        "6. Choose Templates, then the template Call HTTP endpoint with SMS.\n"
        "7. As method, choose POST. Either content type will do, JSON or form.\n"
        "8. As URL, enter {inbound_url}\n"
        "9. Save the flow, then publish it.\n"
        "\n"
        "URLs from older instructions, whose path contains twilio-sms, work as well.\n"
        "\n"
        "What is known about the future: Bird calls this API the classic one and is replacing it with a new "
        "platform. Its migration page speaks of a dual-key window through 31 December 2026; it does not say what "
        "happens to the classic API after that day. New customers may only get the new platform, which this "
        "extension does not use."
    )
    webhook_check_note = _(
        "Each call carries a token signed with your signing key, good for about a minute, that covers the whole "
        "address and the whole content. Calls without it, altered calls and late calls are refused. The older "
        "signature, which does not cover the address, is accepted only where the account says so."
    )
