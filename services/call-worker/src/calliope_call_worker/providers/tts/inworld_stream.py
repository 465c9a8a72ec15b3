"""One reply spoken by Inworld: a context that begins with the first text and is closed when all was spoken.

Every piece is flushed. Times count from the last flush that was completed. A context is closed only behind that: closed
before its first audio it may be silent.
"""

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts import inworld_words as words
from calliope_call_worker.providers.tts.alignment import Aligner
from calliope_call_worker.providers.tts.base import SpokenAudio
from calliope_call_worker.providers.tts.inbox import Inbox
from calliope_call_worker.providers.tts.line import Line, Lines
from calliope_call_worker.providers.tts.pieces import Pieces

log = structlog.get_logger(__name__)

BYTES_PER_MS: Final = 8
MAX_CONTEXTS: Final = 5  # the sixth is refused


class InworldTalk:
    """See `Talk`: which contexts the vendor still counts, and who listens to them."""

    def __init__(self, line: Line, create: Callable[[str], dict[str, Any]]) -> None:
        self.line = line
        self._create = create
        self._names = (f"r{number}" for number in itertools.count(1))
        self._streams: dict[str, InworldStream] = {}
        self._counted: set[str] = set()

    @property
    def busy(self) -> bool:
        """See `Talk`."""
        return bool(self._streams)

    @property
    def free(self) -> bool:
        """See `Talk`."""
        return len(self._counted) < MAX_CONTEXTS

    async def begin(self, stream: "InworldStream", text: str) -> str:
        """A context for a reply, and its first words. Raises: ProviderError."""
        context = next(self._names)
        self._streams[context] = stream
        self._counted.add(context)
        await self.line.send(self._create(context), words.speak(context, text))
        return context

    async def end(self, context: str) -> None:
        """Nobody listens to it any more; it counts until the vendor says that it is closed. Raises: ProviderError."""
        self._streams.pop(context, None)
        if context in self._counted and self.line.alive:
            await self.line.send(words.close(context))

    def hear(self, audio: bytes) -> None:
        """See `Talk`. This vendor sends none."""
        raise ProviderError(words.NAME, Failure.MALFORMED, "a binary message")

    def take(self, message: dict[str, Any]) -> None:
        """See `Talk`."""
        result, error = message.get("result") or {}, message.get("error")
        context = str(result.get("contextId") or result.get("context_id") or "")
        if (failed := words.failure_of(error or result.get("status"))) is not None:
            self._failed(context, ProviderError(words.NAME, *failed), lost=words.is_not_found(error))
            return
        stream = self._streams.get(context)
        if stream is not None:
            if (chunk := result.get("audioChunk")) is not None:
                stream.hear(chunk)
            elif "flushCompleted" in result:
                stream.flushed()
        if "contextClosed" in result:
            self._counted.discard(context)
            self._streams.pop(context, None)
            if stream is not None:
                stream.closed()

    def _failed(self, context: str, error: ProviderError, *, lost: bool) -> None:
        """An error of a context is its reply's; one without is everybody's, unless it is about one already left."""
        stream = self._streams.pop(context, None)
        left = self._counted - self._streams.keys()
        if stream is not None:
            stream.fail(error)
        elif not context and not (lost and left):
            raise error
        else:
            log.debug("tts.late_error", provider=words.NAME, error=error.detail)

    def fail(self, error: ProviderError) -> None:
        """See `Talk`."""
        for stream in self._streams.values():
            stream.fail(error)
        self._streams.clear()


class InworldStream:
    """See `SpeechStream`."""

    def __init__(self, lines: Lines[InworldTalk]) -> None:
        self._lines = lines
        self._talk: InworldTalk | None = None
        self._context = ""
        self._pieces = Pieces(most_chars=words.MOST_CHARS)
        self._aligner = Aligner()
        self._inbox: Inbox[SpokenAudio] = Inbox()
        self._flushing = 0
        self._flushed_ms = 0.0
        self._finished = False

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        self._aligner.say(text)
        for piece in self._pieces.add(text):
            self._flushing += 1
            if self._talk is None:
                self._talk = await self._lines.get()
                self._context = await self._talk.begin(self, piece)
            else:
                await self._talk.line.send(words.speak(self._context, piece))

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._finished = True
        self._end_if_over()

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        while (spoken := await self._inbox.take()) is not None:
            yield spoken

    async def leave(self) -> None:
        """Nobody wants the rest. Raises: ProviderError."""
        if self._talk is not None:
            await self._talk.end(self._context)

    def hear(self, chunk: dict[str, Any]) -> None:
        """A piece of audio came, or times of what came before. Raises: ValueError."""
        audio = words.audio_of(chunk)
        spans = self._aligner.hear(len(audio) / BYTES_PER_MS, *words.times_of(chunk), from_ms=self._flushed_ms)
        if (audio or spans) and not self._inbox.put(SpokenAudio(audio, spans)):
            self.fail(ProviderError(words.NAME, Failure.ERROR, "more audio than can be kept"))

    def flushed(self) -> None:
        """Everything before the oldest flush was spoken."""
        if self._aligner.audio_ms <= self._flushed_ms:
            self.fail(ProviderError(words.NAME, Failure.DROPPED, "spoke nothing"))
        self._flushing = max(0, self._flushing - 1)
        self._flushed_ms = self._aligner.audio_ms
        self._end_if_over()

    def closed(self) -> None:
        """The vendor closed the context."""
        if self._flushing:
            self.fail(ProviderError(words.NAME, Failure.DROPPED, "closed before all was spoken"))

    def fail(self, error: ProviderError) -> None:
        """The reply cannot go on."""
        self._inbox.fail(error)

    def _end_if_over(self) -> None:
        if not self._finished or self._flushing or self._inbox.ended:
            return
        if spans := self._aligner.finish():
            self._inbox.put(SpokenAudio(b"", spans))
        self._inbox.end()
