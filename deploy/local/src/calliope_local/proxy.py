"""One address for a tunnel: carriers' audio goes to the call-worker, everything else to the gateway.

A process of its own (`python -m calliope_local.proxy`), for one machine; an installation has Caddy or nginx there. What
concerns this machine only (metrics, health) is not passed on. What clients do wrong is a line at debug.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

log = logging.getLogger(__name__)

MEDIA: Final = "/media/"
PRIVATE: Final = frozenset({"/metrics", "/livez", "/readyz"})
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_MESSAGE_BYTES: Final = 256 * 1024
CONNECT_S: Final = 3.0
ANSWER_S: Final = 60.0
"""Between two pieces of an answer; live feeds send a sign of life more often."""
CLOSE_S: Final = 2.0
_CLIENT_ERRORS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
_CUT_OFF: Final = (aiohttp.ClientError, OSError)  # TimeoutError is an OSError
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HANDSHAKE: Final = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})


@dataclass(frozen=True, slots=True)
class Upstreams:
    """`http://127.0.0.1:…` of both."""

    gateway: str
    worker: str


@dataclass(frozen=True, slots=True)
class Limits:
    """`requests` under way at once, calls included, beyond it 503; seconds for a whole body, and for the first headers
    of a connection."""

    requests: int = 512
    body_s: float = 10.0
    headers_s: float = 10.0


class Proxy:
    """Passes requests on as they are, `Host` included: carriers sign the address that they were given."""

    def __init__(self, session: aiohttp.ClientSession, upstreams: Upstreams, limits: Limits) -> None:
        self._session = session
        self._upstreams = upstreams
        self._limits = limits
        self.under_way = 0
        self.heard: set[object] = set()
        """Connections that have sent the headers of a request; `close_silent` forgets those that are gone."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, or one media socket until either side closes it."""
        self.heard.add(request.protocol)
        if not _is_plain(request.raw_path):
            raise web.HTTPBadRequest(text="The path must begin with / and hold no segments . or .. and only ASCII.")
        if request.path in PRIVATE:
            raise web.HTTPNotFound
        if self.under_way >= self._limits.requests:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        self.under_way += 1
        try:
            if request.path.startswith(MEDIA):
                return await self._media(request)
            return await self._request(request)
        except _CUT_OFF as exc:
            log.debug("%s failed: %s", request.method, exc)
            raise web.HTTPBadGateway(text="The service behind this address does not answer.") from exc
        finally:
            self.under_way -= 1

    async def _body(self, request: web.Request) -> bytes | None:
        if not request.body_exists:
            return None
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await request.read()
        except TimeoutError as exc:
            late = web.HTTPRequestTimeout(text=f"The body did not come within {self._limits.body_s:g} s.")
            late.force_close()
            raise late from exc
        except _CLIENT_ERRORS as exc:
            log.debug("a body broke off: %s", exc)
            raise web.HTTPBadRequest(text="The body cannot be read.") from exc

    async def _request(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        async with self._session.request(
            request.method,
            URL(self._upstreams.gateway + request.raw_path, encoded=True),
            headers=_passed_on(request),
            data=body,
            allow_redirects=False,
        ) as upstream:
            headers = CIMultiDict(
                (name, value) for name, value in upstream.headers.items() if name.lower() not in _HOP_BY_HOP
            )
            answer = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
            await answer.prepare(request)
            try:
                async for chunk in upstream.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
            except _CUT_OFF as exc:
                log.debug("an answer broke off: %s", exc)
                if request.transport is not None:
                    request.transport.close()  # the client must not take what came for the whole
            return answer

    async def _media(self, request: web.Request) -> web.StreamResponse:
        headers = _passed_on(request, _HANDSHAKE)
        try:
            async with asyncio.timeout(CONNECT_S):
                upstream = await self._session.ws_connect(
                    URL(self._upstreams.worker + request.raw_path, encoded=True),
                    headers=headers,
                    max_msg_size=MAX_MESSAGE_BYTES,
                )
        except aiohttp.WSServerHandshakeError as exc:
            return web.Response(status=exc.status)
        async with upstream:
            carrier = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSE_S, compress=False)
            await carrier.prepare(request)
            try:
                async with asyncio.TaskGroup() as tasks:
                    both = {
                        tasks.create_task(_carry(carrier, upstream), name="proxy.from_carrier"),
                        tasks.create_task(_carry(upstream, carrier), name="proxy.to_carrier"),
                    }
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                    await upstream.close(code=carrier.close_code or aiohttp.WSCloseCode.OK)
                    await carrier.close(code=upstream.close_code or aiohttp.WSCloseCode.OK)
                    for task in both:
                        task.cancel()
            except* ConnectionError:
                await carrier.close(code=aiohttp.WSCloseCode.GOING_AWAY)
            return carrier


async def _carry(source: Any, target: Any) -> None:
    """Message by message, in order; a target that does not take them holds the source up, so nothing piles up here."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)


def _passed_on(request: web.Request, dropped: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """Where the request came from is told as proxies tell it; what it says of that itself is not believed."""
    left_out = _HOP_BY_HOP | dropped | {"content-length", "forwarded", "x-forwarded-for", "x-forwarded-host"}
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in left_out)
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Host"] = request.host
    return headers


def _is_plain(target: str) -> bool:
    """Whether everybody reads this target alike: a path from the root without dot segments, however written."""
    path = target.partition("?")[0]
    segments = unquote(path).replace("\\", "/").split("/")
    return target.startswith("/") and target.isascii() and not {".", ".."} & set(segments)


class ClientErrors(logging.Filter):
    """Makes what a client did wrong one line at debug; a mistake of this program keeps its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is still wanted; it may be changed."""
        exc = record.exc_info[1] if record.exc_info else None
        if not isinstance(exc, _CLIENT_ERRORS):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args = "a request cannot be read: %s", (str(exc).partition("\n")[0],)
        record.exc_info = record.exc_text = None
        return log.isEnabledFor(logging.DEBUG)


log.addFilter(ClientErrors())


async def close_silent(runner: web.AppRunner, proxy: Proxy, limits: Limits) -> None:
    """Close connections whose first headers do not come; each has at least `headers_s` and at most twice that."""
    before: set[object] = set()
    while True:
        await asyncio.sleep(limits.headers_s)
        connections = runner.server.connections if runner.server is not None else []
        proxy.heard.intersection_update(connections)
        for connection in connections:
            if connection in before and connection not in proxy.heard:
                connection.force_close()
        before = set(connections)


async def serve(port: int, upstreams: Upstreams, stopped: asyncio.Event, limits: Limits | None = None) -> None:
    """On this machine only, until stopped; a tunnel runs beside it."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        limits = limits or Limits()
        proxy = Proxy(session, upstreams, limits)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=log,
            shutdown_timeout=CLOSE_S,
            lingering_time=CLOSE_S,
            auto_decompress=False,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(close_silent(runner, proxy, limits), name="proxy.close_silent")
                await stopped.wait()
                watch.cancel()
        finally:
            await runner.cleanup()


async def run(environment: Mapping[str, str]) -> None:
    """`CALLIOPE_PROXY_PORT`, `CALLIOPE_PROXY_GATEWAY`, `CALLIOPE_PROXY_WORKER`; until SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    upstreams = Upstreams(environment["CALLIOPE_PROXY_GATEWAY"], environment["CALLIOPE_PROXY_WORKER"])
    await serve(int(environment["CALLIOPE_PROXY_PORT"]), upstreams, stopped)


if __name__ == "__main__":
    asyncio.run(run(os.environ))
    sys.exit(0)
