"""What an accepted document will most likely not do as its author means it."""

from typing import Any

import pytest

from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.model_names import LANGUAGE_MODELS, RECOGNISERS, VOICE_MODELS
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.tts import TtsProvider
from calliope.contracts.document.warning_rules import warnings_of

MINIMAL: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "sk-test"}}


def warned(**document: Any) -> dict[str, str]:
    spec = AssistantSpec.model_validate(MINIMAL | document)
    return {problem.path: f"{problem.message}; {problem.hint}" for problem in warnings_of(spec.model_dump(mode="json"))}


def asked(provider: str, model: str | None, **more: Any) -> dict[str, Any]:
    return {"llm_provider": provider, "llm_provider_config": {"api_key": "k", "model": model, **more}}


def test_a_document_of_defaults_has_no_warnings() -> None:
    assert warned() == {}


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", None),
        ("openai", "gpt-9-next"),
        ("openai", "o5-mini"),
        ("openai", "ft:gpt-4o-mini:acme::1"),
        ("anthropic", "claude-haiku-9"),
        ("gemini", "models/gemini-5-flash"),
        ("groq", "moonshotai/kimi-k9"),
        ("groq", "llama-5-8b-instant"),
        ("xai", "grok-9"),
    ],
)
def test_the_next_model_of_a_known_family_is_no_surprise(provider: str, model: str | None) -> None:
    assert warned(**asked(provider, model)) == {}


@pytest.mark.parametrize(
    ("provider", "model", "hint"),
    [
        ("openai", "gpt4o-mini", "nearest: gpt-4o-mini"),
        ("openai", "GPT-4o", "nearest: gpt-4o;"),
        ("anthropic", "gpt-4o", "it looks like a model of openai"),
        ("openai", "claude-haiku-5-5", "it looks like a model of anthropic"),
        ("gemini", "flash", "such as gemini-3.5-flash-lite"),
    ],
)
def test_a_model_that_its_vendor_is_not_known_to_have_is_named_with_what_may_be_meant(
    provider: str, model: str, hint: str
) -> None:
    (path, words), *_ = warned(**asked(provider, model)).items()
    assert path == "llm_provider_config.model"
    assert words.startswith(f"{model!r} is not known to Calliope as a model of {provider}")
    assert hint in words
    assert "/check asks the vendor" in words


REAL = {
    "openai": "gpt-4o gpt-4o-mini gpt-4o-2024-11-20 gpt-4.1-nano gpt-4-turbo gpt-4-turbo-preview gpt-3.5-turbo-0125 "
    "gpt-3.5-turbo-instruct gpt-4o-audio-preview gpt-4o-realtime-preview chatgpt-4o-latest gpt-5 gpt-5-mini gpt-5-nano "
    "gpt-5-chat-latest gpt-5-pro gpt-5-codex gpt-5.1-codex-max gpt-5-search-api gpt-4o-search-preview o1-pro o3-mini "
    "o4-mini-deep-research codex-mini-latest gpt-5-ultra",
    "anthropic": "claude-3-5-haiku-20241022 claude-3-5-sonnet-latest claude-3-opus-20240229 claude-sonnet-4-5-20250929 "
    "claude-opus-4-1 claude-haiku-4-5 claude-3-7-sonnet-latest claude-instant-1.2",
    "gemini": "gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-2.0-flash-001 gemini-2.0-flash-lite "
    "gemini-2.5-flash-lite-preview-09-2025 gemini-2.0-flash-thinking-exp-01-21 gemini-3-pro-preview gemma-3-27b-it "
    "gemini-live-2.5-flash-preview gemini-2.5-flash-native-audio-preview-09-2025 gemini-flash-latest tunedModels/flsh",
    "xai": "grok-4 grok-4-0709 grok-4-fast-reasoning grok-4-fast-non-reasoning grok-3-mini grok-3-mini-fast "
    "grok-code-fast-1 grok-2-vision-1212 grok-4-latest grok-beta",
    "groq": "llama-3.3-70b-versatile llama-3.1-8b-instant meta-llama/llama-4-scout-17b-16e-instruct groq/compound-mini "
    "moonshotai/kimi-k2-instruct-0905 openai/gpt-oss-20b qwen/qwen3-32b deepseek-r1-distill-llama-70b allam-2-7b",
}
RECOGNISED = (
    "nova nova-2 nova-3 nova-3-medical nova-3-general nova-2-general nova-2-meeting nova-2-phonecall nova-2-finance "
    "nova-2-conversationalai nova-2-voicemail nova-2-video nova-2-medical nova-2-drivethru nova-2-automotive "
    "nova-2-atc nova-phonecall enhanced enhanced-meeting base base-phonecall base-conversationalai whisper-large "
    "whisper flux-general-en flux-general-multi 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
)
SPOKEN = (
    "eleven_flash_v2 eleven_flash_v2_5 eleven_turbo_v2 eleven_turbo_v2_5 eleven_multilingual_v1 eleven_multilingual_v2 "
    "eleven_monolingual_v1 eleven_v3 eleven_v3_conversational eleven_multilingual_ttv_v2 eleven_ttv_v3 "
    "eleven_english_sts_v2"
)


