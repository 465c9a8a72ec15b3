"""ElevenLabs' streaming voices: one multi-stream-input socket per call, one context per reply."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.contracts.checks import CheckedPart
from calliope.contracts.document.tts import Voice
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.probe import Findings
from calliope_call_worker.providers.settings import ElevenLabsSettings
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.elevenlabs_probe import model_finding, voice_findings
from calliope_call_worker.providers.tts.elevenlabs_session import ElevenLabsSession
from calliope_call_worker.providers.tts.elevenlabs_words import MODEL_NICKNAMES, NAME, NICKNAMES, NOT_STREAMED
from calliope_call_worker.providers.wire import as_http, get_json, helpers, open_socket


@dataclass(frozen=True, slots=True)
class ElevenLabsVoice:
    """A voice and how it speaks; what is None is the vendor's default."""

    voice_id: str
    model: str
    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    use_speaker_boost: bool | None = None

    @classmethod
    def of(cls, spec: Voice, settings: ElevenLabsSettings) -> "ElevenLabsVoice":
        """The voice of a document. Raises: ProviderError, when its model cannot be streamed."""
        voice, model = spec.voice_id or settings.voice, spec.model_id or settings.model
        model = MODEL_NICKNAMES.get(model, model)
        if model in NOT_STREAMED:
            raise ProviderError(NAME, Failure.REFUSED, f"{model} cannot be streamed; use eleven_flash_v2_5")
        return cls(
            voice_id=NICKNAMES.get(voice.lower(), voice),
            model=model,
            stability=spec.stability,
            similarity_boost=spec.similarity_boost,
            style=spec.style,
            use_speaker_boost=spec.use_speaker_boost,
        )

    def settings(self) -> dict[str, Any]:
        """As the vendor names them."""
        names = ("stability", "similarity_boost", "style", "use_speaker_boost")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class ElevenLabs:
    """See `TextToSpeech`."""

    times_text = True

    def __init__(
        self, session: ClientSession, settings: ElevenLabsSettings, voice: ElevenLabsVoice, api_key: str
    ) -> None:
        self._session = session
        self._settings = settings
        self._voice = voice
        self._api_key = api_key

    @classmethod
    def of(cls, session: ClientSession, settings: ElevenLabsSettings, spec: Voice, api_key: str) -> "ElevenLabs":
        """The voice of a document. Raises: ProviderError."""
        return cls(session, settings, ElevenLabsVoice.of(spec, settings), api_key)

    @property
    def name(self) -> str:
        """See `TextToSpeech`."""
        return NAME

    @property
    def voice(self) -> str:
        """See `TextToSpeech`."""
        return self._voice.voice_id

    async def check(self) -> Findings:
        """See `VendorProbe`. Keys that may only speak are told neither voices nor models."""
        session, root, headers = self._session, as_http(self._settings.url), {"xi-api-key": self._api_key}
        voice_url = f"{root}/v1/voices/{quote(self.voice, safe='')}"
        answer = await get_json(session, voice_url, provider=NAME, headers=headers)
        found = voice_findings(answer.status, answer.body)
        if any(finding.error for finding in found if finding.what is CheckedPart.KEY):
            return found
        answer = await get_json(session, f"{root}/v1/models", provider=NAME, headers=headers)
        return (*found, model_finding(self._voice.model, answer.status, answer.body))

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        return self._connect(call_id)

    @asynccontextmanager
    async def _connect(self, call_id: str) -> AsyncIterator[VoiceSession]:
        async with helpers() as spawn:
            session = ElevenLabsSession(self._open_socket, self._voice.settings(), spawn)
            try:
                await session.line()
                spawn(session.keep_alive(self._settings.keep_alive_s), "tts.elevenlabs.keep_alive")
                yield session
            finally:
                await session.close()

    async def _open_socket(self) -> ClientWebSocketResponse:
        settings = self._settings
        return await open_socket(
            self._session,
            f"{settings.url.rstrip('/')}/v1/text-to-speech/{quote(self._voice.voice_id, safe='')}/multi-stream-input",
            provider=NAME,
            params=[
                ("model_id", self._voice.model),
                ("output_format", "ulaw_8000"),
                ("auto_mode", "true"),
                ("sync_alignment", "true"),
                ("inactivity_timeout", str(settings.inactivity_timeout_s)),
            ],
            headers={"xi-api-key": self._api_key},
            deadline_s=settings.handshake_deadline_s,
        )
