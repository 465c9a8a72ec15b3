"""Inworld's voices: one streamBidirectional socket per call, one context per reply."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.contracts.checks import CheckedPart
from calliope.contracts.document.tts import Voice
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, good, refused
from calliope_call_worker.providers.settings import InworldSettings
from calliope_call_worker.providers.tts import inworld_words as words
from calliope_call_worker.providers.tts import line
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.inworld_stream import InworldStream, InworldTalk
from calliope_call_worker.providers.wire import as_http, get_json, open_socket

KEY, VOICE = CheckedPart.KEY, CheckedPart.VOICE
MOST_PAGES: Final = 5
_NO_LIST_OF_MODELS: Final = Finding(CheckedPart.MODEL, unchecked="Inworld has no list of its models")


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

    async def check(self) -> Findings:
        """See `VendorProbe`. Voices are listed, those of the account's own among them; models are not."""
        url, asked = f"{as_http(self.settings.url)}/voices/v1/voices", dict[str, str]()
        headers = {"Authorization": f"Basic {self.api_key}"}
        for _ in range(MOST_PAGES):
            answer = await get_json(self.session, url, provider=words.NAME, headers=headers, params=asked)
            page = answer.body if isinstance(answer.body, dict) else {}
            if answer.status != 200:
                return self._not_listed(answer.status)
            if self.voice in words.voices_of(page):
                return (*good(KEY, VOICE), _NO_LIST_OF_MODELS)
            asked = {"pageToken": str(page.get("nextPageToken") or "")}
            if not asked["pageToken"]:
                unknown = ProviderError(words.NAME, Failure.REFUSED, f"this account has no voice {self.voice}")
                return (*good(KEY), Finding(VOICE, unknown), _NO_LIST_OF_MODELS)
        return (*good(KEY), Finding(VOICE, unchecked="the account has more voices than were looked through"))

    def _not_listed(self, status: int) -> Findings:
        if status == 404:
            raise NoSuchApiError(words.NAME)
        return refused(ProviderError(words.NAME, failure_of_status(status), f"voices: refused with {status}"), VOICE)

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
