"""One suite for every recogniser, each against its vendor's twin over a real socket."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import ListeningSettings
from calliope_call_worker.providers.stt import deepgram_flux, resilient
from calliope_call_worker.providers.stt.base import SttStream, Transcript, TurnResumed
from calliope_call_worker.providers.stt.resilient import ResilientStt
from support.hearing import PACE_MS, PAUSE, HearingSandbox, a_hearing_sandbox, options, say, utterances, voice
from support.waiting import until

MODELS = ["nova-3", "nova-2", "flux-general-en"]
RUNS = 50
WORDS = "I need a table for two people tomorrow evening at seven please and a high chair"

every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
async def twin() -> AsyncIterator[HearingSandbox]:
    async with a_hearing_sandbox() as sandbox:
        yield sandbox


async def heard_of(stream: SttStream, text: str) -> str:
    await say(stream, voice(text))
    return await anext(utterances(stream))


COMMON = {"numerals": True, "profanity_filter": True, "redact": ["numbers"], "mip_opt_out": True}
NOVA = {"smart_format": True, "filler_words": True, "endpointing": 450, "utterance_end_ms": 1_500}
TURNS = {"eot_threshold": 0.8, "eager_eot_threshold": 0.5, "eot_timeout_ms": 4_000}


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("document", "asked"),
    [
        (
            {"model": "nova-3", "language": "multi", "keyterms": ["Acme"], **COMMON, **NOVA},
            {"language": "multi", "keyterm": "Acme", "filler_words": "true", "endpointing": "450", "no_delay": "true"},
        ),
        (
            {"model": "nova-2-phonecall", "keywords": [{"keyword": "Acme", "intensifier": 2}], **COMMON, **NOVA},
            {"language": "en-US", "keywords": "Acme:2", "utterance_end_ms": "1500", "smart_format": "true"},
        ),
        (
            {"model": "flux-general-multi", "language": "es", "keyterms": ["Acme"], **COMMON, **TURNS},
            {"language_hint": "es", "keyterm": "Acme"} | {name: f"{value:g}" for name, value in TURNS.items()},
        ),
    ],
)
async def test_a_document_is_asked_for_as_it_is_and_taken(
    twin: HearingSandbox, document: dict[str, Any], asked: dict[str, str]
) -> None:
    model = str(document["model"])
    async with twin.recogniser(model).open(options(**document)) as stream:
        assert await heard_of(stream, "Hello?") == "Hello?"
    (recorded,) = twin.streams
    common = {"model": model, "numerals": "true", "profanity_filter": "true", "redact": "numbers"}
    assert {**asked, **common, "mip_opt_out": "true"}.items() <= recorded["query"].items()
    assert recorded["call"] == "call_1"


@every_model
async def test_a_whole_utterance_is_heard_with_its_words_in_time(twin: HearingSandbox, model: str) -> None:
    async with twin.recogniser(model).open(options(model)) as stream:
        await say(stream, voice("Book a table."))
        events = [event async for event in _until_final(stream)]
    interims, final = events[:-1], events[-1]
    assert next(event.text for event in interims if event.text) == "Book"
    assert (final.text, final.speech_final) == ("Book a table.", True)
    assert [word.text for word in final.words] == ["Book", "a", "table."]
    starts = [word.start_ms for word in final.words]
    assert starts == pytest.approx([0, 200, 280], abs=10)
    assert all(word.start_ms < word.end_ms <= final.end_ms for word in final.words)


@every_model
async def test_long_speech_is_heard_whole(twin: HearingSandbox, model: str) -> None:
    twin.sandbox.knobs.turn({"deepgram": {"final_every_ms": 700.0}})
    async with twin.recogniser(model).open(options(model)) as stream:
        await say(stream, voice(WORDS))
        events = [event async for event in _until_final(stream)]
    finals = [event for event in events if event.is_final]
    assert " ".join(event.text for event in finals if event.text) == WORDS
    assert (len(finals) > 3) is model.startswith("nova")
    assert [event.end_ms for event in finals] == sorted(event.end_ms for event in finals)


@every_model
@pytest.mark.parametrize("text", ["Grüße aus Köln", "明日 七時 お願い します", "हाँ ठीक है", "naïve 🙂 café"])
async def test_every_script_is_heard(twin: HearingSandbox, model: str, text: str) -> None:
    async with twin.recogniser(model).open(options(model)) as stream:
        assert await heard_of(stream, text) == text


@every_model
async def test_one_utterance_after_another_is_heard(twin: HearingSandbox, model: str) -> None:
    async with twin.recogniser(model).open(options(model)) as stream:
        heard = utterances(stream)
        for text in ("Hello?", "A table, please.", "For two."):
            await say(stream, voice(text))
            assert await anext(heard) == text


async def test_an_eager_end_is_told_and_taken_back_before_other_words(twin: HearingSandbox) -> None:
    asked = options("flux-general-en", eager_eot_threshold=0.3, eot_threshold=0.9)
    async with twin.recogniser(asked.model).open(asked) as stream:
        await say(stream, voice("I need   a table"))  # three blanks: some confidence in the end, not enough
        told: list[str] = []
        async for event in stream.events():
            match event:
                case TurnResumed():
                    told.append("resumed")
                case Transcript(is_final=True):
                    told.append(f"final {event.text}")
                    break
                case Transcript(eager=True):
                    told.append(f"eager {event.text}")
    assert told == ["eager I need", "resumed", "eager I need a table", "final I need a table"]


async def test_a_turn_ends_although_the_carrier_stops_sending(
    twin: HearingSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold, mute, DTX: this vendor's clock is the audio, and a turn that never ends is never answered."""
    monkeypatch.setattr(deepgram_flux, "FEED_S", 0.05)
    async with twin.recogniser("flux-general-en").open(options("flux-general-en")) as stream:
        await say(stream, voice("Hello there.").removesuffix(PAUSE))
        assert await anext(utterances(stream)) == "Hello there."


