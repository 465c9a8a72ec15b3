"""Connections to models: no answer waits for a handshake, and an answer that nobody wants costs none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from calliope.observability import metrics
from calliope_call_worker.providers.llm.base import LlmRequest, TextDelta, UserMessage
from calliope_call_worker.providers.llm.connections import END_BYTES, idle_connections
from calliope_call_worker.providers.llm.openai import OpenAiChat
from support.model_servers import ModelServer, Stream, a_model, a_model_server, words
from support.waiting import until

REQUEST = LlmRequest("Be brief.", (UserMessage("Are you there?"),))


async def brief(stream: Stream) -> None:
    await stream.send(words("Yes, ") + words("I am.", "stop") + b"data: [DONE]\n\n")


def opened(purpose: str) -> float:
    labels = {"provider": "custom", "purpose": purpose}
    return metrics.REGISTRY.get_sample_value("calliope_llm_connections_total", labels) or 0.0


@asynccontextmanager
async def between(server: ModelServer) -> AsyncIterator[OpenAiChat]:
    async with asyncio.timeout(10), a_model(server.url) as model:
        yield model


def has_spare(server: ModelServer, model: OpenAiChat, asked: int) -> bool:
    idle = idle_connections(model._session, server.url)
    return (len(server.asked), server.accepted, idle) == (asked, asked + 1, 1)


async def answered(model: OpenAiChat) -> str:
    async with model.stream(REQUEST) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


async def first_words_of(model: OpenAiChat) -> None:
    """Ask, and want no more of the answer after its first words."""
    async with model.stream(REQUEST) as events:
        assert await anext(events)


async def test_answers_one_after_another_use_the_connection_opened_in_advance() -> None:
    async with a_model_server(brief) as server, between(server) as model:
        on_the_way = opened("answer")
        await model.warm()
        for _ in range(20):
            assert await answered(model) == "Yes, I am."
        assert server.accepted <= 2
        assert opened("answer") == on_the_way


async def test_a_spare_is_opened_beside_the_answer_that_takes_the_last_idle_connection() -> None:
    go_on = asyncio.Event()

    async def slow(stream: Stream) -> None:
        await stream.send(words("Yes, "))
        await go_on.wait()
        await stream.send(words("I am.", "stop") + b"data: [DONE]\n\n")

    async with a_model_server(slow) as server, between(server) as model:
        on_the_way = opened("answer")
        await model.warm()
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 5):
                tasks.create_task(answered(model))
                await until(partial(has_spare, server, model, number))
            go_on.set()
        assert opened("answer") == on_the_way


async def test_an_aborted_answer_that_soon_ends_keeps_its_connection() -> None:
    go_on = asyncio.Event()

    async def soon(stream: Stream) -> None:
        await stream.send(words("Yes, "))
        await go_on.wait()
        await stream.send(words("I am.", "stop") + b"data: [DONE]\n\n")

    async with a_model_server(soon) as server, between(server) as model:
        await model.warm()
        for _ in range(10):
            go_on.clear()
            await first_words_of(model)
            go_on.set()
        await until(lambda: len(server.asked) == 10)
        assert server.closed == 0
        assert server.accepted <= 3


async def test_an_answer_that_is_aborted_before_it_began_is_cut_and_the_next_finds_a_connection() -> None:
    """What the server has not written yet it need not write, and nobody has to pay for."""
    never = asyncio.Event()

    async def silent(stream: Stream) -> None:
        if len(server.asked) == 1:
            await never.wait()
        await brief(stream)

    async with a_model_server(silent) as server, between(server) as model:
        on_the_way = opened("answer")
        await model.warm()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await first_words_of(model)
        await until(lambda: idle_connections(model._session, server.url))
        assert await answered(model) == "Yes, I am."
        assert opened("answer") == on_the_way


async def test_an_aborted_answer_that_goes_on_and_on_is_cut_at_a_bound() -> None:
    async def endless(stream: Stream) -> None:
        while True:
            await stream.send(words("and on " * 100))

    async with a_model_server(endless) as server, between(server) as model:
        await first_words_of(model)
        await until(lambda: server.closed == 1)
        assert server.streams[0].sent > END_BYTES


async def test_a_server_that_keeps_no_connection_is_not_asked_for_one_again_and_again() -> None:
    async with a_model_server(brief) as server, between(server) as model:
        server.closes_after_head = True
        for _ in range(5):
            await model.warm()
        assert server.accepted == 1


async def test_warming_a_server_that_has_an_idle_connection_asks_it_for_nothing() -> None:
    async with a_model_server(brief) as server, between(server) as model:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(model.warm())
        await model.warm()
        assert server.accepted == 1
