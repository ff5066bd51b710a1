"""Twilio, Programmable Messaging. API reference: https://www.twilio.com/docs/messaging/api/message-resource"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpResponse

from extensions.contract import (
    FAILURES,
    SELF_TEST,
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
    SenderKind,
    SendResult,
    Text,
    Unclear,
    Unreadable,
    WebhookRequest,
    by_code,
    failed_check,
    self_test_id,
)
from extensions.credential_fields import GivenSecretField, IdentifierField
from extensions.reading import amount, digest, digits_of, mapping, mappings, moment, number, object_of, same, text
from extensions.senders import Rules, plain_sender
from intake.sentences import said_lazy as _

API = "https://api.twilio.com/2010-04-01/Accounts"
MAX_VALIDITY = 36_000  # seconds in Twilio's queue
LOOK_BACK = timedelta(minutes=1)  # the difference that our clock and Twilio's may have
PAGE_SIZE = 300  # messages in an answer; with the longest texts still below what we read
EXPLAINED = 8_192  # characters of a callback up to which a wrong signature is tried with other addresses

# Connection overrides of the status callback: Twilio repeats it three times after an error of ours or a time-out. The
# fragment is neither sent nor signed. https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
RETRIES = "#rc=3&rp=5xx,ct,rt"

REPORT_STATES = {  # https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
    "accepted": Delivery.QUEUED,
    "scheduled": Delivery.QUEUED,
    "queued": Delivery.QUEUED,
    "sending": Delivery.QUEUED,
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "undelivered": Delivery.UNDELIVERED,
    "failed": Delivery.FAILED,
    "canceled": Delivery.FAILED,
    "read": Delivery.READ,
    "partially_delivered": Delivery.UNKNOWN,
}
INBOUND_STATES = {"receiving", "received"}

ERRORS: Mapping[int, Category] = by_code(  # https://www.twilio.com/docs/api/errors
    {
        Category.AUTH_FAILED: (20003, 20403, 20404),
        Category.INSUFFICIENT_BALANCE: (10001, 20005, 30002),
        Category.INVALID_RECIPIENT: (
            *(14101, 14111, 21211, 21214, 21217, 21219, 21265, 21266, 21401, 21408, 21604, 21608, 21614, 21635),
            *(30005, 30006, 30011, 30014, 63003, 63024),
        ),
        Category.OPTED_OUT: (21610, 30004),
        Category.INVALID_SENDER: (
            *(14102, 14108, 21210, 21212, 21267, 21407, 21601, 21603, 21606, 21607, 21612, 21613, 21615, 21616),
            *(21621, 21622, 21631, 21649, 21650, 21657, 21659, 21660, 21661, 21701, 21702, 21703, 21704, 21705, 21709),
            *(21715, 30015, 30016, 30018, 30024, 30032, 30033, 30034, 30035, 30042, 63002, 63007),
        ),
        Category.RATE_LIMITED: (14107, 20429, 21611, 30001, 30022, 30023, 30027, 63017, 63018),
        Category.REJECTED_CONTENT: (
            *(14103, 21602, 21605, 21617, 21618, 21620, 21623, 21652),
            *(30007, 30019, 30038, 30044, 30450, 30610, 30640, 63021),
        ),
        Category.TRANSIENT: (30003, 30008, 30017, 30020, 30021, 30036, 30410),
        Category.UNKNOWN: (
            *(14104, 14105, 20001, 20422, 21609, 21619, 21624, 21626, 21627, 21653, 21654, 21655, 21656),
            *(30009, 30010, 30012, 30013, 30028, 30029, 30030, 30031, 30039, 30409),
        ),
    }
)
CHECKS: dict[int, Text] = {  # what the answer to a check means, by its HTTP status
    401: _("Twilio refused the Account SID or the Auth Token (%(detail)s)."),
    403: _("Twilio refused access: the account is suspended or closed (%(detail)s)."),
    404: _("Twilio has no account with this Account SID (%(detail)s)."),
    429: _("Twilio is not accepting any more calls just now (%(detail)s). Check again in a minute."),
}
CHECK_LATER = _("Twilio could not check the account (%(detail)s). Check again later.")
VALIDITY_RAN_OUT = 30036
BLOCKED = 30004  # by the carrier or the handset: not the person's word to us

# The words for which Twilio blocks further messages by itself, whatever our own list says.
# https://help.twilio.com/articles/223134027
STOP_WORDS = {"stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout"}
START_WORDS = {"start", "unstop"}  # "yes" is one too, but more often an answer

ACCOUNT_SID = r"AC[0-9a-fA-F]{32}"
SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
SENDERS = Rules(
    short_codes=range(3, 7),
    numbers=range(7, 16),  # E.164
    plus=True,
    allowed="A-Za-z0-9 ",
    national=_("Begin with the country code instead of 0, for example 13531234567."),
    length=_("%(value)s has %(count)d digits: a number has 7 to 15 with its country code, a short code 3 to 6."),
    format=_("Write the number as digits only, with its country code: %(suggestion)s"),
    neither=_(
        "Enter a number with its country code, for example 13531234567, a short code, a sender ID such as MyClinic or "
        "a messaging service ID that begins with MG."
    ),
    alphanumeric=_("A sender ID has at most 11 letters (A–Z), digits and spaces, for example: %(suggestion)s"),
)


# --- what Twilio writes ----------------------------------------------------------------------------------------------


def _detail(code: int | None, message: object, otherwise: str = "") -> str:
    parts = [str(code) if code else "", text(message)[:300]]
    return ": ".join(part for part in parts if part) or otherwise


def _told(response: ApiResponse) -> tuple[int | None, str]:
    """The code of an error body, the classic one or RFC 9457's, and both code and words."""
    data = object_of(response)
    code = number(data.get("code"))
    message = data.get("message") or data.get("detail") or data.get("title")
    return code, _detail(code, message, f"HTTP {response.status}")