@every_model
async def test_silence_says_nothing(twin: HearingSandbox, model: str) -> None:
    async with twin.recogniser(model).open(options(model)) as stream:
        await say(stream, b"\xff" * 8_000 * 20)
        assert await heard_of(stream, "Hello?") == "Hello?"


@every_model
async def test_a_wrong_key_is_told_as_one(twin: HearingSandbox, model: str) -> None:
    error = await _refusal(twin, model, key="bad-key")
    assert (error.failure, error.fatal) == (Failure.KEY, True)
    assert "bad-key" not in str(error)


@every_model
@pytest.mark.parametrize(
    ("status", "failure"),
    [(402, Failure.QUOTA), (403, Failure.KEY), (429, Failure.RATE_LIMITED), (503, Failure.ERROR)],
)
async def test_a_refusal_has_its_class(twin: HearingSandbox, model: str, status: int, failure: Failure) -> None:
    twin.fault("refuse", status=status, reason="said no")
    error = await _refusal(twin, model)
    assert error.failure is failure
    assert "said no" in error.detail


@every_model
async def test_a_server_that_is_not_there_is_told_at_once(twin: HearingSandbox, model: str) -> None:
    recogniser = twin.recogniser(model)
    await twin.server.close()
    with pytest.raises(ProviderError) as caught:
        async with recogniser.open(options(model)):
            pass
    assert caught.value.failure is Failure.DROPPED


@every_model
async def test_a_handshake_that_is_not_answered_has_a_deadline(twin: HearingSandbox, model: str) -> None:
    async with await asyncio.start_server(_says_nothing, "127.0.0.1") as mute:
        host, port = mute.sockets[0].getsockname()
        error = await _refusal(twin, model, url=f"ws://{host}:{port}", handshake_deadline_s=0.05)
    assert error.failure is Failure.DEADLINE


@every_model
@pytest.mark.parametrize(
    ("kind", "details", "failure"),
    [
        ("error", {}, {Failure.ERROR, Failure.DROPPED}),
        ("drop", {}, {Failure.DROPPED}),
        ("close", {"code": "1011"}, {Failure.DROPPED}),
        ("close", {"code": "1000"}, {Failure.DROPPED}),
        ("garbage", {}, {Failure.MALFORMED}),
    ],
)
async def test_trouble_in_the_middle_ends_the_stream_with_its_class(
    twin: HearingSandbox, model: str, kind: str, details: dict[str, Any], failure: set[Failure]
) -> None:
    twin.fault(kind, after=2, **details)
    async with twin.recogniser(model).open(options(model)) as stream:
        with pytest.raises(ProviderError) as caught:
            await heard_of(stream, WORDS)
    assert caught.value.failure in failure


@every_model
@pytest.mark.parametrize("kind", ["silent", "error", "drop", "close", "garbage", "rate_limited", "refuse", "latency"])
async def test_no_trouble_costs_a_word(
    twin: HearingSandbox, model: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilient, "DELAYS_S", (0.0,) * 5)
    twin.fault(kind, **{"latency": {"ms": 20}}.get(kind, {"times": 1}))
    reports: list[str] = []
    stt = ResilientStt(
        twin.recogniser(model), ListeningSettings(silent_after_s=0.2), lambda _, did: reports.append(did)
    )
    async with stt.open(options(model)) as stream, asyncio.TaskGroup() as caller:
        speaking = caller.create_task(_say_until_reopened(twin, stream, kind), name="caller")
        assert await anext(utterances(stream)) == WORDS
        speaking.cancel()
    assert reports == ([] if kind == "latency" else ["reopens"])


