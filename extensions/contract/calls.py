"""One call to a provider, and its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from extensions.contract.errors import Unclear
from extensions.contract.ladder import bounded
from intake.data import NotReadable, read_json
from intake.sentences import said as _


def header(headers: Mapping[str, str], name: str) -> str:
    wanted = name.lower()
    for key, value in headers.items():
        if key.lower() == wanted:
            return value
    return ""


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
        return header(self.headers, name)

    def json(self) -> Any:
        """The body as JSON. Raises Unclear if it is not: an answer we cannot read proves nothing."""
        try:
            return read_json(self.body)
        except NotReadable as error:
            raise Unclear(_("HTTP %(status)s with an unreadable body") % {"status": self.status}) from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Unclear if it is anything else."""
        data = self.json()
        if not isinstance(data, dict):
            raise Unclear(_("HTTP %(status)s with an unreadable body") % {"status": self.status})
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
