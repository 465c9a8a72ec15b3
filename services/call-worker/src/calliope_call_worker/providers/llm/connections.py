"""Connections to servers of language models: none is opened while a caller waits, and none is thrown away in haste.

An answer that nobody wants any more is read to its end in the background, within a bound, so that its connection
serves the next one; where that is not worth it the connection is closed, which tells the server to stop. Whenever the
last idle connection to a server is taken, another one is opened beside the answer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import ClientResponse, ClientSession, HttpVersion11

from calliope.observability import metrics

OPEN_S: Final = 3.0
END_S: Final = 1.0
END_BYTES: Final = 64 * 1024
MAX_ENDINGS: Final = 64
"""Answers that are read to their ends at once; of more the connections are closed."""
MAX_OPENING: Final = 64
CLOSING_S: Final = 60.0
"""For so long a server that closes every connection is not asked for one in advance."""
MAX_CLOSING: Final = 1_000

Spawn = Callable[[Coroutine[Any, Any, None], str], object]
Purpose = Literal["answer", "spare"]
Server = tuple[str, int, bool]
"""Host, port, and whether it is asked over TLS."""
_OPENED: Final = metrics.counter(
    "calliope_llm_connections_total",
    "Connections opened to servers of language models: on the way of an answer, or in advance.",
    "provider",
    "purpose",
)


@dataclass(frozen=True, slots=True)
class Use:
    """What a request wants a connection for; handed to aiohttp with the request."""

    provider: str
    purpose: Purpose
    taken: Callable[[], None]
    """Told when the request has its connection."""


def tracing() -> aiohttp.TraceConfig:
    """What a session needs so that its connections to models are counted, and replaced when they are taken."""
    config = aiohttp.TraceConfig()

    async def created(_: ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(use := context.trace_request_ctx, Use):
            _OPENED.labels(use.provider, use.purpose).inc()
            use.taken()

    async def reused(_: ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(use := context.trace_request_ctx, Use):
            use.taken()

    config.on_connection_create_end.append(created)
    config.on_connection_reuseconn.append(reused)
    return config


def idle_connections(session: ClientSession, url: str) -> int:
    """How many open connections to a server wait to be used. aiohttp tells nobody: the one place that reaches in."""
    wanted = _server(url)
    pool = getattr(session.connector, "_conns", {})
    return sum(
        protocol.is_connected()
        for key, waiting in pool.items()
        if (key.host, key.port, key.is_ssl) == wanted
        for protocol, _ in waiting
    )


class ModelConnections:
    """The connections of one worker to all its models.

    `spawn` runs what goes on beside the answers; without it nothing does, and no connection is kept for its own sake.
    """

    def __init__(self, spawn: Spawn | None = None) -> None:
        self._spawn = spawn
        self._now = asyncio.get_running_loop().time
        self._endings = 0
        self._opening: set[Server] = set()
        self._closing: OrderedDict[Server, float] = OrderedDict()

    def use(self, session: ClientSession, url: str, provider: str) -> Use:
        """For a request that asks for an answer."""
        return Use(provider, "answer", partial(self.keep_spare, session, url, provider))

    def leave(self, response: ClientResponse, *, begun: bool) -> None:
        """An answer is over, or nobody wants more of it. `begun`: some of it came, so that its end is near.

        One that has not begun is cut: the server has written nothing yet that would have to be paid for.
        """
        if response.content.at_eof():
            response.release()
        elif begun and self._spawn is not None and self._endings < MAX_ENDINGS:
            self._endings += 1
            self._spawn(self._to_its_end(response), "model.answer_end")
        else:
            response.close()

    def keep_spare(self, session: ClientSession, url: str, provider: str) -> None:
        """Open a connection in the background when none is idle."""
        if self._spawn is not None and self._wants_spare(session, url):
            self._spawn(self.open_spare(session, url, provider), "model.connect")

    async def open_spare(self, session: ClientSession, url: str, provider: str) -> None:
        """Have an idle connection. Fails silently, within seconds."""
        if not self._wants_spare(session, url):
            return
        server = _server(url)
        self._opening.add(server)
        try:
            if not await ask_for_nothing(session, url, Use(provider, "spare", _nothing)):
                self._closing[server] = self._now() + CLOSING_S
                self._closing.move_to_end(server)
                if len(self._closing) > MAX_CLOSING:
                    self._closing.popitem(last=False)
        finally:
            self._opening.discard(server)

    def _wants_spare(self, session: ClientSession, url: str) -> bool:
        try:
            server = _server(url)
        except ValueError:
            return False
        known_to_close = self._closing.get(server, 0.0) > self._now()
        busy = server in self._opening or len(self._opening) >= MAX_OPENING
        return not (busy or known_to_close or idle_connections(session, url))

    async def _to_its_end(self, response: ClientResponse) -> None:
        """The rest of an answer, so that its connection can be used again; a server that goes on is cut."""
        size = 0
        try:
            with suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(END_S):
                    while size <= END_BYTES and (piece := await response.content.readany()):
                        size += len(piece)
        finally:
            self._endings -= 1
            if response.content.at_eof():
                response.release()
            else:
                response.close()


async def ask_for_nothing(session: ClientSession, url: str, use: Use) -> bool:
    """A request without a key, for the sake of its connection. Whether that stays open; no server, no answer: no."""
    with suppress(TimeoutError, aiohttp.ClientError, OSError, ValueError):
        async with (
            asyncio.timeout(OPEN_S),
            session.head(urljoin(url, "/"), allow_redirects=False, trace_request_ctx=use) as response,
        ):
            kept = response.version is not None and response.version >= HttpVersion11
            return kept and response.headers.get("Connection", "").lower() != "close"
    return False


def _server(url: str) -> Server:
    """Raises: ValueError."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls


def _nothing() -> None:
    """A spare connection needs no other."""
