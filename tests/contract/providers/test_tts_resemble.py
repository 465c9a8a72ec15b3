"""What Resemble's voices are sent, and how the variants of its answers are taken."""

from typing import Any

import aiohttp
import pytest

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.providers.errors import Failure, ProviderError
from support.spoken_world import World, alive, heard, reply, words_of, world
from support.waiting import until

RESEMBLE = TtsProvider.RESEMBLE
PIECES = ("Your table is booked. ", "Anything else? ", "Then goodbye for today. ")
TEXT = "".join(PIECES)
LONG = "The quick brown fox jumps over the lazy dog, again and again. " * 5
REQUEST = {
    "voice_uuid": "7f1b",
    "data": "Hi. ",
    "request_id": 7,
    "output_format": "wav",
    "sample_rate": 8_000,
    "precision": "MULAW",
    "no_audio_header": True,
}


async def test_a_sentence_is_a_request_with_a_number() -> None:
    async with world() as twins:
        document: dict[str, Any] = {
            "voice_id": "v-1",
            "model_id": "chatterbox-turbo",
            "provider_config": {"project_uuid": "p-1"},
        }
        async with twins.voice(RESEMBLE, **document).connect("call_1") as voice, voice.speak() as stream:
            await reply(stream, PIECES)
        requests = twins.records(RESEMBLE)[0]["requests"]
        assert [(request["request_id"], request["data"]) for request in requests] == list(enumerate(PIECES, 1))
        named = {(request["voice_uuid"], request["project_uuid"], request["model"]) for request in requests}
        assert named == {("v-1", "p-1", "chatterbox-turbo")}


@pytest.mark.parametrize("header", ["as_asked", "plain", "long"])
@pytest.mark.parametrize("times_from", ["request", "chunk"])
@pytest.mark.parametrize("mixed", [False, True])
async def test_headers_are_stripped_times_found_and_answers_played_in_order(
    header: str, times_from: str, mixed: bool
) -> None:
    async with world() as twins:
        twins.turn(RESEMBLE, header=header, times_from=times_from, mixed=mixed, first_byte_jitter_ms=10.0)
        async with twins.voice(RESEMBLE).connect("call_1") as voice, voice.speak() as stream:
            spoken = await reply(stream, PIECES)
    assert (spoken.heard, spoken.text) == (words_of(TEXT), TEXT)
    assert [span.start_ms for span in spoken.spans] == pytest.approx(
        [40.0 * TEXT.index(span.text) for span in spoken.spans], abs=2.0
    )


async def test_without_times_the_text_is_spread_over_the_audio() -> None:
    async with world() as twins:
        twins.turn(RESEMBLE, timed=False)
        async with twins.voice(RESEMBLE).connect("call_1") as voice, voice.speak() as stream:
            spoken = await reply(stream, PIECES)
    assert (spoken.text, spoken.spans[-1].end_ms) == (TEXT, spoken.audio_ms)


async def test_a_reply_that_is_left_leaves_its_socket_and_another_is_open_before_the_next() -> None:
    async with world(speed=8.0) as twins:
        async with twins.voice(RESEMBLE).connect("call_1") as voice:
            async with voice.speak() as stream:
                await stream.say(LONG)
                await anext(aiter(stream.audio()))
            await until(lambda: alive(voice))
            assert len(twins.records(RESEMBLE)) == 2
            async with voice.speak() as stream:
                assert (await reply(stream, ("Next. ",))).heard == "Next."
        assert len(twins.records(RESEMBLE)) == 2


async def test_a_refused_request_fails_its_reply_and_the_socket_stays() -> None:
    async with world() as twins:
        twins.turn(RESEMBLE, needs_project=True)
        async with twins.voice(RESEMBLE).connect("call_1") as voice, voice.speak() as stream:
            with pytest.raises(ProviderError) as caught:
                await reply(stream, PIECES)
    assert caught.value.failure is Failure.REFUSED


async def test_a_key_that_is_refused_in_a_message_is_a_wrong_key() -> None:
    async with world() as twins:
        twins.turn(RESEMBLE, refuse_with="frame")
        async with twins.voice(RESEMBLE, key="bad").connect("call_1") as voice, voice.speak() as stream:
            await until(lambda: not alive(voice))
            twins.turn(RESEMBLE, refuse_with="handshake")
            with pytest.raises(ProviderError) as caught:
                await reply(stream, PIECES)
    assert caught.value.failure is Failure.KEY


async def test_without_a_voice_it_is_refused() -> None:
    async with world() as twins:
        with pytest.raises(ProviderError, match="voice_id is needed"):
            twins.voice(RESEMBLE, options={"voice": None})


async def twin(twins: World) -> aiohttp.ClientWebSocketResponse:
    url = f"{twins.url}/resemble/stream"
    timeout = aiohttp.ClientWSTimeout(ws_close=0.1)
    return await twins.session.ws_connect(url, headers={"Authorization": "Bearer secret"}, timeout=timeout)


async def test_the_twin_answers_as_documented() -> None:
    async with world() as twins:
        socket = await twin(twins)
        await socket.send_str("{not json")
        await socket.send_json(REQUEST | {"request_id": "7"})
        await socket.send_json(REQUEST | {"data": "x" * 3_001})
        errors = [await socket.receive_json() for _ in range(3)]
        assert {(error["type"], error["error_name"], error["status_code"]) for error in errors} == {
            ("error", "BadJSON", 400)
        }
        await socket.send_json(REQUEST)
        audio = await socket.receive_json()
        assert audio["audio_timestamps"]["graph_chars"] == list("Hi. ")
        assert audio["audio_timestamps"]["graph_times"][1] == [0.04, 0.08]
        assert await socket.receive_json() == {"type": "audio_end", "request_id": 7}
        await socket.close()


async def test_the_twin_sends_bytes_behind_a_header_when_asked_to() -> None:
    async with world() as twins:
        socket = await twin(twins)
        request: dict[str, Any] = REQUEST | {"binary_response": True, "no_audio_header": False}
        await socket.send_json(request)
        audio = await socket.receive_bytes()
        assert (audio[:4], audio[8:12]) == (b"RIFF", b"WAVE")
        assert heard(audio[audio.index(b"data") + 8 :]) == "Hi."
        await socket.close()
