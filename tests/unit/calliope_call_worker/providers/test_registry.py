"""What a document gets: vendors, keys, defaults, and what is left out."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from calliope.contracts.calls import Stage
from calliope.contracts.document.llm import LlmProvider, LlmProviderConfig
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.tts import TtsProvider
from calliope.settings import EgressSettings
from calliope_call_worker.lines import LineCache
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import CallFacts
from calliope_call_worker.providers.probe import ProbedModel
from calliope_call_worker.providers.registry import LLM_VENDORS, LlmVendor, Providers, open_providers
from calliope_call_worker.providers.settings import (
    AnthropicSettings,
    AuraSettings,
    DeepgramSettings,
    ElevenLabsSettings,
    ProvidersSettings,
)
from calliope_call_worker.providers.tts.base import SpokenAudio

KEYED = ProvidersSettings(
    deepgram=DeepgramSettings(api_key=SecretStr("dg")),
    elevenlabs=ElevenLabsSettings(api_key=SecretStr("el")),
    anthropic=AnthropicSettings(api_key=SecretStr("an")),
)


def a_spec(**changes: Any) -> AssistantSpec:
    return AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **changes})


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with open_providers(KEYED, EgressSettings()) as opened:
        yield opened


async def test_a_document_with_only_what_is_required_gets_everything(providers: Providers) -> None:
    call = providers.for_call(a_spec(), "call_1", "org_1")
    assert call.llm.used == ("openai", "gpt-6-luna")
    assert (call.tts.name, call.tts.voice) == ("elevenlabs", "21m00Tcm4TlvDq8ikWAM")
    assert (call.stt.name, call.stt_options.model, call.stt_options.call_id) == ("deepgram", "nova-3", "call_1")


@pytest.mark.parametrize("provider", LlmProvider)
async def test_every_vendor_of_the_contract_has_an_adapter(providers: Providers, provider: LlmProvider) -> None:
    custom = {"base_url": "https://models.example/v1", "model": "own"} if provider is LlmProvider.CUSTOM else {}
    spec = a_spec(llm_provider=provider, llm_provider_config={"api_key": "k", **custom})
    name, model = providers.for_call(spec, "call_1", "org_1").llm.used
    assert name == provider
    assert model


async def test_an_address_of_the_users_own_never_gets_the_key_of_the_installation(providers: Providers) -> None:
    config = LlmProviderConfig(base_url="https://models.example/v1")
    with pytest.raises(ProviderError, match="no API key"):
        providers.link(LlmProvider.ANTHROPIC, config, CallFacts())
    assert providers.link(LlmProvider.ANTHROPIC, LlmProviderConfig(), CallFacts()).model.name == "anthropic"


async def test_without_any_key_a_call_cannot_be_had() -> None:
    async with open_providers(ProvidersSettings(), EgressSettings()) as providers:
        with pytest.raises(ProviderError, match="no API key"):
            providers.for_call(a_spec(), "call_1", "org_1")


async def test_a_nickname_becomes_the_vendors_id_and_no_key_gets_into_the_line_cache(providers: Providers) -> None:
    call = providers.for_call(a_spec(tts_settings={"api_key": "own-key", "voice_id": "Adam"}), "call_1", "org_1")
    assert call.tts.voice == "pNInz6obpgDQGcFmaJgB"
    assert "own-key" not in repr(call.voice_key)


@pytest.mark.parametrize(
    ("organization", "voice", "shared"),
    [
        ("org_1", {"api_key": "one"}, True),
        ("org_2", {"api_key": "one"}, False),
        ("org_1", {"api_key": "two"}, False),
        ("org_1", {}, False),
        ("org_1", {"api_key": "one", "stability": 0.4}, False),
    ],
    ids=["the same", "another organization", "another account", "the installation's account", "another sound"],
)
async def test_lines_spoken_in_advance_are_shared_within_an_organization_and_an_account_only(
    providers: Providers, organization: str, voice: dict[str, str], shared: bool
) -> None:
    private = {"voice_id": "a-private-voice"}
    first = providers.for_call(a_spec(tts_settings={**private, "api_key": "one"}), "call_1", "org_1")
    other = providers.for_call(a_spec(tts_settings={**private, **voice}), "call_2", organization)
    lines = LineCache()
    lines.put(first.voice_key, "Hello.", (SpokenAudio(b"private"),))

    assert (lines.get(other.voice_key, "Hello.") is not None) is shared


async def test_lines_are_kept_for_the_voice_that_can_be_had(providers: Providers) -> None:
    voices = {"provider": "inworld", "fallbacks": [{"provider": "deepgram", "voice_id": "aura-2-thalia-en"}]}
    call = providers.for_call(a_spec(tts_settings=voices), "call_1", "org_1")
    assert (call.voice_key.provider, call.tts.name) == ("deepgram", "deepgram")


@pytest.mark.parametrize("provider", list(TtsProvider))
async def test_every_voice_of_the_contract_can_be_had(providers: Providers, provider: TtsProvider) -> None:
    voice = {"provider": provider, "voice_id": "v-1", "api_key": "own"}
    call = providers.for_call(a_spec(tts_settings=voice), "call_1", "org_1")
    assert (call.tts.name, call.tts.voice) == (provider, "v-1")


async def test_deepgrams_voices_are_on_the_recognisers_account_unless_they_have_their_own() -> None:
    settings = (
        KEYED.deepgram_voice.api_key,
        KEYED.model_copy(update={"aura": AuraSettings(api_key=SecretStr("aura"))}).deepgram_voice.api_key,
    )
    assert [key.get_secret_value() for key in settings if key is not None] == ["dg", "aura"]


async def test_a_fallback_voice_without_a_key_is_left_out_and_reported(providers: Providers) -> None:
    fallbacks = [{"provider": "inworld"}, {"provider": "deepgram"}]
    call = providers.for_call(a_spec(tts_settings={"fallbacks": fallbacks}), "call_1", "org_1")
    reports: list[tuple[Stage, str, Failure, str]] = []
    call.failures.listen(lambda stage, error, action: reports.append((stage, error.provider, error.failure, action)))
    assert reports == [(Stage.TTS, "inworld", Failure.KEY, "left out")]


@pytest.mark.parametrize("provider", [each for each in LlmProvider if each is not LlmProvider.CUSTOM])
async def test_another_server_may_answer_in_a_vendors_place_with_the_models_that_it_has(provider: LlmProvider) -> None:
    own = {"url": "http://127.0.0.1:11434/v1", "api_key": "any", "model": "small", "models": ["small", "large"]}
    settings = ProvidersSettings.model_validate({provider.value: {**own, "chat_completions": True}})
    async with open_providers(settings, EgressSettings()) as providers:
        for wanted, asked in (("gpt-4o", "small"), ("large", "large"), (None, "small")):
            link = providers.link(provider, LlmProviderConfig(model=wanted), CallFacts())
            assert (link.model.name, link.model.model) == ("custom", asked)


@pytest.mark.parametrize(
    ("own", "installation", "asked_with"),
    [
        ("sandbox-openai", "sk-real", "sk-real"),
        ("sk-own", "sk-real", "sk-own"),
        ("sandbox-mine", "sandbox-openai", "sandbox-mine"),
        ("sandbox-mine", None, "sandbox-mine"),
    ],
)
async def test_a_key_that_was_made_for_an_emulator_is_not_sent_to_a_real_vendor(
    monkeypatch: pytest.MonkeyPatch, own: str, installation: str | None, asked_with: str
) -> None:
    seen: list[str] = []
    made = LLM_VENDORS[LlmProvider.OPENAI]

    def make(session: aiohttp.ClientSession, /, *, api_key: str, **kept: Any) -> ProbedModel:
        seen.append(api_key)
        return made.make(session, api_key=api_key, **kept)

    monkeypatch.setitem(LLM_VENDORS, LlmProvider.OPENAI, LlmVendor(make, made.settings))
    settings = ProvidersSettings.model_validate({"openai": {"api_key": installation}})
    async with open_providers(settings, EgressSettings()) as providers:
        providers.link(LlmProvider.OPENAI, LlmProviderConfig(api_key=SecretStr(own)), CallFacts())

    assert seen == [asked_with]
