"""Which adapter serves which vendor, and what one call gets: its recogniser, its chain of models, its voices.

The shared parts (connections, breakers) live as long as the worker; a call's parts are made per call and hold nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

import aiohttp
import structlog
from pydantic import SecretStr

from calliope import egress
from calliope.contracts.calls import Stage
from calliope.contracts.document.llm import LlmFallback, LlmProvider, LlmProviderConfig, LlmRequestFormat
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.stt import SttSettings
from calliope.contracts.document.tts import TtsProvider, Voice
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope.settings import EgressSettings
from calliope_call_worker.lines import VoiceKey, account_of
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.failures import Failures, needed
from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.anthropic import Anthropic
from calliope_call_worker.providers.llm.base import CallFacts
from calliope_call_worker.providers.llm.breaker import Breakers
from calliope_call_worker.providers.llm.call_shaped import CallShapedChat
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.llm.connections import ModelConnections, Spawn, tracing
from calliope_call_worker.providers.llm.gemini import Gemini
from calliope_call_worker.providers.llm.omissions import Omissions
from calliope_call_worker.providers.llm.openai import OpenAiChat
from calliope_call_worker.providers.probe import ProbedModel, ProbedVoice
from calliope_call_worker.providers.settings import ModelSettings, ProvidersSettings, ThinkingSettings
from calliope_call_worker.providers.stt.base import SpeechToText, SttOptions
from calliope_call_worker.providers.stt.deepgram import Deepgram
from calliope_call_worker.providers.stt.deepgram_flux import DeepgramFlux
from calliope_call_worker.providers.stt.resilient import ResilientStt
from calliope_call_worker.providers.tts.base import TextToSpeech
from calliope_call_worker.providers.tts.deepgram import Aura
from calliope_call_worker.providers.tts.elevenlabs import ElevenLabs
from calliope_call_worker.providers.tts.inworld import Inworld
from calliope_call_worker.providers.tts.resemble import Resemble
from calliope_call_worker.providers.tts.resilient import ResilientTts

log = structlog.get_logger(__name__)


class _Keyed(Protocol):
    @property
    def api_key(self) -> SecretStr | None: ...


S = TypeVar("S", bound=_Keyed)
PartT = TypeVar("PartT")


@dataclass(frozen=True, slots=True)
class VoiceVendor(Generic[S]):
    """Where a vendor's settings are, and what makes a voice of them: an adapter's `of`."""

    settings: Callable[[ProvidersSettings], S]
    make: Callable[[aiohttp.ClientSession, S, Voice, str], ProbedVoice]

    def voice(self, session: aiohttp.ClientSession, settings: ProvidersSettings, spec: Voice) -> ProbedVoice:
        """The voice of a document. Raises: ProviderError."""
        return self.make(session, self.settings(settings), spec, self.api_key(settings, spec))

    def api_key(self, settings: ProvidersSettings, spec: Voice) -> str:
        """The key that the voice is asked with. Raises: ProviderError."""
        return _key(spec.provider, spec.api_key, self.settings(settings).api_key)


# A new voice is its adapter, its settings, and a line here.
VOICES: Final[Mapping[TtsProvider, VoiceVendor[Any]]] = {
    TtsProvider.ELEVENLABS: VoiceVendor(lambda settings: settings.elevenlabs, ElevenLabs.of),
    TtsProvider.DEEPGRAM: VoiceVendor(lambda settings: settings.deepgram_voice, Aura.of),
    TtsProvider.INWORLD: VoiceVendor(lambda settings: settings.inworld, Inworld.of),
    TtsProvider.RESEMBLE: VoiceVendor(lambda settings: settings.resemble, Resemble.of),
}


class MakeModel(Protocol):
    """An adapter's constructor."""

    def __call__(
        self,
        session: aiohttp.ClientSession,
        /,
        *,
        url: str,
        model: str,
        api_key: str,
        omissions: Omissions,
        connections: ModelConnections,
    ) -> ProbedModel:
        """The model at this address; nothing is connected yet."""


@dataclass(frozen=True, slots=True)
class LlmVendor:
    """One vendor of language models: its adapter, and where the installation keeps its settings."""

    make: MakeModel
    settings: Callable[[ProvidersSettings], ModelSettings]


# A new vendor is its adapter, its settings and a line here.
LLM_VENDORS: Final[Mapping[LlmProvider, LlmVendor]] = {
    LlmProvider.OPENAI: LlmVendor(partial(OpenAiChat, quirks=quirks.OPENAI), lambda settings: settings.openai),
    LlmProvider.ANTHROPIC: LlmVendor(Anthropic, lambda settings: settings.anthropic),
    LlmProvider.GEMINI: LlmVendor(Gemini, lambda settings: settings.gemini),
    LlmProvider.GROQ: LlmVendor(partial(OpenAiChat, quirks=quirks.GROQ), lambda settings: settings.groq),
    LlmProvider.XAI: LlmVendor(partial(OpenAiChat, quirks=quirks.XAI), lambda settings: settings.xai),
}


