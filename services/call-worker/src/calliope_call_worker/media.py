"""Edge of media: a carrier's socket is checked (signature, one-time token) and handed to the call that waits for it."""

import asyncio
import hmac
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import aiohttp
import structlog
from aiohttp import web

from calliope.observability import metrics
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.telephony.base import MediaCodec, MediaEvent, MediaFrame, MediaStarted
from calliope_call_worker.settings import MediaSettings

log = structlog.get_logger(__name__)

START_S: Final = 5.0
SEND_S: Final = 5.0
CLOSE_S: Final = 1.0
MAX_OUT: Final = 500  # messages; at 200 ms of audio each, far beyond the lead that a call allows itself
UNSENT_BYTES: Final = 16 * 1024  # one and a half seconds of audio; a carrier that reads leaves nothing
KERNEL_BYTES: Final = 64 * 1024  # of the system's own buffer, which would hide for minutes that nobody reads
POLICY_VIOLATION: Final = 1008
EARLY_BYTES: Final = 8_000 * 5
"""Of audio that overtook `start` so much is kept, the newest; an event of another kind counts like a frame."""
_FRAME_BYTES: Final = 160
_CLOSED: Final = {
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
}
_MALFORMED: Final = metrics.counter("calliope_media_malformed_total", "Messages of carriers that could not be read.")


class CarrierGoneError(Exception):
    """The media socket is closed or takes nothing more."""


class MediaSocket:
    """One carrier stream: parsed events in, messages out in order. `send` never waits; `drain` does the writing."""

    def __init__(
        self, socket: web.WebSocketResponse, codec: MediaCodec, transport: asyncio.WriteTransport | None = None
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._overflowed = False
        self._codec = codec
        self._out: deque[str] = deque()
        self._wake = asyncio.Event()
        self._early: deque[MediaEvent] = deque()

    def send_audio(self, payload: bytes) -> None:
        """Play after what was sent before. When far too much waits, nothing more is taken and `drain` says so."""
        self._push(*self._codec.audio(payload))

    def send_mark(self, name: str) -> None:
        """Ask to be told when everything before was played."""
        self._push(*self._codec.mark(name))

    def clear(self) -> None:
        """Drop what the carrier has not played, and what still waits here."""
        self._out.clear()
        self._push(self._codec.clear())

    def _push(self, *messages: str) -> None:
        if len(self._out) >= MAX_OUT:
            self._overflowed = True
        else:
            self._out.extend(messages)
        self._wake.set()

    def abort(self) -> None:
        """Give the socket up without a word: `receive` says that it is closed."""
        if self._transport is not None:
            self._transport.abort()

    async def drain(self) -> None:
        """Write what `send` left, for as long as the call lasts. Raises: CarrierGoneError."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._overflowed:
                raise CarrierGoneError("the carrier does not take our audio")
            try:
                async with asyncio.timeout(SEND_S):
                    while self._out:
                        await self._socket.send_str(self._out.popleft())
            except (ConnectionError, TimeoutError, RuntimeError) as exc:
                raise CarrierGoneError(f"writing to the carrier failed: {type(exc).__name__}") from exc

    async def started(self) -> MediaStarted | None:
        """The first event; None, when the socket is closed. What overtook it is received behind it."""
        early: deque[MediaEvent] = deque()
        waiting_bytes = 0
        while (event := await self.receive()) is not None:
            if isinstance(event, MediaStarted):
                self._early = early
                return event
            early.append(event)
            waiting_bytes += _weight(event)
            while waiting_bytes > EARLY_BYTES:
                waiting_bytes -= _weight(early.popleft())
        return None

    async def receive(self) -> MediaEvent | None:
        """The next event; None, when the socket is closed. Malformed messages are skipped and counted."""
        if self._early:
            return self._early.popleft()
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                try:
                    event = self._codec.parse(message.data)
                except ValueError as exc:
                    _MALFORMED.inc()
                    log.warning("media.malformed", error=str(exc)[:200])
                    continue
                if event is not None:
                    return event
            elif message.type in _CLOSED:
                return None

    async def close(self, code: int = 1000) -> None:
        """Close politely within a second."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            log.debug("media.close_unanswered")


class WaitingCall(Protocol):
    """A call whose media may come."""

    @property
    def plan(self) -> CallPlan:
        """Whose token opens the socket."""

    def attach(self, socket: MediaSocket, started: MediaStarted) -> bool:
        """Take the socket; False, when the call has one already or is over."""

    async def released(self) -> None:
        """Until the call does not need the socket any more."""


class MediaEndpoint:
    """`GET /media/{carrier}/{call_id}[/{token}]`: the address that only one call's answer named.

    The token that opens it once comes in the path, or with the carrier's first message.
    """

    def __init__(
        self, settings: MediaSettings, find: Callable[[str], WaitingCall | None], media_url: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._find = find
        self._media_url = media_url

    def routes(self) -> list[web.RouteDef]:
        """Both forms of the one address."""
        path = "/media/{carrier}/{call_id}"
        return [web.get(path, self._handle), web.get(path + "/{token}", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = self._find(request.match_info["call_id"])
        if call is None or call.plan.carrier.name != request.match_info["carrier"]:
            raise web.HTTPNotFound
        plan = call.plan
        url = f"{self._media_url()}/{plan.carrier.name}/{plan.call_id}"
        if self._settings.require_signature and not plan.carrier.verify_media(request.headers, plan.account, url):
            log.warning("media.refused", reason="signature", call_id=plan.call_id)
            raise web.HTTPForbidden
        stream = web.WebSocketResponse(
            max_msg_size=self._settings.max_message_bytes,
            heartbeat=20.0,
            compress=False,
            timeout=CLOSE_S,
            writer_limit=UNSENT_BYTES,
        )
        await stream.prepare(request)
        media = MediaSocket(stream, plan.carrier.codec(), _bounded(request.transport))
        started = await _started(media)
        if started is None or not _may_enter(started, plan, request.match_info.get("token")):
            log.warning("media.refused", reason="no start" if started is None else "token", call_id=plan.call_id)
            await media.close(POLICY_VIOLATION)
        elif not call.attach(media, started):
            log.warning("media.refused", reason="used already", call_id=plan.call_id)
            await media.close(POLICY_VIOLATION)
        else:
            await call.released()
            await media.close()
        return stream


def _bounded(transport: asyncio.Transport | None) -> asyncio.Transport | None:
    """A transport that takes little of what the other side does not read, so that this is noticed."""
    if transport is not None:
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    return transport


async def _started(media: MediaSocket) -> MediaStarted | None:
    try:
        async with asyncio.timeout(START_S):
            return await media.started()
    except TimeoutError:
        return None


def _weight(event: MediaEvent) -> int:
    return len(event.audio) if isinstance(event, MediaFrame) else _FRAME_BYTES


def _may_enter(started: MediaStarted, plan: CallPlan, in_path: str | None) -> bool:
    given = started.parameters.get("token", "") if in_path is None else in_path
    return hmac.compare_digest(given.encode(), plan.token.encode()) and started.carrier_call_id == plan.carrier_call_id
