"""What never reaches a handler gets the same kind of answer as everything else, without its own words."""

import asyncio

import orjson
import pytest

from calliope.contracts.subjects import Command
from calliope.http_listener import ConnectionLimits, listening
from calliope_gateway.http.errors import malformed
from calliope_gateway.http.server import build_http
from calliope_gateway.settings import GatewaySettings, LimitSettings
from support.http_surface import ASSISTANT, AUTH, FakeBus, gateway
from support.sealing import PUBLIC_KEYS

CANARY = b"canary-5d1c9a7e"
JSON = "application/json"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [(b"Authorization: Bearer " + CANARY * 2_000, 431, "too_large"), (CANARY, 400, "invalid")],
    ids=["too long", "no header"],
)
async def test_a_request_that_is_no_http_gets_a_problem_document(header: bytes, status: int, code: str) -> None:
    app, limits = (
        build_http(GatewaySettings(sealing=PUBLIC_KEYS), FakeBus()),
        ConnectionLimits(overall=10, per_address=10),
    )
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


LARGE = "x" * 20_000


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "Anna", "name": "Berta"}',
        '{"name": "Anna", "tools_settings": {"custom_tools": [{"name": "a", "url": "x", "name": "b"}]}}',
        '{"name": "Anna", "description": "' + LARGE + '", "name": "Berta"}',
    ],
    ids=["at the top", "deep", "large"],
)
async def test_a_name_that_stands_there_twice_is_refused_instead_of_taking_one_of_them(body: str) -> None:
    bus = FakeBus()
    async with gateway(bus, limits=LimitSettings()) as client:
        answer = await client.post("/api/v1/assistants", data=body, headers={**AUTH, "Content-Type": JSON})
        problem = await answer.json()
    assert answer.status == 400
    assert problem["detail"] == "the body has 'name' more than once in one object; send it once"
    assert Command.ASSISTANTS_CREATE_V2 not in [asked[0] for asked in bus.asked]


async def test_names_that_only_look_repeated_are_taken() -> None:
    bus = FakeBus()
    bus.answers[Command.ASSISTANTS_CREATE_V2] = ASSISTANT
    body = '{"name": "\\"name\\": \\"name\\":", "tools_settings": {"custom_tools": [{"name": "a"}, {"name": "b"}]}}'
    async with gateway(bus) as client:
        answer = await client.post("/api/v1/assistants", data=body, headers={**AUTH, "Content-Type": JSON})
    assert answer.status == 201


async def test_a_body_that_is_not_encoded_as_it_claims_is_told_so_and_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    head = b"POST /api/v1/assistants HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n"
    head += b"Content-Type: application/json\r\nAuthorization: " + AUTH["Authorization"].encode() + b"\r\n\r\n"
    app = build_http(GatewaySettings(sealing=PUBLIC_KEYS), FakeBus())
    limits = ConnectionLimits(overall=10, per_address=10)
    async with (
        asyncio.timeout(10),
        listening(app, "test", host="127.0.0.1", port=0, limits=limits, answer=malformed) as (host, port),
    ):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head + b"{}")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"not encoded as its headers say" in answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_body_that_begins_with_a_byte_order_mark_is_read() -> None:
    bus = FakeBus()
    bus.answers[Command.ASSISTANTS_CREATE_V2] = ASSISTANT
    async with gateway(bus) as client:
        body = '\ufeff{"name": "Änna"}'.encode()
        answer = await client.post("/api/v1/assistants", data=body, headers={**AUTH, "Content-Type": JSON})
    assert answer.status == 201
    assert bus.last(Command.ASSISTANTS_CREATE_V2)[1].document == {"name": "Änna"}
