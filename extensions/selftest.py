"""The webhook self-test: we call our own public address as the provider would, and say what the answer means.

`run` makes the call. It carries a header, signed with SECRET_KEY, that tells the door (webhooks/views.py) what was
sent; `examine` compares that with what arrived, so that what a proxy changes on the way can be named.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urljoin, urlsplit

from django.conf import settings
from django.core import signing
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import ngettext

from extensions import client, traffic
from extensions.client import NoAnswer, Trouble
from extensions.contract import ApiResponse, Fault, InvalidSignature, Kind, Provider, Unreadable, WebhookRequest
from extensions.diagnosis import explain
from extensions.models import ProviderAccount, UnreadableCredentials
from extensions.webhook_urls import webhook_url
from intake.sentences import said as _
from intake.sentences import stored, worded

ASKING = "X-Switchboard-Self-Test"  # in the call: which account, and what was sent
OUTCOME = "X-Switchboard"  # in every answer of the door: what became of the call
FINDING = "X-Switchboard-Finding"  # in the door's answer to a self-test
FORGED_NAME = "X-Switchboard-Forged"  # sent with underscores
FORGED_ADDRESS = "192.0.2.66"  # of a network that exists in examples only
KEPT = "kept"

LIFE = 60  # seconds for which the header of a call is believed
CLOCKS_APART = timedelta(seconds=60)
SHOWN = 120  # characters of an answer
_SALT = "extensions.selftest"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """`finding` says in a sentence what is right or wrong, `detail` what came back, in the words of the machine."""

    kind: Kind
    url: str
    ok: bool
    finding: str
    detail: str
    warning: str = ""  # what is not safe, whether the test went well or not


@dataclass(frozen=True, slots=True)
class Finding:
    """What the door says to a self-test: `altered` are the parts that arrived otherwise than they were sent."""

    altered: tuple[str, ...] = ()
    reason: str = ""  # for which the call is refused
    forged: bool = False  # a header that a proxy must drop has arrived
    fault: str = Fault.UNKNOWN  # what the reason points to

    def as_header(self) -> str:
        return quote(json.dumps([self.altered, stored(self.reason), self.forged, self.fault]))

    @classmethod
    def from_header(cls, value: str) -> Finding | None:
        """None if there is none."""
        try:
            altered, reason, forged, fault = json.loads(unquote(value))
            return cls(tuple(map(str, altered)), worded(str(reason)), bool(forged), Fault(fault))
        except (ValueError, TypeError, LookupError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a self-test has sent and what it expects."""

    provider: type[Provider]
    kind: Kind
    url: str
    is_signed: bool  # else only our refusal can be expected
    now: datetime

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


# --- asking -----------------------------------------------------------------------------------------------------------


def run(account: ProviderAccount, kind: Kind, *, now: datetime | None = None) -> SelfTest:
    """Call the account's own address for `kind`. `now` is the time at which the call claims to be made."""
    assert account.organization is not None
    now = now or timezone.now()
    url = webhook_url(kind, account.provider_class, account.organization)
    try:
        sample = account.open().sample_callback(kind, url, now=now)
    except UnreadableCredentials as problem:
        return SelfTest(kind, url, ok=False, finding=worded(problem.detail), detail="")
    expected = Expected(account.provider_class, kind, url, sample is not None, now)
    if sample is None:
        sample = WebhookRequest("POST", url, {"Content-Type": "application/json"}, b"{}")
    began, clock = timezone.now(), time.monotonic()
    try:
        headers = {**sample.headers, ASKING: _asking(account, sample), **_forgeries()}
        answer = client.call_ourselves(replace(sample, headers=headers))
    except NoAnswer as problem:
        return SelfTest(kind, url, ok=False, finding=_no_answer(problem.trouble, url), detail=problem.words)
    detail = _detail(answer, round((time.monotonic() - clock) * 1000))
    finding = Finding.from_header(answer.header(FINDING)) or _newest(account, kind, began)
    ok, sentence = judge(expected, answer, finding)
    return SelfTest(kind, url, ok, sentence, detail, _warning() if finding.forged else "")


def _forgeries() -> dict[str, str]:
    """Headers as a stranger may send them: with underscores, which no program behind the proxy tells from hyphens."""
    return {_underscored(settings.CLIENT_ADDRESS_HEADER): FORGED_ADDRESS, _underscored(FORGED_NAME): "1"}


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _warning() -> str:
    return _(
        "A header that this test forged has arrived: the proxy lets names with underscores pass (%(forged)s), and "
        "Switchboard cannot tell it from %(name)s. Strangers can choose the address that they seem to come from, "
        "and so get around the limit on failed log-ins. Have the proxy drop such names, in nginx with "
        "“underscores_in_headers off”."
    ) % {"forged": _underscored(settings.CLIENT_ADDRESS_HEADER), "name": settings.CLIENT_ADDRESS_HEADER}


