"""One call of a provider's to us, and how it proves where it comes from by a name and a password."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from django.utils.functional import Promise

from extensions.contract.calls import header
from extensions.contract.errors import Fault, InvalidSignature, Unreadable
from intake.data import NotReadable, read_json
from intake.sentences import said_lazy as _

T = TypeVar("T")


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
    explains: bool = field(default=True, compare=False)  # whether a refusal is worth the time to say exactly why
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # what was read once

    def _once(self, name: str, read: Callable[[], T]) -> T:
        """Verifying, telling repetitions and reading all look at the same fields."""
        if name not in self._known:
            self._known[name] = read()
        found: T = self._known[name]
        return found

    def header(self, name: str) -> str:
        """The header's value, whatever its case; "" if it is missing."""
        return header(self.headers, name)

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

        Not looked for where nobody wants an explanation. `fits` says whether the signature is right for a URL: nothing
        is accepted by it.
        """
        for url in self._other_urls() if self.explains else ():
            if fits(url):
                said, here = urlsplit(url), urlsplit(self.url)
                origins = {name: f"{one.scheme}://{one.netloc}" for name, one in (("theirs", said), ("ours", here))}
                origin = _("%(theirs)s instead of %(ours)s") % origins
                slash = _("with a slash at its end") if said.path.endswith("/") else _("without a slash at its end")
                what: str | Promise = origin if said.path == here.path else slash
                if said.path != here.path and origins["theirs"] != origins["ours"]:
                    what = _("%(origin)s, %(slash)s") % {"origin": origin, "slash": slash}
                return str(_("signed for another address: %(what)s") % {"what": what})
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
        query = f"?{here.query}" if here.query else ""
        for host in hosts:
            for path in paths:
                for scheme in schemes:
                    url = f"{scheme}://{host}{path}{query}"
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
            raise Unreadable(_("The body is not a form in UTF-8.")) from error

    def json(self) -> Any:
        """The body as JSON, the same objects each time. Raises Unreadable.

        Where it is not JSON, is nested too deeply or has numbers that are too long.
        """
        return self._once("json", self._json)

    def json_object(self, otherwise: str | Promise = "") -> dict[str, Any]:
        """The body as a JSON object. Raises Unreadable; `otherwise` is the sentence for JSON of another kind."""
        data = self.json()
        if not isinstance(data, dict):
            raise Unreadable(otherwise or _("The body is not a JSON object."))
        return data

    def _json(self) -> Any:
        try:
            return read_json(self.body)
        except NotReadable as error:
            raise Unreadable(error.reason) from error


SELF_TEST = "self-test"  # begins the message id of a sample callback of our own: nothing it says is applied
SELF_TEST_PHONE = "447700900999"  # Ofcom keeps this range for drama: nobody has the number
SELF_TEST_TEXT = "This is a self-test."


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
    request: WebhookRequest,
    user: str,
    password: str,
    *,
    lacking: str | Promise,
    absent: str | Promise,
    wrong: str | Promise,
    malformed: str | Promise = "",
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
