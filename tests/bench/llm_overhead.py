"""How much a model adapter adds to its vendor's own wait, until the first word is in our hands.

`python tests/bench/llm_overhead.py [requests] [at once]`: the sandbox in a process of its own, one row a vendor. Added
is everything between asking and the first event, less what the twin waited on purpose; both clocks are the machine's.
The row `bare` is the same request without an adapter, its first bytes unread: what this machine adds just now.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import uvloop
from aiohttp import ClientSession, TCPConnector

sys.path.insert(0, str(Path(__file__).parents[1]))

from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.base import LlmRequest, TextDelta, ToolSpec, UserMessage
from calliope_call_worker.providers.llm.chat_body import chat_body
from support.model_vendors import VENDORS, Vendor

SCRIPT = {"name": "bench", "rules": [{"say": "Hello. " * 20, "first_token_ms": 40, "per_token_ms": 5}]}
TOOLS = tuple(ToolSpec(f"tool_{number}", "A tool.", {"type": "object"}) for number in range(5))
REQUEST = LlmRequest("Be brief. " * 100, (UserMessage("Hello"),), tools=TOOLS)
WARM_UP = 20


@asynccontextmanager
async def running_sandbox() -> AsyncIterator[str]:
    """Its address; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "calliope_sandbox",
        env=os.environ | {"CALLIOPE_SANDBOX_PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            url = orjson.loads(await process.stdout.readline())["url"]
        yield url
    finally:
        process.terminate()
        await process.wait()


async def added_ms(session: ClientSession, url: str, vendor: Vendor, number: int) -> float:
    """One request through an adapter."""
    key, asked_at_s = f"{vendor.name}-{number}", time.monotonic()
    async with vendor.make(session, url, key).stream(REQUEST) as events:
        first = await anext(events)
        heard_at_s = time.monotonic()
        assert isinstance(first, TextDelta)
        async for _ in events:
            pass
    return (heard_at_s - asked_at_s - await waited_s(session, url, key)) * 1_000


async def bare_ms(session: ClientSession, url: str, number: int) -> float:
    """One request without."""
    key, asked_at_s = f"bare-{number}", time.monotonic()
    body = chat_body(REQUEST, "gpt-6-luna", quirks.OPENAI)
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(f"{url}/openai/v1/chat/completions", data=body, headers=headers) as response:
        await response.content.readany()
        heard_at_s = time.monotonic()
        await response.read()
    return (heard_at_s - asked_at_s - await waited_s(session, url, key)) * 1_000


async def waited_s(session: ClientSession, url: str, key: str) -> float:
    """How long the twin waited before the first token of that key's request."""
    async with session.get(f"{url}/sandbox/records/llm", params={"key": key}) as response:
        (record,) = await response.json()
    waited: float = record["first_token_at_s"] - record["received_at_s"]
    return waited


async def measure(ask: Callable[[int], Awaitable[float]], requests: int, at_once: int) -> list[float]:
    """Milliseconds of all requests but the first few, which open connections."""
    slots, added = asyncio.Semaphore(at_once), list[float]()

    async def one(number: int) -> None:
        async with slots:
            added.append(await ask(number))

    async with asyncio.TaskGroup() as tasks:
        for number in range(requests + WARM_UP):
            tasks.create_task(one(number), name="bench.request")
    return sorted(added[WARM_UP:])


async def main(requests: int = 300, at_once: int = 1) -> None:
    """Measure every vendor, one after another."""
    async with running_sandbox() as url, ClientSession(connector=TCPConnector(limit=0)) as session:
        (await session.post(f"{url}/sandbox/llm/scripts", json=SCRIPT)).raise_for_status()
        print(f"{'vendor':10} {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7}  ms added, {requests} x, {at_once} at once")
        _show("bare", await measure(partial(bare_ms, session, url), requests, at_once))
        for vendor in VENDORS:
            _show(vendor.name, await measure(partial(added_ms, session, url, vendor), requests, at_once))


def _show(name: str, added: list[float]) -> None:
    cuts = statistics.quantiles(added, n=100, method="inclusive")
    print(f"{name:10} {cuts[49]:7.2f} {cuts[94]:7.2f} {cuts[98]:7.2f} {added[-1]:7.2f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(*(int(argument) for argument in sys.argv[1:])))
