"""One address for a tunnel: carriers' audio goes to the call-worker, everything else to the gateway.

A process of its own (`python -m calliope_local.proxy`), for one machine; an installation has Caddy or nginx there. What
concerns this machine only (metrics, health) is not passed on.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

MEDIA: Final = "/media/"
PRIVATE: Final = frozenset({"/metrics", "/livez", "/readyz"})
MAX_REQUESTS: Final = 512
"""Under way at once, calls included; beyond it 503."""
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_MESSAGE_BYTES: Final = 256 * 1024
CONNECT_S: Final = 3.0
ANSWER_S: Final = 60.0
"""Between two pieces of an answer; live feeds send a sign of life more often."""
CLOSE_S: Final = 2.0
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HANDSHAKE: Final = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})


@dataclass(frozen=True, slots=True)
class Upstreams:
    """`http://127.0.0.1:…` of both."""

    gateway: str
    worker: str


class Proxy:
    """Passes requests on as they are, `Host` included: carriers sign the address that they were given."""

    def __init__(self, session: aiohttp.ClientSession, upstreams: Upstreams, *, limit: int = MAX_REQUESTS) -> None:
        self._session = session
        self._upstreams = upstreams
        self._limit = limit
        self.under_way = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, or one media socket until either side closes it."""
        if request.path in PRIVATE:
            raise web.HTTPNotFound
        if self.under_way >= self._limit:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        self.under_way += 1
        try:
            if request.path.startswith(MEDIA):
                return await self._media(request)
            return await self._request(request)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise web.HTTPBadGateway(text="The service behind this address does not answer.") from exc
        finally:
            self.under_way -= 1

    async def _request(self, request: web.Request) -> web.StreamResponse:
        async with self._session.request(
            request.method,
            self._upstreams.gateway + request.raw_path,
            headers=_passed_on(request),
            data=await request.read() if request.body_exists else None,
            allow_redirects=False,
        ) as upstream:
            headers = CIMultiDict(
                (name, value) for name, value in upstream.headers.items() if name.lower() not in _HOP_BY_HOP
            )
            answer = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
            await answer.prepare(request)
            async for chunk in upstream.content.iter_any():
                await answer.write(chunk)
            await answer.write_eof()
            return answer

    async def _media(self, request: web.Request) -> web.StreamResponse:
        headers = _passed_on(request, _HANDSHAKE)
        try:
            async with asyncio.timeout(CONNECT_S):
                upstream = await self._session.ws_connect(
                    self._upstreams.worker + request.raw_path, headers=headers, max_msg_size=MAX_MESSAGE_BYTES
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


async def serve(port: int, upstreams: Upstreams, stopped: asyncio.Event) -> None:
    """On this machine only, until stopped; a tunnel runs beside it."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", Proxy(session, upstreams).handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await stopped.wait()
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
