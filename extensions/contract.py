"""What a provider is to the rest of Switchboard: values in, values out.

A provider builds requests and reads answers. It never opens a connection, never reads settings and never touches the
database, so every rule about a provider can be tested with plain values. Transport is `extensions.client` (one call at
a time) and `distributions.engine.pump` (the hot path).
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from extensions.senders import SenderKind as SenderKind
from extensions.senders import Text as Text
from extensions.senders import plain_sender
from extensions.strength import weakness
from intake.data import NotReadable, read_json
from intake.text import fitted, fitted_id, storable

T = TypeVar("T")

Kind = Literal["status", "message"]  # the route of a callback: delivery reports or inbound messages

SELF_TEST = "self-test"  # begins the message id of a sample callback of our own: nothing it says is applied
SELF_TEST_PHONE = "447700900999"  # Ofcom keeps this range for drama: nobody has the number
SELF_TEST_TEXT = "This is a self-test."

# What providers say ends in columns of these lengths, in characters. Everything that leaves a provider is made to fit
# where it is made, and storable at that, so that nobody who keeps it has to think of it.
ID_LENGTHS = {  # two that differ still do when they are cut
    "message_id": 80,
    "in_reply_to": 80,
    "part": 80,
    "reference": 40,
    "sender": 40,
    "recipient": 40,
    "concat_ref": 40,
}
WORDS_LENGTHS = {"error": 255, "detail": 500, "reason": 200}
MOST_PARTS = 255  # of one text: their number is an octet
MOST_SEGMENTS = 32_767

LONGEST_WAIT = 86_400.0  # seconds; a provider that asks for more is asked again after a day


class Delivery(enum.StrEnum):
    """What became of a message, in the words all providers share."""

    QUEUED = "queued"  # the provider has it
    SENT = "sent"  # handed to the carrier
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # the carrier gave up
    FAILED = "failed"  # the provider refused it after accepting the call
    EXPIRED = "expired"
    READ = "read"
    UNKNOWN = "unknown"  # a word we do not know: kept, changes nothing


FAILURES = frozenset({Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED})
GOOD = frozenset({Delivery.QUEUED, Delivery.SENT, Delivery.DELIVERED, Delivery.READ})


class Category(enum.StrEnum):
    """Why something went wrong, in the words all providers share; docs/providers/ has their own errors beside them."""

    NONE = ""
    AUTH_FAILED = "auth_failed"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INVALID_RECIPIENT = "invalid_recipient"
    OPTED_OUT = "opted_out"
    INVALID_SENDER = "invalid_sender"
    RATE_LIMITED = "rate_limited"
    REJECTED_CONTENT = "rejected_content"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


def by_code(codes: Mapping[Category, Iterable[T]]) -> dict[T, Category]:
    """A table of error codes, from the codes of each category."""
    return {code: category for category, those in codes.items() for code in those}


class Fault(enum.StrEnum):
    """Why a callback is refused, in the words all providers share."""

    UNSIGNED = "unsigned"  # it carries no proof at all
    SECRET = "secret"  # noqa: S105 (a kind of fault)
    ADDRESS = "address"
    CLOCK = "clock"
    CONTENT = "content"  # not what was signed
    OTHER_ACCOUNT = "other_account"
    METHOD = "method"  # signed in another way than the account is set up for
    INCOMPLETE = "incomplete"  # the account lacks what it would be checked with
    NO_ACCOUNT = "no_account"
    FORMAT = "format"  # authentic, but not readable
    UNKNOWN = "unknown"


class WebhookCheck(enum.StrEnum):
    """How a callback proves where it comes from, strongest first."""

    SIGNATURE = "signature"
    BASIC = "basic"
    SECRET_URL = "secret_url"  # noqa: S105 (a kind of check, not a secret)


class ProviderError(Exception):
    """Anything a provider's answer can mean besides success."""


class Refused(ProviderError):
    """The provider will not send this message, now or later.

    `category` says why in the words all providers share, `detail` in the provider's own. `blocked` marks an
    OPTED_OUT that is the carrier's or provider's block, not the person's wish: it is shown, but opts nobody out.
    """

    def __init__(self, category: Category, detail: str = "", *, blocked: bool = False) -> None:
        detail = _words(detail)
        super().__init__(f"{category}: {detail}")
        self.category = category
        self.detail = detail
        self.blocked = blocked


