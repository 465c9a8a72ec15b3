"""The caller's side of a call at any carrier: a clock that hears and speaks every 20 ms, and all that was seen."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

import aiohttp

from calliope_sandbox.call_feed import CallFeed
from calliope_sandbox.person import FRAME_BYTES, FRAME_MS, Line, Person
from calliope_sandbox.vendors.carrier_stream import CarrierStream
from calliope_sandbox.vendors.host import Host

STALL_MS: Final = 50
MAX_STALLS: Final = 1_000


@dataclass(slots=True)
class Exchange:
    """The caller said something and the product spoke after it; seconds of this machine's monotonic clock."""

    text: str
    last_voice_at_s: float
    first_audio_at_s: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class CallerSide(ABC):
    """One call of one person. What the product wants is the carrier's own business, in the classes below this one."""

    host: Host
    vendor: ClassVar[str]
    caller_number: str
    called_number: str
    person: Person
    sid: str
    ring_ms: float = 0.0
    status: str = "ringing"
    failed: str | None = None
    ended_by: str | None = None
    stream: CarrierStream | None = None
    streams: int = 0
    stream_times_ms: list[tuple[float, float | None]] = field(default_factory=list)
    """When each media stream began and ended; ms since the call was answered."""
    first_audio_ms: list[float | None] = field(default_factory=list)
    answered_at_s: float | None = None
    ended_at_s: float | None = None
    dials: list[dict[str, str]] = field(default_factory=list)
    shown_numbers: list[str] = field(default_factory=list)
    """Whom those saw calling who were dialled."""
    clears_ms: list[float] = field(default_factory=list)
    clears_at_s: list[float] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    gaps_ms: list[int] = field(default_factory=list)
    ticks_late_ms: Counter[int] = field(default_factory=Counter)
    """How many ticks came so many whole ms after they were due."""
    stalls_ms: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=MAX_STALLS))
    """When a tick came so late that the carrier heard and played nothing meanwhile; ms since the answer, ms late."""
    problems: list[str] = field(default_factory=list)
    feed: CallFeed = field(default_factory=CallFeed)
    heard_until_ms: float = 0.0
    """The caller's own clock: ms since the call was answered, in whole frames."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    @abstractmethod
    def hang_up(self, by: str) -> None:
        """The call ends now."""

    @abstractmethod
    async def run(self, session: aiohttp.ClientSession) -> None:
        """The whole call. Never raises but for cancellation."""

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.ended_by is not None or self.done.is_set()

    @property
    def now_ms(self) -> float:
        """Since the call was answered."""
        return 0.0 if self.answered_at_s is None else (time.monotonic() - self.answered_at_s) * 1_000

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """What is told of the call."""

    def seen(self) -> dict[str, Any]:
        """What every carrier's document holds."""
        return {
            "sid": self.sid,
            "from": self.caller_number,
            "to": self.called_number,
            "status": self.status,
            "failed": self.failed or self.person.caller.failed,
            "ended_by": self.ended_by,
            "streams": self.streams,
            "stream_times_ms": self.stream_times_ms,
            "first_audio_ms": self.first_audio_ms,
            "dials": self.dials,
            "shown_numbers": self.shown_numbers,
            "steps": [asdict(step) for step in self.person.caller.outcomes],
            "saying_for_ms": self.person.saying_for_ms,
            "lines": [line.told() for line in self.person.lines],
            "heard_words": [asdict(word) for word in self.person.heard],
            "clears_ms": self.clears_ms,
            "clears_at_s": self.clears_at_s,
            "exchanges": [asdict(exchange) for exchange in self.exchanges],
            "answered_at_s": self.answered_at_s,
            "ended_at_s": self.ended_at_s,
            "gaps_ms": self.gaps_ms,
            "latest_tick_ms": max(self.ticks_late_ms, default=0),
            "ticks_late_ms": sorted(self.ticks_late_ms.items()),
            "stalls_ms": list(self.stalls_ms),
            "problems": self.problems,
        }

    def answered(self) -> None:
        """The line is open; its clock starts."""
        self.answered_at_s = time.monotonic()
        self._answered.set()

    def stream_began(self, stream: CarrierStream) -> None:
        """Audio flows both ways."""
        self.stream, self.streams = stream, self.streams + 1
        self.stream_times_ms.append((round(self.now_ms, 1), None))
        self.tell({"type": "stream", "sid": stream.sid})

    def stream_ended(self, stream: CarrierStream) -> None:
        """It does not any more."""
        self.stream = None
        self.stream_times_ms[-1] = (self.stream_times_ms[-1][0], round(self.now_ms, 1))
        self.gaps_ms.extend(stream.buffer.gaps_ms)
        self.first_audio_ms.append(stream.first_audio_ms)
        self.problems.extend(stream.problems)
        self.tell({"type": "stream_ended", "close_code": stream.close_code})

    async def clock(self) -> None:
        """A frame in and a frame out every 20 ms, at a phase of its own, whether or not a stream is there."""
        await self._answered.wait()
        due_s = time.monotonic() + random.uniform(0, FRAME_MS / 1_000)  # noqa: S311 - a phase, no secret
        frame = 0
        while not self.over:
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            late_ms = max(0, int((time.monotonic() - due_s) * 1_000))
            self.ticks_late_ms[late_ms] += 1
            if late_ms >= STALL_MS:
                self.stalls_ms.append((round(self.now_ms, 1), late_ms))
            await self._frame(frame * FRAME_MS)
            due_s += FRAME_MS / 1_000
            frame += 1

    async def _frame(self, now_ms: float) -> None:
        stream = self.stream
        played, marks = stream.buffer.take(FRAME_BYTES) if stream is not None else (b"\xff" * FRAME_BYTES, [])
        self.heard_until_ms = now_ms
        tick, ended = self.person.tick(now_ms, played)
        if ended or self.feed.holds:
            self._lines_ended(ended)
        if stream is not None and stream.url:
            with suppress(ConnectionError):
                await stream.returned(marks)
                await stream.frame(tick.audio, voiced=tick.voiced, digits=tick.digits)
        for document in tick.faults:
            self._arm(document)
        if tick.voiced:
            self._voiced()
        if tick.hangs_up:
            self.tell({"type": "hung_up", "by": "caller"})
            self.hang_up("caller")

    def _arm(self, document: dict[str, Any]) -> None:
        if document.get("vendor") == self.vendor:
            document = {"call": self.sid} | document
        try:
            self.host.arm(document)
        except ValueError as exc:
            self.problems.append(f"the script's fault is none: {exc}")

    def _voiced(self) -> None:
        saying = self.person.saying
        if saying is None:
            return
        now_s = time.monotonic()
        if self.exchanges and self.exchanges[-1].text == saying and self.exchanges[-1].first_audio_at_s is None:
            self.exchanges[-1].last_voice_at_s = now_s
        elif not self.exchanges or self.exchanges[-1].text != saying:
            self.exchanges.append(Exchange(saying, now_s))

    def audible(self) -> None:
        """The product sent audio."""
        if self.exchanges and self.exchanges[-1].first_audio_at_s is None and self.person.saying is None:
            self.exchanges[-1].first_audio_at_s = time.monotonic()

    def cleared(self) -> None:
        """The product dropped the rest of its audio."""
        self.person.cut()
        self.clears_ms.append(round(self.now_ms, 1))
        self.clears_at_s.append(time.monotonic())
        self.tell({"type": "clear"})

    def _lines_ended(self, ended: list[Line]) -> None:
        for line in ended:
            self.feed.add(line.told(), line.start_ms)
        self.feed.release(self.person.open_since_ms)

    def end(self) -> None:
        """The line is dead."""
        self._lines_ended(self.person.finish(self.now_ms))
        self.ended_by, self.ended_at_s = self.ended_by or "product", time.monotonic()
        self.heard_until_ms = max(self.heard_until_ms, self.now_ms)
        self.tell({"type": "ended", "status": self.status, "by": self.ended_by})
        self.done.set()

    def tell(self, event: dict[str, Any]) -> None:
        """Add an event of this moment to the feed."""
        self.feed.add(event | {"at_ms": round(self.heard_until_ms, 1)}, self.heard_until_ms)
        self.feed.release(self.person.open_since_ms)
