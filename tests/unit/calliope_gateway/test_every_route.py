"""What holds for every route, made from the route table, so that a new route is covered by itself."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from multidict import CIMultiDictProxy

from calliope import api_keys
from calliope.contracts.identity import Scope
from calliope_gateway.http.routes import Route
from calliope_gateway.http.server import ROUTES
from calliope_gateway.http.telephony import RESUME, VOICE
from support.http_surface import AUTH, KEY, LIMITS, READER, Client, FakeBus, gateway

JSON = {**AUTH, "Content-Type": "application/json"}
UNDOCUMENTED = {
    ("GET", "/openapi.json"),
    ("GET", "/asyncapi.json"),
    ("GET", "/docs"),
    *((method, path) for method in ("POST", "GET") for path in (VOICE, RESUME)),
}
"""Served, and no part of the API."""
HOOKS = ["/telephony/twilio/voice", "/telephony/telnyx/voice", "/telephony/twilio/resume/call_1"]

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
every_write = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method != "GET"], ids=lambda route: route.operation_id
)
every_body = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body is not None], ids=lambda route: route.operation_id
)
every_id = pytest.mark.parametrize(
    "route", [route for route in ROUTES if "{" in route.path], ids=lambda route: route.operation_id
)
every_query = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.query is not None], ids=lambda route: route.operation_id
)


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
async def client(bus: FakeBus) -> AsyncIterator[Client]:
    async with gateway(bus) as client:
        yield client


def path_of(route: Route, part: str = "x") -> str:
    return re.sub(r"{\w+}", part, route.path.replace("{number}", "%2B15550001111") if part == "x" else route.path)


async def endless() -> AsyncIterator[bytes]:
    for _ in range(10):
        yield b"x" * 1_000


async def stalled() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


@every_route
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sk-123"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {api_keys.generate()}"},
        {"X-API-Key": KEY},
    ],
    ids=["none", "basic", "empty", "foreign", "cut", "unknown", "elsewhere"],
)
async def test_without_a_valid_key_nothing_is_asked(
    client: Client, bus: FakeBus, route: Route, headers: dict[str, str]
) -> None:
    answer = await client.request(route.method, path_of(route), headers=headers)
    assert answer.status == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert bus.work() == []


@every_route
async def test_a_revoked_key_opens_nothing_once_it_is_believed_no_more(bus: FakeBus, route: Route) -> None:
    async with gateway(bus, key_cache_s=1e-9) as client:
        assert (await client.request(route.method, path_of(route), headers=AUTH)).status != 401
        bus.asked.clear()
        bus.revoked.add(api_keys.digest(KEY))
        assert (await client.request(route.method, path_of(route), headers=AUTH)).status == 401
    assert bus.work() == []


@every_route
def test_every_route_names_the_scope_of_its_noun(route: Route) -> None:
    """But who asks for himself, which every key may."""
    if route.scope is None:
        assert route.path == "/api/v1/me"
        return
    noun, _, verb = route.scope.partition(":")
    assert verb == ("read" if route.method == "GET" else "write")
    assert noun.removesuffix("s").replace("_", "-") in route.path


@every_route
async def test_the_scope_of_a_route_is_needed_and_enough(client: Client, bus: FakeBus, route: Route) -> None:
    others = [scope for scope in Scope if route.scope not in {scope, None} and scope != route.scope.broader]
    headers = bus.holds(*others, "a:scope:of:tomorrow")
    answer = await client.request(route.method, path_of(route), headers=headers)
    if route.scope is None:
        assert answer.status != 403
        return
    assert answer.status == 403
    assert f"`{route.scope}`" in (await answer.json())["detail"]
    assert bus.work() == []
    for enough in filter(None, (route.scope, route.scope.broader)):
        assert (await client.request(route.method, path_of(route), headers=bus.holds(enough))).status != 403


@every_write
async def test_a_key_that_may_only_read_changes_nothing(client: Client, bus: FakeBus, route: Route) -> None:
    answer = await client.request(route.method, path_of(route), headers={"Authorization": f"Bearer {READER}"})
    assert answer.status == 403
    assert bus.work() == []


@every_body
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"1", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b'{"a":"' + b"x" * 3_000 + b'"}', "application/json", 413),
    ],
    ids=["empty", "cut", "no-utf8", "list", "text", "number", "null", "nan", "deep", "plain", "form", "large"],
)
async def test_a_malformed_body_is_refused_before_anything_is_asked(
    client: Client, bus: FakeBus, route: Route, body: bytes, content_type: str, status: int
) -> None:
    headers = {**AUTH, "Content-Type": content_type}
    answer = await client.request(route.method, path_of(route), data=body, headers=headers)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert bus.work() == []


@every_body
@pytest.mark.parametrize(("body", "status"), [(endless, 413), (stalled, 408)], ids=["endless", "stalled"])
async def test_a_body_that_does_not_end_is_cut_off(
    client: Client, bus: FakeBus, route: Route, body: Any, status: int
) -> None:
    answer = await client.request(route.method, path_of(route), data=body(), headers=JSON)
    assert answer.status == status
    assert bus.work() == []


@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(("body", "status"), [(endless, 413), (stalled, 408)], ids=["endless", "stalled"])
async def test_a_hooks_body_that_does_not_end_is_cut_off(
    client: Client, bus: FakeBus, path: str, body: Any, status: int
) -> None:
    assert (await client.post(path, data=body())).status == status
    assert (await client.post(path, data=b"x" * (LIMITS.carrier_body_bytes + 1))).status == 413
    assert bus.work() == []


@every_route
async def test_a_body_where_none_belongs_does_no_harm(client: Client, route: Route) -> None:
    without = await client.request(route.method, path_of(route), headers=AUTH)
    answer = await client.request(route.method, path_of(route), headers=JSON, data=b'{"a":"' + b"x" * 3_000)
    assert answer.status == (without.status if route.body is None else 413)


@every_id
@pytest.mark.parametrize("part", ["x" * 200, "%00", "%20", "..%2F..", "%F0%9F%98%80", "a.b", "%3E"])
async def test_a_hostile_path_is_the_clients_mistake(client: Client, bus: FakeBus, route: Route, part: str) -> None:
    headers = JSON if route.body is not None else AUTH
    data = b"{}" if route.body is not None else None
    answer = await client.request(route.method, path_of(route, part), headers=headers, data=data)
    assert answer.status in {400, 404, 422, 503}, await answer.text()
    assert answer.content_type == "application/problem+json"


@every_query
@pytest.mark.parametrize("value", ["abc", "-1", "1e9", str(10**30), "", "%00"])
async def test_a_query_of_the_wrong_form_names_its_field(
    client: Client, bus: FakeBus, route: Route, value: str
) -> None:
    assert route.query is not None
    name = next(name for name in ("limit", "after") if name in route.query.model_fields)
    answer = await client.get(f"{path_of(route)}?{name}={value}", headers=AUTH)
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["path"] == name
    unknown = await client.get(f"{path_of(route)}?unknown=1", headers=AUTH)
    assert unknown.status == 422
    assert bus.work() == []


@every_write
@pytest.mark.parametrize("key", ["x" * 256, "ä", ""])
async def test_an_idempotency_key_of_the_wrong_form_is_refused(
    client: Client, bus: FakeBus, route: Route, key: str
) -> None:
    headers = {**JSON, "Idempotency-Key": key}
    answer = await client.request(route.method, path_of(route), headers=headers, data=b"{}")
    assert answer.status == 400
    assert bus.work() == []


async def test_every_route_is_documented_and_everything_documented_is_served(client: Client) -> None:
    api = await (await client.get("/openapi.json")).json()
    documented = {(method.upper(), path) for path, item in api["paths"].items() for method in item}
    served = {
        (route.method, resource.get_info().get("formatter") or resource.canonical)
        for resource in client.app.router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    hooks = {(method, re.sub(r":[^}]*}", "}", path)) for method, path in UNDOCUMENTED}
    assert documented == {(route.method, route.path) for route in ROUTES}
    assert served == documented | hooks


@every_route
async def test_what_is_documented_of_a_route_is_what_it_takes(client: Client, route: Route) -> None:
    api = await (await client.get("/openapi.json")).json()
    operation = api["paths"][route.path][route.method.lower()]
    assert ("requestBody" in operation) == (route.body is not None)
    in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))
    assert {"401", "422", "503", str(route.status)} <= operation["responses"].keys()


def guarded(headers: CIMultiDictProxy[str]) -> bool:
    return (
        headers["X-Content-Type-Options"] == "nosniff"
        and headers["X-Frame-Options"] == "DENY"
        and headers["Referrer-Policy"] == "no-referrer"
        and "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        and "aiohttp" not in headers["Server"]
    )


@every_route
async def test_every_answer_carries_the_security_headers(client: Client, route: Route) -> None:
    for headers in ({}, AUTH):
        answer = await client.request(route.method, path_of(route), headers=headers)
        assert guarded(answer.headers)
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/asyncapi.json", "/nothing", *HOOKS])
async def test_so_does_everything_else(client: Client, path: str) -> None:
    assert guarded((await client.get(path)).headers)
