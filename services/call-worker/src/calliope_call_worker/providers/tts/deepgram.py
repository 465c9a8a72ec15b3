"""Deepgram's voices (Aura): one /v1/speak socket per call, on which one reply is spoken at a time."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.contracts.checks import CheckedPart
from calliope.contracts.document.tts import Voice
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.probe import Findings, good, refused
from calliope_call_worker.providers.settings import AuraSettings
from calliope_call_worker.providers.tts import deepgram_words as words
from calliope_call_worker.providers.tts import line
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.deepgram_stream import AuraStream, AuraTalk
from calliope_call_worker.providers.wire import open_socket


@dataclass(frozen=True, slots=True)
class Aura:
    """See `TextToSpeech`. The voice is the model. It does not time its words: the text is spread over the audio."""

    session: ClientSession
    settings: AuraSettings
    voice: str
    api_key: str
    name: str = words.NAME
    times_text: bool = False

    @classmethod
    def of(cls, session: ClientSession, settings: AuraSettings, spec: Voice, api_key: str) -> "Aura":
        """The voice of a document; a model alone is a voice, too."""
        voice = spec.voice_id or spec.model_id or settings.voice
        return cls(session, settings, words.NICKNAMES.get(voice.lower(), voice), api_key)

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        manners = line.Manners(
            words.NAME,
            dial=self._dial,
            talk=lambda one: AuraTalk(one, self.settings),
            farewell=(words.CLOSE,),
            of_close=words.failure_of_close,
        )
        return line.session(manners, AuraStream)

    async def check(self) -> Findings:
        """See `VendorProbe`. The handshake names the voice; nothing is said."""
        try:
            async with self.connect("check"):
                pass
        except ProviderError as exc:
            return refused(exc, CheckedPart.VOICE)
        return good(CheckedPart.KEY, CheckedPart.VOICE)

    async def _dial(self) -> ClientWebSocketResponse:
        settings = self.settings
        return await open_socket(
            self.session,
            f"{settings.url.rstrip('/')}/v1/speak",
            provider=words.NAME,
            params=[("model", self.voice), ("encoding", "mulaw"), ("sample_rate", "8000")],
            headers={"Authorization": f"Token {self.api_key}"},
            deadline_s=settings.handshake_deadline_s,
            reason_header="dg-error",
        )
