"""Sinch: SMS through the Conversation API. Reference: https://developers.sinch.com/docs/conversation/api-reference/

The API is regional: the app lives in one data centre, and its neighbour answers 404 to the right credentials.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from django import forms

from extensions import senders
from extensions.contract import (
    SELF_TEST_PHONE,
    SELF_TEST_TEXT,
    Again,
    ApiRequest,
    ApiResponse,
    Category,
    Check,
    ChosenSecretField,
    Delivery,
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    Kind,
    NotTaken,
    OutboundSms,
    Provider,
    Refused,
    Rung,
    SecretField,
    SendResult,
    Text,
    Token,
    Unclear,
    Unreadable,
    WebhookChange,
    WebhookCheck,
    WebhookRequest,
    bounded,
    self_test_id,
)
from extensions.credential_fields import IdentifierField
from extensions.reading import listed, mapping, mappings, object_of, same, text, within
from intake.sentences import said_lazy as _

logger = logging.getLogger(__name__)

TOKEN_URL = "https://auth.sinch.com/oauth2/token"  # noqa: S105 (an address, not a secret)
BASE_URLS = {
    "eu": "https://eu.conversation.api.sinch.com",
    "us": "https://us.conversation.api.sinch.com",
}
LONGEST_TEXT = 1600  # characters
MOST_PARTS = 10
SHORTEST_TTL = 3  # seconds

# `status` of a message delivery report. https://developers.sinch.com/docs/conversation/callbacks/
STATES = {
    "QUEUED_ON_CHANNEL": Delivery.SENT,
    "DELIVERED": Delivery.DELIVERED,
    "READ": Delivery.READ,
    "FAILED": Delivery.FAILED,  # or what its reason says
    "SWITCHING_CHANNEL": Delivery.QUEUED,
}
# `reason.code` of a failure. https://developers.sinch.com/docs/conversation/callbacks/
REASONS = {
    "RECIPIENT_INVALID_CHANNEL_IDENTITY": (Delivery.FAILED, Category.INVALID_RECIPIENT),
    "NO_CHANNEL_IDENTITY_FOR_CONTACT": (Delivery.FAILED, Category.INVALID_RECIPIENT),
    "CONTACT_NOT_FOUND": (Delivery.FAILED, Category.INVALID_RECIPIENT),
    "RECIPIENT_NOT_REACHABLE": (Delivery.UNDELIVERED, Category.INVALID_RECIPIENT),  # documented as permanent
    "RECIPIENT_NOT_OPTED_IN": (Delivery.FAILED, Category.OPTED_OUT),
    "CHANNEL_BAD_CONFIGURATION": (Delivery.FAILED, Category.INVALID_SENDER),
    "CHANNEL_CONFIGURATION_MISSING": (Delivery.FAILED, Category.INVALID_SENDER),
    "DELIVERY_REJECTED_DUE_TO_POLICY": (Delivery.FAILED, Category.REJECTED_CONTENT),
    "OUTSIDE_ALLOWED_SENDING_WINDOW": (Delivery.FAILED, Category.REJECTED_CONTENT),
    "RATE_LIMITED": (Delivery.FAILED, Category.RATE_LIMITED),
    "INTERNAL_ERROR": (Delivery.FAILED, Category.TRANSIENT),
    "CHANNEL_FAILURE": (Delivery.FAILED, Category.TRANSIENT),
    "DELIVERY_TIMED_OUT": (Delivery.EXPIRED, Category.TRANSIENT),
    "UNKNOWN_APP": (Delivery.FAILED, Category.AUTH_FAILED),
    "NO_PERMISSION": (Delivery.FAILED, Category.AUTH_FAILED),
    "UNKNOWN": (Delivery.FAILED, Category.UNKNOWN),
    "CHANNEL_REJECT": (Delivery.FAILED, Category.UNKNOWN),
    "BAD_REQUEST": (Delivery.FAILED, Category.UNKNOWN),
    "NO_CHANNELS_LEFT": (Delivery.FAILED, Category.UNKNOWN),
    "NO_PROFILE_AVAILABLE": (Delivery.FAILED, Category.UNKNOWN),
    "UNSUPPORTED_OPERATION": (Delivery.FAILED, Category.UNKNOWN),
}
# `reason.sub_code` says more than the code it comes with.
SUB_REASONS = (
    (re.compile("INACTIVE_SENDER"), Category.INVALID_SENDER),
    (re.compile("ATTACHMENT_REJECTED|MEDIA_.*|TEMPLATE_.*"), Category.REJECTED_CONTENT),
)
SAID = (  # the status of a refusal, what its error says in some place, and what that means; the first counts
    (400, "sms_sender", Category.INVALID_SENDER),
    (400, "recipient|identity", Category.INVALID_RECIPIENT),
    (403, "billing|limit|credit", Category.INSUFFICIENT_BALANCE),
)
TEXT_CHANNELS = {"", "SMS", "MMS"}  # an app may carry other channels too: not ours
PLACEHOLDERS = {  # what is kept of a message that is not text; another kind is named
    "media_message": "[media message]",
    "media_card_message": "[media message]",
    "choice_response_message": "[choice]",
    "fallback_message": "[unreadable message]",
}

DELIVERY_TRIGGERS = ("EVENT_DELIVERY", "MESSAGE_DELIVERY")
INBOUND_TRIGGERS = ("MESSAGE_INBOUND",)
ADDS_REPORTS = _("A webhook for delivery reports is added to the app, with your secret token: %(url)s")
ADDS_INBOUND = _("A webhook for inbound messages is added to the app, with your secret token: %(url)s")

SIGNATURE_HEADER = "x-sinch-webhook-signature"
ALGORITHM = "HmacSHA256"  # pinned: the caller does not choose
TIME_WINDOW = 300  # seconds, either way

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


# --- what Sinch writes -----------------------------------------------------------------------------------------------


def _is_by_text(told: Any) -> bool:
    """Whether this is of SMS or MMS; another channel of the same app is named in the log, not guessed."""
    channel = text(within(told, "channel_identity", "channel"))
    if channel in TEXT_CHANNELS:
        return True
    logger.warning("A callback of the channel %s was ignored", re.sub(r"[^A-Za-z0-9_]", "?", channel)[:32])
    return False


def _written(content: Any) -> str:
    """What the person wrote: a text or the caption of a picture; else what kind of message it was."""
    for place in (("text_message", "text"), ("media_card_message", "caption")):
        words = within(content, *place)
        if isinstance(words, str) and (words or place[0] == "text_message"):
            return words
    found = mapping(content)
    kinds = (kind for kind in found if kind not in ("reply_to", "text_message") and found[kind] is not None)
    kind = next(kinds, "")
    named = re.sub("[^a-z]+", " ", kind.lower()).strip()[:40]
    return PLACEHOLDERS.get(kind) or (f"[{named}]" if named else "")


def _sign(secret: str, body: bytes, nonce: str, timestamp: str) -> str:
    signed = b".".join((body, nonce.encode(errors="replace"), timestamp.encode()))
    return base64.b64encode(hmac.new(secret.encode(errors="replace"), signed, hashlib.sha256).digest()).decode()


def _words(response: ApiResponse) -> str:
    """What the API, or the token endpoint in its own form, says of an error."""
    data = object_of(response)
    error = data.get("error")
    if isinstance(error, dict):
        words = (error.get("status"), error.get("message"))
    else:
        words = (error, data.get("error_description"))
    return " ".join([f"HTTP {response.status}", *filter(None, map(text, words))])[:200]


def _wait(response: ApiResponse) -> float | None:
    """Seconds to wait, from the header or from the RetryInfo in the body."""
    if response.retry_after is not None:
        return response.retry_after
    for detail in listed(within(object_of(response), "error", "details")):
        if delay := re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s", text(within(detail, "retryDelay"))):
            return bounded(float(delay[1]))
    return None


def _said(response: ApiResponse) -> Rung | None:
    """What the words of an error add to its status. https://developers.sinch.com/docs/conversation/api-reference/"""
    error = str(within(object_of(response), "error")).lower()
    for status, pattern, category in SAID:
        if response.status == status and re.search(pattern, error):
            return Rung(Again.NEVER, category)
    return None


