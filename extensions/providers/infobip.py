"""Infobip SMS, API version 3. API reference: https://www.infobip.com/docs/api/channels/sms"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError

from extensions import senders
from extensions.contract import (
    FAILURES,
    SELF_TEST_PHONE,
    SELF_TEST_TEXT,
    Again,
    ApiRequest,
    ApiResponse,
    Balance,
    Category,
    Check,
    ChosenSecretField,
    Delivery,
    DeliveryReport,
    InboundSms,
    Kind,
    LookUp,
    NotTaken,
    OutboundSms,
    OwnNumber,
    Provider,
    ProviderError,
    Refused,
    Rung,
    SenderKind,
    SendResult,
    Text,
    Unclear,
    Unreadable,
    WebhookCheck,
    WebhookRequest,
    basic_authorization,
    by_code,
    failed_check,
    one_by_one,
    refused_together,
    self_test_id,
    verify_basic,
)
from extensions.credential_fields import ChosenNameField, GivenSecretField, HostField
from extensions.reading import amount, digest, digits_of, listed, mapping, mappings, number, object_of, word
from intake.pasted import plain_letters
from intake.sentences import amount as money
from intake.sentences import said_lazy as _

MAX_VALIDITY = 48 * 60  # minutes
MIN_PASSWORD = 8  # characters: it is all that protects the webhook
# A personal host such as abc123.api.infobip.com, or the shared one. The full name must match, so nothing may follow it.
HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)?api(?:[0-9]|-[a-z0-9]{1,8})?\.infobip\.com"

GROUPS = {  # https://www.infobip.com/docs/essentials/response-status-and-error-codes
    0: Delivery.QUEUED,  # ACCEPTED
    1: Delivery.SENT,  # PENDING
    2: Delivery.UNDELIVERED,
    3: Delivery.DELIVERED,
    4: Delivery.EXPIRED,
    5: Delivery.FAILED,  # REJECTED
}
GROUP_NAMES = {"ACCEPTED": 0, "PENDING": 1, "UNDELIVERABLE": 2, "DELIVERED": 3, "EXPIRED": 4, "REJECTED": 5}

STATES: Mapping[int, tuple[Delivery, Category]] = {
    2: (Delivery.DELIVERED, Category.NONE),  # DELIVERED_TO_OPERATOR
    3: (Delivery.SENT, Category.NONE),  # PENDING_WAITING_DELIVERY
    4: (Delivery.UNDELIVERED, Category.UNKNOWN),  # UNDELIVERABLE_REJECTED_OPERATOR
    5: (Delivery.DELIVERED, Category.NONE),  # DELIVERED_TO_HANDSET
    6: (Delivery.FAILED, Category.UNKNOWN),  # REJECTED_NETWORK
    7: (Delivery.SENT, Category.NONE),  # PENDING_ENROUTE
    8: (Delivery.FAILED, Category.INVALID_RECIPIENT),  # REJECTED_PREFIX_MISSING
    9: (Delivery.UNDELIVERED, Category.UNKNOWN),  # UNDELIVERABLE_NOT_DELIVERED
    10: (Delivery.FAILED, Category.OPTED_OUT),  # REJECTED_DND
    11: (Delivery.FAILED, Category.INVALID_SENDER),  # REJECTED_SOURCE
    12: (Delivery.FAILED, Category.INSUFFICIENT_BALANCE),  # REJECTED_NOT_ENOUGH_CREDITS
    13: (Delivery.FAILED, Category.INVALID_SENDER),  # REJECTED_SENDER
    14: (Delivery.FAILED, Category.OPTED_OUT),  # REJECTED_DESTINATION_BLOCKLISTED
    15: (Delivery.EXPIRED, Category.TRANSIENT),  # EXPIRED_EXPIRED
    17: (Delivery.FAILED, Category.INSUFFICIENT_BALANCE),  # REJECTED_PREPAID_PACKAGE_EXPIRED
    18: (Delivery.FAILED, Category.INVALID_RECIPIENT),  # REJECTED_DESTINATION_NOT_REGISTERED (trial accounts)
    19: (Delivery.FAILED, Category.UNKNOWN),  # REJECTED_ROUTE_NOT_AVAILABLE
    20: (Delivery.FAILED, Category.RATE_LIMITED),  # REJECTED_FLOODING_FILTER
    21: (Delivery.FAILED, Category.TRANSIENT),  # REJECTED_SYSTEM_ERROR
    23: (Delivery.FAILED, Category.UNKNOWN),  # REJECTED_DUPLICATE_MESSAGE_ID
    24: (Delivery.FAILED, Category.REJECTED_CONTENT),  # REJECTED_INVALID_UDH
    25: (Delivery.FAILED, Category.REJECTED_CONTENT),  # REJECTED_MESSAGE_TOO_LONG
    26: (Delivery.QUEUED, Category.NONE),  # PENDING_ACCEPTED
    29: (Delivery.EXPIRED, Category.TRANSIENT),  # EXPIRED_DLR_UNKNOWN: no report from the operator
    31: (Delivery.UNDELIVERED, Category.UNKNOWN),  # UNDELIVERABLE_NOT_SENT
    51: (Delivery.FAILED, Category.INVALID_RECIPIENT),  # REJECTED_MISSING_TO
    52: (Delivery.FAILED, Category.INVALID_RECIPIENT),  # REJECTED_DESTINATION
    87: (Delivery.FAILED, Category.REJECTED_CONTENT),  # REJECTED_SIGNALS_BLOCKED; in group 4 it is an expiry
}
DUPLICATE = 23

ERRORS: Mapping[int, Category] = by_code(  # the `error` of a report; refines the category of a failure
    {
        Category.INVALID_RECIPIENT: (1, 9, 13, 351, 352, 568, 629, 3041),
        Category.TRANSIENT: (5, 6, 27, 31, 32, 34, 256, 630, 811, 4098, 4100, 4101),
        Category.INVALID_SENDER: (368, 375, 2053),
        Category.AUTH_FAILED: (433,),
        Category.RATE_LIMITED: (541, 542, 4103, 4104),
        Category.OPTED_OUT: (573, 603, 604, 2050, 2052),
        Category.REJECTED_CONTENT: (355, 561, 607, 2051),
        Category.INSUFFICIENT_BALANCE: (4099,),
        Category.UNKNOWN: (5492,),
    }
)
CHECKS: dict[int, Text] = {  # what the answer to a check means, by its HTTP status
    401: _("Infobip refused the API key (%(detail)s)."),
    429: _("Infobip is not accepting any more calls just now (%(detail)s). Check again in a minute."),
}
CHECK_LATER = _("Infobip could not check the key (%(detail)s). Check again later.")
NOT_INFOBIP = _("This does not look like Infobip's API (%(detail)s): the base URL is wrong.")
VIOLATIONS = (  # what the property named by a violation tells
    (re.compile(r"\bto$"), Category.INVALID_RECIPIENT),
    (re.compile(r"\b(sender|from)$"), Category.INVALID_SENDER),
    (re.compile(r"\bcontent\b|\btext\b"), Category.REJECTED_CONTENT),
)

# GSM 7-bit characters that a sender ID may have; the extension table is left out.
SENDER_CHARACTERS = r"A-Za-z0-9 !\"#$%&'()*+,\-./:;<=>?@_"
SENDER_LENGTHS = range(3, 12)


# --- what Infobip writes ---------------------------------------------------------------------------------------------


def _outcome(entry: Mapping[str, Any]) -> tuple[Delivery, Category]:
    """What an entry's status and error mean. The group comes before the id: 87 is in two groups."""
    status, error = mapping(entry.get("status")), mapping(entry.get("error"))
    group = number(status.get("groupId"))
    if group is None:
        group = GROUP_NAMES.get(word(status.get("groupName")).upper().partition("_")[0])
    by_group = GROUPS.get(group, Delivery.UNKNOWN) if group is not None else None
    by_id = STATES.get(number(status.get("id")) or 0)
    waits = (Delivery.QUEUED, 1)  # PENDING_ACCEPTED is in the group of those on their way
    if by_id is not None and (by_group in (None, by_id[0]) or (by_id[0], group) == waits):
        delivery, category = by_id
    else:
        delivery = by_group or Delivery.UNKNOWN
        category = Category.TRANSIENT if delivery is Delivery.EXPIRED else Category.UNKNOWN
    if delivery not in FAILURES:
        return delivery, Category.UNKNOWN if delivery is Delivery.UNKNOWN else Category.NONE
    code = number(error.get("id")) or 0  # 0 is "no error"
    if code and category is Category.UNKNOWN and error.get("permanent") is not True:
        category = Category.TRANSIENT
    return delivery, ERRORS.get(code, category)


