"""What an accepted document will most likely not do as its author means it."""

from typing import Any

import pytest

from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.model_names import LANGUAGE_MODELS, VOICE_MODELS
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
