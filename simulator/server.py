"""The simulator's web server: the providers' APIs below `/<provider>/…`, its own controls below `/_/…`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from aiohttp import web
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from simulator import providers
from simulator.controls import Controls
from simulator.faults import Fault, Kind
from simulator.options import Options
from simulator.providers.base import Provider
from simulator.wire import Answer, BadRequest, Call, Submission
from simulator.world import World

logger = logging.getLogger(__name__)

EARLY_REPORT_LIMIT = 2.0  # seconds an answer waits for the reports that must come before it
HANG_LIMIT = 3600.0  # seconds; the caller gives up long before
HUGE_BODY = 50 * 1024 * 1024  # bytes
SHUTDOWN_LIMIT = 1.0  # seconds for answers under way


class Simulator:
    """One request in, one answer out; `World` remembers."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.world = World(options)
        self.providers: dict[str, Provider] = {kind.key: kind(self.world) for kind in providers.ALL}
        self.controls = Controls(self.world, self.providers)

    async def handle(self, request: BaseRequest) -> StreamResponse:
        body = await request.read()
        path, _question, query = request.raw_path.partition("?")
        first, _slash, rest = path.lstrip("/").partition("/")
        call = Call(request.method, f"/{rest}", query, request.headers, body)
        if first == "_":
            return plain(await self.controls.respond(call))
        provider = self.providers.get(first)
        if provider is None:
            return plain(Answer.json(404, {"error": f"No provider {first!r}: one of {', '.join(self.providers)}."}))
        self.world.stats.enter()
        try:
            return await self._provider(provider, call, request)
        finally:
            self.world.stats.leave()

    async def _provider(self, provider: Provider, call: Call, request: BaseRequest) -> StreamResponse:
        try:
            reply = provider.respond(call)
        except BadRequest as error:
            reply = provider.unreadable(str(error))
        if isinstance(reply, Submission):
            account = reply.account
            account.stats.enter()
            try:
                return await self._send(provider, reply, request)
            finally:
                account.stats.leave()
        self.world.stats.counts[f"http_{reply.status}"] += 1
        fault = self.world.faults.strike(provider.key, call.account.id if call.account else "", sending=False)
        if fault:
            return await self._fail(provider, fault, reply, request)
        await self._pause()
        return plain(reply)

    async def _send(self, provider: Provider, submission: Submission, request: BaseRequest) -> StreamResponse:
        """Faults that refuse, the rate, the ledger, the pause, faults that spoil the answer: in this order."""
        account = submission.account
        account.stats.counts["requests"] += 1
        recipients = [draft.to for draft in submission.drafts]
        struck = self.world.faults.strike(provider.key, account.id, sending=True, recipients=recipients)
        fault = struck or _asked_for(submission)
        if fault and not fault.kind.accepts:
            account.stats.counts[f"fault_{fault.kind}"] += 1
            return await self._fail(provider, fault, Answer(provider.success_status), request)
        wait = account.take(len(submission.drafts))
        if wait:
            account.stats.counts["over_rate"] += 1
            await self._pause()
            return plain(provider.over_rate(submission, wait))
        messages = self.world.accept(provider, account, submission.drafts)
        answer = submission.answer(messages)
        early = self.world.report_early(provider, messages)
        if fault:
            account.stats.counts[f"fault_{fault.kind}"] += 1
            return await self._fail(provider, fault, answer, request)
        if early:
            await asyncio.wait(early, timeout=EARLY_REPORT_LIMIT)
        await self._pause(slow=any(message.ending.slow for message in messages))
        return plain(answer)

    async def _pause(self, *, slow: bool = False) -> None:
        milliseconds = self.options.latency_ms + (self.options.slow_ms if slow else 0)
        if milliseconds:
            await asyncio.sleep(milliseconds / 1000)

    async def _fail(self, provider: Provider, fault: Fault, answer: Answer, request: BaseRequest) -> StreamResponse:
        """What the fault makes of the answer."""
        kind = fault.kind
        if kind not in (Kind.DROP, Kind.HANG, Kind.ACCEPT_HANG):
            await self._pause()
        match kind:
            case Kind.DROP | Kind.ACCEPT_DROP:
                _abort(request)
                return web.Response()
            case Kind.HANG | Kind.ACCEPT_HANG:
                await _gone(request)
                return web.Response()
            case Kind.HTTP_500 | Kind.ACCEPT_500:
                return plain(provider.broken(500))
            case Kind.HTTP_503:
                answer = provider.broken(503)
                if fault.retry_after is not None:
                    answer.headers["Retry-After"] = f"{fault.retry_after:g}"
                return plain(answer)
            case Kind.HTTP_429 | Kind.ACCEPT_429:
                return plain(provider.throttled(fault.retry_after))
            case Kind.HTTP_401:
                return plain(provider.unauthorised())
            case Kind.HTTP_400:
                return plain(provider.unreadable("The request is not valid"))
            case Kind.ACCEPT_HTML:
                page = b"<!DOCTYPE html><html><body><h1>Everything is fine</h1></body></html>"
                return plain(Answer(answer.status, page, "text/html"))
            case Kind.ACCEPT_GARBAGE:
                return plain(Answer(answer.status, b"\xff\xfe\x00{]garbage", answer.content_type))
            case Kind.ACCEPT_EMPTY:
                return plain(Answer(answer.status, b"", answer.content_type))
            case Kind.ACCEPT_CUT_JSON:
                return plain(Answer(answer.status, answer.body[: len(answer.body) // 2], answer.content_type))
            case Kind.ACCEPT_WRONG_TYPES:
                return plain(Answer.json(answer.status, [None, {"messages": 7, "sid": [], "id": {}}]))
            case Kind.ACCEPT_HUGE:
                return plain(Answer(answer.status, b" " * HUGE_BODY, answer.content_type))
            case Kind.ACCEPT_CUT:
                return await _stream(request, answer, cut=True)
            case Kind.ACCEPT_DRIP:
                return await _stream(request, answer, cut=False)


def _asked_for(submission: Submission) -> Fault | None:
    """The fault that one of the recipients' magic numbers asks for."""
    for draft in submission.drafts:
        if draft.ending.fault:
            return Fault(Kind(draft.ending.fault))
    return None


def plain(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _abort(request: BaseRequest) -> None:
    if request.transport:
        request.transport.abort()


async def _gone(request: BaseRequest) -> None:
    """Wait until the caller hangs up."""
    waited = 0.0
    while waited < HANG_LIMIT and request.transport and not request.transport.is_closing():
        await asyncio.sleep(0.25)
        waited += 0.25


async def _stream(request: BaseRequest, answer: Answer, *, cut: bool) -> StreamResponse:
    """The answer byte by byte, one a second; or only its first half, then a reset."""
    headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **answer.headers}
    response = StreamResponse(status=answer.status, headers=headers)
    try:
        await response.prepare(request)
        if cut:
            await response.write(answer.body[: len(answer.body) // 2])
            await asyncio.sleep(0.01)
            _abort(request)
            return response
        for position in range(len(answer.body)):
            await response.write(answer.body[position : position + 1])
            await asyncio.sleep(1)
    except ConnectionError:
        logger.debug("The caller hung up in the middle of an answer.")
    return response


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; says on standard output when it is ready, and where."""
    simulator = Simulator(options)
    runner = web.ServerRunner(web.Server(simulator.handle, access_log=None), shutdown_timeout=SHUTDOWN_LIMIT)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=2048)
    await site.start()

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _watch_stdin, stopped)

    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"simulator: http://{host}:{port} ledger {simulator.world.ledger.path}\n")
    sys.stdout.flush()
    gc.freeze()  # what is loaded stays: the collector need not look at it again
    await stopped.wait()
    await runner.cleanup()
    await simulator.world.callbacks.close()
    simulator.world.close()


def _watch_stdin(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stopped.set()


def serve(options: Options) -> None:
    """Run the simulator in the foreground."""
    try:
        asyncio.run(run(options))
    except OSError as error:
        sys.stderr.write(f"simulator: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        raise SystemExit(1) from error
