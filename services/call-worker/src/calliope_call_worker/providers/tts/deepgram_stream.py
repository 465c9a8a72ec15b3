"""One reply spoken by Deepgram. Its audio bears no name, so a socket speaks one reply at a time and is cleared between.

A flush ends every reply; it also follows a piece that is no whole sentence, which would wait for its end otherwise.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import AuraSettings
from calliope_call_worker.providers.tts import deepgram_words as words
from calliope_call_worker.providers.tts.alignment import spread
from calliope_call_worker.providers.tts.base import SpokenAudio
from calliope_call_worker.providers.tts.budget import Budget
from calliope_call_worker.providers.tts.inbox import Inbox
from calliope_call_worker.providers.tts.line import Line, Lines
from calliope_call_worker.providers.tts.pieces import Pieces, sentences_end

log = structlog.get_logger(__name__)

BYTES_PER_MS: Final = 8
GATHER_BYTES: Final = 1_600  # 200 ms: audio that nobody takes yet is kept in few pieces
_FLUSHES_OF_A_REPLY: Final = 2  # its first piece, its end


class AuraTalk:
    """See `Talk`: who is spoken on the socket, and what the vendor still takes."""

    def __init__(self, line: Line, settings: AuraSettings) -> None:
        self.line = line
        self._now = asyncio.get_running_loop().time
        self._flushes = Budget(settings.flushes, settings.limits_window_s)
        self._characters = Budget(settings.characters, settings.limits_window_s)
        self._characters_of_a_reply = settings.characters // 2  # spoken for longer than the window they wait for
        self._lifetime_s = settings.lifetime_s
        self._stream: AuraStream | None = None
        self._clearing = 0
        self._stray = 0  # flushes of a reply that was cleared: an answer to them may come or not

    @property
    def busy(self) -> bool:
        """See `Talk`."""
        return self._stream is not None

    @property
    def free(self) -> bool:
        """See `Talk`."""
        now = self._now()
        fresh = now - self.line.opened_at < self._lifetime_s
        takes_much = self._characters.left(now) >= self._characters_of_a_reply
        return self._stream is None and fresh and takes_much and self.flushes_left >= _FLUSHES_OF_A_REPLY

    @property
    def flushes_left(self) -> int:
        """Flushes that the vendor takes now."""
        return self._flushes.left(self._now())

    def begin(self, stream: "AuraStream") -> None:
        """From now on this reply is spoken."""
        self._stream = stream

    async def speak(self, text: str) -> None:
        """Waits while the vendor had too much text lately; its audio is far ahead of the caller then.

        Raises: ProviderError.
        """
        while (wait_s := self._characters.free_at(len(text), self._now()) - self._now()) > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self.line.dead.wait()
                    break
            except TimeoutError:
                continue
        self._characters.spend(len(text), self._now())
        await self.line.send(words.speak(text))

    async def flush(self) -> None:
        """Speak what was said. Raises: ProviderError."""
        self._flushes.spend(1, self._now())
        await self.line.send(words.FLUSH)

    async def end(self, stream: "AuraStream", *, unanswered: int, clear: bool) -> None:
        """The reply is over, or nobody wants the rest: then what comes until the vendor cleared is dropped."""
        if self._stream is not stream:
            return
        self._stream = None
        if clear and self.line.alive:
            self._clearing += 1
            self._stray = unanswered
            await self.line.send(words.CLEAR)

    def hear(self, audio: bytes) -> None:
        """See `Talk`."""
        if self._clearing or self._stream is None:
            return
        self._stray = 0
        self._stream.hear(audio)

    def take(self, message: dict[str, Any]) -> None:
        """See `Talk`."""
        match message["type"]:
            case "Cleared":
                self._clearing = max(0, self._clearing - 1)
            case "Flushed" if self._stray:
                self._stray -= 1
            case "Flushed" if self._stream is not None and not self._clearing:
                self._stream.flushed()
            case "Error":
                raise ProviderError(words.NAME, Failure.ERROR, str(message.get("code") or message.get("description")))
            case "Warning":
                log.warning("tts.warned", provider=words.NAME, code=str(message.get("code"))[:80])

    def fail(self, error: ProviderError) -> None:
        """See `Talk`."""
        if self._stream is not None:
            self._stream.fail(error)


class AuraStream:
    """See `SpeechStream`."""

    def __init__(self, lines: Lines[AuraTalk]) -> None:
        self._lines = lines
        self._talk: AuraTalk | None = None
        self._pieces = Pieces(most_chars=words.MOST_CHARS)
        self._inbox: Inbox[SpokenAudio] = Inbox()
        self._said = ""  # since the last flush
        self._flushes: deque[str] = deque()  # what each that is not answered speaks
        self._finished = False
        self._gathered = b""
        self._audio_ms = 0.0
        self._flushed_ms = 0.0

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        for piece in self._pieces.add(text):
            if self._talk is None:
                self._talk = await self._lines.get()
                self._talk.begin(self)
            self._said += piece
            await self._talk.speak(piece)
        if self._talk is not None and self._said and not sentences_end(self._said) and self._talk.flushes_left > 1:
            await self._flush(self._talk)

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._finished = True
        if self._talk is not None and self._said:
            await self._flush(self._talk)
        elif not self._flushes:
            self._end()

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        while (spoken := await self._inbox.take()) is not None:
            yield spoken

    async def leave(self) -> None:
        """Nobody wants the rest. Raises: ProviderError."""
        if self._talk is not None:
            over = self._finished and not self._flushes
            await self._talk.end(self, unanswered=len(self._flushes), clear=not over)

    def hear(self, audio: bytes) -> None:
        """A piece of audio came."""
        self._audio_ms += len(audio) / BYTES_PER_MS
        self._gathered += audio
        if not self._inbox.waiting or len(self._gathered) >= GATHER_BYTES:
            self._hand_over()

    def flushed(self) -> None:
        """Everything before the oldest flush was spoken: its text is where its audio is."""
        text = self._flushes.popleft() if self._flushes else ""
        if text and self._audio_ms <= self._flushed_ms:
            self.fail(ProviderError(words.NAME, Failure.DROPPED, "spoke nothing"))
        spans = spread(text, self._flushed_ms, self._audio_ms)
        self._flushed_ms = self._audio_ms
        self._hand_over()
        if spans:
            self._inbox.put(SpokenAudio(b"", spans))
        if self._finished and not self._flushes and not self._said:
            self._end()

    def fail(self, error: ProviderError) -> None:
        """The reply cannot go on."""
        self._hand_over()
        self._inbox.fail(error)

    async def _flush(self, talk: AuraTalk) -> None:
        self._flushes.append(self._said)
        self._said = ""
        await talk.flush()

    def _hand_over(self) -> None:
        audio, self._gathered = self._gathered, b""
        if audio and not self._inbox.put(SpokenAudio(audio)):
            self._inbox.fail(ProviderError(words.NAME, Failure.ERROR, "more audio than can be kept"))

    def _end(self) -> None:
        if spans := spread(self._pieces.rest, self._audio_ms, self._audio_ms):
            self._inbox.put(SpokenAudio(b"", spans))
        self._inbox.end()