def _words(entry: Mapping[str, Any]) -> str:
    """The status and the error in Infobip's words."""
    told = []
    for name in ("status", "error"):
        part = mapping(entry.get(name))
        code = number(part.get("id"))
        if code:
            words = word(part.get("description")) or word(part.get("name"))
            told.append(f"{code} {words}".strip()[:150])
    return "; ".join(told)


def _entries(response: ApiResponse) -> list[dict[str, Any]]:
    """The messages that an answer to a send names. Raises Unclear."""
    entries = response.object().get("messages")
    if not isinstance(entries, list):
        raise Unclear(_("HTTP %(status)s without a list of messages") % {"status": response.status})
    return mappings(entries)


def _accepted(entry: Mapping[str, Any], reference: str, *, repeated: bool) -> SendResult:
    """A good status of the request says nothing about the message: each has its own. Raises Refused or Unclear."""
    message_id = word(entry.get("messageId")) or reference
    status, category = _outcome(entry)
    if not message_id or status is Delivery.UNKNOWN:
        raise Unclear(_("the answer names no message ID or no known status"))
    if repeated and number(mapping(entry.get("status")).get("id")) == DUPLICATE and status is Delivery.FAILED:
        return SendResult(message_id)  # our ids never come twice: the attempt before this one was taken
    if status in FAILURES:
        raise Refused(category, _words(entry))
    count = mapping(entry.get("details")).get("messageCount")
    if count is None:
        count = entry.get("messageCount", entry.get("smsCount"))
    segments = number(count)
    return SendResult(message_id, segments if segments and segments > 0 else None, status)


