"""What ElevenLabs is sent over a real socket, and how its odd answers are taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import elevenlabs
import pytest

from calliope.contracts.document.tts import TtsProvider
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import ElevenLabsSettings
from calliope_call_worker.providers.tts.base import SpeechStream, VoiceSession
from calliope_call_worker.providers.tts.elevenlabs import ElevenLabs, ElevenLabsVoice
from calliope_call_worker.providers.tts.elevenlabs_session import ElevenLabsSession
from support.spoken_world import World, heard, reply, words_of, world
from support.vendor_fakes import CHAR_MS, FakeElevenLabs, serving
from support.waiting import until

PATH = "/v1/text-to-speech/v1/multi-stream-input"
VOICE = ElevenLabsVoice("v1", "eleven_flash_v2_5", stability=0.5)


@asynccontextmanager
async def connected(fake: FakeElevenLabs) -> AsyncIterator[VoiceSession]:
    async with (
        serving(PATH, fake.answer) as (session, url),
        asyncio.timeout(5),
        ElevenLabs(session, ElevenLabsSettings(url=url), VOICE, "secret").connect("call_1") as voice,
    ):
        yield voice


async def spoken(stream: SpeechStream) -> tuple[int, str]:
    audio, text = 0, ""
    async for part in stream.audio():
        audio += len(part.audio)
        text += "".join(span.text for span in part.spans)
    return audio, text


@pytest.mark.parametrize("timed", [True, False])
async def test_a_reply_is_spoken_whole_and_its_spans_are_its_text(timed: bool) -> None:
    fake = FakeElevenLabs(timed=timed)
    async with connected(fake) as voice:
        for _ in range(7):
            async with voice.speak() as stream:
                await stream.say("Hello there, ")
                await stream.say("how are you? ")
                await stream.finish()
                assert await spoken(stream) == (26 * CHAR_MS * 8, "Hello there, how are you? ")
    begin, first, second, close = fake.messages[:4]
    assert begin == {"text": " ", "context_id": "r1", "voice_settings": {"stability": 0.5}}
    assert (first["text"], first["flush"], second["text"]) == ("Hello there, ", True, "how are you? ")
    assert close == {"context_id": "r1", "close_context": True}
    assert fake.messages[-1] == {"close_socket": True}
    assert (fake.connections, fake.most_contexts) == (1, 1)


async def test_leaving_early_closes_the_context_and_nothing_of_it_comes_later() -> None:
    fake = FakeElevenLabs()
    async with connected(fake) as voice:
        async with voice.speak() as stream:
            await stream.say("This will be cut. ")
            await anext(aiter(stream.audio()))
        async with voice.speak() as stream:
            await stream.say("Next. ")
            await stream.finish()
            assert await spoken(stream) == (6 * CHAR_MS * 8, "Next. ")
    assert {"context_id": "r1", "close_context": True} in fake.messages


async def test_contexts_that_do_not_become_free_never_exceed_the_limit() -> None:
    fake = FakeElevenLabs(mute=True)
    async with connected(fake) as voice:
        for _ in range(6):
            async with voice.speak() as stream:
                await stream.say("Nothing. ")
    assert fake.most_contexts <= 5
    assert fake.connections == 2


async def test_a_closed_idle_socket_is_replaced_at_the_next_reply() -> None:
    fake = FakeElevenLabs()
    async with connected(fake) as voice:
        await until(lambda: fake.socket)
        assert fake.socket is not None
        await fake.socket.send_str('{"message":"idle","error":"input_timeout_exceeded","code":1008}')
        await fake.socket.close(code=1008)
        assert isinstance(voice, ElevenLabsSession)
        await until(lambda: not voice.alive)
        async with voice.speak() as stream:
            await stream.say("Hello. ")
            await stream.finish()
            assert (await spoken(stream))[1] == "Hello. "
    assert fake.connections == 2


@pytest.mark.parametrize(
    ("error", "failure"),
    [("quota_exceeded", Failure.QUOTA), ("max_active_conversations", Failure.RATE_LIMITED), ("odd", Failure.ERROR)],
)
async def test_an_error_frame_fails_the_reply_with_its_class(error: str, failure: Failure) -> None:
    fake = FakeElevenLabs(mute=True)
    async with connected(fake) as voice, voice.speak() as stream:
        await stream.say("Hello. ")
        assert fake.socket is not None
        await fake.socket.send_str(f'{{"message":"no","error":"{error}","code":1008}}')
        with pytest.raises(ProviderError) as caught:
            await spoken(stream)
    assert caught.value.failure is failure


async def test_every_setting_of_a_document_reaches_the_vendor() -> None:
    settings: dict[str, Any] = {"stability": 0.3, "similarity_boost": 0.8, "style": 0.1, "use_speaker_boost": True}
    async with world() as twins:
        tts = twins.voice(TtsProvider.ELEVENLABS, voice_id="Bella", model_id="eleven_turbo_v2_5", **settings)
        async with tts.connect("call_1") as voice, voice.speak() as stream:
            await reply(stream, ("Hello. ",))
        record = twins.records(TtsProvider.ELEVENLABS)[0]
    assert (record["voice"], record["query"]["model_id"]) == ("EXAVITQu4vr4xnSDxMaL", "eleven_turbo_v2_5")
    assert record["voice_settings"] == settings


def by_the_sdk(twins: World, key: str, text: str) -> bytes:
    """The official client insists on TLS for sockets; only its address is bent."""
    client = elevenlabs.ElevenLabs(api_key=key, base_url=f"{twins.url}/elevenlabs")
    client.text_to_speech._ws_base_url = f"{twins.url}/elevenlabs".replace("http", "ws", 1)
    settings = elevenlabs.VoiceSettings(stability=0.4, similarity_boost=0.7, style=0.0, use_speaker_boost=True)
    audio = client.text_to_speech.convert_realtime(
        "v1",
        text=(f"{word} " for word in text.split()),
        model_id="eleven_flash_v2_5",
        output_format="ulaw_8000",
        voice_settings=settings,
    )
    return b"".join(audio)


@pytest.mark.filterwarnings("ignore:ConnectionClosed.code is deprecated:DeprecationWarning")
async def test_the_official_sdk_speaks_with_the_twin() -> None:
    text = "Hello there, this was said by the official client, word for word."
    async with world() as twins:
        audio = await asyncio.to_thread(by_the_sdk, twins, "secret", text)
        settings = twins.records(TtsProvider.ELEVENLABS)[0]["voice_settings"]
    assert heard(audio) == words_of(text)
    assert settings["stability"] == 0.4


async def test_a_voice_id_is_one_step_of_the_path_whatever_it_holds() -> None:
    """The document's author chooses it, the installation's key may pay for it."""
    fake = FakeElevenLabs()
    voice = ElevenLabsVoice("../../voices?x=1#", "eleven_flash_v2_5")
    async with (
        serving("/v1/text-to-speech/{voice}/multi-stream-input", fake.answer) as (session, url),
        asyncio.timeout(5),
        ElevenLabs(session, ElevenLabsSettings(url=url), voice, "secret").connect("call_1") as connected,
    ):
        assert connected is not None