KEPT_S: Final = 60.0
"""How long a connection may be idle on our side."""
_MADE_UP: Final = "sandbox-"
_PLAIN_CHAT: Final[MakeModel] = partial(OpenAiChat, quirks=quirks.CUSTOM)


@dataclass(frozen=True, slots=True)
class CallProviders:
    """What one call hears, thinks and speaks with."""

    stt: SpeechToText
    stt_options: SttOptions
    llm: LlmChain
    tts: TextToSpeech
    voice_key: VoiceKey
    failures: Failures


class Providers:
    """The worker's connections to its providers. `guarded` is for addresses that a developer gave."""

    def __init__(
        self,
        settings: ProvidersSettings,
        session: aiohttp.ClientSession,
        guarded: aiohttp.ClientSession,
        connections: ModelConnections,
    ) -> None:
        self._settings = settings
        self._session = session
        self._guarded = guarded
        self._omissions = Omissions()
        self._connections = connections
        thinking = settings.thinking
        self._breakers = Breakers(failures_to_open=thinking.breaker_failures, cool_down_s=thinking.breaker_cool_down_s)

    def for_call(
        self, spec: AssistantSpec, call_id: str, organization_id: str, facts: CallFacts | None = None
    ) -> CallProviders:
        """The providers of a document. Raises: StageError, when one that is needed cannot be had."""
        failures = Failures()
        settings = self._settings
        with needed(Stage.STT):
            stt = ResilientStt(self.stt(spec.stt_settings), settings.listening, failures.of(Stage.STT))
        with needed(Stage.LLM):
            llm = self.chain(spec, failures, facts=facts)
        with needed(Stage.TTS):
            voices = self._voices(spec, failures)
        tts = ResilientTts([voice for _, voice in voices], settings.speaking, failures.of(Stage.TTS))
        return CallProviders(
            stt=stt,
            stt_options=stt_options(spec.stt_settings, call_id),
            llm=llm,
            tts=tts,
            voice_key=self._voice_key(voices[0][0], organization_id),
            failures=failures,
        )

    def for_analysis(self, spec: AssistantSpec) -> LlmChain:
        """The document's models for work after the call: nobody waits on the line. Raises: ProviderError."""
        thinking, failures = self._settings.thinking, Failures()
        failures.listen(_note)
        patient = {"first_token_deadline_s": thinking.analysis_deadline_s}
        patient["inter_token_deadline_s"] = thinking.analysis_deadline_s
        return self.chain(spec, failures, thinking.model_copy(update=patient))

    def stt(self, spec: SttSettings) -> SpeechToText:
        """The recogniser. Raises: ProviderError."""
        settings = self._settings.deepgram
        vendor = DeepgramFlux if spec.is_flux else Deepgram
        return vendor(self._session, settings, _key("deepgram", spec.api_key, settings.api_key))

    def chain(
        self,
        spec: AssistantSpec,
        failures: Failures,
        thinking: ThinkingSettings | None = None,
        *,
        facts: CallFacts | None = None,
    ) -> LlmChain:
        """Primary and fallbacks; one that this installation cannot ask is reported and left out.

        Raises: ProviderError, when none is left.
        """
        wanted: list[tuple[LlmProvider, LlmProviderConfig | LlmFallback]]
        wanted = [(spec.llm_provider, spec.llm_provider_config)]
        if spec.llm_fallback_providers.enabled:
            wanted += [(one.provider, one) for one in spec.llm_fallback_providers.fallbacks]
        report, known = failures.of(Stage.LLM), facts or CallFacts()
        links = _those_to_be_had((partial(self.link, provider, config, known) for provider, config in wanted), report)
        return LlmChain(links, thinking or self._settings.thinking, report)

    def link(self, provider: LlmProvider, config: LlmProviderConfig | LlmFallback, facts: CallFacts) -> Link:
        """One language model and how it has been lately. Raises: ProviderError."""
        asked, account = self._model(provider, config, facts)
        return Link(asked, self._breakers.get(provider, asked.model, *account))

    def model(self, provider: LlmProvider, config: LlmProviderConfig | LlmFallback) -> ProbedModel:
        """One language model, to be checked. Raises: ProviderError."""
        return self._model(provider, config, CallFacts())[0]

    def _model(
        self, provider: LlmProvider, config: LlmProviderConfig | LlmFallback, facts: CallFacts
    ) -> tuple[ProbedModel, tuple[str, str]]:
        """A language model, with the key and the address that it is asked with."""
        session = self._session if config.base_url is None else self._guarded
        if provider is LlmProvider.CUSTOM:
            make, url, model = _custom(config.request_format, facts), config.base_url or "", config.model or ""
            key = config.api_key.get_secret_value() if config.api_key is not None else ""
        else:
            vendor = LLM_VENDORS[provider]
            make, settings = vendor.make, vendor.settings(self._settings)
            url, model = config.base_url or settings.url, config.model or settings.model
            if config.base_url is None:
                make = _PLAIN_CHAT if settings.chat_completions else make
                model = settings.model_for(config.model)
            # the installation's key goes to no address that a developer gave
            key = _key(provider, config.api_key, settings.api_key if config.base_url is None else None)
        asked = make(
            session, url=url, model=model, api_key=key, omissions=self._omissions, connections=self._connections
        )
        return asked, (key, url)

    def voice(self, spec: Voice) -> ProbedVoice:
        """One voice. Raises: ProviderError."""
        return VOICES[spec.provider].voice(self._session, self._settings, spec)

    def _voices(self, spec: AssistantSpec, failures: Failures) -> list[tuple[Voice, TextToSpeech]]:
        wanted: tuple[Voice, ...] = (spec.tts_settings, *spec.tts_settings.fallbacks)

        def made(one: Voice) -> tuple[Voice, TextToSpeech]:
            return one, self.voice(one)

        return _those_to_be_had((partial(made, one) for one in wanted), failures.of(Stage.TTS))

    def _voice_key(self, spec: Voice, organization_id: str) -> VoiceKey:
        """What lines spoken by this voice are kept by."""
        account = account_of(VOICES[spec.provider].api_key(self._settings, spec))
        settings = spec.model_dump_json(exclude={"api_key", "fallbacks"})
        return VoiceKey(organization_id, account, spec.provider, spec.voice_id or "", settings)


