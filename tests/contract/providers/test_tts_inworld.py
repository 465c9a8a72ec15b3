"""What Inworld's voices are sent, and how the variants of its answers are taken."""

from typing import Any

import aiohttp
import pytest

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.tts import inworld_words
from support.spoken_world import World, alive, reply, words_of, world
from support.waiting import until

INWORLD = TtsProvider.INWORLD
PIECES = ("Your table is booked. ", "Anything else? ")
TEXT = "".join(PIECES)
LONG = "The quick brown fox jumps over the lazy dog, again and again. " * 5
OPTIONS = {
    "voiceId": "Ashley",
    "modelId": "inworld-tts-1.5-max",
    "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8_000},
    "timestampType": "WORD",
}


async def test_a_reply_is_a_context_that_is_closed_behind_its_last_audio() -> None:
    async with world() as twins:
        async with twins.voice(INWORLD, voice_id="ashley").connect("call_1") as voice, voice.speak() as stream:
            await reply(stream, PIECES)
        record = twins.records(INWORLD)[0]
        assert record["contexts"] == [{"context": "r1", **OPTIONS}]
        assert [message["what"][0] for message in record["messages"]] == [
            "contextId",
            "contextId",
            "contextId",
            "closeContext",
        ]
        assert record["messages"][-1]["at_s"] > record["texts"][-1]["first_byte_at_s"]


@pytest.mark.parametrize("header", ["none", "first", "every"])
@pytest.mark.parametrize("trailing", [False, True])
async def test_headers_are_stripped_and_times_may_come_behind(header: str, trailing: bool) -> None:
    async with world() as twins:
        twins.turn(INWORLD, header=header, trailing_times=trailing)
        async with twins.voice(INWORLD).connect("call_1") as voice, voice.speak() as stream:
            spoken = await reply(stream, PIECES)
    assert (spoken.heard, spoken.text) == (words_of(TEXT), TEXT)
    assert [span.start_ms for span in spoken.spans] == pytest.approx(
        [40.0 * TEXT.index(span.text) for span in spoken.spans], abs=2.0
    )


async def test_a_language_without_times_is_spread_over_the_audio() -> None:
    async with world() as twins:
        twins.turn(INWORLD, timed=False)
        async with twins.voice(INWORLD).connect("call_1") as voice, voice.speak() as stream:
            spoken = await reply(stream, PIECES)
    assert (spoken.text, spoken.spans[-1].end_ms) == (TEXT, spoken.audio_ms)


async def test_many_barge_ins_stay_within_the_contexts_of_a_socket() -> None:
    async with world(speed=8.0) as twins:
        async with twins.voice(INWORLD).connect("call_1") as voice:
            for _ in range(12):
                async with voice.speak() as stream:
                    await stream.say(LONG)
            async with voice.speak() as stream:
                assert (await reply(stream, ("Next. ",))).heard == "Next."
        contexts = [len(record["contexts"]) for record in twins.records(INWORLD)]
        assert sum(contexts) == 13


@pytest.mark.parametrize(
    ("document", "sent"),
    [
        ({}, ("Hades", "inworld-tts-1.5-max", None)),
        ({"voice_id": "Alex", "model_id": "inworld-tts-1.5-mini"}, ("Alex", "inworld-tts-1.5-mini", None)),
        ({"provider_config": {"language": "de"}}, ("Hades", "inworld-tts-2", "de")),
        ({"voice_id": "cloned__1", "model_id": "inworld-tts-1.5-max"}, ("cloned__1", "inworld-tts-1.5-max", None)),
    ],
)
async def test_voice_model_and_language_act(document: dict[str, Any], sent: tuple[str, str, str | None]) -> None:
    async with world() as twins:
        async with twins.voice(INWORLD, **document).connect("call_1") as voice, voice.speak() as stream:
            await reply(stream, PIECES)
        context = twins.records(INWORLD)[0]["contexts"][0]
        assert (context["voiceId"], context["modelId"], context.get("language")) == sent