def _detail(answer: ApiResponse, milliseconds: int) -> str:
    first = next(iter(answer.body.decode(errors="replace").strip().splitlines()), "")
    shown = f"“{first[:SHOWN]}{'…' if len(first) > SHOWN else ''}”" if first else ""
    location = answer.header("Location")
    told = (f"HTTP {answer.status}", f"→ {location[:SHOWN]}" if location else "", shown, f"{milliseconds} ms")
    return " · ".join(filter(None, told))


def _newest(account: ProviderAccount, kind: Kind, since: datetime) -> Finding:
    """Why the call was refused, where a proxy took our header away: then it was counted like any other."""
    assert account.organization is not None
    refusals = traffic.refusals(account.organization, account.provider_class)
    newest = next((row for row in refusals if row["kind"] == kind and row["last_at"] >= since), None)
    return Finding(reason=newest["reason"], fault=newest["fault"]) if newest else Finding()


# --- at the door ------------------------------------------------------------------------------------------------------


def _parts(request: WebhookRequest, headers: Iterable[str]) -> dict[str, str]:
    """What of a call must arrive unchanged, each part as a keyed digest; `headers` are those that count."""
    parts = {
        "method": request.method,
        "path": request.path,
        "query": urlsplit(request.url).query,
        "body": hashlib.sha256(request.body).hexdigest(),
        **{f"header {name}": _value(request, name) for name in headers},
    }
    return {name: salted_hmac(_SALT, value, algorithm="sha256").hexdigest()[:16] for name, value in parts.items()}


def _value(request: WebhookRequest, name: str) -> str:
    """A header's value as it counts: the character set of a content type does not."""
    return request.content_type if name == "Content-Type" else request.header(name).strip()


def _asking(account: ProviderAccount, sample: WebhookRequest) -> str:
    headers = list(sample.headers)
    return signing.dumps([account.public_id, headers, _parts(sample, headers)], salt=_SALT)


def examine(request: WebhookRequest, kind: str) -> Finding | None:
    """What is wrong with a call of `run`; None for every other call. Only we can make one: SECRET_KEY signs it."""
    try:
        public_id, headers, sent = signing.loads(request.header(ASKING), salt=_SALT, max_age=LIFE)
    except signing.BadSignature:
        return None
    arrived = _parts(request, headers)
    forged = _is_forged(request)
    altered = tuple(part for part, digest in sent.items() if arrived[part] != digest)
    try:
        account = ProviderAccount.objects.select_related("organization").filter(public_id=public_id).first()
    except (DatabaseError, InterfaceError):
        return None  # whoever is to keep the call will find that too, and say so
    if account is None:
        return Finding(altered, _("no account of this provider"), forged, Fault.NO_ACCOUNT)
    try:
        provider = account.open()
    except UnreadableCredentials:
        return Finding(altered, _("no account of this provider"), forged, Fault.NO_ACCOUNT)
    try:
        provider.verify(request, now=timezone.now())
        (provider.parse_reports if kind == "status" else provider.parse_inbound)(request)
    except (InvalidSignature, Unreadable) as refusal:
        return Finding(altered, refusal.reason, forged, refusal.fault)
    return Finding(altered, forged=forged)


def _is_forged(request: WebhookRequest) -> bool:
    """Whether one of our forgeries has come through the proxy. Without a proxy no such header is believed anyway."""
    addresses = request.header(settings.CLIENT_ADDRESS_HEADER).replace(" ", "").split(",")
    arrived = bool(request.header(FORGED_NAME)) or FORGED_ADDRESS in addresses
    return arrived and settings.SECURE_PROXY_SSL_HEADER is not None


# --- what it means ----------------------------------------------------------------------------------------------------


def judge(expected: Expected, answer: ApiResponse, finding: Finding) -> tuple[bool, str]:
    """Whether all is well, and a sentence that says so or what is probably wrong."""
    outcome = answer.header(OUTCOME)
    if not outcome:
        return False, _stranger(expected, answer)
    if finding.altered:
        return False, _altered(finding.altered)
    if clocks := _clocks(expected, answer):
        return False, clocks
    if outcome == KEPT:
        return _kept(expected, answer)
    if outcome in ("refused", "unreadable"):
        return _refused(expected, finding.reason, finding.fault)
    sentences = {
        "unknown": _(
            "Switchboard received the call but does not know the address: another installation of Switchboard "
            "answers at %(host)s, or a proxy has changed the organisation ID in the path."
        ),
        "probe": _("The call arrived empty: a proxy removes its body. It must pass calls on unchanged."),
        "wrong method": _("The call did not arrive with the method it was made with: a proxy changes it."),
        "too large": _(
            "The call arrived larger than it was sent: a proxy changes it. It must pass calls on unchanged."
        ),
        "busy": _("Switchboard received the call but cannot store it: is its database running?"),
    }
    return False, sentences.get(outcome, _("Switchboard gave an answer that this test does not know.")) % {
        "host": expected.host
    }


