"""The page at `/` of the sandbox: all that is served is on it, and every command on it works as it stands."""

import html
import itertools
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession

from calliope_sandbox.app import FAULTY, Sandbox, create_app
from calliope_sandbox.knobs import Knobs
from support.carriers import CarrierWorld, carriers

SWITCHES = "/sandbox/"


@dataclass
class Command:
    """A curl of the page, taken apart as a shell would."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


def commands(page: str) -> list[Command]:
    found = []
    for text in re.findall(r"<pre>(curl .*?)</pre>", page):
        words = shlex.split(html.unescape(text))
        options = list(itertools.pairwise(words))
        body = next((value for name, value in options if name == "-d"), None)
        method = next((value for name, value in options if name == "-X"), "GET" if body is None else "POST")
        headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
        found.append(Command(method, next(word for word in words if word.startswith("http")), headers, body))
    return found


async def page_of(world: CarrierWorld) -> str:
    async with world.http.get(world.base + "/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        return await answer.text()


@pytest.fixture
async def world() -> AsyncIterator[CarrierWorld]:
    async with carriers() as world:
        yield world


async def run(http: ClientSession, command: Command) -> int:
    asked = http.request(command.method, command.url, data=command.body, headers=command.headers)
    async with asked as answer:
        await answer.read()
        return answer.status


async def test_every_command_of_the_page_works_as_it_stands_from_top_to_bottom(world: CarrierWorld) -> None:
    shown = commands(await page_of(world))

    answers = [(one.method, one.url, await run(world.http, one)) for one in shown if not one.url.endswith("/steps")]

    assert len(answers) > 20
    assert [answer for answer in answers if answer[2] >= 400] == []


async def test_every_switch_of_the_sandbox_is_on_the_page(world: CarrierWorld) -> None:
    shown = {(one.method, re.sub(r"/[^/]+$", "", one.url.split("?")[0])) for one in commands(await page_of(world))}

    served = {
        (route.method, world.base + re.sub(r"/[^/]+$", "", route.resource.canonical))
        for route in create_app().router.routes()
        if route.resource is not None and route.resource.canonical.startswith(SWITCHES) and route.method != "HEAD"
    }
    assert {(method, url.replace("{sid}", "latest")) for method, url in served} <= shown


async def test_every_address_of_a_vendor_is_on_the_page(world: CarrierWorld) -> None:
    page = html.unescape(await page_of(world))

    paths = {route.resource.canonical for route in create_app().router.routes() if route.resource is not None}
    missing = [path for path in paths if not path.startswith(SWITCHES) and f"{world.base}{path}" not in page]
    assert missing == []


async def test_the_page_needs_nothing_of_the_network_and_tells_knobs_and_faults(world: CarrierWorld) -> None:
    page = await page_of(world)

    assert [url for url in re.findall(r"https?://[^\s<\"']+", page) if not url.startswith("http://127.0.0.1")] == []
    assert "<script" not in page
    assert all(f"<code>{vendor}</code>" in page for vendor in FAULTY | set(Knobs.__dataclass_fields__))


async def test_the_page_tells_knobs_as_they_are_now() -> None:
    sandbox = Sandbox()
    sandbox.knobs.turn({"openai": {"first_token_ms": 812.0}})
    async with carriers(sandbox=sandbox) as world:
        page = await page_of(world)

    assert "first_token_ms=812.0" in page
