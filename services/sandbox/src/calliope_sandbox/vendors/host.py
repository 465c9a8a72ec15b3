"""What a provider twin needs of the sandbox around it, and how armed trouble acts on its sockets and streams."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from aiohttp import web

from calliope_sandbox.knobs import Knobs
from calliope_sandbox.llm_scripts import ScriptStore
from calliope_sandbox.sloppiness import Sloppiness

DRIP_PIECES = 20
GARBAGE = "\u0000{not json"
_FOREVER_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault, as it acts on an exchange.

    refuse: the HTTP status instead of an answer. silent: nothing more is sent. drop: the TCP connection is reset.
    close: the websocket closes with `code`. error: the vendor's error message, then as the vendor does. garbage:
    bytes that are no message. slow: `ms` before this message. drip: it comes in small pieces, `ms` before each.
    Of carriers alone: stop_reading: the media socket is not read any more, and nothing is played; frames are sent as
    ever. lose_mark: the next mark at the end of what is played does not come back; with `ms` none that is passed within
    that time.
    """

    action: str
    status: int = 503
    code: str = ""
    reason: str = "injected fault"
    ms: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """The sandbox, as a provider twin sees it."""

    @property
    def knobs(self) -> Knobs:
        """How the twins behave."""

    @property
    def scripts(self) -> ScriptStore:
        """What the models answer."""

    @property
    def sloppiness(self) -> Sloppiness:
        """Which requests are answered as sloppy vendors do."""

    def record(self, kind: str, entry: dict[str, Any]) -> None:
        """Keep an entry that is still being filled; it is shown as it stands."""

    def arm(self, fault: Mapping[str, Any]) -> None:
        """As `POST /sandbox/faults` would. Raises: ValueError."""

    def account(self, carrier: str) -> Mapping[str, Any] | None:
        """The account that every number of a carrier belongs to which was not registered; None: such ring nobody."""

    def trouble(self, vendor: str, *, call: str, key: str, sent: int | None) -> Trouble | None:
        """The fault that strikes now, if any. `sent` is the number of messages sent; None is before the first byte."""


class DroppedError(ConnectionResetError):
    """We reset the connection ourselves, as was asked."""


def reset(request: web.Request) -> None:
    """End the TCP connection without a word."""
    if request.transport is not None:
        request.transport.abort()


@dataclass(slots=True)
class TroubledSocket:
    """A websocket towards a client, on which armed faults act; `send` and `heard` are where they strike."""

    ws: web.WebSocketResponse
    request: web.Request
    host: Host
    vendor: str
    key: str
    error: dict[str, Any]
    call: str = ""
    sent: int = 0
    silent: bool = False
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def heard(self) -> None:
        """A message came in; a fault may strike even when nothing is being sent. Raises: DroppedError."""
        await self._strike()

    async def send(self, message: dict[str, Any] | bytes) -> bool:
        """Send a message, bytes as they are, unless a fault swallows it; False when it did.

        Raises: DroppedError, ConnectionResetError.
        """
        async with self._writing:
            piece_ms = await self._strike()
            if self.silent or self.ws.closed:
                return False
            self.sent += 1
            if piece_ms:
                await self._drip(message, piece_ms)
            elif isinstance(message, bytes):
                await self.ws.send_bytes(message)
            else:
                await self.ws.send_str(orjson.dumps(message).decode())
        return True

    async def _drip(self, message: dict[str, Any] | bytes, piece_ms: float) -> None:
        """One frame, written to the connection in pieces."""
        opcode, payload = (b"\x82", message) if isinstance(message, bytes) else (b"\x81", orjson.dumps(message))
        size = len(payload)
        length = bytes([size]) if size < 126 else bytes([126]) + size.to_bytes(2)
        frame = opcode + (length if size < 65_536 else bytes([127]) + size.to_bytes(8)) + payload
        step = -(-len(frame) // DRIP_PIECES)
        for at in range(0, len(frame), step):
            await asyncio.sleep(piece_ms / 1_000)
            if self.request.transport is None or self.request.transport.is_closing():
                raise ConnectionResetError
            self.request.transport.write(frame[at : at + step])

    async def _strike(self) -> float:
        """What is armed happens; how slowly the next message is to drip, in ms per piece."""
        trouble = self.host.trouble(self.vendor, call=self.call, key=self.key, sent=self.sent)
        if trouble is None:
            return 0.0
        match trouble.action:
            case "silent":
                self.silent = True
            case "drop":
                reset(self.request)
                raise DroppedError
            case "close":
                await self.ws.close(code=int(trouble.code or 1011), message=trouble.reason.encode()[:120])
            case "error":
                await self.ws.send_str(orjson.dumps(self.error | {"message": trouble.reason}).decode())
                await self.ws.close(code=int(trouble.code or 1011), message=trouble.reason.encode()[:120])
            case "garbage":
                await self.ws.send_str(GARBAGE)
            case "slow":
                await asyncio.sleep(trouble.ms / 1_000)
            case "drip":
                return trouble.ms
        return 0.0


@dataclass(slots=True)
class TroubledStream:
    """A streamed HTTP answer, on which armed faults act before each write."""

    response: web.StreamResponse
    request: web.Request
    host: Host
    vendor: str
    key: str
    error: bytes
    call: str = ""
    sent: int = 0

    async def write(self, data: bytes) -> None:
        """Write, unless a fault strikes. Raises: DroppedError."""
        trouble = self.host.trouble(self.vendor, call=self.call, key=self.key, sent=self.sent)
        self.sent += 1
        match trouble.action if trouble else None:
            case "silent":
                await asyncio.sleep(_FOREVER_S)
            case "drop" | "close":
                reset(self.request)
                raise DroppedError
            case "error":
                await self.response.write(self.error)
                raise DroppedError
            case "garbage":
                await self.response.write(b"data: " + GARBAGE.encode() + b"\n\n")
            case "slow" if trouble:
                await asyncio.sleep(trouble.ms / 1_000)
            case "drip" if trouble:
                for at in range(len(data)):
                    await self.response.write(data[at : at + 1])
                    await asyncio.sleep(trouble.ms / 1_000)
                return
        await self.response.write(data)


async def refused(host: Host, vendor: str, request: web.Request, *, call: str, key: str) -> Trouble | None:
    """The trouble that refuses a request outright; waits, drops or keeps silent itself. Raises: DroppedError."""
    trouble = host.trouble(vendor, call=call, key=key, sent=None)
    match trouble.action if trouble else None:
        case "slow" if trouble:
            await asyncio.sleep(trouble.ms / 1_000)
            return None
        case "silent":
            await asyncio.sleep(_FOREVER_S)
        case "drop":
            reset(request)
            raise DroppedError
    return trouble
