"""What an SDK sends, caught on its way to the network. Runs in the SDKs' own environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from urllib3.connectionpool import HTTPConnectionPool


class Caught(BaseException):
    """Ends the SDK's call with the request it was about to send; no SDK may swallow it."""

    def __init__(self, sent: dict[str, Any]) -> None:
        super().__init__("caught")
        self.sent = sent


def _catch(
    pool: HTTPConnectionPool, method: str, url: str, body: Any = None, headers: Any = None, **_options: Any
) -> None:
    text = body.decode() if isinstance(body, bytes) else body or ""
    named = {
        name: value.decode() if isinstance(value, bytes) else str(value) for name, value in dict(headers or {}).items()
    }
    raise Caught({"method": method, "url": f"{pool.scheme}://{pool.host}{url}", "headers": named, "body": text})


HTTPConnectionPool.urlopen = _catch  # type: ignore[assignment,method-assign]


def sent(call: Callable[[], Any]) -> dict[str, Any]:
    """The request that `call()` makes the SDK send."""
    try:
        call()
    except Caught as caught:
        return caught.sent
    raise AssertionError("The SDK sent nothing.")


def frozen(moment: float) -> type[datetime]:
    """A datetime class whose now() is always `moment` (seconds since 1970)."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(moment, tz or UTC)

    return Frozen


def answer(questions: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Read the question, write the answer."""
    json.dump(questions(json.load(sys.stdin)), sys.stdout)
