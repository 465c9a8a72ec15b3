"""Slow and many clients: connections have deadlines and caps, and errors repeat nothing of a request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network

import pytest
import uvloop
from aiohttp import web

from calliope.errors import PermanentError
from calliope.http_listener import ConnectionLimits, listening
from calliope.observability import metrics
from support.waiting import until

SHORT_S = 0.05
LONG_S = 60.0
LARGE = b"x" * 64 * 1024 * 1024
HALF = b"GET / HTTP/1.1\r\nHost: a\r\n"
WHOLE = HALF + b"\r\n"


@dataclass
class Client:
    """One connection, spoken byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answered(self) -> bytes:
        """The status line of the next answer; it is read to the end of its body."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            await self.reader.readexactly(int(length.partition(b":")[2]))
        return head.partition(b"\r\n")[0]

    async def ended(self) -> bytes:
        """What came until the other side closed."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@dataclass
class Server:
    """What listens, and requests that wait to be let go."""

    port: int
    clients: AsyncExitStack
    began: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def client(self, address: str = "127.0.0.1") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self.clients.callback(writer.close)
        return Client(reader, writer)

    async def busy(self, address: str = "127.0.0.1") -> Client:
        """A client whose request is under way."""
        client = await self.client(address)
        await client.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(5):
            await self.began.get()
        return client


@asynccontextmanager
async def a_server(limits: ConnectionLimits) -> AsyncIterator[Server]:
    async def quick(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def slow(_: web.Request) -> web.Response:
        server.began.put_nowait(None)
        await server.let_go.wait()
        return web.Response(text="ok")

    async def body(request: web.Request) -> web.Response:
        server.began.put_nowait(None)
        return web.Response(body=await request.read())

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    app = web.Application()
    app.add_routes([web.get("/", quick), web.get("/slow", slow), web.post("/", body), web.get("/large", large)])
    async with (
        listening(app, "test", host="127.0.0.1", port=0, limits=limits) as (_, port),
        AsyncExitStack() as clients,
    ):
        server = Server(port, clients)
        try:
            yield server
        finally:
            server.let_go.set()


def limits(
    *, overall: int = 100, per_address: int = 100, headers_s: float = LONG_S, read_s: float = LONG_S
) -> ConnectionLimits:
    return ConnectionLimits(overall=overall, per_address=per_address, headers_s=headers_s, read_s=read_s)


@pytest.mark.parametrize("said", [b"", b"G", HALF])
async def test_headers_that_do_not_come_end_the_connection(said: bytes) -> None:
    async with a_server(limits(headers_s=SHORT_S)) as server:
        client = await server.client()
        await client.say(said)
        assert await client.ended() == b""


async def test_headers_of_a_later_request_have_the_same_deadline() -> None:
    async with a_server(limits(headers_s=SHORT_S)) as server:
        client = await server.client()
        for _ in range(2):
            await client.say(WHOLE)
            assert await client.answered() == b"HTTP/1.1 200 OK"
        await client.say(HALF)
        assert await client.ended() == b""


async def test_a_body_that_takes_longer_than_headers_may_is_still_read() -> None:
    """How long a body may take is up to who reads it."""
    async with a_server(limits(headers_s=SHORT_S)) as server:
        client, other = await server.client(), await server.client()
        await client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        await server.began.get()
        await client.say(b"b")
        assert await other.ended() == b""  # the deadline of both has passed
        await client.say(b"c")
        assert await client.answered() == b"HTTP/1.1 200 OK"


def unread() -> float:
    labels = {"listener": "test", "reason": "unread"}
    return metrics.REGISTRY.get_sample_value("calliope_http_connections_closed_total", labels) or 0.0


async def test_an_answer_that_is_not_read_ends_the_connection() -> None:
    before = unread()
    async with a_server(limits(read_s=SHORT_S)) as server:
        client = await server.client()
        await client.say(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: unread() > before)
        assert len(await client.ended()) < len(LARGE)


async def test_one_address_has_only_so_many_connections_and_another_is_not_concerned() -> None:
    async with a_server(limits(per_address=2)) as server:
        first, _ = await server.busy(), await server.busy()
        assert (await (await server.client()).ended()).startswith(b"HTTP/1.1 503 ")
        other = await server.client("127.0.0.2")
        await other.say(WHOLE)
        assert await other.answered() == b"HTTP/1.1 200 OK"
        server.let_go.set()
        await first.answered()
        first.writer.close()
        await first.writer.wait_closed()
        again = await server.client()
        await again.say(WHOLE)
        assert await again.answered() == b"HTTP/1.1 200 OK"


async def test_a_proxy_in_front_has_any_share() -> None:
    exempt = ConnectionLimits(overall=100, per_address=1, exempt=(IPv4Network("127.0.0.0/8"),))
    async with a_server(exempt) as server:
        for client in [await server.client() for _ in range(5)]:
            await client.say(WHOLE)
            assert await client.answered() == b"HTTP/1.1 200 OK"


async def test_who_waits_longest_without_a_request_makes_room() -> None:
    async with a_server(limits(overall=3)) as server:
        busy = await server.busy()
        oldest, newer = await server.client(), await server.client()
        await oldest.say(HALF)
        newest = await server.client()
        assert await oldest.ended() == b""
        for client in (newer, newest):
            await client.say(WHOLE)
            assert await client.answered() == b"HTTP/1.1 200 OK"
        server.let_go.set()
        assert await busy.answered() == b"HTTP/1.1 200 OK"


async def test_nobody_with_a_request_under_way_makes_room() -> None:
    async with a_server(limits(overall=2)) as server:
        busy = [await server.busy(), await server.busy()]
        assert (await (await server.client()).ended()).startswith(b"HTTP/1.1 503 ")
        server.let_go.set()
        for client in busy:
            assert await client.answered() == b"HTTP/1.1 200 OK"
            await client.say(WHOLE)
            assert await client.answered() == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\nX-Secret: canary-" + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\ncanary-without-colon\r\n\r\n", b"400"),
        (b"canary\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: canary\r\n\r\n", b"400"),
    ],
    ids=["long", "no-colon", "no-method", "no-length"],
)
async def test_what_is_no_request_is_answered_without_its_own_words(said: bytes, status: bytes) -> None:
    async with a_server(limits()) as server:
        client = await server.client()
        await client.say(said)
        answer = await client.ended()
    assert answer.partition(b" ")[2].startswith(status)
    assert b"canary" not in answer


async def test_a_port_that_is_taken_is_told_with_its_setting() -> None:
    async with a_server(limits()) as server:
        with pytest.raises(PermanentError, match="CALLIOPE_HTTP__PORT"):
            async with listening(web.Application(), "test", host="127.0.0.1", port=server.port, limits=limits()):
                pass


@pytest.mark.parametrize(
    "scene",
    [
        test_headers_of_a_later_request_have_the_same_deadline,
        test_an_answer_that_is_not_read_ends_the_connection,
        test_one_address_has_only_so_many_connections_and_another_is_not_concerned,
        test_who_waits_longest_without_a_request_makes_room,
    ],
)
def test_the_same_on_the_loop_of_services(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    """Its transports are of another kind."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
