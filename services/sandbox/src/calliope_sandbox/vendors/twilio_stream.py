"""One Media Stream of Twilio: the websocket towards the product, the caller's frames out, its audio and marks in."""

import base64
import binascii
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from calliope_sandbox.carrier_buffer import CarrierBuffer
from calliope_sandbox.person import FRAME_BYTES, FRAME_MS
from calliope_sandbox.tone_speech import SILENCE
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.host import GARBAGE, Trouble

MAX_NOTES: Final = 10_000
_QUIET: Final = base64.b64encode(bytes([SILENCE]) * FRAME_BYTES).decode()


@dataclass(slots=True)
class MediaStream:
    """`read` runs until the product closes; `frame` is called every 20 ms and never waits for the product."""

    account_sid: str
    call_sid: str
    auth_token: str
    url: str
    parameters: dict[str, str]
    trouble: Callable[[int], Trouble | None]
    sid: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))
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

    async def open(self, session: aiohttp.ClientSession) -> bool:
        """Connect and say hello; False, when the product does not take the stream."""
        headers = {"X-Twilio-Signature": words.sign(self.url, {}, self.auth_token), "User-Agent": "TwilioProxy/1.1"}
        try:
            self._socket = await session.ws_connect(
                self.url, headers=headers, timeout=aiohttp.ClientWSTimeout(ws_close=1.0), compress=0, autoping=True
            )
            await self._socket.send_str(words.connected())
            await self._socket.send_str(words.start(self.sid, self.account_sid, self.call_sid, self.parameters))
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            self.problems.append(f"the stream was not taken: {exc}")
            return False
        self._began_s = time.monotonic()
        return True

    async def read(self) -> None:
        """Take what the product sends, until it closes the socket."""
        socket = self._socket
        if socket is None:
            return
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                self.problems.append("31950: a message that is no text")
                continue
            try:
                await self._take(orjson.loads(message.data))
            except (orjson.JSONDecodeError, KeyError, TypeError, binascii.Error) as exc:
                self.problems.append(f"31924: {type(exc).__name__}: {message.data[:100]}")
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
        await self._send(words.media(self.sid, self._next(), self._chunk, self._chunk * FRAME_MS, payload))
        for digit in digits:
            await self._send(words.dtmf(self.sid, self._next(), digit))

    async def returned(self, marks: list[str]) -> None:
        """Marks whose audio was played. Raises: ConnectionError."""
        for name in marks:
            await self._send(words.mark(self.sid, self._next(), name))

    async def stop(self) -> None:
        """The call ended, or its TwiML changed: say so and close."""
        if self._socket is None or self._socket.closed:
            return
        try:
            await self._send(words.stop(self.sid, self._next(), self.account_sid, self.call_sid))
            await self._socket.close()
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            self.problems.append("the product was gone before the stream was stopped")

    async def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                if self.first_audio_ms is None:
                    self.first_audio_ms = (time.monotonic() - self._began_s) * 1_000
                self.on_audio()
                self.buffer.add(binascii.a2b_base64(message["media"]["payload"]))
            case "mark":
                await self.returned(self.buffer.mark(message["mark"]["name"]))
            case "clear":
                self.on_clear()
                await self.returned(self.buffer.clear())
            case other:
                self.problems.append(f"31924: unknown event {other}")

    async def _strike(self, trouble: Trouble) -> None:
        match trouble.action:
            case "silent":
                self._silent = True
            case "drop":
                if self._socket is not None:
                    await self._abort(self._socket)
            case "close":
                if self._socket is not None:
                    await self._socket.close(code=int(trouble.code or 1001))
            case "garbage":
                await self._send(GARBAGE)

    async def _abort(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """The network is gone: no `stop`, no close frame."""
        transport = socket.get_extra_info("transport") or getattr(socket._writer, "transport", None)
        if transport is not None:
            transport.abort()

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
