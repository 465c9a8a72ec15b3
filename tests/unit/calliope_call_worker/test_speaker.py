"""Speaking to carriers that play late, lose marks, or take nothing any more, in virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calliope_call_worker.media import MediaSocket
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.mark_watch import LATE_S, PROBE_S
from calliope_call_worker.pipeline.playout import LONGEST_ECHO_S
from calliope_call_worker.providers.tts.base import SpokenAudio, TextSpan
from calliope_call_worker.speaker import MESSAGE_BYTES, Speaker
from support.virtual_time import in_virtual_time

ECHO_S: Final = 0.1
CHAR_MS: Final = 50
PIECE_CHARS: Final = 10
PACE_S: Final = 0.2
MESSAGE_MS: Final = MESSAGE_BYTES / 8
TEXT: Final = "We are open from nine to six on every day of the week but Sunday."


@dataclass
class Carrier:
    """Plays what it reads, in order and in real time; what it does not read, it never plays.

    `reads_until`: so long it reads. `loses` says which marks never come back.
    """

    speaker: Speaker | None = None
    reads_until: float = float("inf")
    forgets_at: float = float("inf")
    loses: Callable[[str], bool] = lambda _: False
    free_at: float = 0.0
    heard_ms: float = 0.0
    pending: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    pieces: list[tuple[float, float]] = field(default_factory=list)

    def send_audio(self, payload: bytes) -> None:
        now = self.now
        if now < self.reads_until:
            begins = max(now, self.free_at)
            self.free_at = begins + len(payload) / 8_000
            self.pieces.append((begins, self.free_at))

    def send_mark(self, name: str) -> None:
        self.marks.append(name)
        if self.now < self.reads_until and not self.loses(name):
            at = max(self.now, self.free_at) + ECHO_S
            self.pending[name] = asyncio.get_running_loop().call_at(at, self._return, name)

    def clear(self) -> None:
        if self.now < self.reads_until:
            self.pieces = [(begin, min(end, self.now)) for begin, end in self.pieces if begin < self.now]
            self.free_at = self.now
            for name, timer in list(self.pending.items()):
                timer.cancel()
                self.pending[name] = asyncio.get_running_loop().call_later(ECHO_S, self._return, name)

    def _return(self, name: str) -> None:
        del self.pending[name]
        if self.now - ECHO_S < self.forgets_at:
            assert self.speaker is not None
            self.speaker.mark_returned(name)

    def played_ms(self) -> float:
        until = min(self.now, self.forgets_at)
        return sum(max(0.0, min(end, until) - begin) for begin, end in self.pieces) * 1_000

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Line:
    """A speaker on such a carrier, and what it told."""

    carrier: Carrier
    speaker: Speaker
    told: list[tuple[float, ev.Input]]
    lost_at: list[float]
    over: asyncio.Event

    async def says(self, text: str = TEXT, reply_id: str = "r1", *, pace_s: float = 0.0) -> None:
        """A reply in pieces, which come from the voice at this pace."""
        self.speaker.begin(reply_id)
        self.speaker.said(reply_id, text)
        for at in range(0, len(text), PIECE_CHARS):
            await asyncio.sleep(pace_s)
            chars = text[at : at + PIECE_CHARS]
            spans = [TextSpan(one, (at + n) * CHAR_MS, (at + n + 1) * CHAR_MS) for n, one in enumerate(chars)]
            await self.speaker.play(reply_id, SpokenAudio(bytes(len(chars) * CHAR_MS * 8), tuple(spans)))
        self.speaker.finish(reply_id)

    def done_at(self, reply_id: str = "r1") -> float | None:
        return next((at for at, event in self.told if event == ev.ReplyDone(reply_id)), None)


def a_line(carrier: Carrier | None = None) -> Line:
    carrier = carrier or Carrier()
    loop, told, lost = asyncio.get_running_loop(), list[tuple[float, ev.Input]](), list[float]()
    over = asyncio.Event()

    def tell(event: ev.Input) -> None:
        told.append((loop.time(), event))
        if isinstance(event, ev.ReplyDone):
            over.set()

    def on_lost() -> None:
        lost.append(loop.time())
        over.set()

    carrier.speaker = Speaker(cast("MediaSocket", carrier), tell, on_lost, max_lead_s=6.0)
    return Line(carrier, carrier.speaker, told, lost, over)


def length_s(text: str = TEXT) -> float:
    return len(text) * CHAR_MS / 1_000


@in_virtual_time
async def test_a_reply_is_done_when_its_last_mark_is_back_and_nothing_is_probed() -> None:
    line = a_line()
    await line.says()
    await asyncio.sleep(20)
    assert line.done_at() == pytest.approx(length_s() + ECHO_S)
    assert (line.lost_at, [name for name in line.carrier.marks if "probe" in name]) == ([], [])


def _all_of_the_reply(name: str) -> bool:
    return name.startswith("r1:")


def _the_last_of_the_reply(name: str) -> bool:
    return name == "r1:20"


def _every_third(name: str) -> bool:
    return not int(name.split(":")[1]) % 3


@pytest.mark.parametrize("loses", [_all_of_the_reply, _the_last_of_the_reply, _every_third])
def test_a_carrier_that_loses_marks_is_probed_and_the_reply_counts_as_heard(loses: Callable[[str], bool]) -> None:
    @in_virtual_time
    async def call() -> None:
        line = a_line(Carrier(loses=loses))
        await line.says()
        await asyncio.sleep(20)
        heard = line.speaker.heard("r1")
        assert (line.lost_at, heard.outcome, heard.text) == ([], "all", TEXT)
        done_at = line.done_at()
        assert done_at is not None
        assert done_at <= length_s() + LATE_S + LONGEST_ECHO_S + 2 * ECHO_S

    call()


@pytest.mark.promise("P6")
@given(st.floats(0.0, length_s()), st.booleans())
@examples(max_examples=40, deadline=None)
def test_a_carrier_that_stops_reading_is_lost_within_seconds_and_only_what_it_played_was_heard(
    stops_at: float, forgets: bool
) -> None:
    """Whether it plays what it has read, or not even that."""

    @in_virtual_time
    async def call() -> None:
        line = a_line(Carrier(reads_until=stops_at, forgets_at=stops_at if forgets else float("inf")))
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(line.says(pace_s=PACE_S), name="says")
            await line.over.wait()
            speaking.cancel()
        played_ms = line.carrier.played_ms()
        if line.lost_at:
            ended_at = max(PACE_S, stops_at if forgets else line.carrier.free_at)
            echo_s = LONGEST_ECHO_S if line.speaker.unheard else ECHO_S
            assert loop.time() - ended_at <= MESSAGE_MS / 1_000 + echo_s + LATE_S + PROBE_S + 0.2
            heard_ms = line.speaker.heard("r1").played_ms
            assert heard_ms == pytest.approx(played_ms, abs=MESSAGE_MS / 2 + 1) or played_ms <= MESSAGE_MS
            assert heard_ms <= played_ms + MESSAGE_MS / 2 + 1
            assert not (heard_ms and line.speaker.unheard)
        else:
            assert played_ms == pytest.approx(length_s() * 1_000)

    call()


@pytest.mark.promise("P6")
@given(st.floats(0.5, length_s() - 1.0), st.floats(1.1, 3.0), st.booleans())
@examples(max_examples=40, deadline=None)
def test_a_caller_who_leaves_before_a_dead_stream_is_noticed_leaves_what_was_played(
    stops_at: float, after_s: float, cuts_in: bool
) -> None:
    @in_virtual_time
    async def call() -> None:
        line = a_line(Carrier(reads_until=stops_at, forgets_at=stops_at))
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(line.says(), name="says")
            await asyncio.sleep(stops_at + after_s)
            heard = line.speaker.cut("r1") if cuts_in else line.speaker.heard("r1")
            speaking.cancel()
        assert line.lost_at == []
        assert heard.played_ms == pytest.approx(line.carrier.played_ms(), abs=MESSAGE_MS / 2 + 1)

    call()


@in_virtual_time
async def test_a_caller_who_cuts_in_again_and_again_does_not_keep_a_dead_stream_alive() -> None:
    line = a_line(Carrier(reads_until=0.5))
    for number in range(12):
        await line.says(reply_id=f"r{number}")
        await asyncio.sleep(0.7)
        line.speaker.cut(f"r{number}")
    assert line.lost_at == [pytest.approx(length_s() + 2 * ECHO_S + LATE_S + PROBE_S)]


@in_virtual_time
async def test_marks_that_a_clear_returns_show_a_live_carrier_and_no_heard_words() -> None:
    line = a_line()
    await line.says()
    await asyncio.sleep(0.02)
    heard = line.speaker.cut("r1")
    await asyncio.sleep(20)
    assert (heard.outcome, line.lost_at, line.speaker.unheard) == ("nothing", [], True)


@in_virtual_time
async def test_a_carrier_that_plays_seconds_late_is_not_given_up() -> None:
    line = a_line()
    line.carrier.free_at = 2.5
    await line.says()
    await asyncio.sleep(20)
    assert line.lost_at == []
    assert line.done_at() == pytest.approx(2.5 + length_s() + ECHO_S)


@in_virtual_time
async def test_a_stream_that_is_closed_is_not_looked_after() -> None:
    line = a_line(Carrier(reads_until=0.0))
    await line.says()
    line.speaker.close()
    await asyncio.sleep(20)
    assert (line.lost_at, line.done_at()) == ([], None)


@in_virtual_time
async def test_a_transfer_does_not_wait_for_a_stream_that_is_lost_longer_than_it_has_to() -> None:
    line = a_line(Carrier(reads_until=0.0))
    await line.says()
    await line.speaker.until_played(60.0)
    assert asyncio.get_running_loop().time() <= length_s() + LONGEST_ECHO_S + LATE_S + PROBE_S
