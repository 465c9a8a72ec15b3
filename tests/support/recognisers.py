"""In-memory recogniser: connections are taken one by one by the test, which says what each hears and when it drops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.stt.base import SttEvent, SttOptions, SttStream


class Connection:
    """See `SttStream`; what was sent, and what is to be heard."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False
        self.refuse_audio: ProviderError | None = None
        self._events: asyncio.Queue[SttEvent | ProviderError] = asyncio.Queue()

    @property
    def idle(self) -> bool:
        """Whether everything said was taken by the listener."""
        return self._events.empty()

    def hears(self, *events: SttEvent | ProviderError) -> None:
        """Events for the listener; an error ends the stream."""
        for event in events:
            self._events.put_nowait(event)

    async def send(self, audio: bytes) -> None:
        """See `SttStream`."""
        if self.refuse_audio is not None:
            raise self.refuse_audio
        self.sent += audio

    async def finalize(self) -> None:
        """See `SttStream`."""

    async def events(self) -> AsyncIterator[SttEvent]:
        """See `SttStream`."""
        while True:
            event = await self._events.get()
            if isinstance(event, ProviderError):
                raise event
            yield event


class TwinStt:
    """See `SpeechToText`. Opening fails as often as `refusals` has errors; closing takes `closes_in_s`."""

    name = "twin"

    def __init__(self, *refusals: ProviderError) -> None:
        self.refusals = list(refusals)
        self.connections: list[Connection] = []
        self.closes_in_s = 0.0

    def open(self, options: SttOptions) -> AbstractAsyncContextManager[SttStream]:
        """See `SpeechToText`."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[SttStream]:
        if self.refusals:
            raise self.refusals.pop(0)
        connection = Connection()
        self.connections.append(connection)
        try:
            yield connection
        finally:
            if self.closes_in_s:
                await asyncio.sleep(self.closes_in_s)
            connection.closed = True
