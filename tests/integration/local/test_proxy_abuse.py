"""What strangers send to a public address: targets that mean two things, half requests, and what is logged of them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from calliope_local.probes import free_ports
from calliope_local.proxy import Limits, Upstreams, serve
from support.upstreams import gateway, serving, worker
from support.waiting import until

SOON: float = 5.0


@asynccontextmanager
async def served(limits: Limits | None = None) -> AsyncIterator[int]:
    """The port of the proxy as `make up` runs it."""
    [port] = free_ports(1)
    stopped = asyncio.Event()
    async with serving(gateway) as front, serving(worker) as media, asyncio.TaskGroup() as tasks:
        upstreams = Upstreams(f"http://127.0.0.1:{front.port}", f"http://127.0.0.1:{media.port}")
        tasks.create_task(serve(port, upstreams, stopped, limits))
        async with asyncio.timeout(SOON):
            while True:
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0)
        yield port
        stopped.set()


async def said(port: int, request: bytes) -> bytes:
    """Everything that comes back until the proxy closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(SOON):
            return await reader.read()
    finally:
        writer.close()


def get(target: str, more: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: calls.example.com\r\nConnection: close\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    "target",
    [
        "/./metrics",
        "/x/../livez",
        "/%2e/livez",
        "/x/%2E%2e/readyz",
        "/x/.%2e/readyz",
        "/media/../livez",
        "/media/%2e%2e/livez",
        "/media%2f..%2flivez",
        "/x\\..\\livez",
        "/metrics/.",
        "/..",
        "http://127.0.0.1/livez",
        "*",
    ],
)
async def test_a_target_that_could_mean_another_path_is_refused(target: str) -> None:
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    async with served() as port:
        assert (await said(port, get(target))).split()[1] == b"400"
        assert (await said(port, get(target, upgrade))).split()[1] == b"400"


@pytest.mark.parametrize("target", ["/a%20b/%C3%A9?x=../y&z=%2e", "/a..b/...", "/%252e/x", "//x", "/a%2Fb"])
async def test_every_other_target_arrives_as_it_was_sent(target: str) -> None:
    async with served() as port:
        assert f'"path": "{target}"'.encode() in await said(port, get(target))


async def test_bodies_that_do_not_come_hold_no_slot_for_good() -> None:
    started = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    async with served(Limits(requests=2, body_s=0.2)) as port:
        answers = await asyncio.gather(said(port, started), said(port, started))
        assert [answer.split()[1] for answer in answers] == [b"408", b"408"]
        assert b"within 0.2 s" in answers[0]
        assert (await said(port, get("/x"))).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_whose_headers_do_not_come_is_closed_and_one_that_spoke_is_not() -> None:
    async with served(Limits(headers_s=0.1)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /feed HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SOON):
            await reader.readuntil(b"data: 1")
        assert await said(port, b"GET /x HTTP/1.1\r\nHost: ") == b""
        assert await said(port, b"") == b""
        assert not reader.at_eof()
        writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /x y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_what_cannot_be_read_is_refused_without_a_word_in_the_log(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as port:
        assert (await said(port, request_)).split()[1] == b"400"
    assert [record for record in caplog.records if record.levelno > logging.DEBUG or record.exc_info] == []


async def test_a_client_that_breaks_off_is_a_line_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "calliope_local.proxy")
    async with served() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        assert (await said(port, get("/x"))).startswith(b"HTTP/1.1 200 ")
        writer.transport.abort()
        await until(lambda: any("broke off" in record.message for record in caplog.records))
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.DEBUG] == []
