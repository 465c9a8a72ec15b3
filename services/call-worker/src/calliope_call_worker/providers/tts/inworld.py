"""Inworld's voices: one streamBidirectional socket per call, one context per reply."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.contracts.document.tts import Voice
from calliope_call_worker.providers.settings import InworldSettings
from calliope_call_worker.providers.tts import inworld_words as words
from calliope_call_worker.providers.tts import line
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.inworld_stream import InworldStream, InworldTalk
from calliope_call_worker.providers.wire import open_socket


@dataclass(frozen=True, slots=True)
class Inworld:
    """See `TextToSpeech`."""

    session: ClientSession
    settings: InworldSettings
    voice: str
    model: str
    language: str | None
    api_key: str
    name: str = words.NAME
    times_text: bool = True

    @classmethod
    def of(cls, session: ClientSession, settings: InworldSettings, spec: Voice, api_key: str) -> "Inworld":
        """The voice of a document. A language takes a model that knows languages, unless the document says which."""
        voice, language = spec.voice_id or settings.voice, spec.provider_config.language
        model = spec.model_id or (settings.language_model if language is not None else settings.model)
        return cls(session, settings, words.NICKNAMES.get(voice.lower(), voice), model, language, api_key)

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        return line.session(line.Manners(words.NAME, dial=self._dial, talk=self._talk), InworldStream)

    def _talk(self, one: line.Line) -> InworldTalk:
        return InworldTalk(
            one, lambda context: words.create(context, voice=self.voice, model=self.model, language=self.language)
        )

    async def _dial(self) -> ClientWebSocketResponse:
        settings = self.settings
        return await open_socket(
            self.session,
            f"{settings.url.rstrip('/')}/tts/v1/voice:streamBidirectional",
            provider=words.NAME,
            params=[],
            headers={"Authorization": f"Basic {self.api_key}"},
            deadline_s=settings.handshake_deadline_s,
        )