async def test_a_refused_context_fails_its_reply_alone() -> None:
    async with world() as twins, twins.voice(INWORLD, model_id="no-such-model").connect("call_1") as voice:
        async with voice.speak() as stream:
            with pytest.raises(ProviderError) as caught:
                await reply(stream, PIECES)
        assert alive(voice)
    assert caught.value.failure is Failure.REFUSED


async def test_an_inactive_socket_is_closed_and_the_next_reply_gets_a_new_one() -> None:
    async with world() as twins:
        twins.turn(INWORLD, inactivity_s=0.05)
        async with twins.voice(INWORLD).connect("call_1") as voice:
            await until(lambda: not alive(voice))
            twins.turn(INWORLD, inactivity_s=60.0)
            async with voice.speak() as stream:
                assert (await reply(stream, PIECES)).heard == words_of(TEXT)


def test_characters_and_words_say_the_same() -> None:
    by_char = {"characters": ["a", "b"], "characterStartTimeSeconds": [0.0, 0.1], "characterEndTimeSeconds": [0.1, 0.2]}
    by_word = {"words": ["ab"], "wordStartTimeSeconds": [0.0], "wordEndTimeSeconds": [0.2]}
    chars, starts, durations = inworld_words.times_of({"timestampInfo": {"characterAlignment": by_char}})
    assert (chars, starts, durations) == (["a", "b"], [0.0, 100.0], [100.0, 100.0])
    worded = inworld_words.times_of({"timestampInfo": {"wordAlignment": by_word}})
    assert [values[:2] for values in worded] == [chars, starts, durations]


async def twin(twins: World) -> aiohttp.ClientWebSocketResponse:
    return await twins.session.ws_connect(
        f"{twins.url}/inworld/tts/v1/voice:streamBidirectional", headers={"Authorization": "Basic secret"}
    )


async def test_the_twin_answers_as_documented() -> None:
    async with world() as twins:
        socket = await twin(twins)
        snake = {"voice_id": "Ashley", "model_id": "inworld-tts-2"}
        audio = {"audio_encoding": "MULAW", "sample_rate_hertz": 8_000}
        await socket.send_json(
            {"create": snake | {"audio_config": audio, "timestamp_type": "CHARACTER"}, "context_id": "c"}
        )
        await socket.send_json({"send_text": {"text": "Hi. "}, "contextId": "c"})
        await socket.send_json({"flush_context": {}, "contextId": "c"})
        await socket.send_json({"close_context": {}, "contextId": "c"})
        await socket.send_json({"flush_context": {}, "contextId": "gone"})
        seen = [await socket.receive_json() for _ in range(2)]
        assert "contextCreated" in seen[0]["result"]
        assert seen[1]["error"]["code"] == 5
        await socket.close()


async def test_the_twin_refuses_a_sixth_context_and_long_texts() -> None:
    async with world() as twins:
        socket = await twin(twins)
        for number in range(6):
            await socket.send_json({"create": OPTIONS, "contextId": f"c{number}"})
        await socket.send_json({"send_text": {"text": "x" * 1_001}, "contextId": "c1"})
        codes = [(await socket.receive_json())["result"]["status"]["code"] for _ in range(7)]
        assert codes == [0, 0, 0, 0, 0, 8, 3]
        await socket.close()


async def test_the_twin_is_silent_when_a_context_is_closed_before_its_first_audio() -> None:
    async with world(first_byte_ms=50.0) as twins:
        socket = await twin(twins)
        await socket.send_json({"create": OPTIONS, "contextId": "c"})
        await socket.send_json({"send_text": {"text": "Hi. ", "flush_context": {}}, "contextId": "c"})
        await socket.send_json({"close_context": {}, "contextId": "c"})
        seen = [(await socket.receive_json())["result"] for _ in range(2)]
        assert ["contextCreated" in seen[0], "contextClosed" in seen[1]] == [True, True]
        await socket.close()
