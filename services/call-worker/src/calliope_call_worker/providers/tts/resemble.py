"""Resemble's voices: one socket per call, one request per sentence."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.contracts.checks import CheckedPart
from calliope.contracts.document.tts import Voice
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, good, refused
from calliope_call_worker.providers.settings import ResembleSettings
from calliope_call_worker.providers.tts import line
from calliope_call_worker.providers.tts import resemble_words as words
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.providers.tts.resemble_stream import ResembleStream, ResembleTalk
from calliope_call_worker.providers.wire import get_json, open_socket

CLOSE_S: Final = 0.1  # the vendor never answers a close


@dataclass(frozen=True, slots=True)
class Resemble:
    """See `TextToSpeech`."""

    session: ClientSession
    settings: ResembleSettings
    voice: str
    model: str | None
    project: str | None
    api_key: str
    name: str = words.NAME
    times_text: bool = True

    @classmethod
    def of(cls, session: ClientSession, settings: ResembleSettings, spec: Voice, api_key: str) -> "Resemble":
        """The voice of a document. Raises: ProviderError."""
        voice = spec.voice_id or settings.voice
        if not voice:
            raise ProviderError(words.NAME, Failure.REFUSED, "voice_id is needed: the UUID of one of your voices")
        project = spec.provider_config.project_uuid or settings.project_uuid
        return cls(session, settings, voice, spec.model_id or settings.model, project, api_key)

    def connect(self, call_id: str) -> AbstractAsyncContextManager[VoiceSession]:
        """See `TextToSpeech`."""
        manners = line.Manners(
            words.NAME, dial=self._dial, talk=lambda one: ResembleTalk(one, self._request), close_s=CLOSE_S
        )
        return line.session(manners, ResembleStream)

    async def check(self) -> Findings:
        """See `VendorProbe`. Another API of the vendor knows the voices; its models are listed nowhere."""
        url = f"{self.settings.api_url.rstrip('/')}/voices/{quote(self.voice, safe='')}"
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = await get_json(self.session, url, provider=words.NAME, headers=headers)
        listed = () if self.model is None else (Finding(CheckedPart.MODEL, unchecked="Resemble lists no models"),)
        said = answer.body if isinstance(answer.body, dict) else {}
        if answer.status == 200 and said.get("success", True):
            return (*good(CheckedPart.KEY, CheckedPart.VOICE), *listed)
        if answer.status in {200, 404}:
            if "success" not in said:
                raise NoSuchApiError(words.NAME)
            unknown = ProviderError(words.NAME, Failure.REFUSED, f"this account has no voice {self.voice}")
            return (*good(CheckedPart.KEY), Finding(CheckedPart.VOICE, unknown), *listed)
        failure = failure_of_status(answer.status)
        error = ProviderError(words.NAME, failure, f"voices: refused with {answer.status}")
        return (*refused(error, CheckedPart.VOICE), *listed)

    def _request(self, number: int, text: str) -> dict[str, Any]:
        return words.speak(number, text, voice=self.voice, project=self.project, model=self.model)

    async def _dial(self) -> ClientWebSocketResponse:
        settings = self.settings
        return await open_socket(
            self.session,
            f"{settings.url.rstrip('/')}/stream",
            provider=words.NAME,
            params=[],
            headers={"Authorization": f"Bearer {self.api_key}"},
            deadline_s=settings.handshake_deadline_s,
        )
