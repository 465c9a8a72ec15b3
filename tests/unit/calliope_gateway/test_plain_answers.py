"""Whatever is sent, the answer is a sentence for a person: no pattern, no class name, no type of Python."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponse

from calliope_gateway.http.routes import Route
from calliope_gateway.http.server import ROUTES
from support.http_surface import AUTH, Client, FakeBus, gateway
from support.plain_words import riddles, tells_what_is_taken

JSON = {**AUTH, "Content-Type": "application/json"}
BODIES = {
    "empty": b"", "blank": b"  ", "cut": b'{"name": ', "single quotes": b"{'name': 'x'}", "no utf-8": b'{"a": "\xff"}',
    "surrogate": b'{"a": "\\ud800"}', "list": b"[]", "text": b'"x"', "number": b"1", "null": b"null",
    "not a number": b'{"a": NaN}', "deep": b'{"a":' * 40 + b"1" + b"}" * 40, "huge": b'{"a": 1' + b"0" * 400 + b"}",
}  # fmt: skip
PARTS = ["x" * 200, "%00", "a%20b", "a.b", "%3E", "0800", "%2B0800", "%F0%9F%98%80"]
VALUES = ["abc", "-1", "1e9", str(10**30), "", "%00", "true", "1.5", "[]", "x" * 300, "2026-99-99"]

every_body = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body is not None], ids=lambda route: route.operation_id
)
every_id = pytest.mark.parametrize(
    "route", [route for route in ROUTES if "{" in route.path], ids=lambda route: route.operation_id
)
every_parameter = pytest.mark.parametrize(
    ("route", "name"),
    [(route, name) for route in ROUTES if route.query is not None for name in route.query.model_fields],
    ids=lambda each: each if isinstance(each, str) else each.operation_id,
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with gateway(FakeBus()) as client:
        yield client


def path_of(route: Route, part: str = "x") -> str:
    path = route.path.replace("{number}", "%2B15550001111") if part == "x" else route.path
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + part + rest.partition("}")[2]
    return path


async def said(answer: ClientResponse) -> str:
    """What is told; `instance` repeats the path as it was sent."""
    problem = await answer.json()
    told = [text for each in problem.get("errors", []) for name, text in each.items() if name != "path"]
    return " ".join((problem["title"], problem["detail"], *told))


@every_body
@pytest.mark.parametrize("kind", BODIES)
async def test_a_malformed_body_is_told_in_words(client: Client, route: Route, kind: str) -> None:
    answer = await client.request(route.method, path_of(route), data=BODIES[kind], headers=JSON)
    assert riddles(await said(answer)) == []
    assert answer.status in {400, 503}
    if answer.status == 400:
        assert tells_what_is_taken((await answer.json())["detail"]) or kind == "deep"


@every_body
async def test_a_wrong_content_type_is_told_which_one_is_taken(client: Client, route: Route) -> None:
    answer = await client.request(route.method, path_of(route), data=b"{}", headers={**AUTH, "Content-Type": "a/b"})
    assert "Content-Type: application/json" in (await answer.json())["detail"]


@every_id
@pytest.mark.parametrize("part", PARTS)
async def test_a_path_is_told_what_belongs_into_it(client: Client, route: Route, part: str) -> None:
    headers, data = (JSON, b"{}") if route.body is not None else (AUTH, None)
    answer = await client.request(route.method, path_of(route, part), headers=headers, data=data)
    assert riddles(await said(answer)) == []
    if answer.status == 422:
        assert [each for each in (await answer.json())["errors"] if not tells_what_is_taken(each["message"])] == []


@every_parameter
@pytest.mark.parametrize("value", VALUES)
async def test_a_query_is_told_what_belongs_into_it(client: Client, route: Route, name: str, value: str) -> None:
    answer = await client.get(f"{path_of(route)}?{name}={value}", headers=AUTH)
    assert riddles(await said(answer)) == []
    if answer.status == 422:
        assert [each for each in (await answer.json())["errors"] if not tells_what_is_taken(each["message"])] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.guarded], ids=lambda route: route.operation_id)
@pytest.mark.parametrize("header", ["seven", "7.5", "W/", '"', "9" * 300])
async def test_a_wrong_revision_is_told_what_it_looks_like(client: Client, route: Route, header: str) -> None:
    data = b"{}" if route.body is not None else None
    answer = await client.request(route.method, path_of(route), data=data, headers={**JSON, "If-Match": header})
    detail = (await answer.json())["detail"]
    assert (answer.status, riddles(detail)) == (400, [])
    assert 'such as "7"' in detail
