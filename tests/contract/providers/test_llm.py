"""Language models over a real socket."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from aiohttp import web

from calliope.contracts.document.spec import AssistantSpec
from calliope.settings import EgressSettings
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.failures import Failures
from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.base import (
    CallFacts,
    Finished,
    LlmEvent,
    LlmRequest,
    TextDelta,
    ToolSpec,
    UserMessage,
)
from calliope_call_worker.providers.llm.call_shaped import CallShapedChat
from calliope_call_worker.providers.llm.openai import OpenAiChat
from calliope_call_worker.providers.registry import open_providers
from calliope_call_worker.providers.settings import ProvidersSettings
from support.vendor_fakes import Handler, serving

REQUEST = LlmRequest("Be brief.", (UserMessage("Hello"),))
PATH = "/v1/chat/completions"
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


def streams(*chunks: bytes, hold: bool = False) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if hold:
            await asyncio.Event().wait()
        return response

    return answer


async def ask(handler: Handler) -> list[LlmEvent]:
    async with serving(PATH, handler) as (session, url), asyncio.timeout(5):
        chat = OpenAiChat(session, quirks.OPENAI, url=f"{url}/v1", model="gpt-4o", api_key="secret")
        async with chat.stream(REQUEST) as events:
            return [event async for event in events]


@pytest.mark.parametrize(
    ("chunks", "tokens"),
    [((TEXT, END, USAGE, DONE), 3), ((TEXT + END + USAGE + DONE,), 3), ((TEXT, END), None), ((TEXT, DONE), None)],
)
async def test_an_answer_is_text_then_one_end(chunks: tuple[bytes, ...], tokens: int | None) -> None:
    text, end = await ask(streams(*chunks))
    assert text == TextDelta("Hi")
    assert isinstance(end, Finished)
    assert (end.reason, end.input_tokens) == ("stop", tokens)


async def test_an_answer_that_ends_in_the_middle_is_dropped() -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(streams(TEXT))
    assert caught.value.failure is Failure.DROPPED


async def test_a_server_that_does_not_hang_up_does_not_hold_the_answer_up() -> None:
    assert (await ask(streams(TEXT, END, hold=True)))[-1] == Finished("stop")


async def test_a_server_that_does_not_stream_is_understood() -> None:
    async def whole(_: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})

    assert await ask(whole) == [TextDelta("Hi"), Finished("stop")]


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (401, "invalid_api_key", Failure.KEY),
        (429, "insufficient_quota", Failure.QUOTA),
        (429, "x", Failure.RATE_LIMITED),
    ],
)
async def test_a_refusal_has_its_class(status: int, code: str, failure: Failure) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": code}}, status=status, headers={"retry-after": "2"})

    with pytest.raises(ProviderError) as caught:
        await ask(refuse)
    assert (caught.value.failure, caught.value.retry_after_s) == (failure, 2.0)


async def test_a_custom_server_can_be_told_about_the_call() -> None:
    asked: list[tuple[dict[str, Any], str | None]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((await request.json(), request.headers.get("Authorization")))
        return await streams(TEXT, END)(request)

    facts = CallFacts("CA1", assistant_number="+15550100", caller_number="+15550199")
    async with serving("/any/path", answer) as (session, url), asyncio.timeout(5):
        chat = CallShapedChat(session, facts, url=f"{url}/any/path", model="", api_key="")
        request = replace(REQUEST, tools=(ToolSpec("book", "Books.", {"type": "object"}),))
        async with chat.stream(request) as events:
            assert [event async for event in events][-2:] == [TextDelta("Hi"), Finished("stop")]
    function = {"name": "book", "description": "Books.", "parameters": {"type": "object", "properties": {}}}
    body = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "phoneNumber": {"number": "+15550100"},
        "call": {"phoneCallProviderId": "CA1", "customer": {"number": "+15550199"}},
        "tools": [{"type": "function", "function": function}],
    }
    assert asked == [(body, None)]


async def test_a_document_decides_how_its_custom_servers_are_asked() -> None:
    """The primary fails, so that its fallback shows how it is asked, too."""
    asked: dict[str, dict[str, Any]] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        asked[request.path] = await request.json()
        return web.Response(status=500) if request.path == "/first" else await streams(TEXT, END)(request)

    guard = EgressSettings(allow=(IPv4Network("127.0.0.0/8"),), allow_http=True)
    async with (
        asyncio.timeout(5),
        serving("/{path:.*}", answer) as (_, url),
        open_providers(ProvidersSettings(), guard) as providers,
    ):
        first, second = ({"base_url": f"{url}/{path}", "request_format": "call"} for path in ("first", "second"))
        fallbacks = {"enabled": True, "fallbacks": [{"provider": "custom", **second}]}
        document = {"name": "Ann", "llm_provider": "custom", "llm_provider_config": first}
        spec = AssistantSpec.model_validate({**document, "llm_fallback_providers": fallbacks})
        chain = providers.chain(spec, Failures(), facts=CallFacts("CA1", caller_number="+15550199"))
        async with chain.stream(REQUEST, lambda: "") as events:
            assert [event async for event in events][-2:] == [TextDelta("Hi"), Finished("stop")]
    call = {"phoneCallProviderId": "CA1", "customer": {"number": "+15550199"}}
    assert {path: body["call"] for path, body in asked.items()} == {"/first": call, "/second": call}


async def test_answers_share_a_connection() -> None:
    ports: set[object] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return await streams(TEXT, END, USAGE, DONE)(request)

    async with serving(PATH, answer) as (session, url), asyncio.timeout(5):
        chat = OpenAiChat(session, quirks.OPENAI, url=f"{url}/v1", model="gpt-4o", api_key="secret")
        for _ in range(3):
            async with chat.stream(REQUEST) as events:
                assert [event async for event in events]
    assert len(ports) == 1
