"""LINK Mobility: the SMS REST API of its common platform (MT and delivery reports 1.18, MO 1.7, Gate 1.2).

Reference: https://www.linkmobility.com/developer/
Reports and inbound messages come through a gate: an object at LINK Mobility that holds our URLs and credentials. There
is no URL per message, and a gate may carry both kinds, so they are told apart by their shape.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

from django import forms
from django.core.validators import RegexValidator
from django.http import HttpResponse, JsonResponse

from extensions import senders
from extensions.contract import (
    GOOD,
    SELF_TEST_PHONE,
    SELF_TEST_TEXT,
    Again,
    ApiRequest,
    ApiResponse,
    Category,
    Check,
    Delivery,
    DeliveryReport,
    InboundSms,
    Kind,
    NotTaken,
    OutboundSms,
    Provider,
    ProviderError,
    Refused,
    Rung,
    SecretField,
    SenderKind,
    SendResult,
    Text,
    Unclear,
    Unreadable,
    WebhookCheck,
    WebhookRequest,
    basic_authorization,
    by_reference,
    self_test_id,
    verify_basic,
)
from extensions.credential_fields import PLAIN_INPUT, HostField, IdentifierField
from extensions.reading import digest, mappings, number, object_of, text, within, without_astral
from intake.pasted import plain_letters
from intake.sentences import said_lazy as _

logger = logging.getLogger(__name__)

HOST_PATTERNS = (r"wsx\.sp247\.net", r"[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?\.linkmobility\.io")
LONGEST_VALIDITY = timedelta(hours=48)
BATCH = 200  # messages in one request; the API takes 1,000, but an unclear answer leaves all of them uncertain

ACCEPTED = 1005
# `resultCode` of reports and answers. SMS REST API 1.18, "Result codes"
RESULTS = {
    1001: (Delivery.DELIVERED, Category.NONE, "delivered"),
    1007: (Delivery.DELIVERED, Category.NONE, "delivered, billing pending"),
    1000: (Delivery.SENT, Category.NONE, "sent to the operator"),
    1008: (Delivery.SENT, Category.NONE, "billed, not yet delivered"),
    1011: (Delivery.SENT, Category.NONE, "sent to the operator"),
    1013: (Delivery.SENT, Category.NONE, "sent to the operator"),
    1005: (Delivery.QUEUED, Category.NONE, "queued"),
    1012: (Delivery.QUEUED, Category.NONE, "delayed, will be tried again"),
    1002: (Delivery.EXPIRED, Category.TRANSIENT, "expired"),
    1010: (Delivery.UNKNOWN, Category.UNKNOWN, "expired without the operator's report"),
    1003: (Delivery.FAILED, Category.UNKNOWN, "deleted"),
    1004: (Delivery.UNDELIVERED, Category.TRANSIENT, "the phone's memory is full"),
    1006: (Delivery.UNDELIVERED, Category.UNKNOWN, "not delivered"),
    1009: (Delivery.UNDELIVERED, Category.UNKNOWN, "not delivered"),
    0: (Delivery.FAILED, Category.UNKNOWN, "unknown error"),
    6: (Delivery.FAILED, Category.UNKNOWN, "operator error"),
    4: (Delivery.UNKNOWN, Category.UNKNOWN, "time-out at the operator"),
    5: (Delivery.UNKNOWN, Category.UNKNOWN, "unknown error at the operator"),
    1: (Delivery.FAILED, Category.TRANSIENT, "temporary routing error"),
    105: (Delivery.FAILED, Category.TRANSIENT, "internal error"),
    2: (Delivery.FAILED, Category.UNKNOWN, "permanent routing error"),
    104: (Delivery.FAILED, Category.UNKNOWN, "configuration error"),
    3: (Delivery.FAILED, Category.RATE_LIMITED, "throttling exceeded"),
    106: (Delivery.FAILED, Category.INSUFFICIENT_BALANCE, "quota exceeded"),
    **dict.fromkeys(range(2000, 2004), (Delivery.FAILED, Category.INVALID_SENDER, "invalid or unsupported sender")),
    2100: (Delivery.FAILED, Category.INVALID_RECIPIENT, "unsupported type of destination"),
    2101: (Delivery.FAILED, Category.INVALID_RECIPIENT, "unsupported destination"),
    2102: (Delivery.FAILED, Category.INVALID_RECIPIENT, "unknown subscriber"),
    2103: (Delivery.FAILED, Category.INVALID_RECIPIENT, "operation blocked for the destination"),
    2104: (Delivery.FAILED, Category.INVALID_RECIPIENT, "number error"),
    2105: (Delivery.FAILED, Category.OPTED_OUT, "subscriber permanently barred"),
    2106: (Delivery.FAILED, Category.INVALID_RECIPIENT, "number error"),
    2107: (Delivery.UNDELIVERED, Category.TRANSIENT, "subscriber temporarily barred"),
    2205: (Delivery.FAILED, Category.OPTED_OUT, "service rejected by the subscriber"),
    **dict.fromkeys((*range(2200, 2205), 2206, 2207), (Delivery.FAILED, Category.UNKNOWN, "subscriber charging error")),
    **dict.fromkeys(
        (3000, 3001, 3002, 4001, 4003, 4004, 4005, 4007),
        (Delivery.FAILED, Category.REJECTED_CONTENT, "encoding or content not supported"),
    ),
    4000: (Delivery.FAILED, Category.UNKNOWN, "delivery report not supported"),
    4002: (Delivery.FAILED, Category.UNKNOWN, "tariff not supported"),
    4006: (Delivery.FAILED, Category.UNKNOWN, "VAT not supported"),
}

# `status` in the body of a refused request.
API_ERRORS = {
    106000: Category.TRANSIENT,
    106100: Category.AUTH_FAILED,
    106101: Category.AUTH_FAILED,
    106200: Category.AUTH_FAILED,  # platform ID
    106201: Category.AUTH_FAILED,  # platform partner ID
    106202: Category.UNKNOWN,  # currency
    106300: Category.AUTH_FAILED,  # no gate
    106301: Category.AUTH_FAILED,  # gate unavailable
}

# `status` in the body of a refused look at the gate. Gate API 1.2
GATE_ERRORS: dict[int, Text] = {
    103100: _("The username or the password is wrong."),
    103101: _(
        "The gate could not be checked: this user may not read gates, or the username or password is wrong. If a "
        "test message arrives, the account works; ask LINK Mobility to allow the user to read its gates."
    ),
    103201: _("The platform ID is wrong."),
    103202: _("The platform partner ID is wrong."),
    103301: _("The gate ID is wrong."),
    103302: _("The gate ID is wrong."),
    103303: _("LINK Mobility has no gate with this gate ID."),
    103304: _("LINK Mobility has no gate with this gate ID."),
}
GATE_HTTP_ERRORS = {401: GATE_ERRORS[103100], 403: GATE_ERRORS[103101]}

ID: dict[str, Any] = {  # the form of the IDs that LINK Mobility hands out; each is a part of an address, too
    "max_length": 256,
    "pattern": r"(?!\.)[A-Za-z0-9_.-]{1,64}",
    "allowed": "A-Za-z0-9_.-",
    "suggest": _("An ID has letters, digits, hyphens, underscores and dots only: %(suggestion)s"),
    "wrong": _("An ID has letters, digits, hyphens, underscores and dots only."),
}


REPORT, INBOUND = "report", "inbound"
KEY_FIELDS = {REPORT: ("id", "resultCode", "timestamp"), INBOUND: ("messageId",)}


# --- what LINK Mobility writes ---------------------------------------------------------------------------------------


def _number_error(value: str) -> forms.ValidationError:
    digits = re.sub(r"[^0-9]", "", value).removeprefix("00")
    if re.fullmatch(r"[1-9][0-9]{6,14}", digits):
        return forms.ValidationError(
            _("A number begins with + and its country code: %(suggestion)s"),
            params={"suggestion": f"+{digits}", "certain": True},
        )
    return forms.ValidationError(
        _(
            "A number begins with + and its country code and has 7 to 15 digits, for example +35312345678; a short "
            "code has 3 to 7 digits."
        )
    )


def _type_of(sender: str) -> str:
    if sender.startswith("+"):
        return "MSISDN"
    return "SHORTNUMBER" if re.fullmatch("[0-9]{1,14}", sender) else "ALPHANUMERIC"


def _words(response: ApiResponse) -> str:
    data = object_of(response)
    code = number(data.get("status"))
    words = (str(code) if code is not None else "", text(data.get("description")))
    return " ".join([f"HTTP {response.status}", *filter(None, words)])[:200]


def _result(answer: dict[str, Any]) -> SendResult:
    """What the answer says of one message. Raises Refused, NotTaken or Unclear."""
    code = number(answer.get("resultCode"))
    if code is None:
        raise Unclear(_("no result code in the answer"))
    status, category, meaning = RESULTS.get(code, (Delivery.UNKNOWN, Category.UNKNOWN, "unknown result code"))
    words = f"{code}: {text(answer.get('description')) or text(answer.get('message')) or meaning}"[:200]
    message_id = text(answer.get("messageId"))
    if status in GOOD and message_id:
        return SendResult(message_id, segments=number(answer.get("smsCount")), status=status)
    if status in GOOD or status is Delivery.UNKNOWN:
        raise Unclear(words)
    if status is Delivery.FAILED and category in (Category.TRANSIENT, Category.RATE_LIMITED):
        raise NotTaken(words, category=category)
    raise Refused(category, words)


def _entries(request: WebhookRequest) -> list[tuple[dict[str, Any], str]]:
    """What the gate tells, each with its kind. One object is usual; a list of them is understood. Raises Unreadable."""
    try:
        data = request.json()
    except Unreadable as error:
        raise Unreadable(
            _("The body is not JSON: the gate's content type must be application/json, by POST.")
        ) from error
    read: list[tuple[dict[str, Any], str]] = []
    faults: list[Unreadable] = []
    for entry in data if isinstance(data, list) else [data]:
        try:
            if not isinstance(entry, dict):
                raise Unreadable(_("The body is neither a JSON object nor a list of objects."))
            read.append((entry, _kind(entry)))
        except Unreadable as fault:  # one bad entry must not cost the others
            faults.append(fault)
    if not read:
        raise faults[0] if faults else Unreadable(_("The body is neither a JSON object nor a list of objects."))
    if faults:
        logger.warning("%d of %d entries of a callback cannot be read", len(faults), len(faults) + len(read))
    return read


def _kind(entry: dict[str, Any]) -> str:
    if "resultCode" in entry:
        if number(entry["resultCode"]) is None:
            raise Unreadable(_("resultCode is not a number."))
        if not text(entry.get("id")):
            raise Unreadable(_("id, the message's ID, is missing."))
        return REPORT
    if isinstance(entry.get("content"), dict):
        for name in ("messageId", "source"):
            if not text(entry.get(name)):
                raise Unreadable(_("%(name)s is missing.") % {"name": name})
        return INBOUND
    raise Unreadable(_("Neither a delivery report (resultCode) nor an inbound message (content)."))


def _report(entry: dict[str, Any]) -> DeliveryReport:
    code = number(entry["resultCode"])
    assert code is not None  # _kind has seen to it
    status, category, meaning = RESULTS.get(code, (Delivery.UNKNOWN, Category.UNKNOWN, "unknown result code"))
    message_id, part = entry["id"], ""
    if found := re.fullmatch(r"(.+)\$([0-9]+)", message_id, re.DOTALL):
        message_id, part = found[1], found[2]
    operator = entry.get("operatorResultCode")
    said = f" (operator: {str(operator)[:40]})" if operator not in (None, "") else ""
    return DeliveryReport(
        message_id=message_id,
        reference=text(entry.get("refId")),
        status=status,
        category=category,
        error="" if status in GOOD else f"{code}: {meaning}{said}",
        part=part,
        parts=number(entry.get("segments")) if part else None,
    )


def _inbound(entry: dict[str, Any]) -> InboundSms:
    destination = re.sub(r"^[A-Z]{2}-", "", text(entry.get("destination")))
    sub_number = entry.get("subNumber")  # dialled after the short code
    return InboundSms(
        message_id=entry["messageId"],
        sender=entry["source"],
        recipient=destination if number(sub_number) is None else f"{destination}{sub_number}",
        text=_without_keyword(text(entry["content"].get("userData")), entry.get("route")),
    )


def _without_keyword(written: str, route: Any) -> str:
    """The answer without the keyword that brought it to us on a shared number: "Survey 9" is the answer "9".

    A keyword alone stays, and so does what comes by a shared route: it may be the platform's STOP.
    """
    if not isinstance(route, dict) or route.get("keywordType") != "FIRST_WORD" or route.get("shared") is True:
        return written
    first, _space, rest = written.strip().partition(" ")
    keyword = text(route.get("keyword"))
    return rest.strip() if keyword and rest.strip() and first.casefold() == keyword.casefold() else written


class LinkMobility(Provider):
    key = "link_mobility"
    name = "LINK Mobility"
    slug = "link-mobility"
    aliases = ("link-mobility-sms",)
    docs_url = "https://www.linkmobility.com/developer/"
    keywords = ("Link Mobility", "WSX", "sp247", "Netsize", "Mobilität verknüpfen")
    sender_after = "password"
    webhook_check = WebhookCheck.BASIC
    webhook_secrets = ("username", "password")
    account_fields = ("username", "platform_id", "platform_partner_id")
    webhook_methods = ("POST", "PUT")
    http_ladder: ClassVar = {
        204: Rung(Again.UNCLEAR),  # answers a request that wanted no answer: ours always does
        404: Rung(Again.NEVER, Category.AUTH_FAILED),  # wrong host or path
    }
    mixes_routes = True
    typical: ClassVar = {
        "endpoint_host": rf"(?i)(?:https?://)?(?:{'|'.join(HOST_PATTERNS)})(?:/.*)?",
        "platform_id": "[A-Z]+_[A-Z_]+",
        "platform_partner_id": "[0-9]{3,}",
        "gate_id": "(?=.*[0-9])(?=.*[A-Za-z])[0-9A-Za-z]{8}",
    }
    host_patterns = HOST_PATTERNS
    batch_size = BATCH
    max_in_flight = 4  # requests; no limit is published, five a second is our own rule
    # no limit is published, and what exceeds it fails later with result code 3
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 100.0)

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        username = forms.CharField(
            label=_("Username"),
            max_length=128,
            help_text=_("The username of your LINK Mobility account."),
            widget=forms.TextInput(attrs=PLAIN_INPUT),
            validators=[RegexValidator(r"^[^:\x00-\x1f\x7f]+\Z", _("A username must not contain a colon."))],
        )
        password = SecretField(
            label=_("Password"), verbatim=True, help_text=_("The password of your LINK Mobility account.")
        )
        platform_id = IdentifierField(
            **ID,
            label=_("Platform ID"),
            help_text=_("Provided by LINK Mobility, for example COMMON_API; its support can help you find it."),
        )
        platform_partner_id = IdentifierField(
            **ID,
            label=_("Platform partner ID"),
            help_text=_("Provided by LINK Mobility, for example 23456; its support can help you find it."),
        )
        endpoint_host = HostField(
            label=_("Endpoint host"),
            max_length=256,
            patterns=HOST_PATTERNS,
            lenient=True,
            suggest=_("Enter the host alone, without https:// and without a path: %(suggestion)s"),
            wrong=_(
                "This is not a LINK Mobility host. Enter the one you were given, for example wsx.sp247.net or "
                "n-eu.linkmobility.io."
            ),
            help_text=_("Provided by LINK Mobility. Only the host: https://wsx.sp247.net/sms becomes wsx.sp247.net."),
            widget=forms.TextInput(attrs=PLAIN_INPUT),
        )
        gate_id = IdentifierField(
            **ID,
            label=_("Gate ID"),
            help_text=_(
                "Provided by LINK Mobility, for example p3TfV6nE. The gate's credentials must be the same as the "
                "username and the password above."
            ),
        )

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        """A number keeps its plus sign: without one it would be taken for a short code."""
        value = value.strip()
        if re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
            return value, SenderKind.NUMBER
        if re.fullmatch(r"[0-9]{3,7}", value):
            return value, SenderKind.SHORT_CODE
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9 ]{1,10}", value):
            return value, SenderKind.ALPHANUMERIC
        if re.fullmatch(r"[0-9\s().+/-]+", value):
            raise _number_error(value)
        suggestion = re.sub(r"[^A-Za-z0-9 ]", "", plain_letters(value)).lstrip(" 0123456789")[:11].strip()
        if len(suggestion) < 2:
            raise forms.ValidationError(
                _(
                    "Enter a number with + and its country code, for example +35312345678, or a sender ID of 2 to 11 "
                    "letters (A–Z) and digits, for example MyClinic."
                )
            )
        raise forms.ValidationError(
            _(
                "A sender ID has 2 to 11 letters (A–Z), digits and spaces and begins with a letter, for example: "
                "%(suggestion)s"
            ),
            params={"suggestion": suggestion},
        )

    @classmethod
    def carried_text(cls, text: str) -> str:
        """Only characters of the Basic Multilingual Plane can be sent: emoji and others become question marks."""
        return without_astral(text)

    # --- sending ------------------------------------------------------------------------------------------------

    @property
    def _base_url(self) -> str:
        return f"https://{self.credentials['endpoint_host']}"

    @property
    def _auth(self) -> tuple[str, str]:
        return self.credentials["username"], self.credentials["password"]

    def _message(self, sms: OutboundSms) -> dict[str, Any]:
        sender = sms.sender or self.sender
        return {
            "source": sender,
            "sourceTON": _type_of(sender),  # the default is ALPHANUMERIC, whatever the sender
            "destination": sms.to,
            "destinationTON": "MSISDN",
            "userData": self.carried_text(sms.text),
            "dcs": "TEXT",
            "refId": sms.reference,
        }

    def _shared(self, validity: timedelta) -> dict[str, Any]:
        return {
            "platformId": self.credentials["platform_id"],
            "platformPartnerId": self.credentials["platform_partner_id"],
            "useDeliveryReport": True,
            "deliveryReportGates": [self.credentials["gate_id"]],
            "relativeValidityTime": int(min(validity, LONGEST_VALIDITY).total_seconds() * 1000),
            "customParameters": {"replySmsCount": "true"},
            "ignoreResponse": False,
        }

    def _post(self, path: str, content: dict[str, Any]) -> ApiRequest:
        headers = {"Accept": "application/json"}
        return ApiRequest("POST", f"{self._base_url}{path}", headers=headers, auth=self._auth, json=content)

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        return self._post("/sms/send", {**self._message(sms), **self._shared(sms.validity)})

    def parse_send(self, response: ApiResponse) -> SendResult:
        if error := self._error(response):
            raise error
        return _result(response.object())

    def build_batch(self, messages: Sequence[OutboundSms]) -> ApiRequest:
        shared = self._shared(min(sms.validity for sms in messages))
        return self._post("/sms/sendbatch", {**shared, "sendRequestMessages": [self._message(sms) for sms in messages]})

    def parse_batch(self, response: ApiResponse, messages: Sequence[OutboundSms]) -> list[SendResult | ProviderError]:
        """The answer's entries are found by our reference: their order is not promised."""
        if error := self._error(response):
            raise error
        entries = response.json()
        if not isinstance(entries, list):
            raise Unclear(_("HTTP %(status)s with an unreadable body") % {"status": response.status})
        answers = {text(entry.get("refId")): entry for entry in mappings(entries)}
        return by_reference(messages, answers, _result)

    @classmethod
    def _error(cls, response: ApiResponse) -> Refused | NotTaken | Unclear | None:
        """What an answer means that tells nothing of the messages, for the whole request."""
        category = API_ERRORS.get(number(object_of(response).get("status")) or 0)
        again = Again.LATER if category is Category.TRANSIENT else Again.NEVER
        return cls.http_error(response, _words(response), said=Rung(again, category) if category else None)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        """One look at the gate proves host, username, password, platform, partner and gate. It costs nothing."""
        platform, partner, gate = (
            quote(self.credentials[name], safe="") for name in ("platform_id", "platform_partner_id", "gate_id")
        )
        url = f"{self._base_url}/gate/partnergate/platform/{platform}/partner/{partner}/id/{gate}"
        return ApiRequest("GET", url, headers={"Accept": "application/json"}, auth=self._auth)

    def parse_check(self, response: ApiResponse) -> Check:
        """The gate's own password is in the answer: nothing of it is repeated."""
        data = object_of(response)
        if response.status == 200 and data:
            return Check(
                ok=True,
                detail=_("Host, username, password, platform, partner and gate fit together."),
                warnings=self._gate_warnings(data),
            )
        unexpected = _(
            "The endpoint host did not answer as expected: it is wrong, or the service is down. Verify again later."
        )
        code = number(data.get("status"))
        sentence = GATE_ERRORS.get(code if code is not None else -1, GATE_HTTP_ERRORS.get(response.status, unexpected))
        detail = _("%(sentence)s (%(words)s)") % {"sentence": sentence, "words": _words(response)}
        return Check(ok=False, detail=detail, is_open=sentence is GATE_ERRORS[103101])

    def _gate_warnings(self, gate: dict[str, Any]) -> list[Text]:
        ours = [
            destination
            for destination in mappings(gate.get("destinations"))
            if any(f"/{slug}/" in text(destination.get("url")) for slug in (self.slug, *self.aliases))
        ]
        if not ours:
            return [
                _(
                    "No destination of the gate is one of the addresses on this page, so no delivery reports will "
                    "arrive."
                )
            ]
        warnings: list[Text] = []
        if any(text(destination.get("contentType")).split(";")[0] != "application/json" for destination in ours):
            warnings.append(_("A destination of the gate has a content type other than application/json."))
        if any(destination.get("username") != self.credentials["username"] for destination in ours):
            warnings.append(
                _("A destination of the gate logs in with a different username, so its calls will be refused.")
            )
        return warnings

    # --- callbacks ----------------------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """Basic authentication with the account's own username and password: there is no signature."""
        verify_basic(
            request,
            *self._auth,
            lacking=_("the account has no username or no password"),
            absent=_("no Basic credentials: the gate's destination needs username and password"),
            wrong=_("wrong username or password: those of the gate must be the same as the account's"),
        )

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        if kind == "status":
            entry = {"id": self_test_id(now), "resultCode": 1001, "timestamp": now.isoformat()}
        else:
            entry = {
                "messageId": self_test_id(now),
                "source": f"+{SELF_TEST_PHONE}",
                "destination": self.sender,
                "content": {"userData": SELF_TEST_TEXT},
            }
        headers = {"Content-Type": "application/json", "Authorization": basic_authorization(*self._auth)}
        return WebhookRequest("POST", url, headers, json.dumps(entry).encode())

    def dedupe_key(self, request: WebhookRequest) -> str:
        """The gate repeats a call until its time is up; the content may be written anew each time."""
        try:
            told = [
                [kind, *(str(entry.get(name)) for name in names)]
                for entry, kind in _entries(request)
                for names in (KEY_FIELDS[kind],)
            ]
        except Unreadable:
            return super().dedupe_key(request)
        return digest(json.dumps(told))

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        """A long text has one report per part: the message's id, "$" and the number of the part."""
        return [_report(entry) for entry, kind in _entries(request) if kind == REPORT]

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        return [
            _inbound(entry) for entry, kind in _entries(request) if kind == INBOUND and self._is_for_this_partner(entry)
        ]

    def _is_for_this_partner(self, entry: dict[str, Any]) -> bool:
        route = entry.get("route")
        partner = within(route, "platformPartnerId")
        if partner is None or str(partner) == self.credentials["platform_partner_id"]:
            return True
        logger.warning("An inbound message for another partner was ignored")
        return False

    @classmethod
    def webhook_response(cls, kind: str) -> HttpResponse:
        """A gate with acknowledge=true needs a body as well."""
        return JsonResponse({"status": "ok"})

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _(
        "Global coverage; European customers can have all their messages processed in Europe only. What is possible "
        "differs by region and country."
    )
    sender_label = _("Phone number/Sender ID")
    sender_help = _(
        "A number of your LINK Mobility account, always with a plus sign and the country code, for example "
        "+35312345678; a short code; or an alphanumeric sender ID of 2 to 11 letters and digits that LINK Mobility "
        "has set up for you. Surveys by text need a number or a short code."
    )
    setup = _(
        "1. LINK Mobility's support sets this up for you, and helps you find your platform ID, platform partner ID, "
        "endpoint host and gate ID.\n"
        "2. Send this to the support: “Please set up a partner gate for our SMS API account, with the content type "
        "application/json by POST. Delivery reports go to {reports_url} and inbound messages for our number, short "
        "code or keyword go to {inbound_url} Both destinations need Basic authentication with the username and the "
        "password of our API account. Please also allow this API user to read the gate, so that we can check it.”\n"
        "3. Enter what you are given in the form. The gate's credentials must be the same as username and "
        "password.\n"
        "4. Inbound messages may also come through another gate than the one in the form: the same addresses apply."
    )
    webhook_check_note = _(
        "Medium: LINK Mobility cannot sign its calls. Each call must carry the username and the password of this "
        "account, which is why the gate's credentials have to match; calls without them are refused. Whoever knows the "
        "password can make such a call."
    )
