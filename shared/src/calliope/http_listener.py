"""One HTTP listener of a service: aiohttp's server, with deadlines and caps on its connections.

    limits = ConnectionLimits(overall=4_096, per_address=256)
    async with listening(app, "api", host="127.0.0.1", port=8080, limits=limits) as (host, port):
        ...

A connection is closed when the headers of a request have not arrived in time, when its client does not read what it
asked for, and when there are too many. Beyond `overall` the one that waits longest for a request makes room for the
newest, so that connections without requests keep nobody out.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from calliope.client_address import is_in, network_of
from calliope.errors import PermanentError
from calliope.observability import metrics

BACKLOG: Final = 512
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONG_HEADER: Final = "a header of the request, or all of them together, is too long"
_MALFORMED: Final = "the request is not HTTP/1.1 as it is written: its request line, a header or its framing is wrong"

_OPEN: Final = metrics.gauge("calliope_http_connections", "Connections that are open now.", "listener")
_CLOSED: Final = metrics.counter(
    "calliope_http_connections_closed_total",
    "Connections that were closed because of their client: `headers` did not arrive, answers were `unread`, too many "
    "in all (`overall`) or from one `address`.",
    "listener",
    "reason",
)

log = structlog.get_logger(__name__)

Answer = Callable[[int, str], web.Response]
"""The response to a request that is not HTTP: a status and what is wrong."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections may do. Addresses in `exempt` (proxies in front) may have any share of `overall`.

    `per_address` counts an IPv6 network of 64 bits as one address, because one client has all of it.
    """

    overall: int
    per_address: int
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()
    headers_s: float = 10.0
    read_s: float = 30.0


def plain_answer(status: int, detail: str) -> web.Response:
    """Says in plain text what is wrong."""
    return web.Response(status=status, text=f"{detail}\n", content_type="text/plain")


@asynccontextmanager
async def listening(
    app: web.Application,
    name: str,
    *,
    host: str,
    port: int,
    limits: ConnectionLimits,
    shutdown_timeout_s: float = 1.0,
    answer: Answer = plain_answer,
    setting: str = "CALLIOPE_HTTP__PORT",
) -> AsyncIterator[tuple[str, int]]:
    """`app` served while the block lasts; gives address and port. `name` labels its metrics.

    Leaving ends what is idle at once and gives requests under way `shutdown_timeout_s`. Raises: PermanentError, which
    names `setting`, when it cannot listen there.
    """
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout_s)
    await runner.setup()
    try:
        door = _Door(name, limits, answer)
        server = runner.server
        assert server is not None  # noqa: S101 - set up above
        try:
            sockets = await loop.create_server(lambda: _Connection(server, door, loop), host, port, backlog=BACKLOG)
        except OSError as exc:
            why = exc.strerror or str(exc)
            raise PermanentError(f"cannot listen on port {port} of {host} ({why}): set {setting}") from exc
        try:
            at = sockets.sockets[0].getsockname()
            yield str(at[0]), int(at[1])
        finally:
            sockets.close()
    finally:
        await runner.cleanup()


class _Door:
    """Who may come in. Everything runs in the event loop and never waits."""

    def __init__(self, name: str, limits: ConnectionLimits, answer: Answer) -> None:
        self.name = name
        self.limits = limits
        self.answer = answer
        self._inside = 0
        self._of: Counter[str] = Counter()
        self._idle: OrderedDict[_Connection, None] = OrderedDict()

    def admit(self, connection: "_Connection", address: str) -> str | None:
        """The key to give back with `leave`; None, when this one is too many."""
        counted = "" if is_in(address, self.limits.exempt) else network_of(address)
        if counted and self._of[counted] >= self.limits.per_address:
            self.closed("address")
            return None
        if self._inside >= self.limits.overall:
            self.closed("overall")
            if not self._idle:
                return None
            self._idle.popitem(last=False)[0].abort()
        self._inside += 1
        self._of[counted] += 1
        self._idle[connection] = None
        _OPEN.labels(self.name).set(self._inside)
        return counted

    def leave(self, connection: "_Connection", counted: str) -> None:
        """It is closed."""
        self._idle.pop(connection, None)
        self._inside -= 1
        self._of[counted] -= 1
        if not self._of[counted]:
            del self._of[counted]
        _OPEN.labels(self.name).set(self._inside)

    def waits(self, connection: "_Connection") -> None:
        """It has no request under way: it can be asked to leave."""
        self._idle[connection] = None

    def works(self, connection: "_Connection") -> None:
        """A request came."""
        self._idle.pop(connection, None)

    def closed(self, reason: str) -> None:
        """Count it."""
        _CLOSED.labels(self.name, reason).inc()


class _Connection(RequestHandler):
    """aiohttp's connection with a deadline for headers, one for reading answers, and errors that echo nothing."""

    __slots__ = ("_counted", "_door", "_headers_due", "_read_due", "_socket")

    def __init__(self, server: web.Server, door: _Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]  # it takes None for no log
        self._door = door
        self._counted: str | None = None
        self._socket: asyncio.Transport | None = None
        self._headers_due: asyncio.TimerHandle | None = None
        self._read_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        peer = socket.get_extra_info("peername")
        self._counted = self._door.admit(self, peer[0] if peer else "")
        if self._counted is None:
            socket.write(_FULL)
            socket.close()
            return
        self._socket = socket
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted is None:
            return
        counted, self._counted = self._counted, None
        self._door.leave(self, counted)
        for due in (self._headers_due, self._read_due):
            if due is not None:
                due.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._counted is None:
            return
        known = self._request_count
        super().data_received(data)
        if self._request_count > known:
            self._door.works(self)
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None
        elif data and self._waiter is not None:  # the first bytes of a request on a connection that is kept
            self._await_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_due = self._loop.call_later(self._door.limits.read_s, self._end, "unread")

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_due is not None:
            self._read_due.cancel()
            self._read_due = None

    def abort(self) -> None:
        """Close at once, whatever was not written."""
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached a handler; aiohttp would repeat the request's own bytes."""
        if isinstance(exc, HttpProcessingError):
            too_long = isinstance(exc, LineTooLong)
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST
            detail = _LONG_HEADER if too_long else _MALFORMED
        else:
            log.error("http.request_failed", listener=self._door.name, status=status, exc_info=exc)
            detail = "something went wrong here; it was logged"
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        response = self._door.answer(int(status), detail)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """A body that broke off was answered, and ends the connection; a stranger's body is no error of ours."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    async def _handle_request(self, *request: Any) -> Any:
        try:
            return await super()._handle_request(*request)
        finally:
            if self._counted is not None and not self._messages:
                self._door.waits(self)

    def _await_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self._loop.call_later(self._door.limits.headers_s, self._end, "headers")

    def _end(self, reason: str) -> None:
        self._door.closed(reason)
        self.abort()