def _kept(expected: Expected, answer: ApiResponse) -> tuple[bool, str]:
    if answer.body != expected.provider.webhook_response(expected.kind).content:
        return False, _(
            "The call was kept, but our answer came back changed: a proxy rewrites it. %(provider)s needs it unchanged."
        ) % {"provider": expected.provider.name}
    return True, _(
        "The address works: a call signed with this account's secrets arrived unchanged and was kept. The first "
        "call from %(provider)s will show whether it has the same address and the same secrets."
    ) % {"provider": expected.provider.name}


def _refused(expected: Expected, reason: str, fault: str) -> tuple[bool, str]:
    if not expected.is_signed and fault == Fault.UNSIGNED:
        return True, _(
            "The address can be reached: Switchboard answered, and refused an unsigned call as it should. Only "
            "%(provider)s can sign, so the signature is proved by its first real call."
        ) % {"provider": expected.provider.name}
    if fault == Fault.CLOCK:
        return False, _(
            "The call was refused because of its time: the clocks of the machines that Switchboard runs on differ. "
            "Synchronise all of them with NTP."
        )
    if fault == Fault.UNSIGNED:
        return False, _(
            "The call arrived without its signature: a proxy removes a header (%(reason)s). It must pass on all "
            "headers."
        ) % {"reason": reason}
    if fault == Fault.SECRET:
        return False, _(
            "Our own signed call was refused (%(reason)s): a proxy changes the address, the content or a header."
        ) % {"reason": reason}
    if not reason:
        return False, _("Our own signed call was refused: a proxy changes the address, the content or a header.")
    return False, f"{explain(fault, expected.provider)} ({reason})"


def _altered(parts: tuple[str, ...]) -> str:
    words = {
        "method": _("the method"),
        "path": _("the path"),
        "query": _("the query after the question mark"),
        "header Content-Type": _("the content type"),
        "body": _("the body"),
    }
    header = _("the header %(name)s")
    named = ", ".join(words.get(part) or header % {"name": part.removeprefix("header ")} for part in parts)
    return _(
        "The call reached Switchboard, but not as it was sent. A proxy on the way changes or removes: %(parts)s. It "
        "must pass calls on unchanged."
    ) % {"parts": named}


def _clocks(expected: Expected, answer: ApiResponse) -> str:
    """By the Date header, which the server nearest to the provider sets."""
    try:
        apart = parsedate_to_datetime(answer.header("Date")) - expected.now
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    if abs(apart) <= CLOCKS_APART:
        return ""
    seconds = round(abs(apart).total_seconds())
    return ngettext(
        "The clock of the server that answers and the clock here differ by %(count)d second. Most signatures carry "
        "the time, so calls are refused: synchronise both clocks with NTP.",
        "The clock of the server that answers and the clock here differ by %(count)d seconds. Most signatures carry "
        "the time, so calls are refused: synchronise both clocks with NTP.",
        seconds,
    ) % {"count": seconds}


def _no_answer(trouble: Trouble, url: str) -> str:
    sentences = {
        Trouble.NAME: _(
            "The name %(host)s cannot be resolved: PUBLIC_URL has the wrong host, or its DNS entry is missing."
        ),
        Trouble.REFUSED: _(
            "Nothing is listening at %(host)s: PUBLIC_URL has the wrong host or port, the web server or proxy is "
            "not running, or a firewall refuses the connection."
        ),
        Trouble.UNREACHABLE: _(
            "There is no answer from %(host)s: PUBLIC_URL has the wrong host, or a firewall is in the way. Some "
            "networks do not let a server reach its own public address; then this test cannot tell."
        ),
        Trouble.NO_TLS: _(
            "Wrong scheme: PUBLIC_URL begins with https://, but %(host)s does not speak TLS. Set up a certificate "
            "there, ideally on a proxy in front of Switchboard."
        ),
        Trouble.CERTIFICATE: _(
            "The certificate of %(host)s is not trusted: it may be self-signed, out of date or for another name, or "
            "the certificates between it and its authority are missing. Providers will not call."
        ),
        Trouble.NO_HTTP: _(
            "%(host)s ended the connection without an answer. Probably the scheme is wrong: PUBLIC_URL begins with "
            "%(scheme)s://."
        ),
        Trouble.SLOW: _(
            "%(host)s took the call but gave no answer in %(seconds)d seconds: the proxy does not reach Switchboard, "
            "or all of its web workers are busy."
        ),
        Trouble.LARGE: _("%(host)s answered with a page that is not Switchboard's: another server answers there."),
    }
    parts = urlsplit(url)
    return sentences[trouble] % {"host": parts.netloc, "scheme": parts.scheme, "seconds": client.OWN_TIMEOUT}