def _delivery(word: str, code: int | None) -> Delivery:
    status = REPORT_STATES.get(word, Delivery.UNKNOWN)
    return Delivery.EXPIRED if status in FAILURES and code == VALIDITY_RAN_OUT else status


def _category(status: Delivery, code: int | None) -> Category:
    return ERRORS.get(code or 0, Category.UNKNOWN) if status in FAILURES else Category.NONE


def _values(request: WebhookRequest) -> dict[str, str]:
    """The callback's fields: a form, or JSON or the query where a customer's set-up says so. Raises Unreadable."""
    if request.method.upper() == "GET":
        return request.query
    if request.content_type != "application/json":
        return request.form()
    data = request.json_object(_("The body is not a JSON object: it should hold fields such as MessageSid."))
    return {name: str(value) for name, value in data.items() if isinstance(value, str | int)}


def _decoded(body: str) -> str:
    """Long texts in several parts sometimes arrive in base64: decoded only where that is beyond doubt."""
    if len(body) < 60 or len(body) % 4 or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", body):
        return body
    try:
        text = base64.b64decode(body, validate=True).decode()
    except ValueError:
        return body
    return text if all(character.isprintable() or character in "\r\n\t" for character in text) else body


def _opt_out(kind: str, text: str) -> bool | None:
    word = kind.strip().lower() or text.strip().lower()
    if word in STOP_WORDS:
        return True
    return False if word in START_WORDS else None


# --- signatures ------------------------------------------------------------------------------------------------------


def _sign(key: bytes, signed: str, hashing: str) -> str:
    # Not hmac.digest: it gives the interpreter's lock away, which beside other web threads doubles what a call takes.
    return base64.b64encode(hmac.new(key, signed.encode(errors="replace"), hashing).digest()).decode()


def _algorithm(request: WebhookRequest) -> str:
    """HMAC_SHA1 with the Auth Token unless the settings header names another. Raises InvalidSignature."""
    for part in request.header("X-Twilio-Webhooks-Signature-Settings").split(","):
        name, _equals, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            algorithm = value.strip().upper()
            if algorithm not in ("HMAC_SHA1", "HMAC_SHA256"):
                raise InvalidSignature(
                    Fault.METHOD, _("signed with an algorithm that is neither HMAC_SHA1 nor HMAC_SHA256")
                )
            return algorithm
    return "HMAC_SHA1"


def _signed_urls(url: str) -> list[str]:
    """Twilio signs the URL with or without the port: both spellings."""
    try:
        parts = urlsplit(url)._replace(fragment="")
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError as error:
        raise InvalidSignature(Fault.ADDRESS, _("the address that was called cannot be read")) from error
    bare = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
    before, after = f"{parts.scheme}://", parts.geturl().removeprefix(f"{parts.scheme}://{parts.netloc}")
    return [url.partition("#")[0], *(f"{before}{spelled}{after}" for spelled in (bare, f"{bare}:{port}"))]


