"""A sandbox in this process, speech for its recognisers, and what was heard of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from calliope.contracts.document.stt import SttSettings
from calliope_call_worker.providers.llm.connections import ModelConnections
from calliope_call_worker.providers.registry import Providers, stt_options
from calliope_call_worker.providers.settings import DeepgramSettings, ProvidersSettings
from calliope_call_worker.providers.stt.base import SpeechToText, SttOptions, SttStream, Transcript
from calliope_sandbox.app import Sandbox, create_app
from calliope_sandbox.tone_speech import speak

FRAME = 160  # bytes: 20 ms, as carriers send
PACE_MS = 40  # a character
PAUSE = b"\xff" * 8_000 * 2


@dataclass(frozen=True, slots=True)
class HearingSandbox:
    """Its switches, and a client."""

    sandbox: Sandbox
    server: TestServer
    session: ClientSession

    @property
    def url(self) -> str:
        """Where Deepgram is."""
        return str(self.server.make_url("/deepgram")).replace("http", "ws", 1)

    def recogniser(
        self, model: str, *, key: str = "good", url: str | None = None, handshake_deadline_s: float = 3.0
    ) -> SpeechToText:
        """As the worker makes it from a document, without what makes it outlive a connection."""
        vendor = DeepgramSettings(url=url or self.url, handshake_deadline_s=handshake_deadline_s)
        providers = Providers(ProvidersSettings(deepgram=vendor), self.session, self.session, ModelConnections())
        return providers.stt(SttSettings.model_validate({"model": model, "api_key": key}))

    def fault(self, kind: str, **details: Any) -> None:
        """Arm a fault of the recogniser."""
        self.sandbox.faults.arm({"vendor": "deepgram", "kind": kind, **details}, frozenset({"deepgram"}))

    def cut(self) -> None:
        """Reset every connection that is open."""
        runner = self.server.runner
        assert runner is not None
        assert runner.server is not None
        for connection in runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    @property
    def streams(self) -> list[dict[str, Any]]:
        """What the twin recorded of each stream."""
        return self.sandbox.records.listing("deepgram", {})


@asynccontextmanager
async def a_hearing_sandbox() -> AsyncIterator[HearingSandbox]:
    """Recognisers answer at once, unless a test wants otherwise."""
    sandbox = Sandbox()
    sandbox.knobs.turn({"deepgram": {"final_ms": 0.0}})
    server = TestServer(create_app(sandbox))
    async with server, ClientSession() as session:
        yield HearingSandbox(sandbox, server, session)


def options(model: str, **changes: Any) -> SttOptions:
    """What a document with this model asks."""
    return stt_options(SttSettings.model_validate({"model": model, **changes}), "call_1")


def voice(text: str) -> bytes:
    """A caller who says this and pauses."""
    return speak(text, char_ms=PACE_MS).audio + PAUSE


def frames(audio: bytes) -> Iterable[bytes]:
    """As a carrier would send it."""
    return (audio[start : start + FRAME] for start in range(0, len(audio), FRAME))


async def say(stream: SttStream, audio: bytes) -> None:
    """Send it faster than real time, letting the other side keep up."""
    for frame in frames(audio):
        await stream.send(frame)
        await asyncio.sleep(0)


async def utterances(stream: SttStream) -> AsyncIterator[str]:
    """What was said between pauses: finals joined up to `speech_final`."""
    finals: list[str] = []
    async for event in stream.events():
        if isinstance(event, Transcript) and event.is_final:
            finals += [event.text] if event.text else []
            if event.speech_final and finals:
                yield " ".join(finals)
                finals = []