class NotTaken(ProviderError):
    """The provider has certainly not taken the message: it may be sent again.

    `retry_after` is in seconds, None where the provider names no time. `blameless` says that nothing is wrong with this
    message or the account, such as where only another message of the same request was at fault: it goes again at once.
    """

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        category: Category = Category.TRANSIENT,
        blameless: bool = False,
    ) -> None:
        detail = _words(detail)
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.category = category
        self.blameless = blameless


class Unclear(ProviderError):
    """The provider may have taken the message: it is never sent again blindly."""

    def __init__(self, detail: str = "") -> None:
        detail = _words(detail)
        super().__init__(detail)
        self.detail = detail


class InvalidSignature(ProviderError):
    """A callback that does not prove where it comes from.

    `fault` decides what the administrator is advised to do; `reason` is shown beside it (never to the caller): missing
    header, wrong signature, outside the time window. It must not contain any part of the payload.
    """

    def __init__(self, fault: Fault = Fault.SECRET, reason: str = "wrong signature") -> None:
        reason = fitted(reason, WORDS_LENGTHS["reason"])
        super().__init__(reason)
        self.fault = Fault(fault)
        self.reason = reason


class Unreadable(ProviderError):
    """An authentic callback whose body cannot be read; `reason` names the field and what would be right."""

    fault: ClassVar[Fault] = Fault.FORMAT

    def __init__(self, reason: str) -> None:
        reason = fitted(reason, WORDS_LENGTHS["reason"])
        super().__init__(reason)
        self.reason = reason


class Again(enum.Enum):
    """Whether a message is sent again after an answer that does not accept it."""

    LATER = "later"  # certainly nothing was taken
    NEVER = "never"  # refused for good
    UNCLEAR = "unclear"  # it may have been taken: never blindly


@dataclass(frozen=True, slots=True)
class Rung:
    """What an answer means for the message, and why."""

    again: Again
    category: Category = Category.UNKNOWN


# What an HTTP status means by itself, the same for every provider; a provider whose documentation says otherwise has a
# table of its own, which goes first. The rule behind it: nothing is sent again unless certainly nothing was taken, so
# whatever may come from a machine on the way (a time-out, a redirect, a server error) is unclear.
HTTP_LADDER: Mapping[int, Rung] = {
    401: Rung(Again.NEVER, Category.AUTH_FAILED),
    402: Rung(Again.NEVER, Category.INSUFFICIENT_BALANCE),
    403: Rung(Again.NEVER, Category.AUTH_FAILED),
    408: Rung(Again.UNCLEAR),
    429: Rung(Again.LATER, Category.RATE_LIMITED),
}
OTHER_REFUSAL = Rung(Again.NEVER)  # any other 4xx
OTHER_ANSWER = Rung(Again.UNCLEAR)  # whatever is neither 2xx nor 4xx
CLOSED_FOR_NOW = Rung(Again.LATER, Category.TRANSIENT)  # 503 that says when to come back


def bounded(wait: float) -> float:
    """Seconds to wait as a provider says, neither in the past nor for longer than anybody waits."""
    return min(max(0.0, wait), LONGEST_WAIT)


