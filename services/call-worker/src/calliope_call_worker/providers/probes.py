"""Which questions an assistant's document raises: one for each vendor that a call could turn to."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from pydantic import SecretStr

from calliope.contracts.assistants import PhoneNumber
from calliope.contracts.calls import Stage
from calliope.contracts.checks import CheckedPart
from calliope.contracts.document.llm import LlmFallback, LlmProvider, LlmProviderConfig
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.tts import Voice
from calliope.errors import PermanentError
from calliope_call_worker.accounts import account_for
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.probe import Finding, Findings, Probe
from calliope_call_worker.providers.registry import Providers, stt_options
from calliope_call_worker.providers.settings import ProvidersSettings
from calliope_call_worker.providers.stt.probe import check_recogniser
from calliope_call_worker.providers.telephony.base import VOICE_HOOK, CarrierProbe
from calliope_call_worker.settings import WorkerSettings

KEY, MODEL, VOICE = CheckedPart.KEY, CheckedPart.MODEL, CheckedPart.VOICE
_LLM: Final = {KEY: "api_key", MODEL: "model", CheckedPart.ADDRESS: "base_url"}
_TTS: Final = {KEY: "api_key", MODEL: "model_id", VOICE: "voice_id"}
_STT: Final = {KEY: "api_key", MODEL: "model"}
_CARRIERS: Final = {
    "twilio": {KEY: "auth_token", CheckedPart.ACCOUNT: "account_sid"},
    "telnyx": {KEY: "api_key", CheckedPart.APPLICATION: "connection_id", CheckedPart.ACCOUNT: "public_key"},
}


class VendorProbes:
    """The questions about one document."""

    def __init__(self, providers: Providers, carriers: Mapping[str, CarrierProbe], settings: WorkerSettings) -> None:
        self._providers = providers
        self._carriers = carriers
        self._settings = settings.carriers
        self._public_url = settings.public_url.rstrip("/")
        self._installation = _keys_of(settings.providers)

    def of(self, spec: AssistantSpec, numbers: Sequence[PhoneNumber]) -> tuple[Probe, ...]:
        """In the order in which a call needs them; `numbers` are those that this assistant answers."""
        return (*self._recogniser(spec), *self._models(spec), *self._voices(spec), *self._accounts(spec, numbers))

    def _recogniser(self, spec: AssistantSpec) -> Iterator[Probe]:
        stt = spec.stt_settings

        async def ask() -> Findings:
            return await check_recogniser(self._providers.stt(stt), stt_options(stt, "check"))

        yield Probe(Stage.STT, "deepgram", "stt_settings", _STT, ask, *self._key(stt.api_key))

    def _models(self, spec: AssistantSpec) -> Iterator[Probe]:
        chain: list[tuple[str, LlmProvider, LlmProviderConfig | LlmFallback]]
        chain = [("llm_provider_config", spec.llm_provider, spec.llm_provider_config)]
        if spec.llm_fallback_providers.enabled:
            for index, one in enumerate(spec.llm_fallback_providers.fallbacks):
                chain.append((f"llm_fallback_providers.fallbacks.{index}", one.provider, one))
        for path, provider, config in chain:
            ask = partial(self._model, provider, config)
            yield Probe(Stage.LLM, provider, path, _LLM, ask, *self._key(config.api_key))

    async def _model(self, provider: LlmProvider, config: LlmProviderConfig | LlmFallback) -> Findings:
        return await self._providers.model(provider, config).check()

    def _voices(self, spec: AssistantSpec) -> Iterator[Probe]:
        voices = [("tts_settings", spec.tts_settings)]
        fallbacks = enumerate(spec.tts_settings.fallbacks)
        for path, voice in (*voices, *((f"tts_settings.fallbacks.{index}", one) for index, one in fallbacks)):
            ask = partial(self._voice, voice)
            yield Probe(Stage.TTS, voice.provider, path, _TTS, ask, *self._key(voice.api_key))

    async def _voice(self, voice: Voice) -> Findings:
        return await self._providers.voice(voice).check()

    def _accounts(self, spec: AssistantSpec, numbers: Sequence[PhoneNumber]) -> Iterator[Probe]:
        """Carriers that the document brings an account for, or that bring it calls."""
        own = {"twilio": spec.twilio_config is not None, "telnyx": spec.telnyx_config is not None}
        for name, probe in self._carriers.items():
            held = [one.number for one in numbers if one.carrier == name]
            if not own[name] and not held:
                continue
            hook_url = self._public_url + VOICE_HOOK.format(carrier=name)
            try:
                account = account_for(name, spec, self._settings)
            except PermanentError as exc:
                yield Probe(Stage.CARRIER, name, f"{name}_config", {}, partial(_lacking, name, str(exc)))
                continue
            ask = partial(probe.check, account, hook_url, held)
            yield Probe(Stage.CARRIER, name, f"{name}_config", _CARRIERS[name], ask, own[name], (account.secret,))

    def _key(self, own: SecretStr | None) -> tuple[bool, tuple[str, ...]]:
        """Whether the document brings the key, and what no answer may show."""
        return own is not None, (*self._installation, *(() if own is None else (own.get_secret_value(),)))


async def _lacking(carrier: str, why: str) -> Findings:
    hint = f"set {carrier}_config to an account of your own; until then no call to these numbers is answered"
    return (Finding(CheckedPart.ACCOUNT, ProviderError(carrier, Failure.KEY, why), hint=hint),)


def _keys_of(settings: ProvidersSettings) -> tuple[str, ...]:
    """The installation's own keys."""
    parts = (getattr(settings, name) for name in ProvidersSettings.model_fields)
    keys = (getattr(part, "api_key", None) for part in parts)
    return tuple(key.get_secret_value() for key in keys if isinstance(key, SecretStr))
