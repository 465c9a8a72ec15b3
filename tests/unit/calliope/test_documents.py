"""Rules of the assistant document, one sentence each."""

from typing import Any

import pytest
from pydantic import ValidationError

from calliope.contracts.document.spec import SECRET_PATHS, URL_PATHS, AssistantSpec
from calliope.documents import merge_patch, places
from calliope.validation.problems import field_problems
from support.secret_fields import secret_fields

MINIMAL: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "sk-test"}}


def problems(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate(document)
    return {problem.path: problem.message for problem in field_problems(caught.value, AssistantSpec)}


def test_a_document_with_only_required_fields_is_complete() -> None:
    spec = AssistantSpec.model_validate(MINIMAL)
    assert spec.llm_settings.temperature == 0.7
    assert spec.llm_settings.max_tokens == 1000
    assert spec.interruption_settings.interruption_threshold == 3
    assert spec.is_active


def test_null_means_the_default_at_every_depth() -> None:
    spec = AssistantSpec.model_validate({**MINIMAL, "description": None, "llm_settings": {"temperature": None}})
    assert spec.llm_settings.temperature == 0.7


def test_null_inside_a_json_schema_is_kept() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x", None], "default": None}}}
    spec = AssistantSpec.model_validate({**MINIMAL, "custom_settings": {"structured_data_schema": schema}})
    assert spec.custom_settings.structured_data_schema == schema


@pytest.mark.promise("P2")
def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate({**MINIMAL, "llm_settings": {"temprature": 1}})
    (problem,) = field_problems(caught.value, AssistantSpec)
    assert problem.path == "llm_settings.temprature"
    assert problem.hint == "did you mean 'llm_settings.temperature'?"


TTS, CUSTOM = "tts_settings", "custom_settings"
UUID = {"provider": "inworld", "provider_config": {"project_uuid": "x"}}
NO_KEY = {"fallbacks": [{"provider": "groq"}]}


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"llm_provider": "custom", "llm_provider_config": {"model": "m"}}, "llm_provider_config.base_url"),
        ({"llm_provider": "custom", "llm_provider_config": {"base_url": "http://x"}}, "llm_provider_config.model"),
        ({"llm_provider_config": {"api_key": "k", "request_format": "call"}}, "llm_provider_config.request_format"),
        ({"llm_provider_config": {}}, "llm_provider_config.api_key"),
        ({"llm_fallback_providers": NO_KEY}, "llm_fallback_providers.fallbacks.0.api_key"),
        ({"stt_settings": {"model": "nova-2", "keyterms": ["x"]}}, "stt_settings.keyterms"),
        ({"stt_settings": {"model": "nova-3", "keywords": [{"keyword": "x"}]}}, "stt_settings.keywords"),
        ({"tools_settings": {"transfer_call": {"enabled": True}}}, "tools_settings.transfer_call.transfer_numbers"),
        (
            {"tools_settings": {"transfer_call": {"transfer_numbers": ["0800"]}}},
            "tools_settings.transfer_call.transfer_numbers.0",
        ),
        ({CUSTOM: {"structured_data_schema": {"type": "nonsense"}}}, "custom_settings.structured_data_schema"),
        ({"tts_settings": {"provider": "deepgram", "stability": 0.5}}, "tts_settings.stability"),
        ({TTS: {"provider": "deepgram", "voice_id": "luna", "model_id": "aura-2-luna-en"}}, "tts_settings.model_id"),
        ({TTS: UUID}, "tts_settings.provider_config.project_uuid"),
        ({"rag_settings": {"enabled": True}}, "rag_settings.enabled"),
        ({"llm_settings": {"temperature": 99}}, "llm_settings.temperature"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"interruption_settings": {"ignore_phrases": ["uh huh", "…"]}}, "interruption_settings.ignore_phrases"),
        ({"webhook_url": "file:///etc/passwd"}, "webhook_url"),
    ],
)  # fmt: skip
def test_a_wrong_combination_is_refused_and_names_the_field(change: dict[str, Any], path: str) -> None:
    assert path in problems({**MINIMAL, **change})


def test_a_refusal_never_shows_a_value() -> None:
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate({**MINIMAL, "llm_provider_config": {"api_key": "sk-canary", "base_url": "canary"}})
    assert "canary" not in str(field_problems(caught.value, AssistantSpec))


