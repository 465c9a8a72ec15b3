"""What an unknown field could have meant: looked for in the whole document, in every system's words."""

import itertools
import json
import time
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from calliope.contracts.assistants import PhoneNumberSpec
from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.tts import TtsProvider
from calliope.validation import hints as hints_module
from calliope.validation.expectations import slot_at
from calliope.validation.hints import query_hint
from calliope.validation.problems import MOST_PROBLEMS, field_problems
from calliope.validation.synonyms import ELSEWHERE, QUERY, SYNONYMS, VALUES
from calliope_gateway.http.server import ROUTES

TARGETS = [(model, name, ours.path) for model, names in SYNONYMS.items() for name, ours in names.items()]


def hints(document: dict[str, Any], model: type[BaseModel] = AssistantSpec) -> dict[str, str]:
    """The hint of each unknown field."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return {each.path: each.hint or "" for each in field_problems(caught.value, model) if "unknown" in each.message}


def at(path: str, value: Any = "x") -> dict[str, Any]:
    """A document in which only this stands; a number is a position in a list."""
    for step in reversed(path.split(".")):
        value = [value] if step == "0" else {step: value}
    document: dict[str, Any] = value
    return document


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("welcome_message", "llm_settings.welcome_message"),
        ("welcome_mesage", "llm_settings.welcome_message"),
        ("temperature", "llm_settings.temperature"),
        ("voice_id", "tts_settings.voice_id"),
        ("voiceId", "tts_settings.voice_id"),
        ("transfer-numbers", "tools_settings.transfer_call.transfer_numbers"),
        ("isActive", "is_active"),
        ("idle-timeout", "idle_timeout"),
        ("llm_settings.temprature", "llm_settings.temperature"),
        ("tts_settings.language", "tts_settings.provider_config.language"),
        ("tts_settings.model", "tts_settings.model_id"),
        ("custom_settings.schema", "custom_settings.structured_data_schema"),
        ("stt_settings.keyword", "stt_settings.keywords"),
        ("stt_settings.keywords.0.boost", "known here: intensifier, keyword"),
        ("tools_settings.endCall", "tools_settings.end_call"),
        ("tools_settings.custom_tools.0.endpoint", "tools_settings.custom_tools.0.url"),
        ("tools_settings.custom_tools.0.Url", "tools_settings.custom_tools.0.url"),
        ("llm_fallback_providers.fallbacks.0.apiKey", "llm_fallback_providers.fallbacks.0.api_key"),
        ("firstMessage", "llm_settings.welcome_message"),
        ("first_message", "llm_settings.welcome_message"),
        ("begin_message", "llm_settings.welcome_message"),
        ("general_prompt", "llm_settings.system_prompt"),
        ("systemPrompt", "llm_settings.system_prompt"),
        ("prompt", "llm_settings.system_prompt"),
        ("instructions", "llm_settings.system_prompt"),
        ("openai_api_key", "llm_provider_config.api_key"),
        ("serverUrl", "webhook_url"),
        ("webhookUrl", "webhook_url"),
        ("endCallPhrases", "tools_settings.end_call.scenarios"),
        ("silenceTimeoutSeconds", "idle_timeout"),
        ("language", "stt_settings.language"),
        ("model.provider", "llm_provider"),
        ("voice.voiceId", "tts_settings.voice_id"),
        ("analysisPlan.structuredDataPlan.schema", "custom_settings.structured_data_schema"),
        ("llm_fallback_providers.fallbacks.0.config.api_key", "llm_fallback_providers.fallbacks.0.api_key"),
        ("revision", "the server sets it"),
        ("stt_settings.interim_results", "always on"),
        ("max_call_duration_ms", "did you mean 'max_call_duration' (in seconds)?"),
        ("stt_settings.provider", "the recogniser is Deepgram; leave it out"),
        (
            "transcriber.provider",
            "its parts belong elsewhere: transcriber.provider: the recogniser is Deepgram; leave it out",
        ),
        ("stt_provider", "the recogniser is Deepgram; leave it out"),
        ("voice.model", "tts_settings.model_id"),
        ("qwertz", "known here: custom_settings, description"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(written: str, ours: str) -> None:
    (hint,) = hints(at(written)).values()
    assert f"'{ours}'" in hint or hint.startswith((ours, f"it is {ours}"))


@pytest.mark.parametrize(
    ("path", "written", "meant"),
    [
        ("llm_provider", "claude", "'anthropic'"),
        ("llm_provider", "google", "'gemini'"),
        ("llm_provider", "Grok", "'xai'"),
        ("llm_provider", "ollama", "'custom' (with base_url, the address of your server)"),
        ("llm_provider", "openai-compatible", "'custom' (with base_url, the address of your server)"),
        ("llm_fallback_providers.fallbacks.0.provider", "vllm", "'custom' (with base_url, the address of your server)"),
        ("tts_settings.provider", "11labs", "'elevenlabs'"),
        ("tts_settings.provider", "aura", "'deepgram'"),
    ],
)
def test_another_system_s_name_of_a_vendor_is_answered_with_ours(path: str, written: str, meant: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate(at(path, written))
    (hint,) = [each.hint for each in field_problems(caught.value, AssistantSpec) if each.path == path]
    assert hint == f"did you mean {meant}?"


def test_every_synonym_of_a_value_is_a_choice_somewhere_and_no_choice_itself() -> None:
    choices = {str(each) for kind in (LlmProvider, TtsProvider) for each in kind}
    assert {ours.path for ours in VALUES.values()} <= choices
    assert not choices & set(VALUES)


def test_the_names_that_are_known_at_a_place_are_listed_once() -> None:
    told = hints({"qwertz": 1, "zzyzx": 2, "stt_settings": {"qqqq": 1}})
    assert told["qwertz"].startswith("known here: custom_settings")
    assert told["zzyzx"] == "Calliope has no such field: leave it out"
    assert told["stt_settings.qqqq"].startswith("known here: api_key")


def test_an_object_of_another_system_is_taken_apart() -> None:
    model = {"provider": "openai", "model": "m", "messages": [{"role": "system", "content": "canary"}], "other": 1}
    assert hints({"model": model})["model"] == (
        "its parts belong elsewhere: model.provider is 'llm_provider'; model.model is 'llm_provider_config.model'; "
        "model.messages is 'llm_settings.system_prompt'"
    )


@pytest.mark.parametrize(
    ("written", "ours"),
    [("assistantId", "assistant_id"), ("provider", "carrier"), ("number", "PUT /api/v1/phone-numbers/{number}")],
)
def test_a_phone_number_has_hints_of_its_own(written: str, ours: str) -> None:
    assert ours in hints({written: "x"}, PhoneNumberSpec)[written]


@pytest.mark.parametrize(("model", "name", "path"), TARGETS, ids=lambda each: str(each))
def test_every_synonym_leads_to_a_field_that_exists(model: type[BaseModel], name: str, path: str) -> None:
    assert slot_at(path.replace("[]", ".0").split("."), model) is not None, f"{name} leads to {path}"
    assert slot_at(name.split("."), model) is None, f"{name} is a field of ours"


@pytest.mark.parametrize("model", ELSEWHERE, ids=lambda model: model.__name__)
def test_what_no_field_has_is_no_field(model: type[BaseModel]) -> None:
    assert [name for name in ELSEWHERE[model] if slot_at(name.split("."), model) is not None] == []


@pytest.mark.parametrize(("written", "ours"), QUERY.items())
def test_every_synonym_of_a_parameter_exists_somewhere(written: str, ours: str) -> None:
    queries = [route.query.model_fields for route in ROUTES if route.query is not None]
    (known, *_) = [fields for fields in queries if ours in fields]
    assert query_hint(written, [name for name in known if name != written]) == f"did you mean '{ours}'?"


def test_a_parameter_that_resembles_none_is_told_which_are_known() -> None:
    assert query_hint("zzz", ["limit", "cursor"]) == "known here: cursor, limit"


def test_a_hostile_document_is_answered_briefly_and_shows_no_value() -> None:
    flood = {f"unknown_{index}": {"canary": "canary"} for index in range(5_000)}
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate({"x" * 50_000: 1} | flood)
    found = field_problems(caught.value, AssistantSpec)
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1].message.startswith("and ")
    assert "canary" not in str(found)
    assert len(json.dumps([each.model_dump() for each in found])) < 40_000


def test_a_hostile_document_costs_little_time() -> None:
    """Names are compared on the loop that answers every command."""
    names = [
        "".join(choice) for choice in itertools.islice(itertools.permutations("welcome_message_temperatur"), 3_000)
    ]
    flood: dict[str, Any] = dict.fromkeys(names[:200], 1) | {
        name: dict.fromkeys(names[:20], 1) for name in names[200:300]
    }
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate(flood)
    began = time.process_time()
    field_problems(caught.value, AssistantSpec)
    assert time.process_time() - began < 0.5


def test_long_names_of_clients_are_not_remembered() -> None:
    before = hints_module._remembered_bare.cache_info().currsize
    for number in range(10):
        assert query_hint("x" * 10_000 + str(number), ("limit",))
    assert hints_module._remembered_bare.cache_info().currsize <= before + 2
