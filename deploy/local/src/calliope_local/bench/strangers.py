"""What strangers do to an installation while the bench measures its calls; run as a process of its own.

python -m calliope_local.bench.strangers unsigned-hooks '{"gateway": "http://…", "number": "+1…"}'

Works until SIGTERM or until its parent is gone, then prints what came of it as one line of JSON.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web

from calliope import api_keys
from calliope.contracts.subjects import Command
from calliope.messaging.broker import build_broker, start, stop
from calliope.settings import NatsSettings

TICK_S: Final = 0.02
HOOKS_A_SECOND: Final = 1_000
KEYS_A_SECOND: Final = 200
SLOW_CONNECTIONS: Final = 600
AT_ONCE: Final = 200
"""Requests of one kind under way; more are skipped and counted."""
ANSWER_S: Final = 20.0
FLOOD_BYTES: Final = 10_000_000
HEAVY_TOOL: Final = "heavy"
HEAVY_ITEMS: Final = 1_500
"""Of the array that the heavy tool's schema wants to be unique, which is quadratic."""
Settings = Mapping[str, str]
Counts = Counter[str]
Request = Callable[[aiohttp.ClientSession, int], Awaitable[int]]


async def send_unsigned_hooks(settings: Settings, counts: Counts) -> None:
    """Post hooks of calls that the carrier never signed, for a number that exists."""
    url = f"{settings['gateway']}/telephony/twilio/voice"

    async def one(http: aiohttp.ClientSession, number: int) -> int:
        form = {"CallSid": f"CA{number:032x}", "From": "+15550009999", "To": settings["number"], "AccountSid": "AC0"}
        async with http.post(url, data=form, headers={"X-Twilio-Signature": "c2lnbmVkIGJ5IG5vYm9keQ=="}) as answer:
            await answer.read()
            return answer.status

    await _at_a_rate(HOOKS_A_SECOND, one, counts)


async def ask_workers(settings: Settings, counts: Counts) -> None:
    """Give the workers hooks that nobody signed, past the gateway and its limits."""

    async def count(message: Any) -> None:
        if not message.data:  # from the server: nobody reads this at the moment
            counts["nobody there"] += 1
            return
        answer = json.loads(message.data)
        counts[str((answer.get("ok") or {}).get("status") or answer["error"]["code"])] += 1

    bus = build_broker(NatsSettings(url=settings["nats"]), "gateway", telemetry=False)
    await start(bus)
    requests = bus.connection
    try:
        inbox = requests.new_inbox()
        await requests.subscribe(inbox, cb=count)
        loop, number = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            while number < (loop.time() - began) * HOOKS_A_SECOND:
                await requests.publish(Command.CALLS_ACCEPT, _hook(settings, number), reply=inbox)
                number += 1
            await asyncio.sleep(TICK_S)
    finally:
        await stop(bus)


def _hook(settings: Settings, number: int) -> bytes:
    form = {"CallSid": f"CA{number:032x}", "AccountSid": settings["account_sid"], "From": "+15550009999"}
    request = {
        "carrier": "twilio",
        "method": "POST",
        "path_and_query": "/telephony/twilio/voice",
        "headers": [["X-Twilio-Signature", base64.b64encode(bytes(20)).decode()]],
        "body": base64.b64encode(urlencode({**form, "To": settings["number"]}).encode()).decode(),
    }
    return json.dumps({"organization": None, "command_id": None, "payload": request}).encode()


async def send_wrong_keys(settings: Settings, counts: Counts) -> None:
    """Ask the API with keys that have the right form and were never issued."""
    url = f"{settings['gateway']}/api/v1/assistants"

    async def one(http: aiohttp.ClientSession, _: int) -> int:
        async with http.get(url, headers={"Authorization": f"Bearer {api_keys.generate()}"}) as answer:
            await answer.read()
            return answer.status

    await _at_a_rate(KEYS_A_SECOND, one, counts)


