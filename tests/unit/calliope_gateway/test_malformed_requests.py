"""What never reaches a handler gets the same kind of answer as everything else, without its own words."""

import asyncio

import orjson
import pytest

from calliope.http_listener import ConnectionLimits, listening
from calliope_gateway.http.errors import malformed
from calliope_gateway.http.server import build_http
from calliope_gateway.settings import GatewaySettings
from support.http_surface import FakeBus

CANARY = b"canary-5d1c9a7e"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [(b"Authorization: Bearer " + CANARY * 2_000, 431, "too_large"), (CANARY, 400, "invalid")],
    ids=["too long", "no header"],
)
async def test_a_request_that_is_no_http_gets_a_problem_document(header: bytes, status: int, code: str) -> None:
    app, limits = build_http(GatewaySettings(), FakeBus()), ConnectionLimits(overall=10, per_address=10)
    async with (
        asyncio.timeout(10),
        listening(app, "test", host="127.0.0.1", port=0, limits=limits, answer=malformed) as (host, port),
    ):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /api/v1/me HTTP/1.1\r\n" + header + b"\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    problem = orjson.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert b"application/problem+json" in head
    assert CANARY not in head + body