def _find(headers: Mapping[str, str], name: str) -> str:
    wanted = name.lower()
    for key, value in headers.items():
        if key.lower() == wanted:
            return value
    return ""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A callback as the provider sent it.

    `url` is the public URL (scheme, host, path and raw query) that the provider called and signed; `body` are the raw
    bytes.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # what was read once

    def _once(self, name: str, read: Callable[[], T]) -> T:
        """Verifying, telling repetitions and reading all look at the same fields."""
        if name not in self._known:
            self._known[name] = read()
        found: T = self._known[name]
        return found

    def header(self, name: str) -> str:
        """The header's value, whatever its case; "" if it is missing."""
        return _find(self.headers, name)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded; the last of a repeated name wins."""
        pairs = self._once("query", lambda: parse_qsl(urlsplit(self.url).query, keep_blank_values=True))
        return dict(pairs)

    @property
    def content_type(self) -> str:
        return self.header("Content-Type").split(";")[0].strip().lower()

    def signed_for(self, fits: Callable[[str], bool]) -> str:
        """Which other address the caller has signed, as a reason for a refusal; "" if no likely one fits.

        `fits` says whether the signature is right for a URL. It only explains a refusal: nothing is accepted by it.
        """
        for url in self._other_urls():
            if fits(url):
                said, here = urlsplit(url), urlsplit(self.url)
                origin = f"{said.scheme}://{said.netloc} instead of {here.scheme}://{here.netloc}"
                slash = "with a slash at its end" if said.path.endswith("/") else "without a slash at its end"
                differences = [] if (said.scheme, said.netloc) == (here.scheme, here.netloc) else [origin]
                differences += [] if said.path == here.path else [slash]
                return f"signed for another address: {', '.join(differences)}"
        return ""

    def _other_urls(self) -> Iterator[str]:
        """Other scheme, other host (as a proxy named it, with or without www), one slash more or less at the end."""
        here = urlsplit(self.url)
        www = here.netloc.removeprefix("www.") if here.netloc.startswith("www.") else f"www.{here.netloc}"
        named = [self.header("Host"), self.header("X-Forwarded-Host").split(",")[0].strip()]
        named = [host for host in named if re.fullmatch(r"[A-Za-z0-9.-]{1,80}(:[0-9]{1,4}|:[1-5][0-9]{4})?", host)]
        hosts = dict.fromkeys([here.netloc, www, *named])
        paths = [here.path, here.path.removesuffix("/") if here.path.endswith("/") else f"{here.path}/"]
        schemes = [here.scheme, "http" if here.scheme == "https" else "https"]
        for host in hosts:
            for path in paths:
                for scheme in schemes:
                    url = here._replace(scheme=scheme, netloc=host, path=path).geturl()
                    if url != self.url:
                        yield url

    def form(self) -> dict[str, str]:
        """The body as a form; the last of a repeated name wins. Raises Unreadable if it is not UTF-8 text."""
        return dict(self.form_pairs())

    def form_pairs(self) -> list[tuple[str, str]]:
        """The body as a form, blank values and repetitions included, in order. Raises Unreadable."""
        return list(self._once("form", self._form_pairs))

    def _form_pairs(self) -> list[tuple[str, str]]:
        try:
            text = self.body.decode()
            return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
        except ValueError as error:
            raise Unreadable("The body is not a form in UTF-8.") from error

    def json(self) -> Any:
        """The body as JSON, the same objects each time. Raises Unreadable.

        Where it is not JSON, is nested too deeply or has numbers that are too long.
        """
        return self._once("json", self._json)

    def json_object(self, otherwise: str = "The body is not a JSON object.") -> dict[str, Any]:
        """The body as a JSON object. Raises Unreadable; `otherwise` is the sentence for JSON of another kind."""
        data = self.json()
        if not isinstance(data, dict):
            raise Unreadable(otherwise)
        return data

    def _json(self) -> Any:
        try:
            return read_json(self.body)
        except NotReadable as error:
            raise Unreadable(error.reason) from error


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTPS call to a provider. Exactly one of `json`, `form` and `body` carries the content, if any."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)  # Basic
    json: Any = field(default=None, repr=False)
    form: Sequence[tuple[str, str]] | Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A provider's answer: status, headers, and the body's bytes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        return _find(self.headers, name)

    def json(self) -> Any:
        """The body as JSON. Raises Unclear if it is not: an answer we cannot read proves nothing."""
        try:
            return read_json(self.body)
        except NotReadable as error:
            raise Unclear(f"HTTP {self.status} with an unreadable body") from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Unclear if it is anything else."""
        data = self.json()
        if not isinstance(data, dict):
            raise Unclear(f"HTTP {self.status} with an unreadable body")
        return data

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait as the Retry-After header says, at most a day; None where it is missing or unreadable.

        A date is read by the answer's own clock, its Date header. What lies in the past is 0.
        """
        said = self.header("Retry-After").strip()
        if re.fullmatch(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?", said):
            return bounded(float(said))
        try:
            wait = http_date(said) - http_date(self.header("Date"))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return bounded(wait.total_seconds())


def http_date(value: str) -> datetime:
    """All of HTTP's forms of a date are in UTC, one of them without saying so. Raises ValueError and others."""
    moment = parsedate_to_datetime(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _words(detail: str) -> str:
    return fitted(str(detail), WORDS_LENGTHS["detail"])


def _fit(said: object, *names: str) -> None:
    """Make the named fields of what a provider said storable, and short enough for their columns."""
    for name in names:
        value = getattr(said, name)
        length = ID_LENGTHS.get(name)
        kept = fitted_id(value, length) if length else fitted(value, WORDS_LENGTHS[name])
        if kept != value:
            object.__setattr__(said, name, kept)


@dataclass(frozen=True, slots=True)
class OutboundSms:
    """One message to send.

    `to` is E.164 with a plus; `text` is what the person reads; `reference` is our own id, unique for ever, at most 20
    characters of [A-Za-z0-9]; `status_url` is the public URL for this provider's delivery reports, without query;
    `validity` is how long the provider may keep trying. `repeated` means that an earlier attempt may have been taken:
    only then is "duplicate" proof that it was. `attempted_at` is when the attempt began that is being looked up.
    """

    to: str
    text: str
    reference: str = ""
    status_url: str = ""
    sender: str = ""
    validity: timedelta = timedelta(hours=48)
    repeated: bool = False
    attempted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendResult:
    """The provider has the message. `segments` is None where the provider does not say."""

    message_id: str
    segments: int | None = None
    status: Delivery = Delivery.QUEUED

    def __post_init__(self) -> None:
        _fit(self, "message_id")
        if self.segments is not None and not 0 <= self.segments <= MOST_SEGMENTS:
            object.__setattr__(self, "segments", None)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What the provider says happened to a message.

    `reference` is our id where the provider echoes it, else "". Where a provider reports every part of a long text on
    its own, `part` names the part ("" = the whole message) and `parts` says how many there are, if the provider does.
    `blocked` is as in `Refused`.
    """

    message_id: str
    reference: str = ""
    status: Delivery = Delivery.UNKNOWN
    category: Category = Category.NONE
    error: str = ""
    part: str = ""
    parts: int | None = None
    blocked: bool = False

    def __post_init__(self) -> None:
        _fit(self, "message_id", "reference", "error", "part")


@dataclass(frozen=True, slots=True)
class InboundSms:
    """An SMS from a person to us.

    `message_id` is the provider's id and never comes twice for two texts; "" where the provider gives none, so that
    the callback's own key has to stand in. `sender` and `recipient` are E.164 with a plus if they are numbers
    (`senders.e164`); short codes and names are as the provider writes them. `in_reply_to` is the provider's id of our
    message where it says which one was answered. `opt_out` is True or False where the provider says that the text was
    an opt-out or an opt-in keyword, None where it leaves that to us. A long text that arrives in parts carries
    `concat_ref`, `concat_part`
    (from 1) and `concat_total`; 0 means it is whole.
    """

    message_id: str
    sender: str
    recipient: str
    text: str
    in_reply_to: str = ""
    opt_out: bool | None = None
    concat_ref: str = ""
    concat_part: int = 0
    concat_total: int = 0

    def __post_init__(self) -> None:
        _fit(self, "message_id", "sender", "recipient", "in_reply_to", "concat_ref")
        text = storable(self.text)
        if text != self.text:
            object.__setattr__(self, "text", text)
        if self.concat_total and not 1 <= self.concat_part <= self.concat_total <= MOST_PARTS:
            for name, whole in (("concat_ref", ""), ("concat_part", 0), ("concat_total", 0)):
                object.__setattr__(self, name, whole)


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of a credential check: `detail` is a sentence for the administrator, `warnings` are more of them.

    `is_open` says of one that is not ok that the answer does not tell: the credentials may be good all the same.
    """

    ok: bool
    detail: Text
    warnings: Sequence[Text] = ()
    is_open: bool = False

    def __post_init__(self) -> None:
        kept = _words(str(self.detail))
        if kept != str(self.detail):  # else it stays the sentence that it is, and is worded where it is shown
            object.__setattr__(self, "detail", kept)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and its life in seconds."""

    value: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the provider knows of one message of ours: not found means that it was never accepted."""

    found: bool
    message_id: str = ""
    status: Delivery = Delivery.QUEUED
    category: Category = Category.NONE
    error: str = ""

    def __post_init__(self) -> None:
        _fit(self, "message_id", "error")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an account with this sender can do; shown before it is saved."""

    two_way: bool
    stop_words_reach_us: bool
    delivery_reports: bool = True


def failed_check(response: ApiResponse, sentences: Mapping[int, Text], otherwise: Text, detail: str = "") -> Check:
    """A check that was not answered as hoped: the sentence of the answer's status, with `detail` in it."""
    sentence = sentences.get(response.status, otherwise)
    return Check(False, sentence % {"detail": detail} if detail else sentence)


class SecretField(forms.CharField):
    """A credential that is typed once and never rendered back."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 4096)
        kwargs.setdefault(
            "widget",
            forms.PasswordInput(
                render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false", "data-1p-ignore": ""}
            ),
        )
        super().__init__(**kwargs)


class ChosenSecretField(SecretField):
    """A secret that the administrator makes up and gives to the provider: the form can generate it.

    What is typed must not be easy to guess. What a provider has given out is a SecretField and never judged.
    """

    generates = 20  # random letters and digits

    def validate(self, value: str) -> None:
        super().validate(value)
        is_too_short = len(value) < (self.min_length or 1)  # said by the field's own rule, or as missing
        if not is_too_short and (sentence := weakness(value)):
            raise ValidationError(sentence, code="weak")


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


def one_by_one(
    messages: Sequence[OutboundSms], read: Callable[[OutboundSms], SendResult]
) -> list[SendResult | ProviderError]:
    """The outcome of each message of a batch that was answered: what `read` returns for it, or raises."""
    outcomes: list[SendResult | ProviderError] = []
    for sms in messages:
        try:
            outcomes.append(read(sms))
        except ProviderError as error:
            outcomes.append(error)
    return outcomes


def by_reference(
    messages: Sequence[OutboundSms], answers: Mapping[str, T], read: Callable[[T], SendResult]
) -> list[SendResult | ProviderError]:
    """The same where each message's part of the answer is found by our reference, in whatever order they come."""

    def found(sms: OutboundSms) -> SendResult:
        if not sms.reference or sms.reference not in answers:
            raise Unclear("the answer does not name this message")
        return read(answers[sms.reference])

    return one_by_one(messages, found)


def refused_together(faults: Mapping[int, Refused], count: int) -> list[SendResult | ProviderError]:
    """The outcome of a request of `count` messages of which none was taken, for the fault of some: their places."""
    return [
        faults.get(place) or NotTaken("refused together with another message", blameless=True) for place in range(count)
    ]


def self_test_id(now: datetime) -> str:
    """The message id of a sample callback; no two are the same."""
    return f"{SELF_TEST}-{now.timestamp():.6f}"


def basic_authorization(user: str, password: str) -> str:
    """The value of a Basic Authorization header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode(errors='replace')).decode()}"


def basic_credentials(request: WebhookRequest) -> bytes | None:
    """The decoded "user:password" of a Basic Authorization header, None if there is no well-formed one."""
    scheme, _space, token = request.header("Authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(token.strip().encode("ascii"), validate=True)
    except ValueError:
        return None
    return decoded if b":" in decoded else None


def verify_basic(
    request: WebhookRequest, user: str, password: str, *, lacking: str, absent: str, wrong: str, malformed: str = ""
) -> None:
    """Raises InvalidSignature unless the call logs in as this user, for a reason in the provider's words.

    `lacking`: the account has no such user; `absent`: the call has no log-in, or one that is `malformed`.
    """
    if not user or not password:
        raise InvalidSignature(Fault.INCOMPLETE, lacking)
    given = basic_credentials(request)
    if given is None:
        raise InvalidSignature(Fault.UNSIGNED, malformed if malformed and request.header("Authorization") else absent)
    if not hmac.compare_digest(given, f"{user}:{password}".encode(errors="replace")):
        raise InvalidSignature(Fault.SECRET, wrong)
