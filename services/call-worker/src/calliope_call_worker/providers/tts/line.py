"""One call's sockets to a voice: one is kept open, replaced when it has died or is worn, each read by its own task."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import aiohttp
import orjson
from aiohttp import ClientWebSocketResponse, WSMsgType

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts.base import SpeechStream, VoiceSession
from calliope_call_worker.providers.wire import CLOSE_S, Spawn, close_socket, helpers, transport_of

SEND_S: Final = 1.0
_UNREADABLE: Final = (ValueError, TypeError, AttributeError, KeyError, IndexError)


class Talk(Protocol):
    """What a vendor makes of one socket."""

    @property
    def free(self) -> bool:
        """Whether another reply may begin on it."""

    @property
    def busy(self) -> bool:
        """Whether somebody listens to a reply on it."""

    def take(self, message: dict[str, Any]) -> None:
        """A text message came. Raises: ProviderError, when the socket is of no use any more."""

    def hear(self, audio: bytes) -> None:
        """A binary message came. Raises: as `take`."""

    def fail(self, error: ProviderError) -> None:
        """The socket is dead, and with it every reply on it."""


class Line:
    """One socket. Whoever sends learns that it is dead by an error; whoever waits, by `dead`."""

    def __init__(self, provider: str, socket: ClientWebSocketResponse) -> None:
        self.provider = provider
        self.socket = socket
        self.opened_at = asyncio.get_running_loop().time()
        self.failure: ProviderError | None = None
        self.dead = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether it can be spoken on, as far as is known."""
        return self.failure is None and not self.socket.closed

    def fail(self, failure: ProviderError) -> None:
        """The first failure is the one that counts."""
        self.failure = self.failure or failure
        self.dead.set()

    async def send(self, *messages: dict[str, Any]) -> None:
        """In this order. Raises: ProviderError; then the socket is dead."""
        try:
            async with asyncio.timeout(SEND_S):
                for message in messages:
                    if self.failure is not None:
                        raise self.failure
                    await self.socket.send_str(orjson.dumps(message).decode())
        except (aiohttp.ClientError, OSError) as exc:  # TimeoutError is an OSError
            self.fail(ProviderError(self.provider, Failure.DROPPED, "the connection is closed"))
            if (transport := transport_of(self.socket)) is not None:
                transport.abort()  # the reader wakes up and tells the replies
            raise ProviderError(self.provider, Failure.DROPPED, "the connection is closed") from exc


T = TypeVar("T", bound=Talk)
Dial = Callable[[], Awaitable[ClientWebSocketResponse]]


@dataclass(frozen=True, slots=True)
class Manners(Generic[T]):
    """How a vendor's sockets are treated. `farewell` is said before closing, which may take `close_s`."""

    provider: str
    dial: Dial
    talk: Callable[[Line], T]
    farewell: tuple[str, ...] = ()
    close_s: float = CLOSE_S
    of_close: Callable[[int | None, str], Failure] = lambda code, reason: Failure.DROPPED


