"""The twins of the model vendors, as the vendors' own SDKs see them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from support.model_vendors import Bench, sandboxed

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")  # in Google's SDK
CLAUDE, GEMINI, GPT = "claude-haiku-5-5", "gemini-3.5-flash-lite", "gpt-6-luna"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
CALLS = [{"name": "look_up", "arguments": {"q": "Zoë"}}, {"name": "book", "arguments": {"n": 2}}]
ASK: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.timeout(30), sandboxed() as opened:
        yield opened


@pytest.fixture
async def claude(bench: Bench) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=f"{bench.url}/anthropic", max_retries=0) as client:
        yield client


@pytest.fixture
async def gpt(bench: Bench) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{bench.url}/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def gemini(bench: Bench) -> AsyncIterator[genai.client.AsyncClient]:
    options = types.HttpOptions(base_url=f"{bench.url}/gemini")
    async with genai.Client(api_key="k", http_options=options).aio as client:
        yield client


# --- Anthropic ---


async def test_anthropics_sdk_streams_words_calls_and_usage(bench: Bench, claude: anthropic.AsyncAnthropic) -> None:
    bench.script({"say": "Let me see.", "tool_calls": CALLS, "variants": ["thinking", "pings"]})
    tools: Any = [{"name": call["name"], "input_schema": SCHEMA} for call in CALLS]
    async with claude.messages.stream(model=CLAUDE, max_tokens=50, messages=ASK, tools=tools) as stream:
        said = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(said) == "Let me see."
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"q": "Zoë"}, {"n": 2}]
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 19)


async def test_anthropics_sdk_gets_whole_messages_and_stop_sequences(
    bench: Bench, claude: anthropic.AsyncAnthropic
) -> None:
    bench.script({"say": "one STOP two"})
    message = await claude.messages.create(model=CLAUDE, max_tokens=50, messages=ASK, stop_sequences=["STOP"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")
    assert [block.text for block in message.content if block.type == "text"] == ["one "]


@pytest.mark.parametrize(
    ("fail", "raised"),
    [
        ({"status": 400}, anthropic.BadRequestError),
        ({"status": 401}, anthropic.AuthenticationError),
        ({"status": 403}, anthropic.PermissionDeniedError),
        ({"status": 404}, anthropic.NotFoundError),
        ({"status": 429, "retry_after_s": 3}, anthropic.RateLimitError),
        ({"status": 529}, anthropic.InternalServerError),
    ],
)
async def test_anthropics_sdk_raises_what_the_vendor_would(
    bench: Bench, claude: anthropic.AsyncAnthropic, fail: dict[str, Any], raised: type[anthropic.APIStatusError]
) -> None:
    bench.script({"fail": fail})
    with pytest.raises(raised) as caught:
        await claude.messages.create(model=CLAUDE, max_tokens=50, messages=ASK)
    assert caught.value.status_code == fail["status"]
    assert caught.value.response.headers["anthropic-ratelimit-requests-limit"]
    assert caught.value.response.headers.get("retry-after") == ("3" if "retry_after_s" in fail else None)


async def test_anthropics_sdk_sees_an_overload_after_http_200(bench: Bench, claude: anthropic.AsyncAnthropic) -> None:
    bench.script({"say": "one two", "fail": {"status": 529, "after_tokens": 1}})
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with claude.messages.stream(model=CLAUDE, max_tokens=50, messages=ASK) as stream:
            await stream.get_final_message()
    assert caught.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]


USE: Any = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "book", "input": {}}]}
RESULT: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]}
PAIR: Any = {"type": "array", "items": [{"type": "string"}]}
FORCED = {"tools": [{"name": "book", "input_schema": SCHEMA}], "tool_choice": {"type": "tool", "name": "book"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": [*ASK, USE, *ASK]}, "tool_result"),
        ({"messages": [*ASK, RESULT]}, "unexpected `tool_use_id`"),
        ({"messages": [*ASK, {"role": "assistant", "content": "It is"}]}, "prefill"),
        ({"messages": [*ASK, USE, RESULT, USE, RESULT]}, "unique"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": []}, "at least one message"),
        ({"extra_body": {"temperature": 0.5}}, "temperature"),
        ({"extra_body": {"frequency_penalty": 1}}, "Extra inputs"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
        ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, "not supported"),
        ({"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}}, "not supported"),
        (FORCED, "Thinking may not be enabled"),
        ({"tools": [{"name": "book", "input_schema": {"type": "array"}}]}, "input_schema.type"),
        ({"tools": [{"name": "book", "input_schema": {"type": "object", "properties": {"x": PAIR}}}]}, "2020-12"),
    ],
)
async def test_anthropics_twin_refuses_what_the_vendor_refuses(
    claude: anthropic.AsyncAnthropic, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=words):
        await claude.messages.create(**{"model": CLAUDE, "max_tokens": 50, "messages": ASK, **change})


# --- Gemini ---


async def test_googles_sdk_streams_words_calls_and_usage(bench: Bench, gemini: genai.client.AsyncClient) -> None:
    bench.script({"say": "Let me see.", "tool_calls": CALLS, "variants": ["thoughts"]})
    chunks = [chunk async for chunk in await gemini.models.generate_content_stream(model=GEMINI, contents="Hello")]
    parts = [
        part
        for chunk in chunks
        for candidate in chunk.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ()
    ]
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Let me see."
    assert [part.function_call.args for part in parts if part.function_call] == [{"q": "Zoë"}, {"n": 2}]
    assert [part.thought_signature is not None for part in parts if part.function_call] == [True, False]
    assert chunks[-1].candidates
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count == 19


async def test_googles_sdk_gets_whole_answers_and_blocks(bench: Bench, gemini: genai.client.AsyncClient) -> None:
    bench.script({"match": "Hello", "say": "Good day."}, {"say": "", "finish": "block:PROHIBITED_CONTENT"})
    assert (await gemini.models.generate_content(model=GEMINI, contents="Hello")).text == "Good day."
    blocked = await gemini.models.generate_content(model=GEMINI, contents="Something else")
    assert blocked.prompt_feedback is not None
    assert blocked.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    assert not blocked.candidates


@pytest.mark.parametrize(
    ("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (400, "INVALID_ARGUMENT")]
)
async def test_googles_sdk_raises_what_the_vendor_would(
    bench: Bench, gemini: genai.client.AsyncClient, status: int, name: str
) -> None:
    bench.script({"fail": {"status": status, "retry_after_s": 17}})
    with pytest.raises(errors.APIError) as caught:
        await gemini.models.generate_content(model=GEMINI, contents="Hello")
    assert (caught.value.code, caught.value.status) == (status, name)
    assert caught.value.details["error"]["details"][-1]["retryDelay"] == "17s"


async def test_googles_sdk_sees_an_error_after_http_200(bench: Bench, gemini: genai.client.AsyncClient) -> None:
    bench.script({"say": "one two", "fail": {"status": 503, "after_tokens": 1}})
    with pytest.raises(errors.APIError) as caught:
        async for _ in await gemini.models.generate_content_stream(model=GEMINI, contents="Hello"):
            pass
    assert caught.value.code == 503


async def test_googles_sdk_sees_a_wrong_key_as_a_bad_request(bench: Bench) -> None:
    options = types.HttpOptions(base_url=f"{bench.url}/gemini")
    async with genai.Client(api_key="bad-key", http_options=options).aio as client:
        with pytest.raises(errors.ClientError) as caught:
            await client.models.generate_content(model=GEMINI, contents="Hello")
    assert caught.value.code == 400
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def content(role: str, *parts: types.Part) -> types.Content:
    return types.Content(role=role, parts=list(parts))


def declared(schema: Any) -> types.Tool:
    return types.Tool(function_declarations=[types.FunctionDeclaration(name="book", parameters_json_schema=schema)])


HELLO = content("user", types.Part(text="Hello"))
CALL = types.FunctionCall(id="c1", name="book", args={})
SIGNED = types.Part(function_call=CALL, thought_signature=b"sandbox:1")
ANSWER = content("user", types.Part(function_response=types.FunctionResponse(id="c1", name="book", response={"a": 1})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"contents": [HELLO, content("model", types.Part(function_call=CALL)), ANSWER]},
            "missing a thought_signature",
        ),
        ({"contents": [HELLO, content("model", SIGNED), HELLO]}, "number of function response parts"),
        ({"contents": [HELLO, ANSWER]}, "number of function response parts"),
        ({"contents": [content("model", SIGNED), ANSWER]}, "immediately after a user turn"),
        ({"contents": [HELLO, content("model", types.Part(text="It is"))]}, "ending with a model turn"),
        ({"config": {"frequency_penalty": 0.5}}, "Penalty is not enabled"),
        (
            {"config": {"tools": [declared({"type": "object", "properties": {"x": {"type": "array"}}})]}},
            "missing field",
        ),
        ({"config": {"tools": [declared({"type": "object", "required": ["x"]})]}}, "property is not defined"),
        ({"model": "gemini-3.8-flash", "config": {"thinking_config": {"thinking_level": "minimal"}}}, "MINIMAL"),
        ({"model": "gemini-2.5-flash", "config": {"thinking_config": {"thinking_level": "low"}}}, "Thinking level"),
    ],
)
async def test_geminis_twin_refuses_what_the_vendor_refuses(
    gemini: genai.client.AsyncClient, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.ClientError, match=words) as caught:
        await gemini.models.generate_content(**{"model": GEMINI, "contents": "Hello", **change})
    assert caught.value.code == 400


async def test_geminis_twin_takes_a_signed_call_with_its_result(bench: Bench, gemini: genai.client.AsyncClient) -> None:
    bench.script({"after_tool": "book", "say": "Booked: {tool_result}"})
    answer = await gemini.models.generate_content(model=GEMINI, contents=[HELLO, content("model", SIGNED), ANSWER])
    assert answer.text == "Booked: {'a': 1}"


# --- OpenAI ---


async def test_openais_sdk_streams_words_calls_and_usage(bench: Bench, gpt: openai.AsyncOpenAI) -> None:
    bench.script({"say": "Let me see.", "tool_calls": CALLS})
    async with gpt.chat.completions.stream(model=GPT, messages=ASK, stream_options={"include_usage": True}) as stream:
        completion = await stream.get_final_completion()
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Let me see.", "tool_calls")
    assert [call.function.name for call in choice.message.tool_calls or ()] == ["look_up", "book"]
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 19


@pytest.mark.parametrize(
    ("fail", "raised"),
    [
        ({"status": 401}, openai.AuthenticationError),
        ({"status": 429}, openai.RateLimitError),
        ({"status": 500}, openai.InternalServerError),
    ],
)
async def test_openais_sdk_raises_what_the_vendor_would(
    bench: Bench, gpt: openai.AsyncOpenAI, fail: dict[str, Any], raised: type[openai.APIStatusError]
) -> None:
    bench.script({"fail": fail})
    with pytest.raises(raised):
        await gpt.chat.completions.create(model=GPT, messages=ASK)


async def test_openais_sdk_sees_an_error_after_http_200(bench: Bench, gpt: openai.AsyncOpenAI) -> None:
    bench.script({"say": "one two", "fail": {"status": 500, "after_tokens": 1}})
    with pytest.raises(openai.APIError, match="scripted failure"):
        async for _ in await gpt.chat.completions.create(model=GPT, messages=ASK, stream=True):
            pass
