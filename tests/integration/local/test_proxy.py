"""One address for a tunnel: media sockets reach the worker, everything else the gateway, and nothing is let pile up."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from calliope_local.proxy import MAX_BODY_BYTES, Limits, Proxy, Upstreams
from support.upstreams import closed, gateway, serving, worker
from support.waiting import until

proxies: list[Proxy] = []


def under_way() -> int:
    return proxies[-1].under_way


@asynccontextmanager
async def proxied(*, limit: int = 10, without: str = "") -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A client and the proxy's address."""
    closed.clear()
    async with serving(gateway) as front, serving(worker) as media, aiohttp.ClientSession() as session:
        upstreams = Upstreams(f"http://127.0.0.1:{front.port}", f"http://127.0.0.1:{media.port}")
        if without == "gateway":
            await front.close()
        if without == "worker":
            await media.close()
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        proxies[:] = [Proxy(session, upstreams, Limits(requests=limit))]
        app.router.add_route("*", "/{path:.*}", proxies[0].handle)
        async with TestServer(app) as proxy, aiohttp.ClientSession() as client:
            yield client, f"http://127.0.0.1:{proxy.port}"


async def test_a_request_arrives_as_it_was_sent() -> None:
    headers = {"Host": "calls.example.com", "X-Twilio-Signature": "s=", "X-Forwarded-For": "10.0.0.1"}
    async with (
        proxied() as (client, url),
        client.post(f"{url}/telephony/twilio/voice?a=%20b", data="CallSid=CA1", headers=headers) as answer,
    ):
        told = await answer.json()

    assert told == {
        "method": "POST",
        "path": "/telephony/twilio/voice?a=%20b",
        "host": "calls.example.com",
        "signature": ["s="],
        "for": ["127.0.0.1"],
        "body": "CallSid=CA1",
    }


async def test_a_media_socket_reaches_the_worker_with_its_signature_and_carries_both_ways() -> None:
    headers = {"Host": "calls.example.com", "X-Twilio-Signature": "s="}
    async with proxied() as (client, url), client.ws_connect(f"{url}/media/twilio/call_1/t", headers=headers) as socket:
        assert await socket.receive_json(timeout=5) == ["/media/twilio/call_1/t", "calls.example.com", "s="]
        await socket.send_str("frame")
        assert await socket.receive_str(timeout=5) == "frame"
        await socket.send_bytes(b"\x00\x7f")
        assert await socket.receive_bytes(timeout=5) == b"\x00\x7f"
        await socket.send_str("bye")
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_the_worker_hears_when_the_carrier_hangs_up() -> None:
    async with proxied() as (client, url):
        socket = await client.ws_connect(f"{url}/media/twilio/call_1", headers={"X-Twilio-Signature": "s="})
        await socket.receive_json(timeout=5)
        await socket.close()
        await until(lambda: closed)

    assert closed == [1000]


async def test_a_socket_that_the_worker_refuses_is_refused() -> None:
    async with proxied() as (client, url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{url}/media/twilio/refused")

    assert refused.value.status == 403


async def test_a_feed_is_passed_on_piece_by_piece() -> None:
    async with proxied() as (client, url), client.get(f"{url}/feed") as answer, asyncio.timeout(5):
        assert await answer.content.readline() == b"data: 1\n"


async def test_a_redirect_is_the_clients_to_follow() -> None:
    async with proxied() as (client, url), client.get(f"{url}/redirect", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_what_is_for_this_machine_only_is_not_passed_on(path: str) -> None:
    async with proxied() as (client, url), client.get(url + path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(("without", "path"), [("gateway", "/api/v1/assistants"), ("worker", "/media/twilio/call_1")])
async def test_a_service_that_is_away_is_said(without: str, path: str) -> None:
    async with proxied(without=without) as (client, url), client.get(url + path) as answer:
        assert answer.status == 502
        assert "does not answer" in await answer.text()


async def test_more_at_once_than_it_takes_is_refused_and_those_under_way_go_on() -> None:
    async with proxied(limit=1) as (client, url):
        async with client.ws_connect(f"{url}/media/twilio/call_1", headers={"X-Twilio-Signature": "s="}) as socket:
            await socket.receive_json(timeout=5)
            async with client.get(f"{url}/api/v1/assistants") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            await socket.send_str("frame")
            assert await socket.receive_str(timeout=5) == "frame"
        await until(lambda: not under_way())
        async with client.get(f"{url}/api/v1/assistants") as answer:
            assert answer.status == 200


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with proxied() as (client, url), client.post(url, data=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))) as answer:
        assert answer.status == 413
