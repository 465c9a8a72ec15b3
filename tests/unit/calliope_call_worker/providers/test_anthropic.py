"""What is asked of Claude, per family, and how its events and errors are read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.anthropic_answer import MessagesAnswer, refusal
from calliope_call_worker.providers.llm.anthropic_body import ANSWER_TOOL, messages_body
from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    Finished,
    LlmRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from calliope_call_worker.providers.llm.history import CANCELLED

CALLS = (ToolCall("t1", "book", '{"n":2}', '{"google":{"thought_signature":"s"}}'), ToolCall("t2", "pay", "{}"))
REQUEST = LlmRequest(
    "Be brief.",
    (UserMessage("A table."), AssistantMessage("Sure.", CALLS), ToolResult("t1", "book", "ok"), UserMessage("And?")),
    tools=(ToolSpec("book", "Books.", {"type": "object"}),),
    temperature=1.4,
    top_p=0.9,
    presence_penalty=0.1,
    stop=("END", " "),
)
OBJECT = {"type": "object", "properties": {"mood": {"type": "string"}}}


def body(request: LlmRequest, model: str = "claude-haiku-5-5") -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(messages_body(request, model))
    return parsed


def test_results_of_a_turn_come_first_in_one_message_and_none_is_missing() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "book", "input": {"n": 2}}
    assert body(REQUEST)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "A table."}]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Sure."}, use, {**use, "id": "t2", "name": "pay", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "ok"},
                {"type": "tool_result", "tool_use_id": "t2", "content": CANCELLED},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("model", "thinking", "effort", "temperature"),
    [
        ("claude-haiku-5-5", {"type": "disabled"}, None, None),
        ("claude-sonnet-5", {"type": "disabled"}, None, None),
        ("claude-opus-4-8", {"type": "disabled"}, None, None),
        ("claude-sonnet-5-5", {"type": "between_tools"}, None, None),
        ("claude-opus-5-5", None, {"effort": "low"}, None),
        ("claude-fable-5-2", None, {"effort": "low"}, None),
        ("claude-sonnet-4-6", None, None, 1.0),
        ("claude-haiku-4-5-20251001", None, None, 1.0),
        ("claude-of-the-future", None, None, None),
    ],
)
def test_each_family_thinks_as_little_as_it_can_and_gets_nothing_that_it_refuses(
    model: str, thinking: Any, effort: Any, temperature: float | None
) -> None:
    sent = body(REQUEST, model)
    assert (sent.get("thinking"), sent.get("output_config"), sent.get("temperature")) == (thinking, effort, temperature)
    assert not {"top_p", "presence_penalty", "frequency_penalty"} & sent.keys()
    assert (sent["max_tokens"], sent["stop_sequences"], sent["system"]) == (1_000, ["END"], "Be brief.")


def test_json_is_asked_for_by_a_forced_tool() -> None:
    sent = body(replace(REQUEST, schema=OBJECT))
    assert sent["tool_choice"]["name"] == ANSWER_TOOL
    assert [tool["input_schema"] for tool in sent["tools"]] == [OBJECT]


@pytest.mark.parametrize(
    ("model", "schema"),
    [("claude-opus-5-5", OBJECT), ("claude-haiku-5-5", {"type": "array"})],
)
def test_json_is_asked_for_in_words_where_no_tool_can_be_forced(model: str, schema: dict[str, Any]) -> None:
    sent = body(replace(REQUEST, schema=schema), model)
    assert "tools" not in sent
    assert orjson.dumps(schema).decode() in sent["system"]


def started(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **change: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": change}


def test_usage_is_what_was_told_last_and_cached_tokens_count() -> None:
    answer = MessagesAnswer("anthropic")
    usage = {"input_tokens": 12, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {"usage": usage}},
        started(0, type="thinking", thinking="hm"),
        delta(0, type="thinking_delta", thinking="hm"),
        started(1, type="text", text="Hel"),
        delta(1, type="text_delta", text="lo"),
        {"type": "from_the_future"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}},
    ]
    assert [event for one in events if (event := answer.read(one))] == [TextDelta("Hel"), TextDelta("lo")]
    assert answer.over
    assert answer.ended() == (Finished("stop", 112, 40),)


def test_parallel_calls_are_put_together_by_their_block() -> None:
    answer = MessagesAnswer("anthropic")
    for one in (
        started(0, type="tool_use", id="t1", name="book", input={}),
        started(1, type="tool_use", id="t2", name="pay", input={}),
        delta(0, type="input_json_delta", partial_json='{"n"'),
        delta(0, type="input_json_delta", partial_json=":2}"),
    ):
        answer.read(one)
    assert answer.ended()[:2] == (ToolCall("t1", "book", '{"n":2}'), ToolCall("t2", "pay", "{}"))


@pytest.mark.parametrize("event", ["text", {}, {"type": "content_block_delta"}, delta(7, type="input_json_delta")])
def test_an_event_that_cannot_be_read_is_malformed(event: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        MessagesAnswer("anthropic").read(event)
    assert caught.value.failure is Failure.MALFORMED


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (400, {"type": "invalid_request_error", "message": "max_tokens: Field required"}, Failure.REQUEST),
        (401, {"type": "authentication_error"}, Failure.KEY),
        (402, {"type": "billing_error"}, Failure.QUOTA),
        (
            400,
            {"type": "invalid_request_error", "message": "Your credit balance is too low to access it."},
            Failure.QUOTA,
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
            Failure.TOO_LONG,
        ),
        (404, {"type": "not_found_error", "message": "model: claude-9"}, Failure.REFUSED),
        (413, {"type": "request_too_large"}, Failure.TOO_LONG),
        (429, {"type": "rate_limit_error"}, Failure.RATE_LIMITED),
        (429, {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}, Failure.QUOTA),
        (500, {"type": "api_error"}, Failure.ERROR),
        (504, {"type": "timeout_error"}, Failure.DEADLINE),
        (529, {"type": "overloaded_error"}, Failure.ERROR),
        (503, None, Failure.ERROR),
    ],
)
def test_refusals_are_classified(status: int, error: Any, failure: Failure) -> None:
    assert refusal("anthropic", status, {"type": "error", "error": error}, None).failure is failure


def test_a_key_that_is_quoted_is_hidden() -> None:
    said = {"type": "authentication_error", "message": "invalid x-api-key sk-ant-1"}
    assert "sk-ant" not in refusal("anthropic", 401, {"error": said}, None).detail
    ours = {"type": "invalid_request_error", "message": "max_tokens: Field required"}
    assert "Field required" in refusal("anthropic", 400, {"error": ours}, None).detail
