"""One media stream of a carrier: the websocket towards the product, the caller's frames out, its audio and marks in.

The carriers' messages differ in their words alone: media, marks and clears of the product are read in the same way.
"""

import asyncio
import base64
import binascii
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from calliope_sandbox.carrier_buffer import CarrierBuffer
from calliope_sandbox.person import FRAME_BYTES
from calliope_sandbox.tone_speech import SILENCE
from calliope_sandbox.vendors.host import GARBAGE, Trouble

CONNECT_S: Final = 5.0
STOP_S: Final = 1.0
MAX_NOTES: Final = 10_000
_QUIET: Final = base64.b64encode(bytes([SILENCE]) * FRAME_BYTES).decode()


@dataclass(slots=True, eq=False, kw_only=True)
class CarrierStream(ABC):
    """`read` runs until the product closes; `frame` is called every 20 ms and never waits for the product."""

    url: str
    sid: str
    trouble: Callable[[int], Trouble | None]
    early_frames: int = 0  # of silence, which overtake `start`
    buffer: CarrierBuffer = field(default_factory=CarrierBuffer)
    on_clear: Callable[[], None] = lambda: None
    on_audio: Callable[[], None] = lambda: None
    first_audio_ms: float | None = None  # since `start` was sent
    close_code: int | None = None
    problems: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _sequence: int = 1
    _chunk: int = 0
    _began_s: float = 0.0
    _silent: bool = False
    _reads: bool = True

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Of the upgrade."""

    @abstractmethod
    def hello(self) -> list[str]:
        """The first messages; the last of them is `start`."""

    @abstractmethod
    def said(self, sequence: int, chunk: int, payload: str) -> list[str]:
        """A frame of the caller, base64; sent now, or with a later one."""

    @abstractmethod
    def pressed(self, sequence: int, digit: str) -> str:
        """A key of the caller."""

    @abstractmethod
    def passed(self, sequence: int, mark: str) -> str:
        """A mark comes back."""

    @abstractmethod
    def stopped(self, sequence: int) -> str:
        """The last message."""

    async def open(self, session: aiohttp.ClientSession) -> bool:
        """Connect and say hello; False, when the product does not take the stream."""
        try:
            self._socket = await session.ws_connect(
                self.url,
                headers=self.headers(),
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                compress=0,
                autoping=True,
            )
            *first, start = self.hello()
            for message in (*first, *self._early(), start):
                await self._socket.send_str(message)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            self.problems.append(f"the stream was not taken: {exc}")
            return False
        self._began_s = time.monotonic()
        return True

    def _early(self) -> list[str]:
        early: list[str] = []
        for _ in range(self.early_frames):
            self._chunk += 1
            early += self.said(self._next(), self._chunk, _QUIET)
        return early

    async def read(self) -> None:
        """Take what the product sends, until it closes the socket."""
        socket = self._socket
        if socket is None:
            return
        async for message in socket:
            if not self._reads:
                continue  # read before the fault struck, and not looked at
            if message.type is not aiohttp.WSMsgType.TEXT:
                self.problems.append("a message that is no text")
                continue
            try:
                await self._take(orjson.loads(message.data))
            except (orjson.JSONDecodeError, KeyError, TypeError, binascii.Error) as exc:
                self.problems.append(f"unreadable, {type(exc).__name__}: {message.data[:100]}")
        self.close_code = socket.close_code

    async def frame(self, audio: bytes, *, voiced: bool, digits: str) -> None:
        """20 ms of the caller, and the keys pressed meanwhile. Raises: ConnectionError, when the socket is gone."""
        if self._silent:
            return
        trouble = self.trouble(self._chunk)
        if trouble is not None:
            await self._strike(trouble)
        payload = base64.b64encode(audio).decode() if voiced else _QUIET
        self._chunk += 1
        for text in self.said(self._next(), self._chunk, payload):
            await self._send(text)
        for digit in digits:
            await self._send(self.pressed(self._next(), digit))

    async def returned(self, marks: list[str]) -> None:
        """Marks whose audio was played. Raises: ConnectionError."""
        for name in marks:
            await self._send(self.passed(self._next(), name))

    async def stop(self) -> None:
        """The call ended, or its TwiML changed: say so and close."""
        if self._socket is None or self._socket.closed:
            return
        try:
            async with asyncio.timeout(STOP_S):
                await self._send(self.stopped(self._next()))
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            self.problems.append("the product was gone before the stream was stopped")
            return
        # A product that is frozen, or brings a tool to its end, is not waited for.
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._socket.close()

    def play(self, audio: bytes) -> None:
        """The product's audio, after what came before."""
        self.buffer.add(audio)

    async def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                if self.first_audio_ms is None:
                    self.first_audio_ms = (time.monotonic() - self._began_s) * 1_000
                self.on_audio()
                self.play(binascii.a2b_base64(message["media"]["payload"]))
            case "mark":
                await self.returned(self.buffer.mark(message["mark"]["name"]))
            case "clear":
                self.on_clear()
                await self.returned(self.buffer.clear())
            case other:
                self.problems.append(f"unknown event {other}")

    async def _strike(self, trouble: Trouble) -> None:
        match trouble.action:
            case "silent":
                self._silent = True
            case "drop":
                self._abort()
            case "stop_reading":
                self._stop_reading()
            case "lose_mark" if trouble.ms:
                self.buffer.lose_marks(trouble.ms)
            case "lose_mark":
                self.buffer.lose_mark()
            case "close":
                if self._socket is not None:
                    await self._socket.close(code=int(trouble.code or 1001))
            case "garbage":
                await self._send(GARBAGE)

    def _abort(self) -> None:
        """The network is gone: no `stop`, no close frame."""
        if (transport := self._transport()) is not None:
            transport.abort()

    def _stop_reading(self) -> None:
        """Nothing is taken from the socket any more, and nothing more is played; frames are sent as ever."""
        self._reads = False
        self.buffer = CarrierBuffer(gaps_ms=self.buffer.gaps_ms)
        if (transport := self._transport()) is not None:
            transport.pause_reading()

    def _transport(self) -> Any:
        if self._socket is None:
            return None
        return self._socket.get_extra_info("transport") or getattr(self._socket._writer, "transport", None)

    async def _send(self, text: str) -> None:
        if self._socket is None or self._socket.closed:
            raise ConnectionResetError
        try:
            await self._socket.send_str(text)
        except aiohttp.ClientError as exc:
            raise ConnectionResetError from exc

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
