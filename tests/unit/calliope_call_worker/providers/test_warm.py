"""A connection to the model is open before it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from calliope_call_worker.providers.llm.base import LlmRequest, UserMessage
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.llm.openai import OpenAiChat
from calliope_call_worker.providers.llm.quirks import OPENAI
from calliope_call_worker.providers.settings import ThinkingSettings
from support.models import ScriptedModel
from support.waiting import until
from support.whole_call import a_call

ANSWER = b'data: {"choices":[{"index":0,"delta":{"content":"Yes."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
REQUEST = LlmRequest("Be brief.", (UserMessage("Are you there?"),))


@asynccontextmanager
async def a_server(asked: list[tuple[str, str, int]]) -> AsyncIterator[str]:
    """Notes method, key and the client's port of every request: the port names the connection."""

    async def answer(request: web.Request) -> web.Response:
        port = request.transport.get_extra_info("peername")[1] if request.transport else 0
        asked.append((request.method, request.headers.get("Authorization", ""), port))
        if request.method == "HEAD":
            raise web.HTTPMethodNotAllowed("HEAD", ["POST"])
        return web.Response(body=ANSWER, content_type="text/event-stream")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_the_first_question_finds_a_connection_that_is_open() -> None:
    asked: list[tuple[str, str, int]] = []
    async with asyncio.timeout(10), a_server(asked) as url, ClientSession() as session:
        model = OpenAiChat(session, OPENAI, url=url, model="m", api_key="secret")
        await model.warm()
        async with model.stream(REQUEST) as events:
            assert [event async for event in events]
    (warm, key, port), (ask, _, asked_port) = asked
    assert (warm, key, ask) == ("HEAD", "", "POST")
    assert port == asked_port


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "no address"])
async def test_a_server_that_is_not_there_is_nobodys_trouble_yet(url: str) -> None:
    async with asyncio.timeout(10), ClientSession() as session:
        await OpenAiChat(session, OPENAI, url=url, model="m", api_key="k").warm()


async def test_the_model_that_will_be_asked_first_is_warmed() -> None:
    broken, sound = ScriptedModel("broken", []), ScriptedModel("sound", [])
    links = [Link(broken, Breaker(1, 60.0)), Link(sound, Breaker(1, 60.0))]
    links[0].breaker.failed(asyncio.get_running_loop().time(), retry_after_s=None)
    await LlmChain(links, ThinkingSettings(), lambda *_: None).warm()
    assert (broken.warmed, sound.warmed) == (0, 1)


async def test_a_call_warms_its_model_while_it_rings_and_whenever_the_caller_begins_to_speak() -> None:
    async with a_call(answers=[None], answered=False) as call:
        await until(lambda: call.model.warmed == 1)
        call.answer()
        await call.conversing()
        call.media.speaks()
        await until(lambda: call.model.warmed == 2)