@pytest.mark.parametrize(("provider", "names"), REAL.items())
def test_names_that_vendors_use_are_not_warned_of(provider: str, names: str) -> None:
    known = LANGUAGE_MODELS[LlmProvider(provider)]
    assert [name for name in names.split() if not known.knows(name)] == []


def test_names_of_recognisers_and_voices_are_not_warned_of() -> None:
    voices = VOICE_MODELS[TtsProvider.ELEVENLABS]
    assert [name for name in RECOGNISED.split() if not RECOGNISERS.knows(name)] == []
    assert [name for name in SPOKEN.split() if not voices.knows(name)] == []


@pytest.mark.parametrize(
    ("provider", "written", "meant"),
    [
        ("openai", "gpt-4o-mni", "gpt-4o-mini"),
        ("openai", "gpt-4-trubo", "gpt-4-turbo"),
        ("anthropic", "claude-sonet-4-5", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-flsh", "gemini-2.5-flash"),
        ("xai", "grok-4-fast-reasonning", "grok-4-fast-reasoning"),
    ],
)
def test_a_misspelt_word_of_a_model_is_warned_of(provider: str, written: str, meant: str) -> None:
    (words,) = warned(**asked(provider, written)).values()
    assert f"nearest: {meant};" in words


@pytest.mark.parametrize("model", ["nova-9", "whisper-1", "nova-2-phonecal"])
def test_a_recogniser_that_deepgram_has_not_is_warned_of(model: str) -> None:
    assert list(warned(stt_settings={"model": model})) == ["stt_settings.model"]


@pytest.mark.parametrize("model", ["eleven_x", "eleven_flsh_v2"])
def test_a_voice_model_that_elevenlabs_has_not_is_warned_of(model: str) -> None:
    voice = {"provider": "elevenlabs", "model_id": model}
    assert list(warned(tts_settings=voice)) == ["tts_settings.model_id"]


def test_a_server_of_ones_own_names_its_models_as_it_likes() -> None:
    assert warned(**asked("custom", "my-model", base_url="https://llm.example/v1")) == {}
    assert warned(**asked("openai", "my-model", base_url="https://llm.example/v1")) == {}


def test_every_fallback_and_every_voice_is_looked_at() -> None:
    chain = {"enabled": True, "fallbacks": [{"provider": "groq", "api_key": "k", "model": "gpt-4o"}]}
    voice = {"provider": "elevenlabs", "model_id": "flash", "fallbacks": [{"provider": "inworld", "model_id": "max"}]}
    warnings = warned(llm_fallback_providers=chain, tts_settings=voice, stt_settings={"model": "nova3"})
    assert list(warnings) == [
        "llm_fallback_providers.fallbacks.0.model",
        "stt_settings.model",
        "tts_settings.fallbacks.0.model_id",
    ]
    assert "nearest: nova-3" in warnings["stt_settings.model"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (
            {"llm_fallback_providers": {"fallbacks": [{"provider": "groq", "api_key": "k"}]}},
            "llm_fallback_providers.enabled",
        ),
        (
            {"tools_settings": {"transfer_call": {"transfer_numbers": ["+15550001111"]}}},
            "tools_settings.transfer_call.enabled",
        ),
        ({"idle_message": "Are you there?"}, "idle_timeout"),
    ],
)
def test_what_is_written_and_never_used_is_named(document: dict[str, Any], path: str) -> None:
    assert list(warned(**document)) == [path]


def test_every_vendor_has_names_and_knows_its_own_examples() -> None:
    assert set(LANGUAGE_MODELS) == set(LlmProvider) - {LlmProvider.CUSTOM}
    assert set(VOICE_MODELS) == set(TtsProvider)
    for names in (*LANGUAGE_MODELS.values(), *VOICE_MODELS.values()):
        assert all(names.knows(example) for example in names.examples)
