"""How much a model adapter adds to its vendor's own wait, until the first word is in our hands.

`python tests/bench/llm_overhead.py [requests] [at once]`: the sandbox in a process of its own, one row a vendor. Added
is everything between asking and the first event, less what the twin waited on purpose; both clocks are the machine's.
The row `bare` is the same request without an adapter, its first bytes unread: what this machine adds just now.
"""

import asyncio
import os
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
from calliope_local.bench.figures import percentile
from support.model_vendors import VENDORS, Vendor

SCRIPT = {"name": "bench", "rules": [{"say": "Hello. " * 20, "first_token_ms": 40, "per_token_ms": 5}]}
TOOLS = tuple(ToolSpec(f"tool_{number}", "A tool.", {"type": "object"}) for number in range(5))
REQUEST = LlmRequest("Be brief. " * 100, (UserMessage("Hello"),), tools=TOOLS)
WARM_UP = 20
Ask = Callable[[str], Awaitable[float]]
"""One request with this key; seconds until its first output."""


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


async def by_adapter(session: ClientSession, url: str, vendor: Vendor, key: str) -> float:
    """Seconds until the first event of one request."""
    asked_at_s = time.monotonic()
    async with vendor.make(session, url, key).stream(REQUEST) as events:
        first = await anext(events)
        heard_at_s = time.monotonic()
        assert isinstance(first, TextDelta)
        async for _ in events:
            pass
    return heard_at_s - asked_at_s


async def bare(session: ClientSession, url: str, key: str) -> float:
    """Seconds until the first bytes of one request without an adapter."""
    asked_at_s = time.monotonic()
    body = chat_body(REQUEST, "gpt-6-luna", quirks.OPENAI)
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(f"{url}/openai/v1/chat/completions", data=body, headers=headers) as response:
        await response.content.readany()
        heard_at_s = time.monotonic()
        await response.read()
    return heard_at_s - asked_at_s


async def added_ms(session: ClientSession, url: str, ask: Ask, requests: int, at_once: int) -> list[float]:
    """Milliseconds added to all requests but the first few, which open connections; each has a key of its own."""
    slots, heard_s = asyncio.Semaphore(at_once), dict[str, float]()

    async def one(key: str) -> None:
        async with slots:
            heard_s[key] = await ask(key)

    async with asyncio.TaskGroup() as tasks:
        for number in range(requests + WARM_UP):
            tasks.create_task(one(f"key-{number}"), name="bench.request")
    async with session.get(f"{url}/sandbox/records/llm") as response:
        records = {record["key"]: record for record in await response.json()}
    waited_s = {key: record["first_token_at_s"] - record["received_at_s"] for key, record in records.items()}
    return sorted([(heard_s[key] - waited_s[key]) * 1_000 for key in heard_s][WARM_UP:])


async def main(requests: int = 300, at_once: int = 1) -> None:
    """Measure every vendor, one after another."""
    async with running_sandbox() as url, ClientSession(connector=TCPConnector(limit=0)) as session:
        print(f"{'vendor':10} {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7}  ms added, {requests} x, {at_once} at once")
        rows: list[tuple[str, Ask]] = [("bare", partial(bare, session, url))]
        rows += [(vendor.name, partial(by_adapter, session, url, vendor)) for vendor in VENDORS]
        for name, ask in rows:
            (await session.post(f"{url}/sandbox/reset")).raise_for_status()
            (await session.post(f"{url}/sandbox/llm/scripts", json=SCRIPT)).raise_for_status()
            _show(name, await added_ms(session, url, ask, requests, at_once))


def _show(name: str, added: list[float]) -> None:
    p50, p95, p99 = (percentile(added, share) for share in (0.5, 0.95, 0.99))
    print(f"{name:10} {p50:7.2f} {p95:7.2f} {p99:7.2f} {max(added):7.2f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(*(int(argument) for argument in sys.argv[1:])))