@every_model
async def test_a_connection_lost_at_any_moment_loses_and_doubles_nothing(
    twin: HearingSandbox, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilient, "DELAYS_S", (0.0,) * 5)
    chance = random.Random(model)
    twin.sandbox.knobs.turn({"deepgram": {"final_every_ms": 900.0}})
    audio = voice(WORDS)
    for run in range(RUNS):
        stt = ResilientStt(twin.recogniser(model), ListeningSettings(), lambda *_: None)
        moments = sorted(chance.randrange(len(audio)) for _ in range(chance.choice((1, 1, 2))))
        async with asyncio.timeout(10), stt.open(options(model)) as stream:
            for begin, end in pairwise([0, *moments]):
                await say(stream, audio[begin:end])
                for _ in range(chance.randrange(20)):
                    await asyncio.sleep(0)
                twin.cut()
            await say(stream, audio[moments[-1] :] + voice("stop"))
            assert await _finals_until(stream, "stop") == f"{WORDS} stop", f"run {run}, cut at {moments}"


@every_model
async def test_of_a_long_turn_the_words_too_old_to_be_heard_again_are_kept(
    twin: HearingSandbox, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilient, "DELAYS_S", (0.0,) * 5)
    audio, cut_at = voice(WORDS), len(voice(WORDS)) // 2
    stt = ResilientStt(twin.recogniser(model), ListeningSettings(replay_s=0.5), lambda *_: None)
    async with asyncio.timeout(10), stt.open(options(model)) as stream:
        await say(stream, audio[:cut_at])
        await _until_heard(twin, cut_at)
        twin.cut()
        await until(lambda: len(twin.streams) == 2)
        await say(stream, audio[cut_at:] + voice("stop"))
        assert await _finals_until(stream, "stop") == f"{WORDS} stop"


@every_model
async def test_what_our_side_adds_to_a_recognisers_answer(
    twin: HearingSandbox, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the twin's send to our event, in one process with the twin and the speaker: an upper bound."""
    loop, arrived_s = asyncio.get_running_loop(), list[float]()

    async def listen(stream: SttStream) -> None:
        async for _ in utterances(stream):
            arrived_s.append(loop.time())

    async with twin.recogniser(model).open(options(model)) as stream, asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen(stream), name="listen")
        for number in range(100):
            await say(stream, voice(f"say {number}"))
            while len(arrived_s) <= number or len(twin.streams[0]["finals"]) <= number:  # noqa: ASYNC110 - polls measure
                await asyncio.sleep(0)
        listening.cancel()
    sent_s = [final["sent_at_s"] for final in twin.streams[0]["finals"]]
    added_ms = sorted((at - sent) * 1_000 for at, sent in zip(arrived_s, sent_s, strict=True))
    with capsys.disabled():
        print(f"\n{model}: send to event p50 {added_ms[49]:.2f} ms, p99 {added_ms[98]:.2f} ms")


async def _until_final(stream: SttStream) -> AsyncIterator[Transcript]:
    async for event in stream.events():
        if isinstance(event, Transcript):
            yield event
            if event.speech_final and re.search(r"\w", event.text):
                return


async def _until_heard(twin: HearingSandbox, count: int) -> None:
    """Until so much audio is nearly all in the words that the twin told."""
    words = len(WORDS[: count // (8 * PACE_MS) - 10].split()) - 1
    await until(lambda: any(len(told["text"].split()) >= words for told in twin.streams[0]["interims"]))


async def _finals_until(stream: SttStream, last: str) -> str:
    """All finals up to this word, whoever noticed the pauses: an end of speech may be lost with its connection."""
    finals: list[str] = []
    async for event in stream.events():
        if isinstance(event, Transcript) and event.is_final and event.text:
            finals.append(event.text)
            if event.text.endswith(last):
                break
    return " ".join(finals)


async def _say_until_reopened(twin: HearingSandbox, stream: SttStream, kind: str) -> None:
    """A deaf stream is noticed only while the caller speaks; the others need no more than what was said."""
    await say(stream, voice(WORDS))
    while kind == "silent" and len(twin.streams) < 2:
        await stream.send(b"\xff" * 160)
        await asyncio.sleep(0.005)


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _refusal(twin: HearingSandbox, model: str, **recogniser: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with twin.recogniser(model, **recogniser).open(options(model)):
            pass
    return caught.value