def _failure(reason: Any) -> tuple[Delivery, Category, str]:
    code, sub_code = text(within(reason, "code")), text(within(reason, "sub_code"))
    status, category = REASONS.get(code, (Delivery.FAILED, Category.UNKNOWN))
    for pattern, better in SUB_REASONS:
        if pattern.fullmatch(sub_code):
            category = better
    named = code if sub_code in ("", "UNSPECIFIED_SUB_CODE") else f"{code}/{sub_code}"
    return status, category, ": ".join(filter(None, (named, text(within(reason, "description")))))


def _sms_channel_warnings(app: dict[str, Any]) -> list[Text]:
    sms = [channel for channel in mappings(app.get("channel_credentials")) if channel.get("channel") == "SMS"]
    if not sms:
        return [_("The app has no SMS channel: add one in the Sinch dashboard, or every message will fail.")]
    if not any(within(channel, "state", "status") == "ACTIVE" for channel in sms):
        return [_("The app's SMS channel is not active: messages will fail until it is.")]
    return []


class Sinch(Provider):
    key = "sinch"
    name = "Sinch"
    slug = "sinch"
    aliases = ("sinch-sms",)
    docs_url = "https://developers.sinch.com/docs/conversation/"
    keywords = ("Sinch LiveLink", "LiveLink", "Conversation API")
    sender_after = "project_id"
    webhook_check = WebhookCheck.SIGNATURE
    webhook_secrets = ("webhook_secret",)
    account_fields = ("region", "project_id", "app_id")
    typical: ClassVar = {
        "client_id": UUID,
        "client_secret": rf"(?!{UUID}\Z)(?![0-9A-Z]{{26}}\Z)[0-9A-Za-z._~-]{{16,}}",
        "project_id": UUID,
        "app_id": "[0-9A-Z]{26}",
    }
    host_patterns = (r"auth\.sinch\.com", r"(?:eu|us)\.conversation\.api\.sinch\.com")
    max_in_flight = 10
    # an app's queue is drained at 20 to 25 messages a second unless raised by Sinch
    messages_per_second: ClassVar = dict.fromkeys(senders.PLAIN_KINDS, 20.0)
    needs_token = True
    http_ladder: ClassVar = {
        302: Rung(Again.NEVER),  # the API is called at its own address, and no redirect is followed
        404: Rung(Again.NEVER, Category.AUTH_FAILED),  # wrong project, app or region
        501: Rung(Again.NEVER),  # wrong path or method
    }

    # --- form ---------------------------------------------------------------------------------------------------------

    class Credentials(forms.Form):
        client_id = IdentifierField(
            label=_("OAuth client ID"),
            max_length=128,
            allowed="A-Za-z0-9._~-",  # no colon: it ends the user name of Basic authentication
            suggest=_("The client ID has letters, digits and hyphens only: %(suggestion)s"),
            wrong=_("The client ID has letters, digits and hyphens only."),
            help_text=_("The ID of an access key, created in the Sinch dashboard under Access keys."),
        )
        client_secret = SecretField(
            label=_("OAuth client secret"),
            help_text=_("The secret of the same access key; Sinch shows it only when the key is created."),
        )
        region = forms.ChoiceField(
            label=_("Account data centre (EU or US)"),
            choices=[("eu", "EU"), ("us", "US")],
            error_messages={
                "invalid_choice": _("%(value)s is not a data centre you can choose here: choose EU or US.")
            },
            help_text=_("The region of your Conversation API app; the app's page in the Sinch dashboard shows it."),
        )
        project_id = IdentifierField(
            label=_("Project ID"),
            max_length=256,
            pattern=r"[0-9A-Za-z-]{1,64}",
            found=UUID,
            suggest=_("Enter the project ID alone: %(suggestion)s"),
            wrong=_(
                "The project ID has up to 64 letters, digits and hyphens, for example "
                "0d9a3b52-7c11-4e6a-8f20-5b7c9d1e3f40."
            ),
            help_text=_("On the Sinch dashboard, for example 0d9a3b52-7c11-4e6a-8f20-5b7c9d1e3f40."),
        )
        app_id = IdentifierField(
            label=_("Conversation app ID"),
            max_length=256,
            pattern=r"[0-9A-Za-z]{1,64}",
            found=r"\b[0-9A-Za-z]{26}\b",
            instead={
                UUID: _(
                    "This looks like the project ID. The app ID has no hyphens, for example 01K8A0PP5Y3T8M2N5P7R9S1V3A."
                )
            },
            suggest=_("Enter the app ID alone: %(suggestion)s"),
            wrong=_("The app ID has up to 64 letters and digits, for example 01K8A0PP5Y3T8M2N5P7R9S1V3A."),
            help_text=_("On the page of your Conversation API app, for example 01K8A0PP5Y3T8M2N5P7R9S1V3A."),
        )
        webhook_secret = ChosenSecretField(
            label=_("Webhook secret token"),
            min_length=8,
            help_text=_(
                "Have one generated and enter it at both webhooks in the Sinch dashboard, or the other way round."
            ),
        )

    # --- sending ------------------------------------------------------------------------------------------------

    @property
    def _project_url(self) -> str:
        return f"{BASE_URLS[self.credentials['region']]}/v1/projects/{quote(self.credentials['project_id'], safe='')}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        """No callback URL: calls to one would be signed with another secret than the two webhooks.

        Raises Refused if the text is longer than the API is known to take.
        """
        if len(sms.text) > LONGEST_TEXT:
            raise Refused(
                Category.REJECTED_CONTENT,
                _("%(length)s characters; at most %(most)s can be sent")
                % {"length": len(sms.text), "most": LONGEST_TEXT},
            )
        ttl = max(SHORTEST_TTL, int(sms.validity.total_seconds()))
        identity = {"channel": "SMS", "identity": sms.to.lstrip("+")}
        return ApiRequest(
            "POST",
            f"{self._project_url}/messages:send",
            headers=self._headers(),
            json={
                "app_id": self.credentials["app_id"],
                "recipient": {"identified_by": {"channel_identities": [identity]}},
                "message": {"text_message": {"text": sms.text}},
                "channel_priority_order": ["SMS"],
                "channel_properties": {
                    "SMS_SENDER": sms.sender or self.sender,
                    "SMS_MAX_NUMBER_OF_MESSAGE_PARTS": str(MOST_PARTS),
                },
                "ttl": f"{ttl}s",
                "message_metadata": sms.reference,
                "correlation_id": sms.reference,
            },
        )

    def parse_send(self, response: ApiResponse) -> SendResult:
        said = _said(response)
        if error := self.http_error(response, _words(response), said=said, wait=_wait(response)):
            raise error
        message_id = response.object().get("message_id")
        if not isinstance(message_id, str) or not message_id:
            raise Unclear(_("accepted, but without a message ID"))
        return SendResult(message_id)

    # --- checking the credentials ------------------------------------------------------------------------------------

    def build_token(self) -> ApiRequest:
        return ApiRequest(
            "POST",
            TOKEN_URL,
            headers={"Accept": "application/json"},
            auth=(self.credentials["client_id"], self.credentials["client_secret"]),
            form={"grant_type": "client_credentials"},
        )

    def parse_token(self, response: ApiResponse) -> Token:
        """Nothing is sent without a token: whatever goes wrong here, the message is certainly not taken."""
        if response.status in (400, 401, 403):
            raise Refused(
                Category.AUTH_FAILED,
                _("The OAuth client ID or the OAuth client secret is wrong (%(words)s).") % {"words": _words(response)},
            )
        if response.status == 429:
            raise NotTaken(_words(response), retry_after=_wait(response), category=Category.RATE_LIMITED)
        if response.status != 200:
            raise NotTaken(_words(response), retry_after=_wait(response))
        try:
            data = response.object()
        except Unclear as error:
            raise NotTaken(error.detail) from error
        value, expires_in = data.get("access_token"), data.get("expires_in")
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,8192}", value):
            raise NotTaken(_("an answer without an access token"))
        if not isinstance(expires_in, int | float) or not 0 < expires_in <= 365 * 24 * 3600:
            raise NotTaken(_("an access token without its time of expiry"))
        return Token(value, float(expires_in))

    def build_check(self) -> ApiRequest:
        app_id = quote(self.credentials["app_id"], safe="")
        return ApiRequest("GET", f"{self._project_url}/apps/{app_id}", headers=self._headers())

    def parse_check(self, response: ApiResponse) -> Check:
        region = str(self.credentials["region"]).upper()
        if response.status == 200 and (app := object_of(response)):
            return Check(
                ok=True,
                detail=_("The access key, the project, the app and the data centre %(region)s fit together.")
                % {"region": region},
                warnings=_sms_channel_warnings(app),
            )
        why: dict[int, Text] = {
            401: _("Sinch refuses the access key: the OAuth client ID or secret is wrong, or the key was revoked."),
            403: _("The access key is right but has no access to this project: create a key inside the project."),
            404: _(
                "Sinch has no such app in data centre %(region)s. Either the app's region is the other one "
                "(%(other)s), or the project ID or the app ID is wrong: compare all three with the app's page in "
                "the Sinch dashboard."
            )
            % {"region": region, "other": "US" if region == "EU" else "EU"},
            429: _("Sinch has received too many requests: verify again in a minute."),
        }
        unknown = _("Sinch could not answer now: verify again later.")
        sentence = why.get(response.status, unknown)
        return Check(ok=False, detail=_("%(sentence)s (%(words)s)") % {"sentence": sentence, "words": _words(response)})

    # --- what else the API tells --------------------------------------------------------------------------------

    def build_webhooks(self) -> ApiRequest:
        app_id = quote(self.credentials["app_id"], safe="")
        return ApiRequest("GET", f"{self._project_url}/apps/{app_id}/webhooks", headers=self._headers())

    def webhook_changes(self, response: ApiResponse, reports_url: str, inbound_url: str) -> list[WebhookChange]:
        """https://developers.sinch.com/docs/conversation/api-reference/conversation/webhooks; it tells no secret."""
        if error := self.http_error(response, _words(response), said=_said(response), wait=_wait(response)):
            raise error
        known: dict[str, set[str]] = {}
        for webhook in mappings(response.object().get("webhooks")):
            known.setdefault(text(webhook.get("target")), set()).update(map(text, listed(webhook.get("triggers"))))
        return [
            WebhookChange(what % {"url": target}, self._add_webhook(target, triggers))
            for target, triggers, what in (
                (reports_url, DELIVERY_TRIGGERS, ADDS_REPORTS),
                (inbound_url, INBOUND_TRIGGERS, ADDS_INBOUND),
            )
            if triggers[-1] not in known.get(target, set())
        ]

    def _add_webhook(self, target: str, triggers: Sequence[str]) -> ApiRequest:
        content = {
            "app_id": self.credentials["app_id"],
            "target": target,
            "target_type": "HTTP",
            "triggers": list(triggers),
            "secret": self.credentials["webhook_secret"],
        }
        return ApiRequest("POST", f"{self._project_url}/webhooks", headers=self._headers(), json=content)

    # --- callbacks ----------------------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """https://developers.sinch.com/docs/conversation/callbacks/"""
        secret = self.credentials["webhook_secret"]
        signature = request.header(SIGNATURE_HEADER)
        nonce = request.header(f"{SIGNATURE_HEADER}-nonce")
        timestamp = request.header(f"{SIGNATURE_HEADER}-timestamp")
        algorithm = request.header(f"{SIGNATURE_HEADER}-algorithm")
        if not secret:
            raise InvalidSignature(Fault.INCOMPLETE, _("the account has no webhook secret token"))
        if not (signature and nonce and timestamp and algorithm):
            raise InvalidSignature(Fault.UNSIGNED, _("not signed: the webhook needs a secret token"))
        if algorithm != ALGORITHM:
            raise InvalidSignature(Fault.METHOD, _("signed with another algorithm than %(name)s") % {"name": ALGORITHM})
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise InvalidSignature(Fault.CLOCK, _("the signature's timestamp is not a number"))
        expected = _sign(secret, request.body, nonce, timestamp)
        if not same(expected, signature):
            raise InvalidSignature(
                Fault.SECRET, _("wrong signature: the webhook has another secret token, or the call was altered")
            )
        if abs(now.timestamp() - int(timestamp)) > TIME_WINDOW:
            raise InvalidSignature(
                Fault.CLOCK, _("signed more than %(seconds)s seconds from now") % {"seconds": TIME_WINDOW}
            )

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest:
        person = {"channel": "SMS", "identity": SELF_TEST_PHONE}
        event: dict[str, Any] = {name: self.credentials[name] for name in ("project_id", "app_id")}
        if kind == "status":
            event["message_delivery_report"] = {
                "message_id": self_test_id(now),
                "status": "DELIVERED",
                "channel_identity": person,
            }
        else:
            event["message"] = {
                "id": self_test_id(now),
                "direction": "TO_APP",
                "contact_message": {"text_message": {"text": SELF_TEST_TEXT}},
                "channel_identity": person,
                "sender_id": self.sender,
            }
        body = json.dumps(event).encode()
        nonce, timestamp = self_test_id(now), str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: _sign(self.credentials["webhook_secret"], body, nonce, timestamp),
            f"{SIGNATURE_HEADER}-nonce": nonce,
            f"{SIGNATURE_HEADER}-timestamp": timestamp,
            f"{SIGNATURE_HEADER}-algorithm": ALGORITHM,
        }
        return WebhookRequest("POST", url, headers, body)

    def _event(self, request: WebhookRequest) -> dict[str, Any]:
        """The callback's content; {} if it is about another project or app. Raises Unreadable."""
        data = request.json_object()
        for name in ("project_id", "app_id"):
            if (value := text(data.get(name))) and value != self.credentials[name]:
                logger.warning("A callback of another %s was ignored", name)
                return {}
        return data

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        """Told by shape, not by URL: other triggers, such as EVENT_DELIVERY, tell nothing about a message."""
        data = self._event(request)
        report = data.get("message_delivery_report")
        if report is None:
            return []
        message_id = text(within(report, "message_id"))
        if not message_id:
            raise Unreadable(_("%(name)s is missing.") % {"name": "message_delivery_report.message_id"})
        if not _is_by_text(report):
            return []
        word = text(within(report, "status"))
        status, category, error = STATES.get(word, Delivery.UNKNOWN), Category.NONE, ""
        if status is Delivery.FAILED:
            status, category, error = _failure(within(report, "reason"))
        elif status is Delivery.UNKNOWN:
            error = f"status {word}"
        places = (data.get("correlation_id"), data.get("message_metadata"), within(report, "metadata"))
        reference = next(filter(None, map(text, places)), "")
        return [DeliveryReport(message_id, reference, status, category, error)]

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        message = self._event(request).get("message")
        content = within(message, "contact_message")
        if message is None or (isinstance(message, dict) and content is None):
            return []
        message_id = text(within(message, "id"))
        sender = text(within(message, "channel_identity", "identity"))
        if not message_id or not sender:
            raise Unreadable(_("message.id or message.channel_identity.identity is missing."))
        if not _is_by_text(message):
            return []
        return [
            InboundSms(
                message_id=message_id,
                sender=senders.e164(sender),
                recipient=senders.e164(text(within(message, "sender_id"))),
                text=_written(content),
                in_reply_to=text(within(content, "reply_to", "message_id")),
            )
        ]

    # --- guide ------------------------------------------------------------------------------------------------------

    coverage = _("Global coverage, and local numbers in Japan; what is possible differs by region and country.")
    sender_label = _("Phone number or sender ID")
    sender_help = _(
        "A number of your Sinch account, always with the country code first, for example 35312345678; or an "
        "alphanumeric sender ID of up to 11 letters and digits. Surveys by text need a number."
    )
    setup = _(
        "1. Generate a secret token, long and random. Both webhooks below and the form use this one token.\n"
        "2. Log in to the Sinch dashboard, open your Conversation API app and go to its Webhooks section.\n"
        "3. For delivery reports, choose Add webhook: target type HTTP, triggers EVENT_DELIVERY and "
        "MESSAGE_DELIVERY, the secret token, and as target URL {reports_url}\n"
        "4. For surveys by text, choose Add webhook again: target type HTTP, trigger MESSAGE_INBOUND, the same "
        "secret token, and as target URL {inbound_url}\n"
        "5. Under Access keys, create a key: its ID is the OAuth client ID, its secret the OAuth client secret. "
        "Sinch shows the secret only once.\n"
        "6. Note the project ID, the app ID and the region of the app: EU or US.\n"
        "7. Check that the app has an active SMS channel; the sender must belong to its service plan."
    )
    webhook_check_note = _(
        "Strong: each call is signed with your secret token (HMAC-SHA256 over the whole body) and carries its time. "
        "Calls without a signature, altered calls and calls more than 5 minutes old are refused. A webhook that "
        "was created at Sinch without a secret token sends no signature, so its calls are refused too."
    )
