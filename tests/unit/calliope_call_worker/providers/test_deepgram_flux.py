"""What Deepgram's /v2/listen is asked, and how its turns become events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from aiohttp import WSMsgType

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import DeepgramSettings
from calliope_call_worker.providers.stt import deepgram_flux
from calliope_call_worker.providers.stt.base import (
    SpeechStarted,
    SttEvent,
    SttOptions,
    SttStream,
    Transcript,
    TurnResumed,
    Word,
)
from calliope_call_worker.providers.stt.deepgram_flux import DeepgramFlux, query
from support.vendor_fakes import FakeDeepgram, serving
from support.waiting import until

OPTIONS = SttOptions(call_id="call_1", model="flux-general-en", language="en-US")


@asynccontextmanager
async def a_stream(fake: FakeDeepgram) -> AsyncIterator[SttStream]:
    async with (
        serving("/v2/listen", fake.answer) as (session, url),
        asyncio.timeout(5),
        DeepgramFlux(session, DeepgramSettings(url=url), "secret").open(OPTIONS) as stream,
    ):
        await until(lambda: fake.socket)
        yield stream


def a_turn(event: str, text: str, end: float, *, timed: bool = True, **more: Any) -> dict[str, Any]:
    times = {"start": 0.5, "end": end} if timed else {}
    words = [{"word": text, "confidence": 0.9, **times}]
    window = {"audio_window_start": 0.0, "audio_window_end": end}
    return {"type": "TurnInfo", "event": event, "transcript": text, "words": words, **window, **more}


def heard(text: str, end_ms: float, *, over: bool = False, eager: bool = False) -> Transcript:
    return Transcript(text, over, over, 0, end_ms, (Word(text, 500, end_ms),), eager)


def test_the_query_holds_what_a_call_needs() -> None:
    assert query(OPTIONS) == [
        ("model", "flux-general-en"),
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        ("tag", "call_1"),
    ]


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ({"eot_threshold": 0.8}, [("eot_threshold", "0.8")]),
        ({"eager_eot_threshold": 0.4}, [("eager_eot_threshold", "0.4")]),
        ({"eot_timeout_ms": 60_000}, [("eot_timeout_ms", "60000")]),
        ({"keyterms": ("Acme", "two words")}, [("keyterm", "Acme"), ("keyterm", "two words")]),
        ({"numerals": True}, [("numerals", "true")]),
        ({"profanity_filter": True}, [("profanity_filter", "true")]),
        ({"redact": ("numbers",)}, [("redact", "numbers")]),
        ({"mip_opt_out": True}, [("mip_opt_out", "true")]),
    ],
)
def test_an_option_reaches_the_vendor(option: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    plain = query(OPTIONS)
    assert [pair for pair in query(replace(OPTIONS, **option)) if pair not in plain] == sent


def test_a_language_is_a_hint_for_the_multilingual_model_only() -> None:
    multi = replace(OPTIONS, model="flux-general-multi")
    assert ("language_hint", "es") in query(replace(multi, language="es-MX"))
    assert "language_hint" not in dict(query(replace(multi, language="multi")))


async def test_turns_become_events() -> None:
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        for message in (
            {"type": "Connected"},
            a_turn("StartOfTurn", "Book", 0.9),
            a_turn("EagerEndOfTurn", "Book it", 1.5),
            a_turn("TurnResumed", "Book it", 1.6),
            a_turn("Update", "Book it now", 2.0),
            a_turn("EndOfTurn", "Book it now.", 2.5, trigger="of a later version"),
        ):
            await fake.says(message)
        events, found = aiter(stream.events()), list[SttEvent]()
        while len(found) < 7:
            found.append(await anext(events))
    assert found == [
        SpeechStarted(0),
        heard("Book", 900),
        heard("Book it", 1_500, eager=True),
        TurnResumed(),
        heard("Book it", 1_600),
        heard("Book it now", 2_000),
        heard("Book it now.", 2_500, over=True),
    ]


async def test_words_without_times_are_left_out() -> None:
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        await fake.says(a_turn("EndOfTurn", "Book it.", 2.5, timed=False))
        assert await anext(aiter(stream.events())) == Transcript("Book it.", True, True, 0, 2_500)


async def test_when_no_audio_comes_silence_goes_out_and_times_do_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_flux, "FEED_S", 0.01)
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        await stream.send(b"\x55" * 8_000)
        await until(lambda: fake.audio.rpartition(b"\x55")[2].startswith(b"\xff" * 8_000))
        sent_from_s = fake.audio.index(b"\x55") / 8_000
        await fake.says(a_turn("EndOfTurn", "Book", sent_from_s + 1.7))
        event = await anext(aiter(stream.events()))
    assert isinstance(event, Transcript)
    assert event.end_ms == pytest.approx(1_000)
    assert fake.texts == ['{"type":"CloseStream"}']


async def test_a_turn_is_ended_on_demand() -> None:
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        await stream.finalize()
        await until(lambda: fake.texts == ['{"type":"ForceEndTurn"}'])


async def test_a_close_without_a_status_that_nobody_asked_for_is_an_error() -> None:
    """The vendor ends every stream so: taking it for the normal end would leave the call deaf."""
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        assert fake.socket is not None
        await cast("Any", fake.socket)._writer.send_frame(b"", WSMsgType.CLOSE)
        with pytest.raises(ProviderError, match="1005") as caught:
            await anext(aiter(stream.events()))
    assert caught.value.failure is Failure.DROPPED


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ({"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "x"}, Failure.ERROR),
        ({"type": "TurnInfo", "event": "Update"}, Failure.MALFORMED),
    ],
)
async def test_an_error_ends_the_stream(message: dict[str, Any], failure: Failure) -> None:
    fake = FakeDeepgram()
    async with a_stream(fake) as stream:
        await fake.says(message)
        with pytest.raises(ProviderError) as caught:
            await anext(aiter(stream.events()))
    assert caught.value.failure is failure
