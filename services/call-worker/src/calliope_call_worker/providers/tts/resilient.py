"""A voice that does not fall silent: turns to a fresh connection, then to the next voice, and goes on there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import SpeakingSettings
from calliope_call_worker.providers.tts.base import SpeechStream, SpokenAudio, TextToSpeech, VoiceSession
from calliope_call_worker.providers.tts.progress import Progress
from calliope_call_worker.providers.wire import CLOSE_S, Spawn, helpers

OnFailure = Callable[[ProviderError, str], None]
"""Told of every failure and what is done about it."""


class NobodySpeaksError(ProviderError):
    """Every voice failed."""


class ResilientTts:
    """See `TextToSpeech`; wraps the voice of the assistant and those to turn to."""

    def __init__(self, voices: Sequence[TextToSpeech], settings: SpeakingSettings, on_failure: OnFailure) -> None:
        self._voices = tuple(voices)
        self._settings = settings
        self._on_failure = on_failure
        self._current = 0

    @property
    def name(self) -> str:
        """Of the voice that speaks now."""
        return self._voices[self._current].name

    @property
    def voice(self) -> str:
        """Of the voice that speaks now."""
        return self._voices[self._current].voice

    @property
    def times_text(self) -> bool:
        """Of the voice that speaks now."""
        return self._voices[self._current].times_text

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        return self._connect(call_id)

    @asynccontextmanager
    async def _connect(self, call_id: str) -> AsyncIterator[VoiceSession]:
        async with helpers() as spawn:
            session = ResilientSession(self._voices, call_id, self._settings, self._on_failure, spawn, self._turn_to)
            await session.connected()
            try:
                yield session
            finally:
                await session.close()

    def _turn_to(self, current: int) -> None:
        self._current = current


class ResilientSession:
    """See `VoiceSession`. After a voice was given up the call stays with the next one: one voice at a time."""

    def __init__(
        self,
        voices: tuple[TextToSpeech, ...],
        call_id: str,
        settings: SpeakingSettings,
        on_failure: OnFailure,
        spawn: Spawn,
        turn_to: Callable[[int], None],
    ) -> None:
        self._voices = voices
        self._call_id = call_id
        self.settings = settings
        self.on_failure = on_failure
        self._spawn = spawn
        self._turn_to = turn_to
        self._current = 0
        self._generation = 0
        self._session: VoiceSession | None = None
        self._leave = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    @property
    def voice(self) -> TextToSpeech:
        """The voice that speaks now."""
        return self._voices[self._current]

    @property
    def has_next(self) -> bool:
        """Whether there is a voice to turn to."""
        return self._current + 1 < len(self._voices)

    def speak(self) -> AbstractAsyncContextManager[SpeechStream]:
        """See `VoiceSession`."""
        return self._speak()

    @asynccontextmanager
    async def _speak(self) -> AsyncIterator[SpeechStream]:
        stream = ResilientSpeech(self)
        try:
            yield stream
        finally:
            await stream.leave()

    async def connected(self) -> tuple[VoiceSession, int]:
        """The session of the current voice and its generation; voices that cannot be reached are passed over.

        Raises: NobodySpeaksError.
        """
        async with self._lock:
            tried = -1
            while self._session is None:
                try:
                    self._session = await self._open()
                except ProviderError as exc:
                    waited = exc.failure is Failure.DEADLINE and self.has_next
                    again = not (exc.fatal or waited) and tried != self._current
                    tried = self._current
                    self.failed(exc, self._generation, again=again)
            return self._session, self._generation

    def failed(self, error: ProviderError, generation: int, *, again: bool) -> None:
        """A session of that generation failed: try the voice `again` on a fresh one, or turn to the next.

        Raises: NobodySpeaksError, when there is no next.
        """
        if generation != self._generation:
            return  # another reply noticed before
        self._generation += 1
        self._session = None
        self._leave.set()
        if again:
            self.on_failure(error, "speaks again")
            return
        self._current = (self._current + 1) % len(self._voices)
        self._turn_to(self._current)
        if self._current == 0:
            self.on_failure(error, "gives up")
            raise NobodySpeaksError(error.provider, error.failure, error.detail) from error
        self.on_failure(error, f"turns to {self.voice.name} {self.voice.voice}")

    async def close(self) -> None:
        """Close every connection."""
        self._leave.set()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_S)

    async def _open(self) -> VoiceSession:
        opened: asyncio.Future[VoiceSession] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        task = self._spawn(self._hold(self.voice, opened, self._leave), "tts.session")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return await opened

    async def _hold(self, voice: TextToSpeech, opened: "asyncio.Future[VoiceSession]", leave: asyncio.Event) -> None:
        """One connection, opened and closed in one task."""
        try:
            async with voice.connect(self._call_id) as session:
                if not opened.done():
                    opened.set_result(session)
                    await leave.wait()
        except ProviderError as exc:
            if not opened.done():
                opened.set_exception(exc)


class ResilientSpeech:
    """See `SpeechStream`. Whoever reads `audio` also repairs; `say` and `finish` never fail, they only add."""

    def __init__(self, session: ResilientSession) -> None:
        self._session = session
        self._now = asyncio.get_running_loop().time
        settings = session.settings
        self._progress = Progress(first_audio_s=settings.first_audio_deadline_s, stall_s=settings.stall_deadline_s)
        self._block: AbstractAsyncContextManager[SpeechStream] | None = None
        self._stream: SpeechStream | None = None
        self._events: AsyncIterator[SpokenAudio] | None = None
        self._generation = -1
        self._voice = session.voice
        self._retried: set[str] = set()
        self._giving = asyncio.Lock()  # one gives, or repairs, at a time
        self._broken: ProviderError | None = None
        self._waiting: asyncio.Timeout | None = None
        self._changed = asyncio.Event()

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        self._progress.say(text)
        await self._send()

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._progress.finish()
        await self._send()

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`. Raises: ProviderError, when no voice speaks."""
        while True:
            try:
                spoken = await self._next()
            except NobodySpeaksError:
                raise
            except ProviderError as exc:
                pause = await self._repair(exc)
                if pause is not None:
                    yield pause
                continue
            if spoken is None:
                break
            yield self._progress.heard(spoken)
        if rest := self._progress.rest():
            yield SpokenAudio(b"", rest)

    async def leave(self) -> None:
        """Nobody wants the rest."""
        block, self._block = self._block, None
        self._stream = self._events = None
        if block is not None:
            with suppress(ProviderError):
                await block.__aexit__(None, None, None)

    async def _next(self) -> SpokenAudio | None:
        """The next audio of whichever voice speaks; None when everything was spoken."""
        while self._events is None:
            if self._broken is not None:
                raise self._broken
            if self._progress.over:
                return None
            self._changed.clear()
            await self._changed.wait()
        try:
            async with asyncio.timeout_at(self._deadline()) as self._waiting:
                if self._broken is not None:
                    raise self._broken
                return await anext(self._events)
        except StopAsyncIteration:
            return None
        except TimeoutError as exc:
            what = "stopped in the middle" if self._progress.begun else "no audio in time"
            raise self._broken or ProviderError(self._voice.name, Failure.DEADLINE, what) from exc
        finally:
            self._waiting = None

    async def _repair(self, error: ProviderError) -> SpokenAudio | None:
        """On a fresh connection once, then the next voice. Raises: NobodySpeaksError.

        The caller waited for a voice that kept silent; waiting for it twice is for those who have no other.
        """
        async with self._giving:
            await self.leave()
            self._broken = None
            voice = f"{self._voice.name} {self._voice.voice}"
            waited = error.failure is Failure.DEADLINE and self._session.has_next
            again = not (error.fatal or waited or voice in self._retried)
            self._retried.add(voice)
            self._session.failed(error, self._generation, again=again)
            first_audio_s, stall_s = self._next_try_s()
            pause = self._progress.resume(timed=self._voice.times_text, first_audio_s=first_audio_s, stall_s=stall_s)
            await self._give()
        return pause

    def _next_try_s(self) -> tuple[float, float]:
        """How long the next try may take, until its first audio and between two pieces.

        The caller has waited already, so it gets less than the first; the last one there is gets more.
        """
        settings, voice = self._session.settings, self._session.voice
        first_s, stall_s = settings.first_audio_deadline_s, settings.stall_deadline_s
        if not self._session.has_next and f"{voice.name} {voice.voice}" in self._retried:
            last_s = settings.last_voice_deadline_s
            return max(first_s, last_s), max(stall_s, last_s)
        return min(first_s, settings.next_audio_deadline_s), stall_s

    async def _send(self) -> None:
        async with self._giving:
            await self._give()
        self._changed.set()

    async def _give(self) -> None:
        """Give the voice what it was not given yet; a failure is left to whoever reads `audio`."""
        try:
            while self._broken is None:
                if self._stream is None:
                    if not self._progress.speakable:
                        return
                    self._stream = await self._open()
                if text := self._progress.take_text(self._now()):
                    await self._stream.say(text)
                elif self._progress.take_finish():
                    await self._stream.finish()
                else:
                    break
            if self._waiting is not None and self._waiting.when() is None:
                self._waiting.reschedule(self._deadline())
        except ProviderError as exc:
            self._broken = exc
            if self._waiting is not None:
                self._waiting.reschedule(self._now())

    async def _open(self) -> SpeechStream:
        session, self._generation = await self._session.connected()
        self._voice = self._session.voice
        self._block = session.speak()
        stream = await self._block.__aenter__()
        self._events = aiter(stream.audio())
        return stream

    def _deadline(self) -> float | None:
        return self._progress.deadline(self._now(), timed=self._voice.times_text)
