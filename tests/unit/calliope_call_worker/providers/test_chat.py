"""What is asked of chat servers, per vendor, and how their chunks and errors are read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    Finished,
    LlmRequest,
    Progress,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from calliope_call_worker.providers.llm.chat_answer import ChatAnswer, refusal
from calliope_call_worker.providers.llm.chat_body import chat_body

CALL = ToolCall("c1", "book", '{"n":2}', '{"google":{"thought_signature":"s"}}')
REQUEST = LlmRequest(
    "Be brief.",
    (UserMessage("A table."), AssistantMessage("", (CALL,)), ToolResult("c1", "book", "ok"), AssistantMessage("Done.")),
    tools=(ToolSpec("book", "Books.", {"type": "object"}),),
    top_p=0.9,
    presence_penalty=0.1,
    stop=("END",),
)


def body(request: LlmRequest, model: str, vendor: quirks.Quirks) -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(chat_body(request, model, vendor))
    return parsed


def test_a_conversation_with_tools_is_sent_as_openai_wants_it() -> None:
    sent = body(REQUEST, "gpt-4o-mini", quirks.OPENAI)
    asked = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"n":2}'}}
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A table."},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "assistant", "content": "Done."},
    ]
    assert (sent["temperature"], sent["top_p"], sent["presence_penalty"], sent["stop"]) == (0.7, 0.9, 0.1, ["END"])
    assert sent["max_completion_tokens"] == 1_000
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert sent["tools"][0]["function"]["name"] == "book"


@pytest.mark.parametrize(
    ("model", "effort"), [("gpt-6-luna", "none"), ("gpt-5.6", "none"), ("gpt-5-mini", "minimal"), ("o4-mini", "low")]
)
def test_reasoning_models_reason_little_and_get_nothing_that_they_refuse(model: str, effort: str) -> None:
    sent = body(REQUEST, model, quirks.OPENAI)
    assert sent["reasoning_effort"] == effort
    assert not {"max_tokens", "temperature", "top_p", "presence_penalty", "stop"} & sent.keys()


@pytest.mark.parametrize(
    ("vendor", "model", "effort", "lacks"),
    [
        (quirks.GROQ, "openai/gpt-oss-120b", "low", {"presence_penalty"}),
        (quirks.XAI, "grok-4.20-non-reasoning", None, set()),
        (quirks.XAI, "grok-4.5", None, {"presence_penalty", "stop"}),
        (quirks.CUSTOM, "llama", None, {"max_completion_tokens"}),
    ],
)
def test_vendors_differ_by_data(vendor: quirks.Quirks, model: str, effort: str | None, lacks: set[str]) -> None:
    sent = body(REQUEST, model, vendor)
    assert sent.get("reasoning_effort") == effort
    assert not lacks & sent.keys()


def test_thought_signatures_go_back_only_to_servers_that_may_have_made_them() -> None:
    custom, openai = body(REQUEST, "gemini", quirks.CUSTOM), body(REQUEST, "gpt-4o", quirks.OPENAI)
    assert custom["messages"][2]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert "extra_content" not in openai["messages"][2]["tool_calls"][0]


def test_a_schema_asks_for_json() -> None:
    sent = body(replace(REQUEST, schema={"type": "object"}), "gpt-4o", quirks.OPENAI)
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object", "properties": {}}


def test_long_ids_of_other_vendors_are_shortened_alike_in_call_and_result() -> None:
    long = "x" * 64
    messages = (AssistantMessage("", (replace(CALL, id=long),)), ToolResult(long, "book", "ok"))
    sent = body(LlmRequest("", messages), "gpt-4o", quirks.OPENAI)["messages"]
    assert sent[0]["tool_calls"][0]["id"] == sent[1]["tool_call_id"]
    assert len(sent[1]["tool_call_id"]) <= 40


def chunk(delta: Any, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


def test_text_usage_and_reason_are_read_from_whichever_chunk_has_them() -> None:
    answer = ChatAnswer("x")
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "hm", "reasoning_content": "hm"}),
        chunk({"content": "Hi"}, usage={"prompt_tokens": 1}),
        chunk(None, "stop"),
        {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}},
    ]
    assert [event for one in chunks if (event := answer.read(one))] == [TextDelta("Hi")]
    assert answer.over
    assert answer.ended() == (Finished("stop", 10, 5),)


@pytest.mark.parametrize("reason", ["", "stop", "tool_calls", None])
def test_tool_calls_count_whatever_the_finish_reason_says(reason: str | None) -> None:
    answer = ChatAnswer("x")
    call = {"index": 0, "id": "c1", "function": {"name": "book", "arguments": "{}"}}
    assert answer.read(chunk({"tool_calls": [call]}, reason)) == Progress()
    assert answer.ended() == (ToolCall("c1", "book", "{}"), Finished("tool_calls"))


def test_content_in_parts_and_whole_messages_are_read() -> None:
    answer = ChatAnswer("x")
    assert answer.read(chunk({"content": [{"type": "text", "text": "Hi"}]})) == TextDelta("Hi")
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert answer.read(whole) == TextDelta("Hi")


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (401, {"code": "invalid_api_key"}, Failure.KEY),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, Failure.QUOTA),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, Failure.RATE_LIMITED),
        (400, {"code": None, "type": "invalid_request_error"}, Failure.REQUEST),
        (404, {"code": "model_not_found"}, Failure.REFUSED),
        (500, {"type": "server_error"}, Failure.ERROR),
        (529, {}, Failure.ERROR),
        (503, "overloaded", Failure.ERROR),
    ],
)
def test_refusals_are_classified(status: int, error: Any, failure: Failure) -> None:
    assert refusal("x", status, {"error": error}, None).failure is failure
    assert refusal("x", status, [{"error": error}], None).failure is failure
    assert refusal("x", status, None, None).failure is not None


def test_a_key_that_is_quoted_is_hidden() -> None:
    error = {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-123"}
    assert "sk-123" not in refusal("x", 401, {"error": error}, None).detail


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        ({"error": {"message": "boom", "type": "server_error"}}, Failure.ERROR),
        ({"error": {"code": "rate_limit_exceeded"}}, Failure.RATE_LIMITED),
        ({"error": {"code": 503}}, Failure.ERROR),
        ({"x_groq": {"id": "r", "error": "over capacity"}, "choices": []}, Failure.ERROR),
        ("text", Failure.MALFORMED),
    ],
)
def test_errors_inside_a_stream_are_classified(data: Any, failure: Failure) -> None:
    with pytest.raises(ProviderError) as caught:
        ChatAnswer("x").read(data)
    assert caught.value.failure is failure
