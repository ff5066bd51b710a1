"""The hot path's transport: one kept-alive connection pool per worker process, with the guards of extensions.client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
from django.conf import settings

from extensions import client
from extensions.contract import ApiRequest, ApiResponse, NotTaken, Unclear
from intake.sentences import said as _

CONNECT_TIMEOUT = 5.0  # seconds


class Wire:
    """Sends built requests; raises only NotTaken (nothing has left) and Unclear (it may have)."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit  # connections in use at once; 0: as many as are asked for
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            resolver = None if settings.PROVIDER_BASE_URLS else client.PublicResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._limit, resolver=resolver, keepalive_timeout=15, ttl_dns_cache=60
                ),
                timeout=aiohttp.ClientTimeout(total=settings.SEND_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=["User-Agent", "Accept-Encoding"],
            )
        return self._session

    async def send(self, provider_key: str, host_patterns: Sequence[str], request: ApiRequest) -> ApiResponse:
        """One request, one answer. Raises NotTaken or Unclear."""
        try:
            url, extra = client.target_of(provider_key, host_patterns, request)
        except ValueError as error:
            raise NotTaken(str(error)) from error
        headers, body = client.encode(request)
        try:
            async with self._open().request(
                request.method, url, data=body, headers={**headers, **extra}, allow_redirects=False
            ) as answer:
                content = await answer.content.read(client.MAX_ANSWER + 1)
                while len(content) <= client.MAX_ANSWER and not answer.content.at_eof():
                    content += await answer.content.read(client.MAX_ANSWER + 1 - len(content))
                if len(content) > client.MAX_ANSWER:
                    answer.close()
                    raise Unclear(
                        _("HTTP %(status)s with more than %(most)s bytes")
                        % {"status": answer.status, "most": client.MAX_ANSWER}
                    )
                return ApiResponse(status=answer.status, headers=dict(answer.headers), body=content)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotTaken(_("no connection (%(why)s)") % {"why": type(error).__name__}) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unclear(_("no answer (%(why)s)") % {"why": type(error).__name__}) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