def _detail(data: Mapping[str, Any], status: int) -> str:
    """What an error body says, in the shape of version 3 or the older one."""
    fault = mapping(mapping(data.get("requestError")).get("serviceException"))
    code = word(data.get("errorCode")) or word(fault.get("messageId"))
    words = [word(data.get("description")) or word(fault.get("text"))]
    words += [f"{name}: {why}" for name, why in _violations(data)[:3]]
    told = "; ".join(word for word in words if word)[:300]
    return ": ".join(part for part in (code or f"HTTP {status}", told) if part)


def _violations(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(property, what is wrong with it)."""
    found = map(mapping, listed(data.get("violations")))
    pairs = [(word(violation.get("property")), word(violation.get("violation"))) for violation in found]
    older = mapping(mapping(mapping(data.get("requestError")).get("serviceException")).get("validationErrors"))
    pairs += [(str(name), word(why[0] if isinstance(why, list) and why else why)) for name, why in older.items()]
    return pairs


def _violated(name: str) -> Category:
    return next((category for pattern, category in VIOLATIONS if pattern.search(name)), Category.UNKNOWN)


def _blamed(response: ApiResponse, refusal: ProviderError, count: int) -> dict[int, Refused]:
    """The messages that a refusal of the whole batch blames, by their places in it."""
    blamed: dict[int, Refused] = {}
    for name, _why in _violations(object_of(response)):
        place = re.match(r"messages\[([0-9]{1,6})\]", name)
        if place and int(place[1]) < count:
            blamed.setdefault(int(place[1]), Refused(_violated(name), getattr(refusal, "detail", "")))
    return blamed


def _results(request: WebhookRequest) -> list[dict[str, Any]]:
    """The entries of a callback. Raises Unreadable."""
    data = request.json()
    if not isinstance(data, dict) or not isinstance(data.get("results"), list):
        raise Unreadable(_("results is missing: it should hold a list of reports or messages."))
    return [entry if isinstance(entry, dict) else {} for entry in data["results"]]


def _is_inbound(entry: Mapping[str, Any]) -> bool:
    """Both kinds of callback have results: a text has no status."""
    return "status" not in entry and bool({"text", "cleanText", "message", "receivedAt"}.intersection(entry))


def _inbound_text(entry: Mapping[str, Any]) -> str:
    """The whole text; of a multimedia message, the parts that are text."""
    if entry.get("text") is None and isinstance(entry.get("message"), list):
        parts = [mapping(part) for part in entry["message"]]
        return "\n".join(word(part.get("text")) or word(part.get("value")) or "[…]" for part in parts)
    return word(entry.get("text")) or word(entry.get("cleanText"))


class Infobip(Provider):
    key = "infobip"
    name = "Infobip"
    slug = "infobip-sms"
    aliases = ("infobip",)
    docs_url = "https://www.infobip.com/docs/sms"
    keywords = ("infobip", "sms", "short code")
    webhook_check = WebhookCheck.BASIC
    webhook_secrets = ("webhook_username", "webhook_password")
    typical: ClassVar = {"base_url": rf"(?i)(?:https?://)?{HOST}/?", "api_key": "[0-9A-Za-z-]{24,}"}
    host_patterns = (HOST,)
    batch_size = 100
    max_in_flight = 4  # batches: Infobip publishes no limit, and advises against more than a few at once
    # one batch a second
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 100.0)
    http_ladder: ClassVar = {404: Rung(Again.NEVER, Category.AUTH_FAILED)}  # wrong base URL
    refuses_repeats = True  # by messageId, with status 23

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        api_key = GivenSecretField(
            label=_("Public API key"),
            mistakes={
                r"(?i)\A(app|basic|bearer)\s": _("Enter the key alone, without the word App in front of it."),
                r"\s|[^\x00-\x7f]": _("An API key has no spaces and no special letters: copy it again."),
            },
            help_text=_(
                "In Infobip, under Developer tools, API keys. Use a key you already have, rather than making a new "
                "one, if it may send SMS (scope sms:message:send)."
            ),
        )
        webhook_password = ChosenSecretField(
            label=_("Webhook password"),
            min_length=MIN_PASSWORD,
            max_length=128,
            help_text=_(
                "Have one generated for this purpose, or choose one with at least 8 characters: Infobip sends it to "
                "us with every callback. Never use the password of your portal log-in."
            ),
        )
        webhook_username = ChosenNameField(
            label=_("Webhook user name"),
            max_length=64,
            allowed="A-Za-z0-9",
            suggest=_("Use letters (A–Z) and digits only, for example: %(suggestion)s"),
            wrong=_("Use letters (A–Z) and digits only, for example clinic42."),
            help_text=_("Have one generated, or choose one of letters and digits without special characters."),
        )
        base_url = HostField(
            label=_("Base URL"),
            max_length=100,
            patterns=(HOST,),
            suggest=_("Enter the base URL without https:// and without a path: %(suggestion)s"),
            wrong=_(
                "This is not an Infobip host. Yours is on the start page after log-in and looks like "
                "abc123.api.infobip.com."
            ),
            help_text=_(
                "On the start page after you have logged in to Infobip, without https://, for example "
                "abc123.api.infobip.com."
            ),
        )

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        value = value.strip()
        if not re.search("[A-Za-z]", value):
            return senders.plain_sender(value)
        suggestion = (
            re.sub(rf"[^{SENDER_CHARACTERS}]", "", plain_letters(value)).lstrip("+")[: SENDER_LENGTHS.stop - 1].strip()
        )
        if len(suggestion) not in SENDER_LENGTHS or not re.search("[A-Za-z]", suggestion):
            raise ValidationError(_("A sender ID has 3 to 11 characters, one of them a letter, for example MyClinic."))
        if value != suggestion:
            raise ValidationError(
                _("A sender ID has 3 to 11 letters (A–Z), digits and common signs, for example: %(suggestion)s"),
                params={"suggestion": suggestion},
            )
        return value, SenderKind.ALPHANUMERIC

    # --- sending ------------------------------------------------------------------------------------------------

    def _url(self, path: str) -> str:
        return f"https://{self.credentials['base_url']}{path}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"App {self.credentials['api_key']}", "Accept": "application/json"}

    def _message(self, sms: OutboundSms) -> dict[str, Any]:
        # No webhooks.delivery.url: it would replace the account's subscription, which holds the Basic credentials.
        # No options.tracking: its defaults would shorten the links in the text.
        minutes = max(1, min(MAX_VALIDITY, int(sms.validity.total_seconds() // 60)))
        return {
            "sender": sms.sender or self.sender,
            "destinations": [{"to": sms.to.removeprefix("+"), "messageId": sms.reference}],
            "content": {"text": sms.text},
            "options": {"validityPeriod": {"amount": minutes, "timeUnit": "MINUTES"}},
            "webhooks": {"contentType": "application/json", "callbackData": sms.reference},
        }

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        return self.build_batch([sms])

    def build_batch(self, messages: Sequence[OutboundSms]) -> ApiRequest:
        content = {
            "messages": [self._message(sms) for sms in messages],
            "options": {"includeSmsCountInResponse": True},
        }
        return ApiRequest("POST", self._url("/sms/3/messages"), headers=self._headers, json=content)

    def parse_send(self, response: ApiResponse) -> SendResult:
        if error := self._error(response):
            raise error
        entries = _entries(response)
        if len(entries) != 1:
            raise Unclear(
                _("HTTP %(status)s with %(number)s messages instead of one")
                % {"status": response.status, "number": len(entries)}
            )
        return _accepted(entries[0], "", repeated=True)

    def parse_batch(self, response: ApiResponse, messages: Sequence[OutboundSms]) -> list[SendResult | ProviderError]:
        if error := self._error(response):
            blamed = _blamed(response, error, len(messages)) if response.status == 400 else {}
            if not blamed:
                raise error
            return refused_together(blamed, len(messages))
        entries = _entries(response)
        by_id = {word(entry["messageId"]): entry for entry in entries if word(entry.get("messageId"))}
        by_number: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            if not word(entry.get("messageId")):
                number = word(entry.get("destination")) or word(entry.get("to"))
                by_number.setdefault(number.removeprefix("+"), []).append(entry)

        def read(sms: OutboundSms) -> SendResult:
            named = [by_id[sms.reference]] if sms.reference in by_id else by_number.get(sms.to.removeprefix("+"), [])
            if len(named) != 1:
                raise Unclear(_("the answer does not name this message"))
            return _accepted(named[0], sms.reference, repeated=sms.repeated)

        return one_by_one(messages, read)

    @classmethod
    def _error(cls, response: ApiResponse) -> Refused | NotTaken | Unclear | None:
        """What an answer other than 2xx means for the whole request."""
        data = object_of(response)
        violated = (_violated(name) for name, _why in _violations(data)) if response.status == 400 else ()
        category = next((found for found in violated if found is not Category.UNKNOWN), None)
        said = Rung(Again.NEVER, category) if category else None
        return cls.http_error(response, _detail(data, response.status), said=said)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        return ApiRequest("GET", self._url("/account/1/balance"), headers=self._headers)

    def parse_check(self, response: ApiResponse) -> Check:
        data = object_of(response)
        detail = _detail(data, response.status)
        if response.status == 200 and "balance" in data:
            balance = money(str(data["balance"])[:30], word(data.get("currency"))[:10])
            return Check(
                True, _("The key and the base URL are valid; the balance is %(balance)s.") % {"balance": balance}
            )
        if response.status == 403 and data:  # the balance needs a right of its own, which sending does not
            return Check(
                True,
                _("Infobip recognises the key and the base URL."),
                [_("The key may not read the balance, so it is not known whether it may send: send a test message.")],
            )
        return failed_check(response, CHECKS, CHECK_LATER if response.status >= 500 else NOT_INFOBIP, detail)

    # --- what else the API tells --------------------------------------------------------------------------------

    def build_numbers(self) -> ApiRequest:
        return ApiRequest("GET", self._url("/numbers/1/numbers?limit=100&page=0"), headers=self._headers)

    def parse_numbers(self, response: ApiResponse) -> list[OwnNumber]:
        """https://www.infobip.com/docs/api/platform/numbers; the key needs a right for it (numbers:manage)."""
        if error := self.http_error(response, _detail(object_of(response), response.status)):
            raise error
        rows = mappings(response.object().get("numbers"))
        able = [row for row in rows if "SMS" in (row.get("capabilities") or ["SMS"])]
        return [OwnNumber(digits_of(row.get("number")), word(row.get("country"))) for row in able]

    def build_balance(self) -> ApiRequest:
        return ApiRequest("GET", self._url("/account/1/balance"), headers=self._headers)

    def parse_balance(self, response: ApiResponse) -> Balance:
        """It needs a right that sending does not (account-management:manage)."""
        if error := self.http_error(response, _detail(object_of(response), response.status)):
            raise error
        data = response.object()
        return Balance(amount(data.get("balance")), word(data.get("currency")))

    # --- settling an unclear send -------------------------------------------------------------------------------

    def build_lookup(self, sms: OutboundSms, *, attempted_at: datetime) -> ApiRequest:
        query = urlencode({"messageId": sms.reference})
        return ApiRequest("GET", self._url(f"/sms/3/logs?{query}"), headers=self._headers)

    def parse_lookup(self, response: ApiResponse, sms: OutboundSms) -> LookUp:
        if error := self.lookup_error(response):
            raise error
        results = response.object().get("results")
        if not isinstance(results, list):
            raise Unclear(_("HTTP 200 without a list of messages"))
        for entry in results:
            if isinstance(entry, dict) and entry.get("messageId") == sms.reference:
                status, category = _outcome(entry)
                known = Delivery.QUEUED if status is Delivery.UNKNOWN else status
                return LookUp(True, sms.reference, known, category, _words(entry) if status in FAILURES else "")
        return LookUp(False)

    # --- callbacks ----------------------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        verify_basic(
            request,
            *self._log_in,
            lacking=_("this account has no webhook user name or no webhook password"),
            absent=_("the header Authorization is missing: ask Infobip's support for Basic authentication"),
            malformed=_("the header Authorization is not well-formed Basic authentication"),
            wrong=_("wrong webhook user name or webhook password"),
        )

    @property
    def _log_in(self) -> tuple[str, str]:
        return self.credentials["webhook_username"], self.credentials["webhook_password"]

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        if kind == "status":
            state = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"}
            entry = {"messageId": self_test_id(now), "to": SELF_TEST_PHONE, "status": state}
        else:
            entry = {
                "messageId": self_test_id(now),
                "from": SELF_TEST_PHONE,
                "to": self.sender,
                "text": SELF_TEST_TEXT,
                "receivedAt": now.isoformat(),
            }
        headers = {"Content-Type": "application/json", "Authorization": basic_authorization(*self._log_in)}
        return WebhookRequest("POST", url, headers, json.dumps({"results": [entry]}).encode())

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        reports, unusable = [], 0
        for entry in _results(request):
            if _is_inbound(entry):
                continue
            message_id = word(entry.get("messageId"))
            if not message_id or not isinstance(entry.get("status"), dict):
                unusable += 1  # one bad entry must not cost the others
                continue
            status, category = _outcome(entry)
            reports.append(
                DeliveryReport(
                    message_id,
                    reference=word(entry.get("callbackData")) or message_id,
                    status=status,
                    category=category,
                    error=_words(entry) if status in FAILURES else "",
                )
            )
        if unusable and not reports:
            raise Unreadable(_("results: no entry has a messageId and a status."))
        return reports

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        messages, unusable = [], 0
        for entry in _results(request):
            if "status" in entry:
                continue  # a delivery report
            sender = word(entry.get("from")) or word(entry.get("sender"))
            if not sender or not _is_inbound(entry):
                unusable += 1
                continue
            recipient, text = word(entry.get("to")), _inbound_text(entry)
            identity = "\0".join((sender, recipient, text, word(entry.get("receivedAt"))))
            messages.append(
                InboundSms(
                    word(entry.get("messageId")) or digest(identity)[:40],
                    senders.e164(sender),
                    senders.e164(recipient),
                    text,
                )
            )
        if unusable and not messages:
            raise Unreadable(_("results: no entry has a text and from, the number that it comes from."))
        return messages

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _("Numbers, short codes and sender IDs; what is available differs by country.")
    sender_label = _("Phone number or sender ID")
    sender_help = _(
        "A number bought at Infobip, with its country code in front and without + or 00, for example 35312345678; or "
        "your own sender ID, letters as in MyClinic or digits as in 868686. Two-way SMS needs a number."
    )
    setup = _(
        "Delivery reports and replies are switched on by Infobip's support. Choose a webhook user name and a "
        "webhook password, enter them here, and send this text to support@infobip.com:\n"
        "\n"
        "“Please configure our account as follows.\n"
        "1. Send delivery reports for SMS as JSON by HTTP POST to {reports_url}\n"
        "2. Forward inbound SMS to our numbers as JSON (MO_JSON_2) by HTTP POST to {inbound_url}\n"
        "3. Use Basic authentication for both, with the user name and password that we will give you separately, by "
        "a secure channel.\n"
        "4. If one of our numbers has an inbound configuration of its own, set it to “follow subscription”, as it "
        "would win over these settings.”\n"
        "\n"
        "The webhook user name and password are for these two addresses only. Never give your portal log-in."
    )
    webhook_check_note = _(
        "Medium: every callback carries the webhook user name and password, over HTTPS. Nothing signs its content, so "
        "these two must be known to nobody else; a repeated callback is recognised by its content and counts once."
    )
