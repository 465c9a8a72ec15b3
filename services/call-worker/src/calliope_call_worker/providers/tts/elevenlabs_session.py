"""One call's connection to ElevenLabs: replies as contexts on one socket, which is replaced when it has died."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
import structlog
from aiohttp import ClientWebSocketResponse, WSMsgType

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts import elevenlabs_words as words
from calliope_call_worker.providers.tts.base import SpeechStream
from calliope_call_worker.providers.tts.elevenlabs_stream import ElevenLabsStream
from calliope_call_worker.providers.wire import Spawn, close_socket

log = structlog.get_logger(__name__)

MAX_CONTEXTS: Final = 5  # the sixth kills the socket
SLOT_S: Final = 0.2  # how long a closed context may take to be free before a new socket is quicker
SEND_S: Final = 1.0
RETIRE_S: Final = 10.0


@dataclass(slots=True, eq=False)
class Line:
    """One socket: who is spoken on it, and which contexts the vendor still counts."""

    socket: ClientWebSocketResponse
    sent_at: float
    streams: dict[str, ElevenLabsStream] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    failure: ProviderError | None = None

    @property
    def alive(self) -> bool:
        """Whether it can be spoken on, as far as is known."""
        return self.failure is None and not self.socket.closed

    def fail(self, failure: ProviderError) -> None:
        """It is dead, and with it every reply on it."""
        self.failure = self.failure or failure
        for stream in self.streams.values():
            stream.fail(self.failure)
        self.streams.clear()
        self.counted.clear()
        self.freed.set()


class ElevenLabsSession:
    """See `VoiceSession`."""

    def __init__(
        self, connect: Callable[[], Awaitable[ClientWebSocketResponse]], settings: dict[str, Any], spawn: Spawn
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._spawn = spawn
        self._now = asyncio.get_running_loop().time
        self._connecting = asyncio.Lock()
        self._line: Line | None = None
        self._names = (f"r{number}" for number in itertools.count(1))

    @property
    def alive(self) -> bool:
        """Whether the socket is open, as far as is known; if not, the next reply gets a new one."""
        return self._line is not None and self._line.alive

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        """See `VoiceSession`."""
        return self._speak()

    @asynccontextmanager
    async def _speak(self) -> AsyncIterator[SpeechStream]:
        stream = ElevenLabsStream(self)
        try:
            yield stream
        finally:
            with suppress(ProviderError):
                await stream.leave()

    async def line(self) -> Line:
        """A live socket, a new one if need be. Raises: ProviderError."""
        async with self._connecting:
            if self._line is None or not self._line.alive:
                line = Line(await self._connect(), self._now())
                self._spawn(self._read(line), "tts.elevenlabs.read")
                self._line = line
            return self._line

    async def begin(self, stream: ElevenLabsStream) -> tuple[Line, str]:
        """A context for a reply. Raises: ProviderError."""
        line = await self.line()
        if len(line.counted) >= MAX_CONTEXTS:
            line = await self._with_slot(line)
        context = next(self._names)
        line.streams[context] = stream
        line.counted.add(context)
        await self.send(line, words.begin(context, self._settings))
        return line, context

    async def send(self, line: Line, message: str) -> None:
        """Raises: ProviderError; then the socket is dead."""
        if line.failure is not None:
            raise line.failure
        try:
            async with asyncio.timeout(SEND_S):
                await line.socket.send_str(message)
        except (aiohttp.ClientError, OSError) as exc:
            line.fail(ProviderError(words.NAME, Failure.DROPPED, "the connection is closed"))
            raise ProviderError(words.NAME, Failure.DROPPED, "the connection is closed") from exc
        line.sent_at = self._now()

    def forget(self, line: Line, context: str) -> None:
        """Nobody listens to this context any more; it counts until the vendor says that it is final."""
        line.streams.pop(context, None)
        line.freed.set()

    async def keep_alive(self, every_s: float) -> None:
        """Runs beside the session: a word to the vendor when nothing was said for a while."""
        while True:
            line = self._line
            quiet_s = self._now() - line.sent_at if line is not None and line.alive else 0.0
            if line is None or quiet_s < every_s:
                await asyncio.sleep(every_s - quiet_s)
                continue
            with suppress(ProviderError):
                await self.send(line, words.keep_alive(next(iter(line.streams), None)))

    async def close(self) -> None:
        """Politely, within a second."""
        line = self._line
        if line is not None:
            line.failure = line.failure or ProviderError(words.NAME, Failure.DROPPED, "the session was closed")
            await close_socket(line.socket, words.CLOSE_SOCKET)

    async def _with_slot(self, line: Line) -> Line:
        with suppress(TimeoutError):
            async with asyncio.timeout(SLOT_S):
                while len(line.counted) >= MAX_CONTEXTS:
                    line.freed.clear()
                    await line.freed.wait()
        if line.alive and len(line.counted) < MAX_CONTEXTS:
            return line
        if self._line is line:
            self._line = None
            self._spawn(self._retire(line), "tts.elevenlabs.retire")
        return await self.line()

    async def _retire(self, line: Line) -> None:
        """Its contexts do not become free: let the replies on it end, then close it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETIRE_S):
                while line.streams:
                    line.freed.clear()
                    await line.freed.wait()
        line.fail(ProviderError(words.NAME, Failure.DROPPED, "the connection was replaced"))
        await close_socket(line.socket, words.CLOSE_SOCKET)

    async def _read(self, line: Line) -> None:
        """Until the line fails or nobody wants it; then its connection is given back."""
        try:
            while line.failure is None:
                message = await line.socket.receive()
                if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                    try:
                        self._take(line, orjson.loads(message.data))
                    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
                        line.fail(ProviderError(words.NAME, Failure.MALFORMED, "a message could not be read"))
                else:
                    detail = f"closed unasked: {line.socket.close_code} {str(message.extra or '')[:100]}".strip()
                    line.fail(ProviderError(words.NAME, Failure.DROPPED, detail))
        finally:
            await close_socket(line.socket)

    def _take(self, line: Line, message: dict[str, Any]) -> None:
        context = message.get("contextId") or message.get("context_id") or ""
        if ("error" in message or "detail" in message) and (error := words.error_of(message)) is not None:
            if context and context not in line.streams:
                log.debug("tts.late_error", provider=words.NAME, error=error[1])
            else:
                line.fail(ProviderError(words.NAME, *error))
            return
        stream = line.streams.get(context)
        if stream is not None and message.get("audio"):
            stream.hear(words.audio_of(message), *words.times_of(message))
        if message.get("isFinal") or message.get("is_final"):
            line.counted.discard(context)
            line.streams.pop(context, None)
            line.freed.set()
            if stream is not None:
                stream.final()
