"""What Deepgram's /v1/listen is asked, and how its messages become events."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import WSCloseCode

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import DeepgramSettings
from calliope_call_worker.providers.stt import deepgram
from calliope_call_worker.providers.stt.base import SpeechStarted, SttOptions, Transcript, UtteranceEnded, Word
from calliope_call_worker.providers.stt.deepgram import Deepgram, query
from support.vendor_fakes import FakeDeepgram, serving
from support.waiting import until

OPTIONS = SttOptions(call_id="call_1", model="nova-3", language="en-US", keyterms=("Calliope", "two words"))
RESULTS = {
    "type": "Results",
    "start": 1.5,
    "duration": 1.0,
    "is_final": True,
    "channel": {
        "alternatives": [
            {"transcript": "Book.", "words": [{"word": "book", "start": 1.6, "end": 1.8, "punctuated_word": "Book."}]}
        ]
    },
}


async def test_a_stream_asks_for_what_a_call_needs_and_says_goodbye() -> None:
    fake = FakeDeepgram()
    async with serving("/v1/listen", fake.answer) as (session, url), asyncio.timeout(5):
        async with Deepgram(session, DeepgramSettings(url=url), "secret").open(OPTIONS) as stream:
            await stream.send(b"\x55" * 160)
            await stream.send(b"")
            await stream.finalize()
            await until(lambda: fake.texts)
        await fake.closed.wait()
    assert fake.request is not None
    query = fake.request.query
    assert fake.request.headers["Authorization"] == "Token secret"
    assert (query["encoding"], query["sample_rate"], query["channels"]) == ("mulaw", "8000", "1")
    assert (query["extra"], query.getall("keyterm")) == ("call_id:call_1", ["Calliope", "two words"])
    assert fake.audio == b"\x55" * 160
    assert fake.texts == ['{"type":"Finalize"}', '{"type":"CloseStream"}']


def asked(**changes: Any) -> list[tuple[str, str]]:
    return query(replace(OPTIONS, **changes))


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ({"punctuate": True}, [("punctuate", "true")]),
        ({"smart_format": True}, [("smart_format", "true"), ("no_delay", "true")]),
        ({"numerals": True}, [("numerals", "true")]),
        ({"profanity_filter": True}, [("profanity_filter", "true")]),
        ({"filler_words": True}, [("filler_words", "true")]),
        ({"mip_opt_out": True}, [("mip_opt_out", "true")]),
        ({"redact": ("pci", "ssn")}, [("redact", "pci"), ("redact", "ssn")]),
        ({"endpointing_ms": 450}, [("endpointing", "450")]),
        ({"utterance_end_ms": 1_500}, [("utterance_end_ms", "1500")]),
        ({"keywords": (("Acme", 2.5), ("Zoe", None))}, [("keywords", "Acme:2.5"), ("keywords", "Zoe")]),
        ({"keyterms": ("two words",)}, [("keyterm", "two words")]),
        ({"language": "multi"}, [("language", "multi")]),
        ({"model": "nova-2-phonecall"}, [("model", "nova-2-phonecall")]),
    ],
)
def test_an_option_reaches_the_vendor(option: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    plain = asked(punctuate=False, keyterms=())
    assert [pair for pair in asked(**{"punctuate": False, "keyterms": ()} | option) if pair not in plain] == sent


async def test_messages_become_events_with_times_in_ms() -> None:
    fake = FakeDeepgram()
    async with (
        serving("/v1/listen", fake.answer) as (session, url),
        asyncio.timeout(5),
        Deepgram(session, DeepgramSettings(url=url), "secret").open(OPTIONS) as stream,
    ):
        await until(lambda: fake.socket)
        for message in (
            {"type": "Metadata"},
            {"type": "SpeechStarted", "timestamp": 1.5},
            RESULTS,
            {"type": "UtteranceEnd", "last_word_end": 1.8},
        ):
            await fake.says(message)
        events = aiter(stream.events())
        assert await anext(events) == SpeechStarted(1_500)
        word = Word("Book.", 1_600, 1_800)
        assert await anext(events) == Transcript("Book.", True, False, 1_500, 2_500, (word,))
        assert await anext(events) == UtteranceEnded(1_800)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, Failure.KEY),
        (402, Failure.QUOTA),
        (400, Failure.REFUSED),
        (429, Failure.RATE_LIMITED),
        (503, Failure.ERROR),
    ],
)
async def test_a_refusal_has_its_class_and_hides_the_key(status: int, failure: Failure) -> None:
    fake = FakeDeepgram(status=status)
    async with serving("/v1/listen", fake.answer) as (session, url):
        with pytest.raises(ProviderError) as caught:
            async with Deepgram(session, DeepgramSettings(url=url), "secret").open(OPTIONS):
                pass
    error = caught.value
    assert (error.failure, error.retry_after_s) == (failure, 7.0)
    assert "said no" in error.detail
    assert "secret" not in repr(error.__cause__) + error.detail


async def test_an_end_that_nobody_asked_for_is_an_error() -> None:
    fake = FakeDeepgram()
    async with (
        serving("/v1/listen", fake.answer) as (session, url),
        asyncio.timeout(5),
        Deepgram(session, DeepgramSettings(url=url), "secret").open(OPTIONS) as stream,
    ):
        await until(lambda: fake.socket)
        assert fake.socket is not None
        await fake.socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"NET-0001")
        with pytest.raises(ProviderError, match="1011"):
            await anext(aiter(stream.events()))
        with pytest.raises(ProviderError):
            await stream.send(b"\x55" * 160)


async def test_a_quiet_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram, "KEEP_ALIVE_S", 0.01)
    fake = FakeDeepgram()
    async with (
        serving("/v1/listen", fake.answer) as (session, url),
        asyncio.timeout(5),
        Deepgram(session, DeepgramSettings(url=url), "secret").open(OPTIONS),
    ):
        await until(lambda: fake.texts == ['{"type":"KeepAlive"}'] * 2)
