"""In-memory voices: 10 ms of audio a character; each reply plays the next fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts.base import SpeechStream, SpokenAudio, TextSpan, VoiceSession

BYTES_PER_CHAR = 80


@dataclass(frozen=True, slots=True)
class Late:
    """So many seconds until the first audio, or within the words after some."""

    by_s: float
    after_words: int = 0


Fault = int | Failure | Late | None
"""Silence after so many words, a failure at the first text, lateness, or none."""


class TwinSpeech:
    """See `SpeechStream`."""

    def __init__(self, voice: "TwinTts", fault: Fault) -> None:
        self._voice = voice
        self._fault = fault
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        if isinstance(self._fault, Failure):
            raise ProviderError(self._voice.name, self._fault, "scripted")
        self._voice.said.append(text)
        self._pieces.put_nowait(text)

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._pieces.put_nowait(None)

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        words, at_ms = 0, 0.0
        while (piece := await self._pieces.get()) is not None:
            for word in piece.split():
                if words == self._fault:
                    await asyncio.Event().wait()
                if isinstance(self._fault, Late) and words == self._fault.after_words:
                    await asyncio.sleep(self._fault.by_s)
                words += 1
                text = word + " "
                end_ms = at_ms + len(text) * BYTES_PER_CHAR / 8
                spans = (TextSpan(text, at_ms, end_ms),) if self._voice.times_text else ()
                yield SpokenAudio(b"a" * BYTES_PER_CHAR * len(text), spans)
                at_ms = end_ms


class TwinTts:
    """See `TextToSpeech`. Connecting `refuses` every time, or the first `refusals` times."""

    def __init__(
        self,
        name: str,
        *faults: Fault,
        refuses: Failure | None = None,
        refusals: int | None = None,
        times_text: bool = True,
    ) -> None:
        self.name = name
        self.voice = f"{name}-voice"
        self.times_text = times_text
        self.said: list[str] = []
        self.connected = 0
        self.open = 0
        self.speaking = 0
        self._refuses = refuses
        self._refusals = refusals
        self._faults = list(faults)

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[VoiceSession]:
        self.connected += 1
        if self._refuses is not None and (self._refusals is None or self.connected <= self._refusals):
            raise ProviderError(self.name, self._refuses, "scripted")
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        """See `VoiceSession`."""
        return self._speak()

    @asynccontextmanager
    async def _speak(self) -> AsyncIterator[SpeechStream]:
        self.speaking += 1
        try:
            yield TwinSpeech(self, self._faults.pop(0) if self._faults else None)
        finally:
            self.speaking -= 1