@asynccontextmanager
async def open_providers(settings: ProvidersSettings, guard: EgressSettings) -> AsyncIterator[Providers]:
    """The worker's providers. Connections are not limited in number: a call's sockets stay open as long as it does."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEPT_S, ttl_dns_cache=300, ssl=egress.tls_context(guard)
            ),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing()],
        ) as session,
        egress.session(guard, total_s=120, limit=0, keepalive_s=KEPT_S, trace_configs=[tracing()]) as guarded,
        _beside() as spawn,
    ):
        yield Providers(settings, session, guarded, ModelConnections(spawn))


@asynccontextmanager
async def _beside() -> AsyncIterator[Spawn]:
    """Tasks that the block waits for at its end; its own error comes out bare, as it does without them."""
    error: Exception | None = None
    async with IsolatedTasks() as tasks:
        try:
            yield tasks.spawn
        except Exception as exc:
            error = exc
    if error is not None:
        raise error


def stt_options(spec: SttSettings, call_id: str) -> SttOptions:
    """What a document asks of the recogniser."""
    return SttOptions(
        call_id=call_id,
        model=spec.model,
        language=spec.language,
        keywords=tuple((word.keyword, word.intensifier) for word in spec.keywords),
        keyterms=spec.keyterms,
        punctuate=spec.punctuate,
        smart_format=spec.smart_format,
        numerals=spec.numerals,
        profanity_filter=spec.profanity_filter,
        filler_words=spec.filler_words,
        redact=spec.redact,
        endpointing_ms=spec.pause_ms,
        utterance_end_ms=spec.utterance_end_ms,
        eot_threshold=spec.eot_threshold,
        eager_eot_threshold=spec.eager_eot_threshold,
        eot_timeout_ms=spec.eot_timeout_ms,
        mip_opt_out=spec.mip_opt_out,
    )


def _those_to_be_had(
    makers: Iterable[Callable[[], PartT]], report: Callable[[ProviderError, str], None]
) -> list[PartT]:
    """What this installation can ask, in order; the rest is reported. Raises: ProviderError, when nothing is left."""
    had, lacking = list[PartT](), None
    for make in makers:
        try:
            had.append(make())
        except ProviderError as exc:
            lacking = exc
            report(exc, "left out")
    if not had and lacking is not None:
        raise lacking
    return had


def _note(stage: Stage, error: ProviderError, action: str) -> None:
    """Failures after the call are no facts of the call: its journal has been closed."""
    log.warning("analysis.provider_failed", provider=error.provider, reason=error.reason, action=action)


def _custom(request_format: LlmRequestFormat, facts: CallFacts) -> MakeModel:
    """A server of the developer's own: it needs no settings of the installation, and perhaps no key."""
    if request_format is LlmRequestFormat.CALL:
        return partial(CallShapedChat, facts=facts)
    return _PLAIN_CHAT


def _key(provider: str, own: SecretStr | None, installation: SecretStr | None) -> str:
    """The document's key, else the installation's. One made for an emulator is none where there is a real one."""
    key = own or installation
    if installation is not None and own is not None and _is_made_up(own) and not _is_made_up(installation):
        key = installation
    if key is None:
        raise ProviderError(provider, Failure.KEY, "no API key in the assistant, and none of the installation")
    return key.get_secret_value()


def _is_made_up(key: SecretStr) -> bool:
    """Whether it is for an emulator, as examples have it."""
    return key.get_secret_value().startswith(_MADE_UP)
