"""A recogniser that outlives its connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import ListeningSettings
from calliope_call_worker.providers.stt import event_queue, resilient
from calliope_call_worker.providers.stt.base import SttEvent, SttOptions, SttStream, Transcript, UtteranceEnded, Word
from calliope_call_worker.providers.stt.resilient import ResilientStt
from support.recognisers import Connection, TwinStt
from support.waiting import until

OPTIONS = SttOptions(call_id="call_1", model="nova-3", language="en")
FRAME = b"\x80\x00" * 80
DROP = ProviderError("twin", Failure.DROPPED, "scripted")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resilient, "DELAYS_S", (0.0,) * 5)


class Talk:
    """An open stream and what happened on it."""

    def __init__(self, twin: TwinStt, stream: SttStream, reports: list[tuple[Failure, str]]) -> None:
        self.twin = twin
        self.stream = stream
        self.reports = reports
        self._events = aiter(stream.events())

    async def next(self) -> SttEvent:
        async with asyncio.timeout(5):
            return await anext(self._events)

    async def connection(self, number: int) -> Connection:
        await until(lambda: len(self.twin.connections) >= number)
        return self.twin.connections[number - 1]


@asynccontextmanager
async def a_talk(*refusals: ProviderError, silent_after_s: float = 60.0) -> AsyncIterator[Talk]:
    twin, reports = TwinStt(*refusals), list[tuple[Failure, str]]()
    settings = ListeningSettings(silent_after_s=silent_after_s)
    stt = ResilientStt(twin, settings, lambda error, action: reports.append((error.failure, action)))
    async with stt.open(OPTIONS) as stream:
        yield Talk(twin, stream, reports)
    assert all(connection.closed for connection in twin.connections)


def final(text: str, start_ms: float, end_ms: float) -> Transcript:
    return Transcript(text, True, False, start_ms, end_ms, (Word(text, start_ms, end_ms),))


async def test_audio_goes_in_and_events_come_out_as_they_are() -> None:
    async with a_talk() as talk:
        await talk.stream.send(FRAME)
        connection = await talk.connection(1)
        connection.hears(final("hi", 0, 20))
        assert await talk.next() == final("hi", 0, 20)
        assert connection.sent == FRAME


@pytest.mark.promise("P5")
async def test_a_dropped_stream_is_reopened_and_hears_what_was_not_final() -> None:
    async with a_talk() as talk:
        for _ in range(100):
            await talk.stream.send(FRAME)
        first = await talk.connection(1)
        first.hears(final("one", 0, 1_000), DROP)
        await talk.next()
        second = await talk.connection(2)
        await until(lambda: len(second.sent) == 8_000)
        await talk.stream.send(FRAME)
        assert second.sent == FRAME * 51
        second.hears(final("two", 100, 900))
        assert await talk.next() == final("two", 1_100, 1_900)
        assert talk.reports == [(Failure.DROPPED, "reopens")]


async def test_a_stream_that_takes_no_audio_is_reopened() -> None:
    async with a_talk() as talk:
        (await talk.connection(1)).refuse_audio = DROP
        await talk.stream.send(FRAME)
        await talk.stream.send(FRAME)
        second = await talk.connection(2)
        await until(lambda: second.sent == FRAME * 2)


@pytest.mark.promise("P5")
async def test_a_stream_that_hears_nothing_of_speech_is_reopened() -> None:
    async with a_talk(silent_after_s=0.01) as talk:
        async with asyncio.timeout(5):
            while len(talk.twin.connections) < 2:
                await talk.stream.send(FRAME)
                await asyncio.sleep(0)
        assert talk.reports[0] == (Failure.DEADLINE, "reopens")


async def test_opening_is_tried_again() -> None:
    async with a_talk(DROP, DROP) as talk:
        assert len(talk.twin.connections) == 1
        assert talk.reports == [(Failure.DROPPED, "reopens")] * 2


@pytest.mark.parametrize(
    ("refusals", "reported"),
    [([ProviderError("twin", Failure.KEY, "no")], ["gives up"]), ([DROP] * 6, ["reopens"] * 5 + ["gives up"])],
)
async def test_there_is_an_end_to_trying(refusals: list[ProviderError], reported: list[str]) -> None:
    reports: list[str] = []
    stt = ResilientStt(TwinStt(*refusals), ListeningSettings(), lambda _, action: reports.append(action))
    with pytest.raises(ProviderError):
        async with stt.open(OPTIONS):
            pass
    assert reports == reported


async def test_a_stream_that_is_lost_for_good_says_so_at_both_ends() -> None:
    async with a_talk() as talk:
        first = await talk.connection(1)
        talk.twin.refusals = [ProviderError("twin", Failure.QUOTA, "no")]
        first.hears(final("one", 0, 20), DROP)
        await talk.next()
        with pytest.raises(ProviderError, match="quota"):
            await talk.next()
        with pytest.raises(ProviderError, match="quota"):
            await talk.stream.send(FRAME)


async def test_of_many_events_that_nobody_reads_every_final_is_kept() -> None:
    async with a_talk() as talk:
        connection = await talk.connection(1)
        for number in range(event_queue.MAX_EVENTS // 2):
            start_ms = number * 100.0
            interims = [Transcript("per", False, False, start_ms, start_ms + 50 + more) for more in range(4)]
            connection.hears(*interims, final(f"word-{number}", start_ms, start_ms + 100), UtteranceEnded(start_ms))
        await until(lambda: connection.idle)

        heard = [await talk.next() for _ in range(event_queue.MAX_EVENTS)]

    finals = [event.text for event in heard if isinstance(event, Transcript) and event.is_final]
    assert finals == [f"word-{number}" for number in range(event_queue.MAX_EVENTS // 2)]


async def test_more_finals_than_may_wait_end_the_hearing_aloud() -> None:
    async with a_talk() as talk:
        connection = await talk.connection(1)
        connection.hears(*(final("word", at, at + 1) for at in range(event_queue.MAX_EVENTS + 1)))
        await until(lambda: talk.reports)

        assert [await talk.next() for _ in range(event_queue.MAX_EVENTS)]
        with pytest.raises(ProviderError, match="more than the call could take in"):
            await talk.next()


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with a_talk():
            raise KeyError
