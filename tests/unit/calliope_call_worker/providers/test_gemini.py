"""What is asked of Gemini, per family, and how its chunks and errors are read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
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
from calliope_call_worker.providers.llm.gemini_answer import ContentAnswer, refusal
from calliope_call_worker.providers.llm.gemini_body import FOREIGN_CALL, content_body, known_schema
from calliope_call_worker.providers.llm.history import CANCELLED

OPAQUE = '{"google":{"thought_signature":"s"}}'
CALLS = (ToolCall("c1", "book", '{"n":2}', OPAQUE), ToolCall("c2", "pay", "{}"))
REQUEST = LlmRequest(
    "Be brief.",
    (UserMessage("A table."), AssistantMessage("Sure.", CALLS), ToolResult("c1", "book", "ok"), UserMessage("And?")),
    tools=(ToolSpec("book", "Books.", {"type": "object", "$schema": "x"}),),
    top_p=0.9,
    presence_penalty=0.1,
    stop=("1", "2", "3", "4", "5", "6"),
)


def body(request: LlmRequest, model: str = "gemini-3.5-flash-lite") -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(content_body(request, model))
    return parsed


def test_results_are_a_content_of_their_own_as_many_as_the_calls() -> None:
    sent = body(REQUEST)
    call = {"functionCall": {"id": "c1", "name": "book", "args": {"n": 2}}, "thoughtSignature": "s"}
    results = [("c1", "book", "ok"), ("c2", "pay", CANCELLED)]
    assert sent["contents"] == [
        {"role": "user", "parts": [{"text": "A table."}]},
        {
            "role": "model",
            "parts": [{"text": "Sure."}, call, {"functionCall": {"id": "c2", "name": "pay", "args": {}}}],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": id_, "name": name, "response": {"output": output}}}
                for id_, name, output in results
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
    ]
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("model", "thinking", "temperature"),
    [
        ("gemini-3.5-flash-lite", {"thinkingLevel": "minimal"}, None),
        ("gemini-3.5-flash", {"thinkingLevel": "minimal"}, 0.7),
        ("gemini-3.1-pro-preview", {"thinkingLevel": "low"}, 0.7),
        ("gemini-3.8-flash", {"thinkingLevel": "low"}, None),
        ("gemini-flash-latest", {"thinkingLevel": "low"}, None),
        ("gemini-2.5-flash", {"thinkingBudget": 0}, 0.7),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, 0.7),
        ("gemma-4", None, 0.7),
    ],
)
def test_each_family_thinks_as_little_as_it_can_and_gets_nothing_that_it_refuses(
    model: str, thinking: Any, temperature: float | None
) -> None:
    config = body(REQUEST, model)["generationConfig"]
    assert (config.get("thinkingConfig"), config.get("temperature")) == (thinking, temperature)
    assert not {"frequencyPenalty", "presencePenalty"} & config.keys()
    assert (config["maxOutputTokens"], config["stopSequences"]) == (1_000, ["1", "2", "3", "4", "5"])


@pytest.mark.parametrize(("opaque", "sent"), [(OPAQUE, "s"), (None, FOREIGN_CALL), ("{no json", FOREIGN_CALL)])
def test_the_first_call_of_a_step_is_always_signed(opaque: str | None, sent: str) -> None:
    messages = (UserMessage("A table."), AssistantMessage("", (replace(CALLS[0], opaque=opaque),)))
    parts = body(LlmRequest("", messages))["contents"][1]["parts"]
    assert parts[0]["thoughtSignature"] == sent


def test_json_is_asked_for_with_the_part_of_the_schema_that_is_read() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"pattern": {"type": "string", "pattern": "a+"}, "kind": {"const": "call"}},
        "required": ["pattern"],
    }
    config = body(replace(REQUEST, schema=schema))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "kind": {"enum": ["call"]}},
        "required": ["pattern"],
    }
    assert known_schema({"items": [True]}) == {"items": [True]}


def chunk(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}], **more}


def test_calls_come_whole_thoughts_are_never_spoken_and_usage_is_what_was_told_last() -> None:
    answer = ContentAnswer("gemini")
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 6, "thoughtsTokenCount": 4}
    chunks = [
        chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 1}),
        chunk({"text": "Let "}, {"text": "me see."}),
        chunk({"functionCall": {"id": "c1", "name": "book", "args": {"n": 2}}, "thoughtSignature": "s"}),
        chunk({"functionCall": {"id": "c2", "name": "pay"}}, finish="STOP"),
        {"candidates": [{"content": {}, "finishReason": "STOP"}], "usageMetadata": usage},
    ]
    events = [event for one in chunks if (event := answer.read(one))]
    assert events == [TextDelta("Let me see."), Progress(), Progress()]
    assert answer.ended() == (*CALLS, Finished("tool_calls", 9, 10))


@pytest.mark.parametrize("data", ["text", {"candidates": ["x"]}, [], {"candidates": [{"content": {"parts": [1]}}]}])
def test_a_chunk_that_cannot_be_read_is_malformed(data: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        ContentAnswer("gemini").read(data)
    assert caught.value.failure is Failure.MALFORMED


PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (400, {"status": "INVALID_ARGUMENT", "message": "bad"}, Failure.REQUEST),
        (400, {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, Failure.KEY),
        (400, {"status": "FAILED_PRECONDITION", "message": "User location is not supported"}, Failure.REFUSED),
        (400, {"status": "INVALID_ARGUMENT", "message": "The input token count exceeds the maximum"}, Failure.TOO_LONG),
        (403, {"status": "PERMISSION_DENIED"}, Failure.KEY),
        (404, {"status": "NOT_FOUND"}, Failure.REFUSED),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [PER_MINUTE]}, Failure.RATE_LIMITED),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [PER_DAY]}, Failure.QUOTA),
        (500, {"status": "INTERNAL"}, Failure.ERROR),
        (503, {"status": "UNAVAILABLE"}, Failure.ERROR),
        (504, {"status": "DEADLINE_EXCEEDED"}, Failure.DEADLINE),
        (503, None, Failure.ERROR),
    ],
)
def test_refusals_are_classified(status: int, error: Any, failure: Failure) -> None:
    assert refusal("gemini", status, {"error": error}, None).failure is failure
    assert refusal("gemini", status, [{"error": error}], None).failure is failure


def test_the_wait_that_the_body_names_is_read_unless_a_header_does() -> None:
    error = {"status": "RESOURCE_EXHAUSTED", "details": [PER_MINUTE, {"retryDelay": "17.5s"}]}
    assert refusal("gemini", 429, {"error": error}, None).retry_after_s == 17.5
    assert refusal("gemini", 429, {"error": error}, 3.0).retry_after_s == 3.0


def test_an_error_inside_a_stream_is_classified_by_its_code() -> None:
    with pytest.raises(ProviderError) as caught:
        ContentAnswer("gemini").read({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}})
    assert caught.value.failure is Failure.RATE_LIMITED
