"""One reply spoken by ElevenLabs: a context that begins with the first text and is closed when all was spoken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts import elevenlabs_words as words
from calliope_call_worker.providers.tts.alignment import Aligner
from calliope_call_worker.providers.tts.base import SpokenAudio
from calliope_call_worker.providers.tts.inbox import Inbox

if TYPE_CHECKING:
    from calliope_call_worker.providers.tts.elevenlabs_session import ElevenLabsSession, Line

CLOSE_AFTER_S: Final = 0.25  # of quiet: closing right behind the last text now and then makes a context silent
BYTES_PER_MS: Final = 8
_NUDGE: Final = SpokenAudio(b"")


class ElevenLabsStream:
    """See `SpeechStream`."""

    def __init__(self, session: "ElevenLabsSession") -> None:
        self._session = session
        self._now = asyncio.get_running_loop().time
        self._aligner = Aligner()
        self._inbox: Inbox[SpokenAudio] = Inbox()
        self._line: Line | None = None
        self._context = ""
        self._news_at = 0.0
        self._finished = False
        self._closing = False

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        self._aligner.say(text)
        if self._line is None:
            self._line, self._context = await self._session.begin(self)
        self._news_at = self._now()
        await self._session.send(self._line, words.speak(self._context, text))

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._finished = True
        if self._line is None:
            self._end()
        else:
            self._inbox.put(_NUDGE)

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        while True:
            close_at: float | None = None
            if self._finished and not self._closing and not self._inbox.ended:
                close_at = self._news_at + CLOSE_AFTER_S
                if self._now() >= close_at or (self._aligner.complete and self._aligner.audio_ms):
                    await self._close()
                    close_at = None
            try:
                async with asyncio.timeout_at(close_at):
                    spoken = await self._inbox.take()
            except TimeoutError:
                continue
            if spoken is None:
                return
            if spoken is not _NUDGE:
                yield spoken

    async def leave(self) -> None:
        """Nobody wants the rest. Raises: ProviderError."""
        if self._line is None:
            return
        self._session.forget(self._line, self._context)
        if self._line.alive and self._context in self._line.counted and not self._closing:
            await self._close()

    def hear(
        self, audio: bytes, chars: Sequence[str], starts_ms: Sequence[float], durations_ms: Sequence[float]
    ) -> None:
        """A piece of audio came."""
        self._news_at = self._now()
        spans = self._aligner.hear(len(audio) / BYTES_PER_MS, chars, starts_ms, durations_ms)
        if not self._inbox.put(SpokenAudio(audio, spans)):
            self.fail(ProviderError(words.NAME, Failure.ERROR, "more audio than can be kept"))

    def final(self) -> None:
        """The vendor says that nothing of this context comes any more."""
        self._line, self._context = None, ""
        if not self._aligner.complete and (self._aligner.exact or not self._aligner.audio_ms):
            what = "ended before all was spoken" if self._aligner.audio_ms else "spoke nothing"
            self.fail(ProviderError(words.NAME, Failure.DROPPED, what))
        elif self._finished:
            self._end()

    def fail(self, error: ProviderError) -> None:
        """The reply cannot go on."""
        self._inbox.fail(error)

    def _end(self) -> None:
        spans = self._aligner.finish()
        if spans:
            self._inbox.put(SpokenAudio(b"", spans))
        self._inbox.end()

    async def _close(self) -> None:
        self._closing = True
        if self._line is not None:
            await self._session.send(self._line, words.close(self._context))
