"""Every voice against its twin: a sandbox on a real socket, voices made as a call makes them, ears that decode."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import ClientSession
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr

from calliope.contracts.document.tts import TtsProvider, Voice
from calliope_call_worker.providers.registry import VOICES
from calliope_call_worker.providers.settings import (
    AuraSettings,
    ElevenLabsSettings,
    InworldSettings,
    ProvidersSettings,
    ResembleSettings,
)
from calliope_call_worker.providers.tts.base import SpeechStream, TextSpan, TextToSpeech, VoiceSession
from calliope_call_worker.providers.tts.elevenlabs_session import ElevenLabsSession
from calliope_call_worker.providers.tts.line import LineSession
from calliope_sandbox.app import FAULTY, Sandbox, create_app
from calliope_sandbox.tone_speech import SILENCE, Listener

TWINS: Final = {
    TtsProvider.ELEVENLABS: "elevenlabs",
    TtsProvider.DEEPGRAM: "deepgram_speak",
    TtsProvider.INWORLD: "inworld",
    TtsProvider.RESEMBLE: "resemble",
}
QUICK: Final = {"first_byte_ms": 2.0, "speed": 400.0, "char_ms": 40}
CLOSED_PORT: Final = "http://127.0.0.1:1"


@dataclass
class World:
    """A sandbox and the way to it."""

    sandbox: Sandbox
    session: ClientSession
    server: BaseTestServer

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    def voice(
        self,
        provider: TtsProvider,
        *,
        key: str = "secret",
        url: str = "",
        options: dict[str, Any] | None = None,
        **document: Any,
    ) -> TextToSpeech:
        """The voice as a document asks for it; `options` are settings of the vendor."""
        url, more = url or self.url, options or {}
        match provider:
            case TtsProvider.ELEVENLABS:
                settings = ProvidersSettings(elevenlabs=ElevenLabsSettings(url=f"{url}/elevenlabs", **more))
            case TtsProvider.DEEPGRAM:
                settings = ProvidersSettings(aura=AuraSettings(url=f"{url}/deepgram", **more))
            case TtsProvider.INWORLD:
                settings = ProvidersSettings(inworld=InworldSettings(url=f"{url}/inworld", **more))
            case TtsProvider.RESEMBLE:
                more = {"voice": "7f1b"} | more
                settings = ProvidersSettings(resemble=ResembleSettings(url=f"{url}/resemble", **more))
        spec = Voice(provider=provider, api_key=SecretStr(key), **document)
        return VOICES[provider].voice(self.session, settings, spec)

    def turn(self, provider: TtsProvider, **knobs: Any) -> None:
        self.sandbox.knobs.turn({TWINS[provider]: knobs})

    def arm(self, provider: TtsProvider, **fault: Any) -> None:
        self.sandbox.faults.arm({"vendor": TWINS[provider], **fault}, FAULTY)

    def records(self, provider: TtsProvider) -> list[dict[str, Any]]:
        return self.sandbox.records.listing(TWINS[provider], {})

    def hang_up(self) -> None:
        """Every connection ends without a word."""
        assert self.server.handler is not None
        for connection in self.server.handler.connections:
            connection.force_close()


@asynccontextmanager
async def world(*, within_s: float = 30.0, **knobs: Any) -> AsyncIterator[World]:
    """Twins that are quick; `knobs` turn all of them."""
    sandbox = Sandbox()
    for twin in TWINS.values():
        sandbox.knobs.turn({twin: QUICK | knobs})
    async with TestServer(create_app(sandbox)) as server, ClientSession() as session, asyncio.timeout(within_s):
        yield World(sandbox, session, server)


def alive(voice: VoiceSession) -> bool:
    """Whether the next reply begins without connecting, as far as is known."""
    assert isinstance(voice, LineSession | ElevenLabsSession)
    return voice.alive


@dataclass
class Spoken:
    """What a reply came to."""

    audio: bytearray = field(default_factory=bytearray)
    spans: list[TextSpan] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)

    @property
    def heard(self) -> str:
        return heard(bytes(self.audio))

    @property
    def audio_ms(self) -> float:
        return len(self.audio) / 8


async def listen(stream: SpeechStream, spoken: Spoken | None = None) -> Spoken:
    """The whole reply."""
    spoken = spoken or Spoken()
    async for part in stream.audio():
        spoken.audio += part.audio
        spoken.spans += part.spans
    return spoken


async def reply(stream: SpeechStream, pieces: Iterable[str]) -> Spoken:
    """Say the pieces, and listen."""
    for piece in pieces:
        await stream.say(piece)
    await stream.finish()
    return await listen(stream)


def heard(audio: bytes) -> str:
    """What an ear makes of the audio."""
    ear = Listener()
    words = ear.feed(audio) + ear.feed(bytes([SILENCE]) * 1_600)
    return " ".join(word.text for word in words)


def words_of(text: str) -> str:
    """As an ear gives it back."""
    return " ".join(text.split())
