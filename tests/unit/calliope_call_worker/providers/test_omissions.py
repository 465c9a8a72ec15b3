"""A parameter that a server refuses by name is left out, or sent under its other name; and only that one."""

from typing import Any

import pytest

from calliope_call_worker.providers.llm import anthropic_answer, chat_answer, gemini_answer
from calliope_call_worker.providers.llm.omissions import (
    CACHE_BYTES,
    Omissions,
    demanded_option,
    is_lasting,
    refused_option,
    without_options,
)
from calliope_call_worker.providers.llm.refusals import read_refusal

CHAT = {
    "model": "m",
    "max_tokens": 9,
    "temperature": 0.5,
    "stop": ["x"],
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "messages": [],
}
CLAUDE = {"model": "m", "max_tokens": 9, "thinking": {"type": "disabled"}, "temperature": 0.5}
GEMINI = {
    "contents": [],
    "generationConfig": {"temperature": 0.5, "topP": 1, "thinkingConfig": {"thinkingLevel": "low"}},
}


@pytest.mark.parametrize(
    ("body", "said", "path"),
    [
        (CHAT, {"error": {"message": "m", "param": "max_tokens", "code": "unsupported_parameter"}}, ("max_tokens",)),
        (
            CHAT,
            {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."}},
            ("max_tokens",),
        ),
        (
            CHAT,
            {"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]},
            ("temperature",),
        ),
        (CHAT, "Unrecognized request argument supplied: stream_options", ("stream_options",)),
        (
            CHAT,
            {"error": {"message": "m", "param": "stream_options.include_obfuscation"}},
            ("stream_options", "include_obfuscation"),
        ),
        (CHAT, {"error": "`stop` is not supported by this model"}, ("stop",)),
        (CHAT, {"error": "Words that stop here are not supported"}, None),
        (CHAT, {"error": {"message": "no such thing", "param": "messages.[2].content"}}, None),
        (CHAT, {"error": {"message": "top_p is not supported"}}, None),
    ],
)
def test_a_chat_server_names_what_it_refuses(body: dict[str, Any], said: Any, path: Any) -> None:
    told = read_refusal(said)
    assert refused_option(chat_answer.refusal("x", 400, said, None), told.parameter, told.words, body) == path


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"error": {"message": "max_tokens: Field required"}}, ("max_tokens",)),
        ({"error": {"message": "Missing required parameter.", "param": "max_tokens"}}, ("max_tokens",)),
        ({"error": {"message": "messages: Field required"}}, None),
        ({"error": {"message": "max_tokens: is not supported on this model"}}, None),
    ],
)
def test_what_a_server_misses_was_left_out_wrongly(said: Any, path: Any) -> None:
    told = read_refusal(said)
    assert demanded_option(told.parameter, told.words, frozenset({("max_tokens",), ("temperature",)})) == path
    omissions = Omissions()
    omissions.learn("u", "m", ("max_tokens",))
    omissions.unlearn("u", "m", ("max_tokens",))
    assert omissions.known("u", "m") == frozenset()


@pytest.mark.parametrize(
    ("refusal", "body", "words", "path"),
    [
        (anthropic_answer.refusal, CLAUDE, '"thinking.type.disabled" is not supported for this model.', ("thinking",)),
        (anthropic_answer.refusal, CLAUDE, "temperature: Extra inputs are not permitted", ("temperature",)),
        (
            gemini_answer.refusal,
            GEMINI,
            "Thinking level MINIMAL is not supported for this model.",
            ("generationConfig", "thinkingConfig"),
        ),
        (gemini_answer.refusal, GEMINI, 'Unknown name "topP": Cannot find field.', ("generationConfig", "topP")),
    ],
)
def test_so_do_the_others(refusal: Any, body: dict[str, Any], words: str, path: Any) -> None:
    said = {"error": {"message": words}}
    assert refused_option(refusal("x", 400, said, None), "", read_refusal(said).words, body) == path


def test_a_wrong_key_or_model_is_no_parameter() -> None:
    said = {"error": {"message": "The model m does not exist or takes no temperature", "param": "temperature"}}
    assert refused_option(chat_answer.refusal("x", 404, said, None), "temperature", "not supported", CHAT) is None


def test_the_limit_of_tokens_is_renamed_before_it_is_given_up() -> None:
    renamed = without_options(CHAT, frozenset({("max_tokens",)}))
    assert ("max_tokens" in renamed, renamed["max_completion_tokens"]) == (False, 9)
    both = frozenset({("max_tokens",), ("max_completion_tokens",)})
    assert not {"max_tokens", "max_completion_tokens"} & without_options(CHAT, both).keys()


def test_what_stands_below_is_left_out_alone_and_the_request_stays_as_it_is() -> None:
    path = ("stream_options", "include_obfuscation")
    assert without_options(CHAT, frozenset({path}))["stream_options"] == {"include_usage": True}
    assert CHAT["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_a_value_that_is_refused_is_no_verdict_on_the_parameter() -> None:
    assert not is_lasting((), "max_tokens is too large: this model supports at most 9")
    assert is_lasting((), "'temperature' does not support 0.7 with this model")
    assert is_lasting(("unsupported_value",), "m")


def test_it_is_remembered_by_server_and_model_and_not_without_end() -> None:
    omissions = Omissions()
    omissions.learn("u", "m", ("stop",))
    omissions.learn("u", "m", ("top_p",))
    assert omissions.known("u", "m") == {("stop",), ("top_p",)}
    assert omissions.known("u", "other") == omissions.known("other", "m") == frozenset()
    for number in range(CACHE_BYTES // 100_000 + 1):
        omissions.learn("u" * 100_000, str(number), ("stop",))
    assert omissions.known("u", "m") == frozenset()
