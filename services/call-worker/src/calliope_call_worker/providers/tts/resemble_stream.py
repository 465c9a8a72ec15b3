"""One reply spoken by Resemble: a request per piece, played in the order of asking, however their answers mix.

A request cannot be taken back and holds up those behind it, so a reply that is left early leaves its socket, too.
"""

import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts import resemble_words as words
from calliope_call_worker.providers.tts.alignment import Aligner
from calliope_call_worker.providers.tts.base import SpokenAudio
from calliope_call_worker.providers.tts.inbox import MAX_WAITING, Inbox
from calliope_call_worker.providers.tts.line import Line, Lines
from calliope_call_worker.providers.tts.pieces import Pieces
from calliope_call_worker.providers.tts.riff import HeaderSniffer

BYTES_PER_MS: Final = 8


class ResembleTalk:
    """See `Talk`: whose each request is."""

    def __init__(self, line: Line, request: Callable[[int, str], dict[str, Any]]) -> None:
        self.line = line
        self._request = request
        self._numbers = itertools.count(1)
        self._stream: ResembleStream | None = None

    @property
    def busy(self) -> bool:
        """See `Talk`."""
        return self._stream is not None

    @property
    def free(self) -> bool:
        """See `Talk`. Requests wait for each other, so a reply has a socket to itself."""
        return self._stream is None

    def begin(self, stream: "ResembleStream") -> None:
        """From now on this reply is spoken."""
        self._stream = stream

    async def ask(self, text: str) -> None:
        """Have this spoken. Raises: ProviderError."""
        number = next(self._numbers)
        if self._stream is not None:
            self._stream.asked(number)
        await self.line.send(self._request(number, text))

    def end(self) -> None:
        """Nobody listens any more."""
        self._stream = None

    def hear(self, audio: bytes) -> None:
        """See `Talk`. Asked for are answers that say whose they are."""
        raise ProviderError(words.NAME, Failure.MALFORMED, "a binary message")

    def take(self, message: dict[str, Any]) -> None:
        """See `Talk`."""
        number: Any = message.get("request_id")
        stream = self._stream
        match message["type"]:
            case "audio" if stream is not None:
                stream.hear(number, message)
            case "audio_end" if stream is not None:
                stream.ended(number)
            case "error":
                error = ProviderError(words.NAME, *words.error_of(message))
                if number is None or stream is None:
                    raise error
                stream.fail(error)

    def fail(self, error: ProviderError) -> None:
        """See `Talk`."""
        if self._stream is not None:
            self._stream.fail(error)


@dataclass(slots=True)
class _Request:
    """One piece and what came of it while those before were not complete."""

    number: int
    header: HeaderSniffer = field(default_factory=HeaderSniffer)
    early: list[dict[str, Any]] = field(default_factory=list)
    over: bool = False
    from_ms: float | None = None  # where its audio begins


class ResembleStream:
    """See `SpeechStream`."""

    def __init__(self, lines: Lines[ResembleTalk]) -> None:
        self._lines = lines
        self._talk: ResembleTalk | None = None
        self._pieces = Pieces(most_chars=words.MOST_CHARS)
        self._aligner = Aligner()
        self._inbox: Inbox[SpokenAudio] = Inbox()
        self._requests: deque[_Request] = deque()
        self._finished = False

    async def say(self, text: str) -> None:
        """See `SpeechStream`."""
        self._aligner.say(text)
        for piece in self._pieces.add(text):
            if self._talk is None:
                self._talk = await self._lines.get()
                self._talk.begin(self)
            await self._talk.ask(piece)

    async def finish(self) -> None:
        """See `SpeechStream`."""
        self._finished = True
        self._end_if_over()

    async def audio(self) -> AsyncIterator[SpokenAudio]:
        """See `SpeechStream`."""
        while (spoken := await self._inbox.take()) is not None:
            yield spoken

    async def leave(self) -> None:
        """Nobody wants the rest."""
        if self._talk is not None:
            self._talk.end()
            if self._requests and self._talk.line.alive:
                self._lines.replace(self._talk.line)

    def asked(self, number: int) -> None:
        """A piece was asked for under this number."""
        self._requests.append(_Request(number))

    def hear(self, number: int, message: dict[str, Any]) -> None:
        """A piece of audio came. Raises: ValueError."""
        if self._requests and self._requests[0].number == number:
            self._play(self._requests[0], message)
            return
        waiting = sum(len(one.early) for one in self._requests)
        request = next((one for one in self._requests if one.number == number), None)
        if request is None or waiting >= MAX_WAITING:
            self.fail(ProviderError(words.NAME, Failure.ERROR, "audio out of order, more than can be kept"))
        else:
            request.early.append(message)

    def ended(self, number: int) -> None:
        """All of that piece came. Raises: ValueError."""
        for one in self._requests:
            one.over = one.over or one.number == number
        while self._requests and self._requests[0].over:
            if self._requests.popleft().from_ms is None:
                self.fail(ProviderError(words.NAME, Failure.DROPPED, "spoke nothing"))
            if self._requests:
                following = self._requests[0]
                for message in following.early:
                    self._play(following, message)
                following.early.clear()
        self._end_if_over()

    def fail(self, error: ProviderError) -> None:
        """The reply cannot go on."""
        self._inbox.fail(error)

    def _play(self, request: _Request, message: dict[str, Any]) -> None:
        audio = request.header.feed(words.audio_of(message))
        times = words.times_of(message)
        now_ms = self._aligner.audio_ms
        if request.from_ms is None and audio:
            request.from_ms = now_ms
        from_ms = now_ms if request.from_ms is None else request.from_ms
        if times[1] and times[1][0] < (now_ms - from_ms) / 2:
            from_ms = now_ms  # they count from this message
        spans = self._aligner.hear(len(audio) / BYTES_PER_MS, *times, from_ms=from_ms)
        if (audio or spans) and not self._inbox.put(SpokenAudio(audio, spans)):
            self.fail(ProviderError(words.NAME, Failure.ERROR, "more audio than can be kept"))

    def _end_if_over(self) -> None:
        if not self._finished or self._requests or self._inbox.ended:
            return
        if spans := self._aligner.finish():
            self._inbox.put(SpokenAudio(b"", spans))
        self._inbox.end()
