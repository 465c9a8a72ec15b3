"""A recogniser that outlives its connections: reopens a stream that dropped or went deaf and replays what it missed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import ListeningSettings
from calliope_call_worker.providers.stt.base import SpeechToText, SttEvent, SttOptions, SttStream, Transcript
from calliope_call_worker.providers.stt.continuity import Continuity, VoiceWatch
from calliope_call_worker.providers.stt.event_queue import EventQueue
from calliope_call_worker.providers.wire import Spawn, helpers

DELAYS_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
REPLAY_BYTES: Final = 2_000  # a frame of 250 ms, the most that Deepgram advises

OnFailure = Callable[[ProviderError, str], None]
"""Told of every failure and what is done about it."""


class ResilientStt:
    """See `SpeechToText`; wraps another."""

    def __init__(self, inner: SpeechToText, settings: ListeningSettings, on_failure: OnFailure) -> None:
        self._inner = inner
        self._settings = settings
        self._on_failure = on_failure

    @property
    def name(self) -> str:
        """See `SpeechToText`."""
        return self._inner.name

    def open(self, options: SttOptions) -> AbstractAsyncContextManager[SttStream]:
        """See `SpeechToText`. The first connection is tried as often as later ones."""
        return self._open(options)

    @asynccontextmanager
    async def _open(self, options: SttOptions) -> AsyncIterator[SttStream]:
        stream = ResilientStream(self._inner, options, self._settings, self._on_failure)
        async with helpers() as spawn:
            spawn(stream.run(spawn), "stt.connections")
            await stream.opened()
            yield stream


class ResilientStream:
    """See `SttStream`. One task owns the connections, so that they are opened and closed in one place."""

    def __init__(
        self, inner: SpeechToText, options: SttOptions, settings: ListeningSettings, on_failure: OnFailure
    ) -> None:
        self.name = inner.name
        self._inner = inner
        self._options = options
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._audio = Continuity(replay_ms=settings.replay_s * 1_000, late_replay_ms=settings.late_replay_s * 1_000)
        self._watch = VoiceWatch(
            settings.silent_after_s, pause_s=options.endpointing_ms / 1_000 + settings.silent_after_speech_s
        )
        self._live: SttStream | None = None
        self._listening: asyncio.Timeout | None = None
        self._lost_at = 0.0
        self._heard = False
        self._broken: ProviderError | None = None
        self._dead: ProviderError | None = None
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._waiting = EventQueue()
        self._news = asyncio.Event()

    async def opened(self) -> None:
        """Until the first connection is there. Raises: ProviderError, when there will be none."""
        await self._first

    async def send(self, audio: bytes) -> None:
        """See `SttStream`. While there is no connection the audio is only kept."""
        if self._dead is not None:
            raise self._dead
        self._audio.add(audio)
        live = self._live
        if live is None:
            return
        try:
            await live.send(audio)
        except ProviderError as exc:
            self._drop(exc)
            return
        self._audio.passed_on()
        if self._watch.sent(audio, self._loop.time()):
            self._drop(ProviderError(self.name, Failure.DEADLINE, "took speech and heard nothing"))

    async def finalize(self) -> None:
        """See `SttStream`."""
        if self._live is not None:
            try:
                await self._live.finalize()
            except ProviderError as exc:
                self._drop(exc)

    async def events(self) -> AsyncIterator[SttEvent]:
        """See `SttStream`; times are on one clock over all connections."""
        while True:
            while self._waiting:
                yield self._waiting.take()
            if self._dead is not None:
                raise self._dead
            self._news.clear()
            await self._news.wait()

    async def run(self, spawn: Spawn) -> None:
        """Keep a connection until cancelled, or until there is no hope."""
        tries = 0
        while True:
            dropped: asyncio.Future[ProviderError] = self._loop.create_future()
            self._heard = False
            spawn(self._connection(dropped), "stt.connection")
            failure = await dropped
            tries = 0 if self._heard else tries
            if failure.fatal or tries >= len(DELAYS_S):
                self._give_up(failure)
                return
            self._on_failure(failure, "reopens")
            await asyncio.sleep(DELAYS_S[tries])
            tries += 1

    async def _connection(self, dropped: "asyncio.Future[ProviderError]") -> None:
        """One connection. It is given up before it is closed: closing a deaf one takes its time."""
        try:
            async with self._inner.open(self._options) as stream:
                try:
                    await self._replay(stream)
                    async for event in self._until_dropped(stream):
                        self._tell(event)
                    failure = self._broken or ProviderError(self.name, Failure.DROPPED, "the stream ended unasked")
                except ProviderError as exc:
                    failure = exc
                self._lost()
                dropped.set_result(failure)
        except ProviderError as exc:
            if not dropped.done():
                dropped.set_result(exc)

    async def _replay(self, stream: SttStream) -> None:
        """What the connection before did not turn into certain words; nothing new gets in between."""
        if self._first.done():
            self._audio.reconnected(self._loop.time() - self._lost_at)
            if (words := self._audio.out_of_reach()) is not None:
                self._pass_on(words)
        self._watch.reopened()
        while piece := self._audio.next_unsent(REPLAY_BYTES):
            await stream.send(piece)
            self._watch.sent(piece, self._loop.time())
            await asyncio.sleep(0)
        self._broken = None
        self._live = stream
        if not self._first.done():
            self._first.set_result(None)

    async def _until_dropped(self, stream: SttStream) -> AsyncIterator[SttEvent]:
        events = aiter(stream.events())
        while True:
            try:
                async with asyncio.timeout(None) as self._listening:
                    if self._broken is not None:
                        raise self._broken
                    event = await anext(events)
            except TimeoutError:
                return
            except StopAsyncIteration:
                return
            finally:
                self._listening = None
            yield event

    def _drop(self, reason: ProviderError) -> None:
        if self._live is None:
            return
        self._lost()
        self._broken = reason
        if self._listening is not None:
            self._listening.reschedule(self._loop.time())

    def _lost(self) -> None:
        if self._live is not None:
            self._live = None
            self._lost_at = self._loop.time()

    def _tell(self, event: SttEvent) -> None:
        self._watch.heard(self._loop.time(), unfinished=isinstance(event, Transcript) and not event.is_final)
        self._heard = True
        continued = self._audio.continued(event)
        if continued is not None:
            self._pass_on(continued)

    def _pass_on(self, event: SttEvent) -> None:
        if self._waiting.put(event):
            self._news.set()
        elif self._dead is None:
            self._give_up(ProviderError(self.name, Failure.ERROR, "said more than the call could take in"))

    def _give_up(self, exc: ProviderError) -> None:
        self._dead = exc
        self._on_failure(exc, "gives up")
        self._news.set()
        if not self._first.done():
            self._first.set_exception(exc)
            self._first.exception()  # whoever waited may be gone