def _signed_fields(request: WebhookRequest) -> str:
    """What is signed after the URL. Raises InvalidSignature for a body that the signature would not cover."""
    if request.method.upper() == "GET":
        return ""
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            pairs = request.form_pairs()
        except Unreadable as error:
            raise InvalidSignature(Fault.CONTENT, _("the body is not a form in UTF-8")) from error
        return "".join(name + value for name, value in sorted(set(pairs)))
    expected = parse_qs(urlsplit(request.url).query).get("bodySHA256", [""])[0]
    if not request.body and not expected:
        return ""
    if not same(hashlib.sha256(request.body).hexdigest(), expected.lower()):
        raise InvalidSignature(Fault.CONTENT, _("the body is not a form, and bodySHA256 in the query does not fit it"))
    return ""


class Twilio(Provider):
    key = "twilio"
    name = "Twilio"
    slug = "twilio-sms"
    docs_url = "https://www.twilio.com/docs/messaging"
    keywords = ("twilio", "sms", "messaging service", "short code")
    answers_help = frozenset({"help", "info"})  # its default replies, which only a request to its support turns off
    webhook_secrets = ("auth_token",)
    account_fields = ("account_sid",)
    typical: ClassVar = {"account_sid": ACCOUNT_SID, "auth_token": "[0-9a-f]{32}"}
    host_patterns = (r"api\.twilio\.com",)
    http_ladder: ClassVar = {404: Rung(Again.NEVER, Category.AUTH_FAILED)}  # the Account SID is part of the address
    max_in_flight = 10
    # Twilio queues what a number cannot carry yet (1 a second in the US and Canada, about 10 elsewhere).
    messages_per_second: ClassVar[Mapping[SenderKind, float]] = {
        SenderKind.NUMBER: 10.0,
        SenderKind.SHORT_CODE: 100.0,
        SenderKind.ALPHANUMERIC: 10.0,
        SenderKind.SERVICE: 10.0,  # the sum of its numbers, which we do not know
    }

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        account_sid = IdentifierField(
            label=_("Account SID"),
            max_length=64,
            pattern=ACCOUNT_SID,
            found=r"(?i)\bAC\s*(?:[0-9a-f]\s*){32}(?![0-9a-z])",
            spelled=lambda sid: "AC" + "".join(sid.split())[2:].lower(),
            instead={
                r"(?i)\s*SK.*": _(
                    "This is the SID of an API key. Enter the Account SID: it begins with AC and is on the dashboard."
                )
            },
            suggest=_("An Account SID is written %(suggestion)s."),
            wrong=_(
                "An Account SID is AC followed by 32 characters 0–9 and a–f, for example "
                "AC00000000000000000000000000000001; this has %(count)d characters."
            ),
            help_text=_(
                "On the dashboard after you have logged in to Twilio; it begins with AC. We recommend a sub-account "
                "made for this purpose."
            ),
        )
        auth_token = GivenSecretField(
            label=_("Auth Token"),
            mistakes={
                r"\s": _("The Auth Token has no spaces: copy it again, with the button beside it."),
                r"\A[A-Z]{2}[0-9a-f]{32}\Z": _("This is a SID. The Auth Token is the value below the Account SID."),
                r"\A(?=.*[^0-9a-fA-F])[0-9A-Za-z]{32}\Z": _(
                    "This looks like the secret of an API key. Enter the primary Auth Token: webhooks are signed with "
                    "it and nothing else."
                ),
            },
            help_text=_("On the dashboard after you have logged in to Twilio, below the Account SID: the primary one."),
        )

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        value = value.strip()
        if SERVICE_SID.fullmatch(value):
            return value, SenderKind.SERVICE
        if re.fullmatch(r"[A-Za-z]{2}[0-9a-fA-F]{20,}", value):
            raise ValidationError(
                _("A messaging service ID begins with MG, followed by 32 characters 0–9 and a–f; this is another ID.")
            )
        return plain_sender(value, SENDERS)

    # --- sending ------------------------------------------------------------------------------------------------

    @property
    def _account_url(self) -> str:
        return f"{API}/{quote(self.credentials['account_sid'], safe='')}"

    @property
    def _auth(self) -> tuple[str, str]:
        return self.credentials["account_sid"], self.credentials["auth_token"]

    def _from(self, sms: OutboundSms) -> tuple[str, str]:
        """The parameter that names the sender, and its value."""
        sender = sms.sender or self.sender
        if SERVICE_SID.fullmatch(sender):
            return "MessagingServiceSid", sender
        is_number = re.fullmatch("[0-9]+", sender) and len(sender) not in SENDERS.short_codes
        return "From", f"+{sender}" if is_number else sender  # stored without the plus that Twilio wants

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        validity = max(1, min(MAX_VALIDITY, int(sms.validity.total_seconds())))
        form = [("To", sms.to), self._from(sms), ("Body", sms.text), ("ValidityPeriod", str(validity))]
        if sms.status_url:  # the message itself has no field for our id: it comes back in the callback's query
            form.append(("StatusCallback", f"{sms.status_url}?{urlencode({'mid': sms.reference})}{RETRIES}"))
        return ApiRequest("POST", f"{self._account_url}/Messages.json", auth=self._auth, form=form)

    def parse_send(self, response: ApiResponse) -> SendResult:
        if error := self._error(response):
            raise error
        data = response.object()
        sid = data.get("sid")
        if not isinstance(sid, str) or not sid:
            raise Unclear(_("HTTP %(status)s without a message ID") % {"status": response.status})
        status = REPORT_STATES.get(text(data.get("status")), Delivery.QUEUED)
        if status in FAILURES:
            code = number(data.get("error_code"))
            raise Refused(
                ERRORS.get(code or 0, Category.UNKNOWN),
                _detail(code, data.get("error_message")) or _("failed at once"),
                blocked=code == BLOCKED,
            )
        segments = number(data.get("num_segments"))  # "0" until a messaging service has chosen the number
        return SendResult(sid, segments or None, Delivery.QUEUED if status is Delivery.UNKNOWN else status)

    @classmethod
    def _error(cls, response: ApiResponse) -> Refused | NotTaken | Unclear | None:
        """What an answer other than 2xx means."""
        code, detail = _told(response)
        category = ERRORS.get(code or 0)
        again = Again.LATER if category is Category.RATE_LIMITED else Again.NEVER
        return cls.http_error(
            response, detail, said=Rung(again, category) if category else None, blocked=code == BLOCKED
        )

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        return ApiRequest("GET", f"{self._account_url}.json", auth=self._auth)

    def parse_check(self, response: ApiResponse) -> Check:
        if response.status != 200:
            _code, words = _told(response)
            otherwise = CHECKS[429] if isinstance(self._error(response), NotTaken) else CHECK_LATER
            return failed_check(response, CHECKS, otherwise, words)
        try:
            data = response.object()
        except Unclear:
            return Check(False, _("Twilio answered with something that is not an account."))
        name, status = text(data.get("friendly_name")), text(data.get("status"))
        if status != "active":
            return Check(
                False,
                _("The Twilio account “%(name)s” exists, but it is %(status)s: see the Twilio Console.")
                % {"name": name, "status": status or "?"},
            )
        warnings: list[Text] = []
        if data.get("type") == "Trial":
            warnings.append(_("This is a trial account: it reaches only numbers that were verified in Twilio."))
        primary = data.get("auth_token")
        if isinstance(primary, str) and primary and not same(primary, self.credentials["auth_token"]):
            warnings.append(
                _(
                    "The Auth Token entered is not the primary one. Callbacks are signed with the primary token, so "
                    "delivery reports and replies will be refused: add the account again with the primary token."
                )
            )
        owner = data.get("owner_account_sid")
        detail: Text = _("Twilio account “%(name)s” is active.") % {"name": name}
        if isinstance(owner, str) and owner and owner != data.get("sid"):
            detail = _("Twilio sub-account “%(name)s” is active.") % {"name": name}
        return Check(True, detail, warnings)

    # --- what else the API tells --------------------------------------------------------------------------------

    def build_numbers(self) -> ApiRequest:
        return ApiRequest("GET", f"{self._account_url}/IncomingPhoneNumbers.json?PageSize=100", auth=self._auth)

    def parse_numbers(self, response: ApiResponse) -> list[OwnNumber]:
        """https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"""
        if error := self._error(response):
            raise error
        rows = mappings(response.object().get("incoming_phone_numbers"))
        able = [row for row in rows if mapping(row.get("capabilities")).get("sms") is not False]
        return [OwnNumber(digits_of(row.get("phone_number")), text(row.get("friendly_name"))) for row in able]

    def build_balance(self) -> ApiRequest:
        return ApiRequest("GET", f"{self._account_url}/Balance.json", auth=self._auth)

    def parse_balance(self, response: ApiResponse) -> Balance:
        """Sub-accounts have none: it is that of the main account."""
        if error := self._error(response):
            raise error
        data = response.object()
        return Balance(amount(data.get("balance")), text(data.get("currency")))

    # --- settling an unclear send -------------------------------------------------------------------------------

    def build_lookup(self, sms: OutboundSms, *, attempted_at: datetime) -> ApiRequest:
        """Lists what went to this number, the newest first.

        Not since the attempt: DateSent is empty as long as a message is in Twilio's queue, for up to ten hours, and a
        filter by it leaves out the very one that is looked for.
        """
        query = {"To": sms.to, "PageSize": str(PAGE_SIZE)}
        name, sender = self._from(sms)
        if name == "From":  # a messaging service has chosen a number that we do not know
            query["From"] = sender
        return ApiRequest("GET", f"{self._account_url}/Messages.json?{urlencode(query)}", auth=self._auth)

    def parse_lookup(self, response: ApiResponse, sms: OutboundSms) -> LookUp:
        """Found if a message with this very text was made for this number since the attempt."""
        if error := self.lookup_error(response):
            raise error
        data = response.object()
        messages = data.get("messages")
        if not isinstance(messages, list):
            raise Unclear(_("HTTP 200 without a list of messages"))
        since = sms.attempted_at - LOOK_BACK if sms.attempted_at else None
        for message in messages:
            if not isinstance(message, dict) or message.get("body") != sms.text or message.get("to") != sms.to:
                continue
            created = moment(message.get("date_created"))
            if since and created and created < since:
                continue  # the same words, of an earlier distribution
            sid = text(message.get("sid"))
            if sid and not text(message.get("direction")).startswith("inbound"):
                code = number(message.get("error_code"))
                status = _delivery(text(message.get("status")), code)
                return LookUp(
                    True,
                    sid,
                    Delivery.QUEUED if status is Delivery.UNKNOWN else status,
                    _category(status, code),
                    _detail(code, message.get("error_message")) if status in FAILURES else "",
                )
        if data.get("next_page_uri"):
            raise Unclear(_("more than %(most)s messages went to this number") % {"most": PAGE_SIZE})
        return LookUp(False)

    # --- callbacks ----------------------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """https://www.twilio.com/docs/usage/webhooks/webhooks-security#validating-signatures-from-twilio"""
        given = request.header("X-Twilio-Signature").strip()
        if not given:
            raise InvalidSignature(Fault.UNSIGNED, _("the header X-Twilio-Signature is missing"))
        algorithm = _algorithm(request)
        hashing = "sha1" if algorithm == "HMAC_SHA1" else "sha256"
        fields = _signed_fields(request)
        key = self.credentials["auth_token"].encode()
        good = [
            same(_sign(key, url + fields, hashing), given) for url in _signed_urls(request.url)
        ]  # all are computed: the time taken tells nothing
        if not any(good):
            if algorithm != "HMAC_SHA1":
                raise InvalidSignature(
                    Fault.METHOD,
                    _(
                        "signed with a shared key (HMAC_SHA256), which this account does not have: in Twilio, switch "
                        "webhook signing back to the Auth Token"
                    ),
                )
            if other := self._signed_for(request, fields, given):
                raise InvalidSignature(Fault.ADDRESS, other)
            raise InvalidSignature(
                Fault.SECRET, _("wrong signature: not made with this account's primary Auth Token for this address")
            )
        try:
            owner = _values(request).get("AccountSid")
        except Unreadable:  # authentic all the same: parsing it says what is wrong
            owner = None
        if owner is not None and not same(owner, self.credentials["account_sid"]):
            raise InvalidSignature(Fault.OTHER_ACCOUNT, _("AccountSid is not this account's"))

    def _signed_for(self, request: WebhookRequest, fields: str, given: str) -> str:
        """The other address that a call was signed for, as a reason; "" if that is not what is wrong."""
        key = self.credentials["auth_token"].encode()

        def fits(other: str) -> bool:
            return any(same(_sign(key, url + fields, "sha1"), given) for url in _signed_urls(other))

        return request.signed_for(fits) if len(fields) <= EXPLAINED else ""

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        state = {"MessageStatus": "delivered"} if kind == "status" else {"SmsStatus": "received"}
        ours, theirs = f"+{self.sender}" if self.sender.isdigit() else self.sender, f"+{SELF_TEST_PHONE}"
        form = {
            "MessageSid": self_test_id(now),
            **state,
            "From": ours if kind == "status" else theirs,
            "To": theirs if kind == "status" else ours,
            "AccountSid": self.credentials["account_sid"],
            **({"Body": SELF_TEST_TEXT} if kind == "message" else {}),
        }
        called = f"{url}?mid={SELF_TEST}" if kind == "status" else url
        key = self.credentials["auth_token"].encode()
        signature = _sign(key, called + "".join(name + form[name] for name in sorted(form)), "sha1")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        return WebhookRequest("POST", called, headers, urlencode(form).encode())

    def dedupe_key(self, request: WebhookRequest) -> str:
        """One key per message and status: Twilio repeats a callback, and calls the fallback URL with more fields."""
        try:
            values = _values(request)
        except Unreadable:
            return super().dedupe_key(request)
        sid = values.get("MessageSid") or values.get("SmsSid")
        status = values.get("MessageStatus") or values.get("SmsStatus")
        if not sid or not status:
            return super().dedupe_key(request)
        error = "" if status in INBOUND_STATES else values.get("ErrorCode", "")
        parts = "\0".join((sid, status, error, request.query.get("mid", "")))
        return digest(parts)

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        values = _values(request)
        word = values.get("MessageStatus") or values.get("SmsStatus") or ""
        if word in INBOUND_STATES:
            return []
        message_id = values.get("MessageSid") or values.get("SmsSid")
        if not message_id:
            raise Unreadable(_("MessageSid is missing: it should hold the message's SID."))
        if not word:
            raise Unreadable(_("MessageStatus is missing: it should hold a status such as delivered."))
        code = number(values.get("ErrorCode"))
        status = _delivery(word, code)
        return [
            DeliveryReport(
                message_id,
                reference=request.query.get("mid", ""),
                status=status,
                category=_category(status, code),
                error=_detail(code, values.get("ErrorMessage"), word if word == "canceled" else ""),
                blocked=code == BLOCKED,
            )
        ]

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        values = _values(request)
        word = values.get("MessageStatus") or values.get("SmsStatus") or ""
        if word and word not in INBOUND_STATES:
            return []
        message_id = values.get("MessageSid") or values.get("SmsMessageSid") or values.get("SmsSid")
        if not message_id:
            raise Unreadable(_("MessageSid is missing: it should hold the message's SID."))
        if not values.get("From"):
            raise Unreadable(_("From is missing: it should hold the number that the text comes from."))
        text = _decoded(values.get("Body", ""))
        return [
            InboundSms(
                message_id,
                sender=values["From"],
                recipient=values.get("To", ""),
                text=text,
                opt_out=_opt_out(values.get("OptOutType", ""), text),
            )
        ]

    @classmethod
    def webhook_response(cls, kind: str) -> HttpResponse:
        """An empty TwiML document for a reply: any plain text would be sent to the person as an SMS."""
        if kind == "message":
            return HttpResponse(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', content_type="text/xml")
        return HttpResponse(b"", content_type="text/plain")

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _("Numbers, short codes and sender IDs; what is available differs by country.")
    sender_label = _("Phone number, sender ID or Twilio messaging service ID")
    sender_help = _(
        "A number bought in this Twilio account, with its country code in front, for example 13531234567. Or a short "
        "code; or an alphanumeric sender ID such as MyClinic, which must be set up in Twilio; or the ID of a messaging "
        "service. It begins with MG and is found under Properties of the messaging service, and it gives the most "
        "control over regional numbers and routing."
    )
    setup = _(
        "We set the status callback for every message, so delivery reports ({reports_url}) need no set-up. For "
        "two-way SMS, Twilio must know where replies go.\n"
        "\n"
        "For a number:\n"
        "1. In the Twilio Console, choose Manage numbers, then Active numbers.\n"
        "2. Choose the number you entered here.\n"
        "3. Under Messaging, choose to configure with webhooks.\n"
        "4. Set “A message comes in” to Webhook and its URL to {inbound_url}\n"
        "5. Make sure that its method is HTTP POST.\n"
        "6. “Primary handler fails” may have the same URL and method: a message that arrives twice counts once.\n"
        "\n"
        "For a messaging service:\n"
        "1. In the Twilio Console, choose Programmable Messaging, then Messaging services.\n"
        "2. Choose the service you entered here, or make a new one.\n"
        "3. Choose Integration.\n"
        "4. Under Incoming messages, choose to send a webhook and set the request URL to {inbound_url}\n"
        "5. Make sure that its method is HTTP POST.\n"
        "6. The fallback URL may be the same URL with the same method."
    )
    webhook_check_note = _(
        "Strong: every callback is signed with the account's Auth Token, over its address and all its fields. The "
        "signature names no time, so a repeated callback is recognised by its content and counts once."
    )