def _stranger(expected: Expected, answer: ApiResponse) -> str:
    """The answer is not from the door: what stands in front of it has spoken, or another server."""
    status, page = answer.status, answer.body.decode(errors="replace")
    if 300 <= status < 400:
        return _redirected(expected.url, urljoin(expected.url, answer.header("Location")))
    if status == 400 and "HTTPS port" in page:
        return _no_answer(Trouble.NO_HTTP, expected.url)
    if status == 400 and "Bad Request (400)" in page:
        return _(
            "Switchboard refuses the host name under which the proxy passes the call on: have the proxy keep the "
            "Host header, or add the host to ALLOWED_HOSTS."
        )
    by_status = {
        401: _(
            "Something in front of Switchboard asks for a log-in (HTTP %(status)d). Providers have none: leave "
            "/distribution-providers/ open there; Switchboard checks every call itself."
        ),
        403: _(
            "Something in front of Switchboard refuses the call (HTTP %(status)d): a firewall or a list of allowed "
            "addresses. Leave /distribution-providers/ open there; Switchboard checks every call itself."
        ),
        404: _(
            "The path is not known where the call arrived (HTTP %(status)d): a proxy removes or rewrites part of "
            "it, or another server answers at %(host)s. Everything that begins with /distribution-providers/ must "
            "be passed on unchanged."
        ),
        405: _(
            "The call may not use its method there (HTTP %(status)d): another server answers at %(host)s, or a proxy "
            "allows too little. GET and POST are needed."
        ),
        413: _("A proxy refuses the call as too large (HTTP %(status)d): let it pass bodies of up to 3 MB."),
        415: _("A proxy refuses the content type of the call (HTTP %(status)d): it must pass calls on unchanged."),
        429: _(
            "A proxy refuses the call because there are too many (HTTP %(status)d): providers call as often as "
            "messages are sent, so take /distribution-providers/ out of the limit."
        ),
        500: _("The server that answers has failed (HTTP %(status)d): see the logs of Switchboard and of the proxy."),
        502: _(
            "The proxy answers but does not reach Switchboard (HTTP %(status)d): is its web process running, at the "
            "address that the proxy knows?"
        ),
    }
    by_status |= dict.fromkeys((407, 511), by_status[401]) | dict.fromkeys((451,), by_status[403])
    by_status |= dict.fromkeys((410, 421), by_status[404]) | dict.fromkeys((503, 504, 522, 523), by_status[502])
    other = _(
        "A server other than Switchboard answers at %(host)s (HTTP %(status)d): PUBLIC_URL has the wrong host, or "
        "the proxy passes this path on to something else."
    )
    sentence = by_status.get(status, by_status[500] if status > 500 else other)
    return sentence % {"status": status, "host": expected.host}


def _redirected(url: str, location: str) -> str:
    said, here = urlsplit(location), urlsplit(url)
    same_path = said.path.rstrip("/") == here.path.rstrip("/")
    if same_path and said.hostname == here.hostname and said.scheme != here.scheme:
        sentence = _(
            "Wrong scheme: calls to %(here)s:// are redirected to %(there)s://. PUBLIC_URL must begin with "
            "%(there)s://, because providers sign the address that they call."
        )
    elif same_path and said.hostname != here.hostname:
        sentence = _(
            "Wrong host: calls are redirected to %(host)s. PUBLIC_URL must name the host that answers, because "
            "providers sign the address that they call."
        )
    elif same_path and said.path != here.path:
        sentence = _(
            "A proxy redirects the call to the same path with or without a slash at its end. A redirected callback "
            "loses its content and its signature: the path must be passed on unchanged."
        )
    else:
        sentence = _(
            "The call is redirected to another page (%(path)s), for example a log-in. Leave /distribution-providers/ "
            "open there; Switchboard checks every call itself."
        )
    return sentence % {"here": here.scheme, "there": said.scheme, "host": said.netloc, "path": said.path[:SHOWN]}
