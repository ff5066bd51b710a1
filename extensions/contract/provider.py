"""What a provider is: what stands in its file, and what is taken for granted where it is left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from extensions.contract.account import Balance, Capabilities, Check, OwnNumber, Token, WebhookChange
from extensions.contract.callbacks import WebhookRequest
from extensions.contract.calls import ApiRequest, ApiResponse
from extensions.contract.errors import NotTaken, ProviderError, Refused, Unclear
from extensions.contract.ladder import CLOSED_FOR_NOW, HTTP_LADDER, OTHER_ANSWER, OTHER_REFUSAL, Again, Rung, bounded
from extensions.contract.messages import DeliveryReport, InboundSms, LookUp, OutboundSms, SendResult
from extensions.contract.vocabulary import Kind, WebhookCheck
from extensions.senders import SenderKind, Text, plain_sender


class Provider:
    """One provider. Subclasses live in `extensions/providers/`, one file each; the registry finds them.

    `credentials` are the cleaned values of the `Credentials` form. Methods are pure: same values in, same values out.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    slug: ClassVar[str]  # in the webhook URLs; public, never changes
    aliases: ClassVar[tuple[str, ...]] = ()  # other spellings of the slug
    docs_url: ClassVar[str] = ""
    keywords: ClassVar[tuple[str, ...]] = ()  # what else people search for in the catalogue
    coverage: ClassVar[Text] = ""  # one neutral line for the catalogue's card
    setup: ClassVar[Text] = ""  # Markdown-free steps; {reports_url} and {inbound_url} are filled in
    sender_label: ClassVar[Text] = _("Phone number or sender ID")
    sender_help: ClassVar[Text] = ""
    sender_after: ClassVar[str] = ""  # the credential behind which the form asks for the sender; empty: behind all
    webhook_check: ClassVar[WebhookCheck] = WebhookCheck.SIGNATURE
    webhook_check_note: ClassVar[Text] = ""  # how strong the check is, in words
    webhook_secrets: ClassVar[tuple[str, ...]] = ()  # the credentials that prove a callback
    account_fields: ClassVar[tuple[str, ...]] = ()  # the credentials that name the account and outlive its secrets
    typical: ClassVar[Mapping[str, str]] = {}  # credential -> how it looks, to know one that is in another's field
    host_patterns: ClassVar[tuple[str, ...]] = ()  # full-match regular expressions of the hosts it may call
    batch_size: ClassVar[int] = 1
    max_in_flight: ClassVar[int] = 10  # requests at once for one account
    messages_per_second: ClassVar[Mapping[SenderKind, float]] = {}  # in segments; a kind left out: 10
    refuses_repeats: ClassVar[bool] = False  # a repeat with the same reference is never sent twice
    needs_token: ClassVar[bool] = False  # build_token/parse_token come before any other call
    webhook_methods: ClassVar[tuple[str, ...]] = ("POST",)  # others are answered 405
    repeats_unsigned: ClassVar[bool] = False  # a call refused as UNSIGNED comes again, signed, if it is answered 5xx
    answers_help: ClassVar[frozenset[str]] = frozenset()  # the words, in lower case, that it answers by itself
    http_ladder: ClassVar[Mapping[int, Rung]] = {}  # where the provider's documentation says otherwise than HTTP_LADDER
    mixes_routes: ClassVar[bool] = False  # reports and inbound messages come by either route; their shape decides

    class Credentials(forms.Form):
        """The provider's own fields, as the administrator fills them in."""

    def __init__(self, credentials: Mapping[str, str], *, sender: str = "", token: str = "") -> None:
        self.credentials = credentials
        self.sender = sender
        self.token = token

    # --- sender -------------------------------------------------------------------------------------------------

    @classmethod
    def clean_sender(cls, value: str) -> tuple[str, SenderKind]:
        """The sender as it is stored and what it is. Raises forms.ValidationError that offers the corrected value."""
        return plain_sender(value)

    @classmethod
    def calls(cls) -> tuple[Kind, ...]:
        """The addresses of ours that it calls: those for which it reads anything. () where it only sends."""
        read: dict[Kind, bool] = {
            "status": cls.parse_reports is not Provider.parse_reports,
            "message": cls.parse_inbound is not Provider.parse_inbound,
        }
        return tuple(kind for kind, is_read in read.items() if is_read or (cls.mixes_routes and any(read.values())))

    @classmethod
    def capabilities(cls, kind: SenderKind) -> Capabilities:
        two_way = kind is not SenderKind.ALPHANUMERIC and cls.parse_inbound is not Provider.parse_inbound
        reports = cls.parse_reports is not Provider.parse_reports
        return Capabilities(two_way=two_way, stop_words_reach_us=two_way, delivery_reports=reports)

    @classmethod
    def rate(cls, kind: SenderKind) -> float:
        """Segments per second that this kind of sender carries by default."""
        return cls.messages_per_second.get(kind, 10.0)

    # --- sending ------------------------------------------------------------------------------------------------

    @classmethod
    def carried_text(cls, text: str) -> str:
        """What of a text arrives: characters the provider cannot carry are replaced."""
        return text

    def build_send(self, sms: OutboundSms) -> ApiRequest:
        raise NotImplementedError

    def parse_send(self, response: ApiResponse) -> SendResult:
        """Raises Refused, NotTaken or Unclear."""
        raise NotImplementedError

    @classmethod
    def http_error(
        cls,
        response: ApiResponse,
        detail: str = "",
        *,
        said: Rung | None = None,
        wait: float | None = None,
        blocked: bool = False,
    ) -> Refused | NotTaken | Unclear | None:
        """What the status of an answer means for the whole request; None for 2xx, where the body tells.

        `detail` are the provider's words. `said` is what the body says where it is more precise: it counts for a status
        that refuses, since any other may be of a machine on the way. `wait` are the seconds that the body asks for
        where there is no Retry-After.
        """
        status, detail = response.status, detail or f"HTTP {response.status}"
        rung = cls.http_ladder.get(status) or HTTP_LADDER.get(status)
        if rung is None and 200 <= status < 300:
            return None
        rung = rung or (OTHER_REFUSAL if 400 <= status < 500 else OTHER_ANSWER)
        wait = response.retry_after if response.retry_after is not None or wait is None else bounded(wait)
        if status == 503 and wait is not None:
            rung = CLOSED_FOR_NOW
        if rung.again is Again.NEVER and said is not None:
            rung = said
        if rung.again is Again.LATER:
            return NotTaken(detail, retry_after=wait, category=rung.category)
        if rung.again is Again.UNCLEAR:
            return Unclear(detail)
        return Refused(rung.category, detail, blocked=blocked)

    @classmethod
    def lookup_error(cls, response: ApiResponse, detail: str = "") -> NotTaken | Unclear | None:
        """The same for the answer to a look-up: whatever is neither 200 nor "later" says nothing of the message."""
        if response.status == 200:
            return None
        error = cls.http_error(response, detail)
        return error if isinstance(error, NotTaken) else Unclear(detail or f"HTTP {response.status}")

    def build_batch(self, messages: Sequence[OutboundSms]) -> ApiRequest:
        """One request for up to `batch_size` messages; only where batch_size > 1."""
        raise NotImplementedError

    def parse_batch(self, response: ApiResponse, messages: Sequence[OutboundSms]) -> list[SendResult | ProviderError]:
        """One result per message, in the order given. Raises Refused, NotTaken or Unclear for the whole request.

        Refused says that none was taken for something in one of them that the answer does not name: they are sent again
        in smaller requests until it is found. Where some of them may have been taken, it is Unclear.
        """
        raise NotImplementedError

    # --- credentials --------------------------------------------------------------------------------------------

    def build_check(self) -> ApiRequest:
        """A cheap call that proves as much as one call can about the credentials."""
        raise NotImplementedError

    def parse_check(self, response: ApiResponse) -> Check:
        raise NotImplementedError

    def build_token(self) -> ApiRequest:
        raise NotImplementedError

    def parse_token(self, response: ApiResponse) -> Token:
        """Raises Refused(AUTH_FAILED), NotTaken or Unclear."""
        raise NotImplementedError

    # --- what else the API tells, where it has it ---------------------------------------------------------------

    def build_numbers(self) -> ApiRequest:
        """A call that lists the senders of this account; left out where the API has none."""
        raise NotImplementedError

    def parse_numbers(self, response: ApiResponse) -> list[OwnNumber]:
        """Those that can send texts, at most a page. Raises Refused, NotTaken or Unclear."""
        raise NotImplementedError

    def build_balance(self) -> ApiRequest:
        """A call that tells the balance; left out where the API has none."""
        raise NotImplementedError

    def parse_balance(self, response: ApiResponse) -> Balance:
        """Raises Refused, NotTaken or Unclear."""
        raise NotImplementedError

    def build_webhooks(self) -> ApiRequest:
        """A call that lists the webhooks of this account; left out where the API cannot write them."""
        raise NotImplementedError

    def webhook_changes(self, response: ApiResponse, reports_url: str, inbound_url: str) -> list[WebhookChange]:
        """What is still to be written for these two addresses of ours, [] where both are there.

        Nothing that is there is changed or removed. Raises Refused, NotTaken or Unclear.
        """
        raise NotImplementedError

    def parse_webhook_change(self, response: ApiResponse) -> None:
        """Raises Refused, NotTaken or Unclear unless the webhook is written."""
        if error := self.http_error(response):
            raise error

    @classmethod
    def offers(cls, build: Callable[..., Any]) -> bool:
        """Whether it has one of these calls of its own: `Provider.build_numbers`, for example."""
        return getattr(cls, build.__name__) is not build

    # --- settling an unclear send -------------------------------------------------------------------------------

    def build_lookup(self, sms: OutboundSms, *, attempted_at: datetime) -> ApiRequest | None:
        """A call that tells whether the provider took this message; None where it offers none."""
        return None

    def parse_lookup(self, response: ApiResponse, sms: OutboundSms) -> LookUp:
        """Raises NotTaken or Unclear when the look-up itself did not work."""
        raise NotImplementedError

    # --- callbacks ----------------------------------------------------------------------------------------------

    @classmethod
    def is_probe(cls, request: WebhookRequest) -> bool:
        """Whether the provider only tries whether the address answers: then the answer is 200 and nothing is kept."""
        return False

    @classmethod
    def recognises(cls, request: WebhookRequest) -> bool:
        """Whether the request looks like this provider's, by its headers: only asked where two share a path."""
        return False

    def verify(self, request: WebhookRequest, *, now: datetime) -> None:
        """Raises InvalidSignature unless the request proves that the provider sent it for this account.

        Left out where it calls no address of ours.
        """
        raise NotImplementedError

    def dedupe_key(self, request: WebhookRequest) -> str:
        """The same for a repetition of the same callback, different for every other."""
        digest = hashlib.sha256(urlsplit(request.url).query.encode())
        digest.update(b"\0" + request.body)
        return digest.hexdigest()

    def parse_reports(self, request: WebhookRequest) -> list[DeliveryReport]:
        """The delivery reports in a verified callback, [] if it holds none. Raises Unreadable.

        Left out where the provider makes none.
        """
        return []

    def parse_inbound(self, request: WebhookRequest) -> list[InboundSms]:
        """The inbound messages in a verified callback, [] if it holds none. Raises Unreadable.

        Left out where replies do not reach us.
        """
        return []

    def sample_callback(self, kind: Kind, url: str, *, now: datetime) -> WebhookRequest | None:
        """A harmless, rightly signed callback to `url` as the provider would make it at `now`, for the self-test.

        The id of its message begins with SELF_TEST. None where only the provider can sign.
        """
        return None

    @classmethod
    def webhook_response(cls, kind: str) -> HttpResponse:
        """What the provider expects to hear once a callback of this kind ("status" or "message") is kept."""
        return HttpResponse(b"", content_type="text/plain")
