"""The guards of every call to a provider, and the transport for all but the hot path.

Customers type host names and this server calls them, so nothing here trusts a host: https on port 443 only, the host
must be one of the provider's, the address it resolves to must be public and is the very one connected to, redirects
are not followed, and an answer may be neither large nor slow. `distributions/engine/wire.py` sends the hot path's
requests under the same guards: `target_of`, `encode` and `PublicResolver`.
"""

from __future__ import annotations

import base64
import enum
import ipaddress
import itertools
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from extensions.contract import ApiRequest, ApiResponse, NotTaken, Provider, ProviderError, Unclear, WebhookRequest
from intake.sentences import said as _

logger = logging.getLogger(__name__)
logging.getLogger("urllib3").setLevel(logging.ERROR)  # its lines hold whole URLs: numbers, and some providers' secrets

PORT = 443
CONNECT_TIMEOUT = 5.0  # seconds, for each address tried
READ_TIMEOUT = 20.0  # seconds without a byte
TOTAL_TIMEOUT = 30.0  # seconds for the whole call, however slowly the bytes drip
OWN_TIMEOUT = 10.0  # seconds for a call to ourselves: providers do not wait longer
MAX_ANSWER = 1024 * 1024  # bytes; some providers repeat every message of a batch in their answer
MAX_ADDRESSES = 4  # of one host are tried
_CHUNK = 16 * 1024

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


# --- what may be called ----------------------------------------------------------------------------------------------


def target_of(provider_key: str, host_patterns: Sequence[str], request: ApiRequest) -> tuple[str, dict[str, str]]:
    """The URL to call and the headers to add. Raises ValueError for anything that is not https to the provider's host.

    Where PROVIDER_BASE_URLS names a simulator for the provider, the call goes there, with the host it was meant for in
    X-Provider-Host.
    """
    url = urlsplit(request.url)
    host = url.hostname or ""
    if url.scheme != "https" or url.port not in (None, 443) or "@" in url.netloc:
        raise ValueError(_("%(host)s: only https on port 443 may be called") % {"host": host[:100]})
    if not any(re.fullmatch(pattern, host) for pattern in host_patterns):
        raise ValueError(_("%(host)s is not a host of this provider") % {"host": host[:100]})
    base = settings.PROVIDER_BASE_URLS.get(provider_key)
    if not base:
        return request.url, {}
    query = f"?{url.query}" if url.query else ""
    return f"{base.rstrip('/')}{url.path}{query}", {"X-Provider-Host": host}