async def send_slow_bodies(settings: Settings, counts: Counts) -> None:
    """Hold many connections whose requests come a byte a second, half to the API, half to the hooks."""
    address = urlsplit(settings["gateway"])
    paths = ("/telephony/twilio/voice", "/api/v1/assistants")

    async def one(number: int) -> None:
        head = (
            f"POST {paths[number % 2]} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {settings['api_key']}\r\nContent-Length: 100000\r\n\r\n"
        )
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                counts["connections"] += 1
                try:
                    writer.write(head.encode())
                    while not reader.at_eof():
                        writer.write(b"{")
                        await writer.drain()
                        with suppress(TimeoutError):
                            async with asyncio.timeout(1.0):
                                await reader.read(1_000)
                                counts["closed by the server"] += 1
                                break
                finally:
                    writer.close()
            await asyncio.sleep(1.0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(SLOW_CONNECTIONS):
            tasks.create_task(one(number))


async def serve_flood(settings: Settings, counts: Counts) -> None:
    """Be a model that streams megabytes for every request."""
    line = _event({"content": "word " * 20})

    async def answer(request: web.Request) -> web.StreamResponse:
        counts["requests"] += 1
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(FLOOD_BYTES // len(line)):
            await response.write(line)
            counts["bytes"] += len(line)
        await response.write_eof()
        return response

    await _serve(int(settings["port"]), answer)


async def serve_heavy_arguments(settings: Settings, counts: Counts) -> None:
    """Be a model that calls a tool with as much as it can, again and again, and the tool."""
    items = [{"number": number, "of": {"the": ["same", "form"]}} for number in range(HEAVY_ITEMS)]
    asked = {
        "index": 0,
        "type": "function",
        "function": {"name": HEAVY_TOOL, "arguments": json.dumps({"items": items})},
    }
    calls = b"".join(
        (
            _event({"tool_calls": [asked | {"id": "call_heavy"}]}),
            _event({}, finish="tool_calls"),
            b"data: [DONE]\n\n",
        )
    )
    says = b"".join(
        (
            _event({"content": "That is noted, and what else may I do for you?"}),
            _event({}, finish="stop"),
            b"data: [DONE]\n\n",
        )
    )

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.endswith(f"/{HEAVY_TOOL}"):
            counts["tool asked"] += 1
            return web.json_response({"noted": True})
        if not body:  # a connection that is opened before it is needed
            return web.Response()
        counts["model asked"] += 1
        is_answered = json.loads(body)["messages"][-1]["role"] == "tool"
        return web.Response(body=says if is_answered else calls, content_type="text/event-stream")

    await _serve(int(settings["port"]), answer, most_bytes=FLOOD_BYTES)


def _event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def serve_silence(settings: Settings, counts: Counts) -> None:
    """Be a receiver of webhooks that takes requests and never answers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        counts["requests"] += 1
        await request.read()
        await asyncio.Event().wait()
        raise AssertionError("never")

    await _serve(int(settings["port"]), answer)


STRANGERS: Final[Mapping[str, Callable[[Settings, Counts], Coroutine[None, None, None]]]] = {
    "unsigned-hooks": send_unsigned_hooks,
    "unsigned-hooks-at-workers": ask_workers,
    "slow-bodies": send_slow_bodies,
    "wrong-keys": send_wrong_keys,
    "flooding-model": serve_flood,
    "silent-receiver": serve_silence,
    "heavy-arguments": serve_heavy_arguments,
}


async def _at_a_rate(a_second: int, one: Request, counts: Counts) -> None:
    """Start so many a second, however slowly they are answered."""
    loop = asyncio.get_running_loop()
    free = asyncio.Semaphore(AT_ONCE)

    async def counted(http: aiohttp.ClientSession, number: int) -> None:
        try:
            counts[str(await one(http, number))] += 1
        except (aiohttp.ClientError, TimeoutError) as exc:
            counts[type(exc).__name__] += 1
        finally:
            free.release()

    connector, limit = aiohttp.TCPConnector(limit=AT_ONCE), aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as http, asyncio.TaskGroup() as tasks:
        began, number = loop.time(), 0
        while True:
            due = int((loop.time() - began) * a_second)
            while number < due:
                number += 1
                if free.locked():
                    counts["skipped"] += 1
                else:
                    await free.acquire()
                    tasks.create_task(counted(http, number))
            await asyncio.sleep(TICK_S)


async def _serve(
    port: int, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], *, most_bytes: int = 1_000_000
) -> None:
    app = web.Application(client_max_size=most_bytes)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _main(name: str, settings: Settings) -> Counts:
    counts: Counts = Counter()
    with suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(STRANGERS[name](settings, counts))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
            parent = os.getppid()
            while not work.done():
                await asyncio.wait({work}, timeout=0.5)
                if os.getppid() != parent:
                    work.cancel()
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_main(sys.argv[1], json.loads(sys.argv[2])))) + "\n")