class Lines(Generic[T]):
    """The sockets of one call: as many as replies are spoken at once, which is one nearly always."""

    def __init__(self, manners: Manners[T], spawn: Spawn) -> None:
        self._manners = manners
        self._spawn = spawn
        self._connecting = asyncio.Lock()
        self._open: list[tuple[Line, T]] = []
        self._sockets: set[Line] = set()  # every one that is not closed yet
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether a reply can begin without connecting, as far as is known."""
        return any(line.alive and talk.free for line, talk in self._open)

    async def get(self) -> T:
        """A socket on which a reply can begin, a new one if need be. Raises: ProviderError."""
        async with self._connecting:
            for line, talk in self._open:
                if line.alive and talk.free:
                    return talk
            line = Line(self._manners.provider, await self._manners.dial())
            self._sockets.add(line)
            if self._closed:
                await self._hang_up(line)
                raise ProviderError(self._manners.provider, Failure.DROPPED, "the session was closed")
            talk = self._manners.talk(line)
            self._keep_busy_ones()
            self._open.append((line, talk))
            self._spawn(self._read(line, talk), f"tts.{self._manners.provider}.read")
            return talk

    def replace(self, line: Line) -> None:
        """Nobody wants what still comes on it: drop it, and open another before it is needed."""
        self._retire(line)
        self._spawn(self._dial_again(), f"tts.{self._manners.provider}.dial")

    async def close(self) -> None:
        """Politely, within the vendor's time."""
        self._closed = True
        async with asyncio.TaskGroup() as closing:
            for line in list(self._sockets):
                line.fail(ProviderError(self._manners.provider, Failure.DROPPED, "the session was closed"))
                closing.create_task(self._hang_up(line), name=f"tts.{self._manners.provider}.close")

    def _keep_busy_ones(self) -> None:
        """What is neither free nor spoken on is worn."""
        for line, talk in self._open:
            if line.alive and not talk.busy:
                self._retire(line)
        self._open = [(line, talk) for line, talk in self._open if line.alive]

    def _retire(self, line: Line) -> None:
        line.fail(ProviderError(self._manners.provider, Failure.DROPPED, "the connection was replaced"))
        self._spawn(self._hang_up(line), f"tts.{self._manners.provider}.retire")

    async def _dial_again(self) -> None:
        with suppress(ProviderError):  # the next reply dials for itself, and learns why it cannot
            await self.get()

    async def _hang_up(self, line: Line) -> None:
        manners = self._manners
        if manners.close_s < CLOSE_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(manners.close_s):
                    await close_socket(line.socket, *manners.farewell)
        else:
            await close_socket(line.socket, *manners.farewell)
        self._sockets.discard(line)

    async def _read(self, line: Line, talk: T) -> None:
        provider = self._manners.provider
        while line.failure is None:
            message = await line.socket.receive()
            try:
                if message.type is WSMsgType.TEXT:
                    talk.take(orjson.loads(message.data))
                elif message.type is WSMsgType.BINARY:
                    talk.hear(message.data)
                else:
                    code, reason = line.socket.close_code, str(message.extra or "")[:100]
                    failure = self._manners.of_close(code, reason)
                    line.fail(ProviderError(provider, failure, f"closed unasked: {code} {reason}".strip()))
            except ProviderError as exc:
                line.fail(exc)
            except _UNREADABLE:
                line.fail(ProviderError(provider, Failure.MALFORMED, "a message could not be read"))
        talk.fail(line.failure)
        await self._hang_up(line)


class LeavableStream(SpeechStream, Protocol):
    """A reply that can be given up."""

    async def leave(self) -> None:
        """Nobody wants the rest. Raises: ProviderError."""


class LineSession(Generic[T]):
    """See `VoiceSession`."""

    def __init__(self, lines: Lines[T], begin: Callable[[Lines[T]], LeavableStream]) -> None:
        self._lines = lines
        self._begin = begin

    @property
    def alive(self) -> bool:
        """Whether the next reply begins without connecting, as far as is known."""
        return self._lines.alive

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        """See `VoiceSession`."""
        return self._speak()

    @asynccontextmanager
    async def _speak(self) -> AsyncIterator[SpeechStream]:
        stream = self._begin(self._lines)
        try:
            yield stream
        finally:
            with suppress(ProviderError):
                await stream.leave()


@asynccontextmanager
async def session(manners: Manners[T], begin: Callable[[Lines[T]], LeavableStream]) -> AsyncIterator[VoiceSession]:
    """What `TextToSpeech.connect` gives, for a vendor that speaks over sockets. Raises: ProviderError."""
    async with helpers() as spawn:
        lines = Lines(manners, spawn)
        try:
            await lines.get()
            yield LineSession(lines, begin)
        finally:
            await lines.close()