def encode(request: ApiRequest) -> tuple[dict[str, str], bytes]:
    """The request's headers and body as they go over the wire."""
    headers = {"Accept": "application/json", "User-Agent": "Switchboard", "Accept-Encoding": "identity"}
    body = request.body or b""
    if request.json is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(request.json, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    elif request.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(request.form, errors="replace").encode()
    if request.auth is not None:
        user_and_password = ":".join(request.auth).encode(errors="replace")
        headers["Authorization"] = f"Basic {base64.b64encode(user_and_password).decode()}"
    headers.update(request.headers)
    return headers, body


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not private, loopback, link-local, reserved or a group's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            ip = embedded
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def public_addresses(host: str) -> list[str]:
    """The addresses that may be connected to. Raises NotTaken if the name has none."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise NotTaken(_("%(host)s: the name cannot be resolved") % {"host": host}) from error
    addresses = [str(entry[4][0]) for entry in found]
    public = [address for address in dict.fromkeys(addresses) if is_public(address)]
    if not public:
        raise NotTaken(_("%(host)s: the name leads to an address that is not public") % {"host": host})
    return public[:MAX_ADDRESSES]


class PublicResolver(AbstractResolver):
    """For aiohttp's connector: resolves names, and leaves out every address that is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError if the name has no public address."""
        found = await self._resolver.resolve(host, port, family)
        public = [entry for entry in found if is_public(entry["host"])]
        if not public:
            raise OSError(None, f"{host}: the name leads to an address that is not public")
        return public

    async def close(self) -> None:
        await self._resolver.close()


# --- calling ---------------------------------------------------------------------------------------------------------


def call(provider: Provider, request: ApiRequest) -> ApiResponse:
    """One request, one answer. Raises NotTaken if nothing has left this machine, Unclear if something may have."""
    try:
        url, extra = target_of(provider.key, provider.host_patterns, request)
    except ValueError as error:
        raise NotTaken(str(error)) from error
    headers, body = encode(request)
    route = _Route(url, direct=bool(extra))
    began = time.monotonic()
    outcome: object = "failed"
    try:
        response = _exchange(route, request.method, {**headers, **extra}, body, began + TOTAL_TIMEOUT)
        outcome = response.status
        return response
    except (NotTaken, Unclear) as error:
        outcome = type(error).__name__
        raise
    finally:
        called = urlsplit(request.url)
        spent = round((time.monotonic() - began) * 1000)
        logger.info("%s %s%s %s %d ms", request.method, called.hostname, called.path, outcome, spent)


class Trouble(enum.Enum):
    """Why no HTTP answer came from our own public address."""

    NAME = "name"  # it cannot be resolved
    REFUSED = "refused"  # nobody listens there
    UNREACHABLE = "unreachable"  # nobody says anything there
    NO_TLS = "no_tls"  # https is spoken to what does not speak it
    CERTIFICATE = "certificate"
    NO_HTTP = "no_http"  # what answers is not HTTP
    SLOW = "slow"
    LARGE = "large"  # an answer that is larger than any of ours


class NoAnswer(Exception):
    """No HTTP answer came from our own public address; `words` are those of the machine."""

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.words = words


def call_ourselves(request: WebhookRequest) -> ApiResponse:
    """Make a callback as a provider would: over the public address, without following redirects.

    The address may be private, since an installation may be reachable from inside only; but it is never another than
    PUBLIC_URL. Raises ValueError for any other, NoAnswer if nothing comes that is HTTP.
    """
    if not request.url.startswith(f"{settings.PUBLIC_URL}/"):
        raise ValueError("only PUBLIC_URL may be called in this way")
    headers = {"User-Agent": "Switchboard", "Accept-Encoding": "identity", **request.headers}
    route = _Route(request.url, direct=True)
    try:
        return _exchange(route, request.method, headers, request.body, time.monotonic() + OWN_TIMEOUT)
    except (NotTaken, Unclear) as error:
        raise NoAnswer(_trouble(error), str(error)) from error


def _trouble(error: ProviderError) -> Trouble:
    causes = list(_causes(error))
    for kind, trouble in (
        (NameResolutionError, Trouble.NAME),
        (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
        (ssl.SSLError, Trouble.NO_TLS),
        (requests.ConnectTimeout, Trouble.UNREACHABLE),
        (NewConnectionError, Trouble.REFUSED),
        (requests.Timeout, Trouble.SLOW),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return trouble
    if len(causes) == 1:  # nothing went wrong but the size
        return Trouble.LARGE
    return Trouble.SLOW if "time was up" in str(error) else Trouble.NO_HTTP


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Route:
    """The way to a URL: one connection pool per address, tried in turn."""

    def __init__(self, url: str, *, direct: bool) -> None:
        self.url = url
        self.direct = direct  # to a simulator or to ourselves: wherever the name leads
        self.addresses: list[str] = []  # filled when the first pool is asked for

    def pool(self, turn: int) -> HTTPConnectionPool:
        """Raises NotTaken if the name leads nowhere."""
        target = urlsplit(self.url)
        host = target.hostname or ""
        if self.direct:
            kind = HTTPSConnectionPool if target.scheme == "https" else HTTPConnectionPool
            return kind(host, target.port, retries=False, maxsize=1)
        if not self.addresses:
            self.addresses = public_addresses(host)
        # Connects to this very address; name indication and the certificate are for the host.
        return HTTPSConnectionPool(
            self.addresses[turn], PORT, server_hostname=host, assert_hostname=host, retries=False, maxsize=1
        )

    def ends_with(self, turn: int) -> bool:
        return turn + 1 >= len(self.addresses)


def _exchange(route: _Route, method: str, headers: dict[str, str], body: bytes, deadline: float) -> ApiResponse:
    for turn in itertools.count():
        try:
            return _attempt(route, turn, method, headers, body, deadline)
        except NotTaken:  # nothing has left, so the next address may be tried
            if route.ends_with(turn) or time.monotonic() > deadline:
                raise
    raise AssertionError


class _Wire:
    """What is known of one attempt: its socket, whether anything has left, whether its time is up."""

    def __init__(self) -> None:
        self.line: socket.socket | None = None
        self.sent = False
        self.expired = False

    def opened(self, line: socket.socket) -> None:
        self.line = line.dup()  # TLS and the answer take the socket over from the connection; this one stays ours

    def expire(self) -> None:
        """Ends the attempt from outside: whoever reads the socket sees its end at once."""
        self.expired = True
        if self.line is not None:
            try:
                self.line.shutdown(socket.SHUT_RDWR)
            except OSError:
                logger.debug("the connection was already closed at its deadline")

    def close(self) -> None:
        if self.line is not None:
            self.line.close()


class _Watched:
    """Mixed into a connection: tells the attempt's wire of its socket and when its first byte leaves."""

    wire: _Wire

    def _new_conn(self) -> socket.socket:
        line: socket.socket = super()._new_conn()  # type: ignore[misc]
        self.wire.opened(line)
        if self.wire.expired:
            raise TimeoutError
        return line

    def send(self, data: Any) -> None:
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()  # type: ignore[attr-defined]
        self.wire.sent = True
        super().send(data)  # type: ignore[misc]


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _OneWay(HTTPAdapter):
    """Sends over the route's connection, whatever host the URL names."""

    def __init__(self, route: _Route, turn: int, wire: _Wire) -> None:
        super().__init__(max_retries=0)
        self.route, self.turn, self.wire = route, turn, wire

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = self.route.pool(self.turn)
        base = _WatchedHTTPS if isinstance(pool, HTTPSConnectionPool) else _WatchedHTTP
        pool.ConnectionCls = type("Watched", (base,), {"wire": self.wire})
        return pool


def _attempt(
    route: _Route, turn: int, method: str, headers: dict[str, str], body: bytes, deadline: float
) -> ApiResponse:
    wire = _Wire()
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), wire.expire)
    timer.daemon = True
    timer.start()
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.clear()
            session.mount("https://", _OneWay(route, turn, wire))
            session.mount("http://", _OneWay(route, turn, wire))
            with session.request(
                method,
                route.url,
                headers={**headers, "Host": urlsplit(route.url).netloc},
                data=body or None,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response)
                if wire.expired:  # what looks like the end of the answer is our own doing
                    raise Unclear(_("no complete answer (%(why)s)") % {"why": _("the time was up")})
                return ApiResponse(response.status_code, dict(response.headers), content)
    except (requests.RequestException, HTTPError, OSError) as error:
        why = _("the time was up") if wire.expired else type(error).__name__
        stubbed = wire.line is None and isinstance(error, requests.ReadTimeout)
        if wire.sent or stubbed:
            raise Unclear(_("no complete answer (%(why)s)") % {"why": why}) from error
        raise NotTaken(_("no connection (%(why)s)") % {"why": why}) from error
    finally:
        timer.cancel()
        wire.close()


def _read(response: requests.Response) -> bytes:
    """The body as it came, up to the limit. Raises Unclear if there is more."""
    content = bytearray()
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        content += chunk
        if len(content) > MAX_ANSWER:
            raise Unclear(
                _("HTTP %(status)s with more than %(most)s bytes")
                % {"status": response.status_code, "most": MAX_ANSWER}
            )
    return bytes(content)