def test_a_custom_server_that_is_told_about_the_call_chooses_its_own_model() -> None:
    config = {"base_url": "https://x.example/llm", "request_format": "call"}
    fallbacks = {"enabled": True, "fallbacks": [{"provider": "custom", **config}]}
    document = {**MINIMAL, "llm_provider": "custom", "llm_provider_config": config, "llm_fallback_providers": fallbacks}
    assert AssistantSpec.model_validate(document).llm_provider_config.model is None


def test_custom_tool_names_must_differ() -> None:
    tool = {"name": "book", "description": "books", "url": "https://example.com/book"}
    assert "tools_settings.custom_tools" in problems({**MINIMAL, "tools_settings": {"custom_tools": [tool, tool]}})


def test_a_merge_patch_merges_objects_and_null_clears() -> None:
    before = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert merge_patch(before, {"a": {"b": None, "e": 3}, "d": [9]}) == {"a": {"c": 2, "e": 3}, "d": [9]}
    assert before == {"a": {"b": 1, "c": 2}, "d": [1, 2]}


def test_places_finds_every_element_of_a_list() -> None:
    document = {"llm_fallback_providers": {"fallbacks": [{"api_key": "a"}, {"provider": "x"}, {"api_key": "b"}]}}
    found = [path for path, _, _ in places(document, ("llm_fallback_providers", "fallbacks", "*", "api_key"))]
    assert found == [
        ("llm_fallback_providers", "fallbacks", "0", "api_key"),
        ("llm_fallback_providers", "fallbacks", "2", "api_key"),
    ]


def test_places_finds_every_value_of_an_object() -> None:
    document = {"tools": [{"headers": {"x.y": "a", "1": "b"}}, {"headers": ["c"]}, {"headers": None}]}
    found = [(path, container[key]) for path, container, key in places(document, ("tools", "*", "headers", "*"))]
    assert found == [
        (("tools", "0", "headers", "x.y"), "a"),
        (("tools", "0", "headers", "1"), "b"),
        (("tools", "1", "headers", "0"), "c"),
    ]


def test_every_secret_of_the_document_is_listed() -> None:
    assert secret_fields(AssistantSpec) == set(SECRET_PATHS)


NO_SECRETS = {("variables", "*")}
"""Objects of texts by names of the developer's own that are no secrets: they are spoken."""


def _free_texts(
    schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str, ...] = ()
) -> set[tuple[str, ...]]:
    """Paths of every object whose values are texts under names that nobody but the developer knows."""
    if "$ref" in schema:
        return _free_texts(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions, path)
    values = schema.get("additionalProperties")
    found = {(*path, "*")} if isinstance(values, dict) and values.get("type") == "string" else set()
    for part in schema.get("anyOf", []):
        found |= _free_texts(part, definitions, path)
    for name, part in schema.get("properties", {}).items():
        found |= _free_texts(part, definitions, (*path, name))
    if isinstance(schema.get("items"), dict):
        found |= _free_texts(schema["items"], definitions, (*path, "*"))
    return found


def test_every_object_of_texts_is_sealed_or_known_to_hold_no_secret() -> None:
    """Somebody will put a key into an object whose names are free, such as headers."""
    schema = AssistantSpec.model_json_schema()
    assert _free_texts(schema, schema["$defs"]) == NO_SECRETS | {path for path in SECRET_PATHS if path[-1] == "*"}


def test_every_url_of_the_document_is_listed() -> None:
    schema = AssistantSpec.model_json_schema()
    text = str(schema)
    assert text.count("https?://") == 5  # base_url twice, custom tool, webhook, sms webhook
    assert len(URL_PATHS) == 5


@pytest.mark.parametrize(
    "number", ["+1\u0663\u0664\u0665", "+0123", "15550001111", "+1", "+1" + "5" * 15, "+1555\n", '+1"/><Dial>']
)
def test_a_number_to_transfer_to_is_digits_that_every_carrier_reads(number: str) -> None:
    tools = {"transfer_call": {"enabled": True, "transfer_numbers": [number]}}

    assert list(problems({**MINIMAL, "tools_settings": tools})) == ["tools_settings.transfer_call.transfer_numbers.0"]


@pytest.mark.parametrize(
    "url", ["https://example.com/\x00", "https://a\x7f.example", "https://a b", "ftp://a", "https://"]
)
def test_a_url_holds_no_blanks_and_no_control_characters(url: str) -> None:
    assert list(problems({**MINIMAL, "webhook_url": url})) == ["webhook_url"]
