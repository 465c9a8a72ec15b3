"""What Deepgram's voices are sent, and how their limits and odd answers are taken."""

from collections import Counter
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.speak.v1.types import SpeakV1Clear, SpeakV1Close, SpeakV1Flush, SpeakV1Text

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.pipeline.playout import Playout
from calliope_call_worker.providers.errors import Failure, ProviderError
from support.spoken_world import World, alive, heard, reply, words_of, world
from support.waiting import until

DEEPGRAM = TtsProvider.DEEPGRAM
OLD_WEBSOCKETS = pytest.mark.filterwarnings("ignore:.*websockets:DeprecationWarning")
"""The SDK imports names of the websockets package that are on their way out."""
LONG = "The quick brown fox jumps over the lazy dog, again and again. " * 5


def messages(twins: World, number: int = 0) -> list[str]:
    return [message["type"] for message in twins.records(DEEPGRAM)[number]["messages"]]


async def test_sentences_are_spoken_as_they_come_and_one_flush_ends_the_reply() -> None:
    async with world() as twins:
        async with twins.voice(DEEPGRAM).connect("call_1") as voice, voice.speak() as stream:
            await stream.say("Your table is booked. ")
            assert (await anext(aiter(stream.audio()))).audio
            await reply(stream, ("Goodbye. ",))
        assert messages(twins) == ["Speak", "Speak", "Flush", "Close"]
        assert twins.records(DEEPGRAM)[0]["query"] == {
            "model": "aura-2-thalia-en",
            "encoding": "mulaw",
            "sample_rate": "8000",
        }


async def test_a_clause_is_flushed_at_once() -> None:
    """It would wait for the end of its sentence, which may be seconds away."""
    async with world() as twins, twins.voice(DEEPGRAM).connect("call_1") as voice, voice.speak() as stream:
        await stream.say("Let me see whether, ")
        assert (await anext(aiter(stream.audio()))).audio


async def test_no_socket_is_flushed_more_often_than_the_vendor_takes() -> None:
    async with world() as twins:
        async with twins.voice(DEEPGRAM).connect("call_1") as voice:
            for number in range(23):
                async with voice.speak() as stream:
                    said = (f"Well, number {number}, ", "which it is, ", "is here. ")
                    assert (await reply(stream, said)).heard == words_of("".join(said))
        records = twins.records(DEEPGRAM)
        flushes = [Counter(message["type"] for message in record["messages"])["Flush"] for record in records]
        assert sum(record["warnings"] for record in records) == 0
        assert max(flushes) <= 20
        assert len(records) == 4


async def test_more_text_than_a_minute_takes_waits_for_its_time() -> None:
    async with world() as twins:
        twins.turn(DEEPGRAM, characters=2_000, window_s=0.3)
        options = {"characters": 2_000, "limits_window_s": 1.0}
        async with twins.voice(DEEPGRAM, options=options).connect("call_1") as voice, voice.speak() as stream:
            spoken = await reply(stream, (LONG * 4, LONG * 4))
        assert (spoken.heard, spoken.text) == (words_of(LONG * 8), LONG * 8)
        assert len(twins.records(DEEPGRAM)) == 1


async def test_replies_that_were_cut_do_not_make_the_next_wait() -> None:
    """Their text counts at the vendor, though nobody heard it."""
    async with world(speed=8.0) as twins:
        async with twins.voice(DEEPGRAM).connect("call_1") as voice:
            for _ in range(6):
                async with voice.speak() as stream:
                    await stream.say(LONG * 2)
                    await anext(aiter(stream.audio()))
            async with voice.speak() as stream:
                assert (await reply(stream, ("Next. ",))).heard == "Next."
        assert len(twins.records(DEEPGRAM)) == 4


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("late_chunks", [0, 1, 3])
async def test_barge_in_clears_the_socket_and_late_audio_is_dropped(late_chunks: int, flushed: bool) -> None:
    async with world(speed=8.0) as twins:
        twins.turn(DEEPGRAM, late_chunks=late_chunks, flushed_when_cleared=flushed, chunk_ms=200.0)
        async with twins.voice(DEEPGRAM).connect("call_1") as voice:
            async with voice.speak() as stream:
                await stream.say(LONG)
                await stream.finish()
                await anext(aiter(stream.audio()))
            for text in ("I see, sorry. ", "Go on. "):
                async with voice.speak() as stream:
                    spoken = await reply(stream, (text,))
                assert (spoken.heard, spoken.text) == (words_of(text), text)
        assert messages(twins)[:3] == ["Speak", "Flush", "Clear"]
        assert len(twins.records(DEEPGRAM)) == 1


