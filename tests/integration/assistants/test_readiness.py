"""What a gateway says of itself while the store is frozen, while nobody takes calls, and while it stops."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp

from calliope.contracts.assistants import Nothing
from calliope.contracts.base import CommandMessage
from calliope.contracts.subjects import Command
from calliope.contracts.workers import WorkerDescription
from calliope.messaging.broker import build_broker, start, stop
from calliope.messaging.commands import responder
from calliope.settings import HealthSettings, HttpSettings, NatsSettings
from calliope_gateway.app import running
from calliope_gateway.settings import GatewaySettings
from support.assistants import AssistantsProcess
from support.mongo import MongoServer
from support.nats import NatsServer
from support.processes import free_port
from support.sealing import PUBLIC_KEYS

WELL = {"jobs": "ok", "bus": "ok", "reads": "ok", "writes": "ok", "calls": "ok"}


def a_gateway(nats: str, *, lame_duck_s: float = 0) -> GatewaySettings:
    return GatewaySettings(
        sealing=PUBLIC_KEYS,
        nats=NatsSettings(url=nats),
        http=HttpSettings(port=0),
        health=HealthSettings(port=free_port()),
        lame_duck_s=lame_duck_s,
    )


async def told(http: aiohttp.ClientSession, port: int, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, cast("dict[str, Any]", await answer.json())


async def test_a_gateway_says_what_it_cannot_do_and_stays_ready(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    settings, slots = a_gateway(own_nats_server.url), [True]
    port = settings.health.port
    worker = build_broker(settings.nats, "call-worker", telemetry=False)

    @responder(worker, Command.WORKERS_DESCRIBE, service="call-worker-1")
    async def describe(command: CommandMessage[Nothing]) -> WorkerDescription:
        return WorkerDescription(
            worker_id="worker_1",
            slots=1,
            calls=0,
            accepting=slots[0],
            public_url="",
            media_url="",
            at=datetime.now(UTC),
        )

    async with running(settings), aiohttp.ClientSession() as http:
        nobody = await told(http, port)
        await start(worker, within_s=10)
        try:
            well = await told(http, port)
            slots[0] = False
            full = await told(http, port, "/readyz/calls")
            slots[0] = True
            own_mongo_server.freeze()
            try:
                frozen = await told(http, port)
            finally:
                own_mongo_server.thaw()
            async with asyncio.timeout(20):
                while (await told(http, port, "/readyz/writes"))[0] != 200:
                    pass
        finally:
            await stop(worker)

    assert nobody == (200, {"status": "degraded", "parts": WELL | {"calls": "no call-worker answers"}})
    assert well == (200, {"status": "ok", "parts": WELL})
    assert full == (503, {"status": "every call-worker is full or draining"})
    status, said = frozen
    assert (status, said["status"]) == (200, "degraded")
    assert {name for name, state in said["parts"].items() if state != "ok"} == {"reads", "writes"}
    assert "the store does not answer" in said["parts"]["writes"]


async def test_a_gateway_that_stops_is_not_ready_and_serves_for_a_while_more(
    own: AssistantsProcess, own_nats_server: NatsServer
) -> None:
    settings = a_gateway(own_nats_server.url, lame_duck_s=60)
    leave, serving = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with running(settings) as port:
            serving.set_result(port)
            await leave.wait()

    async with asyncio.timeout(30), aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve(), name="gateway")
        public, health = await serving, settings.health.port
        ready = await told(http, health)
        leave.set()
        while (stopping := await told(http, health))[0] != 503:
            pass
        async with http.get(f"http://127.0.0.1:{public}/api/v1/me") as answer:
            served = answer.status, answer.headers.get("Connection")
        live = await told(http, health, "/livez")
        task.cancel()

    assert ready[0] == 200
    assert stopping[1]["status"] == "stopping"
    assert served == (401, "close")
    assert live[0] == 200
