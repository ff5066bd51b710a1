"""What goes over the wire: calls that come in, answers, and calls that go out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from simulator.numbers import Ending

if TYPE_CHECKING:
    from simulator.world import Account, Message


class BadRequest(Exception):
    """A body that cannot be read; the provider turns it into its own 400."""


@dataclass(slots=True)
class Call:
    """A request as it came in; `path` begins after the provider's base and is still percent-encoded."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    account: Account | None = None  # whose call it is, once that is known

    @property
    def host(self) -> str:
        """The host the product meant to call, "" if it does not say."""
        return self.headers.get("X-Provider-Host", "").lower()

    @property
    def segments(self) -> list[str]:
        parts = self.path.strip("/").split("/")
        return [unquote(part) for part in parts] if "%" in self.path else parts

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def basic(self) -> tuple[str, str] | None:
        """User and password of a Basic Authorization header, None if there is no well-formed one."""
        scheme, _space, token = self.header("Authorization").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
        except ValueError:
            return None
        return (user, password) if colon else None

    def token(self, scheme: str) -> str:
        """What follows this scheme in the Authorization header, "" if it is another one."""
        found, _space, token = self.header("Authorization").partition(" ")
        return token.strip() if found.lower() == scheme.lower() else ""

    def form(self) -> dict[str, str]:
        """Raises BadRequest."""
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except ValueError as error:
            raise BadRequest("The body is not a form in UTF-8.") from error

    def object(self) -> dict[str, Any]:
        """Raises BadRequest."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BadRequest("The body is not JSON.") from error
        if not isinstance(value, dict):
            raise BadRequest("The body is not a JSON object.")
        return value


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: object, **headers: str) -> Answer:
        """Header names are given with underscores: `Retry_After="3"`."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, body, headers={name.replace("_", "-"): text for name, text in headers.items()})


@dataclass(slots=True)
class Draft:
    """A text that passed validation: it becomes a message unless a fault comes first.

    `to` is E.164 with a plus whatever the provider's own form; `id` is given where the caller chose it.
    """

    to: str
    sender: str
    text: str
    ending: Ending
    reference: str = ""
    status_url: str = ""
    id: str = ""
    segments: int = 0  # 0 = counted from the text
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Submission:
    """A valid send request: `answer` is what to say once the drafts are messages."""

    account: Account
    drafts: list[Draft]
    answer: Callable[[list[Message]], Answer]


@dataclass(slots=True)
class Outgoing:
    """A callback before it is signed.

    `url` may carry a fragment, which is never sent; `secret` signs it where the account's own would not.
    """

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    secret: str = ""

    @property
    def bare_url(self) -> str:
        return self.url.partition("#")[0]

    @classmethod
    def json(cls, url: str, value: object) -> Outgoing:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls("POST", url, {"Content-Type": "application/json"}, body)