async def test_until_a_flush_is_answered_the_text_heard_is_a_guess_by_the_usual_pace() -> None:
    playout = Playout()
    playout.said("r1", LONG)
    async with (
        world(speed=8.0, char_ms=70) as twins,
        twins.voice(DEEPGRAM).connect("call_1") as voice,
        voice.speak() as stream,
    ):
        await stream.say(LONG)
        audio, parts = b"", aiter(stream.audio())
        while len(audio) < 3_000 * 8:
            part = await anext(parts)
            assert not part.spans
            audio += part.audio
            playout.sent("r1", len(part.audio), 0.0)
    counted = playout.heard("r1", 3.0).text
    assert LONG.startswith(counted)
    assert abs(len(counted.split()) - len(heard(audio[: 3_000 * 8]).split())) <= 1


async def test_a_reply_that_was_heard_out_needs_no_clear() -> None:
    async with world() as twins:
        async with twins.voice(DEEPGRAM).connect("call_1") as voice:
            for _ in range(2):
                async with voice.speak() as stream:
                    await reply(stream, ("Goodbye. ",))
        assert "Clear" not in messages(twins)


async def test_a_socket_that_lived_long_is_replaced_between_replies() -> None:
    async with world() as twins:
        options = {"lifetime_s": 0.01}
        async with twins.voice(DEEPGRAM, options=options).connect("call_1") as voice:
            for _ in range(2):
                async with voice.speak() as stream:
                    assert (await reply(stream, ("Goodbye. ",))).heard == "Goodbye."
                await until(lambda: not alive(voice))
        assert len(twins.records(DEEPGRAM)) == 2


async def test_the_vendors_hour_ends_an_idle_socket_and_the_next_reply_is_spoken() -> None:
    async with world() as twins:
        twins.turn(DEEPGRAM, lifetime_s=0.05)
        async with twins.voice(DEEPGRAM).connect("call_1") as voice:
            await until(lambda: not alive(voice))
            twins.turn(DEEPGRAM, lifetime_s=60.0)
            async with voice.speak() as stream:
                assert (await reply(stream, ("Goodbye. ",))).heard == "Goodbye."


@pytest.mark.parametrize(
    ("voice", "model"),
    [
        ("asteria", "aura-2-asteria-en"),
        ("Thalia", "aura-2-thalia-en"),
        ("helios", "aura-helios-en"),
        ("aura-2-diana-es", "aura-2-diana-es"),
    ],
)
async def test_a_nickname_becomes_the_vendors_model(voice: str, model: str) -> None:
    async with world() as twins:
        assert twins.voice(DEEPGRAM, voice_id=voice).voice == model
        assert twins.voice(DEEPGRAM, model_id=voice).voice == model


async def test_a_voice_that_does_not_exist_is_refused() -> None:
    async with world() as twins:
        with pytest.raises(ProviderError, match="no such model") as caught:
            async with twins.voice(DEEPGRAM, voice_id="nobody").connect("call_1"):
                pass
    assert caught.value.failure is Failure.REFUSED


def official(twins: World, key: str = "secret") -> AsyncDeepgramClient:
    http = f"{twins.url}/deepgram"
    socket = http.replace("http", "ws", 1)
    environment = DeepgramClientEnvironment(base=http, production=socket, agent=socket, agent_rest=http)
    return AsyncDeepgramClient(api_key=key, environment=environment)


@OLD_WEBSOCKETS
async def test_the_official_sdk_speaks_with_the_twin() -> None:
    async with world(speed=8.0) as twins:
        audio, seen = b"", list[str]()
        connect = official(twins).speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000)
        async with connect as socket:
            await socket.send_text(SpeakV1Text(text="This will be cut, after all of it was sent. "))
            await socket.send_clear(SpeakV1Clear(type="Clear"))
            while (message := kind_of(await socket.recv())) != "Cleared":
                seen.append(message)
            await socket.send_text(SpeakV1Text(text="Hello there. "))
            await socket.send_flush(SpeakV1Flush(type="Flush"))
            while isinstance(message := await socket.recv(), bytes):
                audio += message
            await socket.send_close(SpeakV1Close(type="Close"))
        assert (seen[0], kind_of(message), heard(audio)) == ("Metadata", "Flushed", "Hello there.")


@OLD_WEBSOCKETS
async def test_the_official_sdk_sees_too_many_flushes_and_the_end_of_a_lifetime() -> None:
    async with world() as twins:
        twins.turn(DEEPGRAM, flushes=1, lifetime_s=0.3)
        connect = official(twins).speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000)
        seen, ends = list[str](), list[str]()
        async with connect as socket:
            socket.on(EventType.MESSAGE, lambda message: seen.append(kind_of(message)))
            socket.on(EventType.ERROR, lambda error: ends.append(str(error)))
            for _ in range(2):
                await socket.send_flush()
            await socket.start_listening()
        assert sorted(seen) == ["Flushed", "Metadata", "Warning"]
        assert "NET-0003" in ends[0]


def kind_of(message: Any) -> str:
    """The SDK takes one kind of message for another, but keeps its `type`."""
    return "audio" if isinstance(message, bytes) else str(message.type)
