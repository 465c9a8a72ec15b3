"""A worker dies around the effect of a tool: the effect is one, and the caller hears of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from calliope_local.stack import LocalStack
from support.chaos import BOOK, breaking, owner
from support.house import Json, a_document, facts, heard_text, names, visiting

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P4")]
SCRIPT: list[Json] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": BOOK},
    {"wait_for": "anything else", "within_s": 60},
    {"wait_for_silence_ms": 300},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True},
]


@dataclass
class Bookings:
    """A booking system that does one effect per idempotency key; the first request is answered when it is released."""

    keys: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def book(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        self.asked.set()
        if len(self.keys) == 1:
            await self.released.wait()
        return web.Response(text="booked")


@asynccontextmanager
async def serving(bookings: Bookings) -> AsyncIterator[Json]:
    """The document of an assistant that books there."""
    app = web.Application()
    app.router.add_post("/book", bookings.book)
    async with TestServer(app, host="127.0.0.1") as server:
        tool = {"name": "book_table", "description": "Books a table.", "url": str(server.make_url("/book"))}
        tools = {"custom_tools": [tool], "end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]}}
        yield a_document(tools_settings=tools)


async def test_a_tool_under_way_when_the_worker_dies_is_asked_again_with_its_key(stack: LocalStack) -> None:
    bookings = Bookings()
    async with serving(bookings) as document, visiting(stack) as house:
        line = await house.phone_line(document)
        sid = await house.place(line, SCRIPT)
        name, _ = await owner(house, stack, line, sid)
        async with asyncio.timeout(30):
            await bookings.asked.wait()

        await breaking(lambda: stack.kill(name))
        bookings.released.set()
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart(name))

    assert (call["failed"], record["ended_reason"]) == (None, "assistant_ended")
    assert len(bookings.keys) == 2
    assert len(set(bookings.keys)) == 1
    assert "That is done" in heard_text(call)


async def test_a_tool_that_was_done_when_the_worker_died_is_not_asked_again(stack: LocalStack) -> None:
    bookings = Bookings()
    bookings.released.set()
    async with serving(bookings) as document, visiting(stack) as house:
        line = await house.phone_line(document)
        sid = await house.place(line, SCRIPT)
        name, _ = await owner(house, stack, line, sid)
        async with asyncio.timeout(30):
            while "tool_finished" not in names(await house.open_record(line, sid)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)

        await breaking(lambda: stack.kill(name))
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart(name))

    assert (call["failed"], record["ended_reason"]) == (None, "assistant_ended")
    assert len(bookings.keys) == 1
    assert len(facts(record, "resumed")) == 1
    assert heard_text(call).count("anything else") == 1
