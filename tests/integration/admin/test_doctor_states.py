"""States of a bad minute that `calliope-admin doctor` tells, each with what to do, against real servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from aiohttp import web
from nats.aio.client import Client

from calliope.contracts.workers import WorkerDescription, WorkerState
from calliope.messaging.broker import build_broker, start, stop
from calliope.messaging.streams import DEAD, EVENTS
from calliope.settings import NatsSettings
from calliope_admin.doctor import reach
from calliope_admin.doctor.connections import silent_workers
from calliope_call_worker.handlers import describe_worker
from support.admin import Said, admin_here
from support.mongo import MongoServer
from support.nats import NatsServer, bus_settings, provisioned
from support.service_processes import WEBHOOKS, running

__all__ = ["bus_settings"]


@pytest.fixture
async def client(bus_settings: NatsSettings) -> AsyncIterator[Client]:
    client = await nats.connect(bus_settings.url)
    yield client
    await client.close()


async def examine(url: str, *words: str) -> list[dict[str, str]]:
    said: Said = await admin_here("doctor", "--json", "--nats", url, *words)
    found: list[dict[str, str]] = said.json["findings"]
    assert all(each["advice"] for each in found if each["state"] in {"wrong", "noted"})
    return found


def about(found: list[dict[str, str]], what: str) -> list[dict[str, str]]:
    return [each for each in found if each["about"] == what and each["state"] in {"wrong", "noted"}]


def letter(durable: str, reason: str, subject: str) -> tuple[str, dict[str, str]]:
    headers = {
        "Calliope-Reason": reason,
        "Calliope-Subject": subject,
        "Calliope-Stream": "EVENTS",
        "Calliope-Stream-Sequence": "0",
        "Calliope-Deliveries": "0",
    }
    return f"calliope.dead.{durable}.{reason}", headers


async def test_what_was_given_up_refused_filled_and_is_read_by_nobody(
    bus_settings: NatsSettings, client: Client
) -> None:
    jetstream, stuck = client.jetstream(), "calliope.evt.org_1.assistant.asst_1.updated"
    config = DEAD.config()
    config.max_bytes = 10_000
    await jetstream.update_stream(config)
    subject, headers = letter("webhooks-fanout", "exhausted", "calliope.evt.org_1.call.call_1.ended")
    for _ in range(2):
        await jetstream.publish(subject, bytes(4_000), headers=headers)
    subject, headers = letter("assistants-outbox", "refused", stuck)
    refused = (await jetstream.publish(subject, b"{}", headers=headers)).seq

    found = await examine(bus_settings.url)
    await jetstream.publish(stuck, b"{}")
    later = await examine(bus_settings.url)

    (dead,) = about(found, "dead letters")
    assert dead["sentence"].startswith(
        "3 messages were given up (assistants-outbox, refused: 1, webhooks-fanout, exhausted: 2); the oldest "
    )
    assert "calliope-admin dead-letters list" in dead["advice"]
    (outbox,) = about(found, "outbox")
    assert outbox["sentence"].startswith("Events of assistant asst_1 of org_1 wait behind one that the bus refused ")
    assert f"dead-letters replay {refused}" in outbox["advice"]
    assert about(later, "outbox") == []
    streams = [each["sentence"] for each in about(found, "streams")]
    assert [each.startswith("The stream DEAD is 8") and "% full: 8." in each for each in streams].count(True) == 1
    unread = {each["sentence"]: each["advice"] for each in about(found, "consumers")}
    assert unread["webhooks-wake: nobody reads it, so what comes next would wait."].startswith("start the webhooks")


async def test_a_durable_that_waits_for_a_store_says_so(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    await provisioned(own_nats_server.url)
    environment = WEBHOOKS.environment(
        nats=own_nats_server.port, mongo=own_mongo_server.port, CALLIOPE_MONGO__TIMEOUT_S="0.5"
    )
    connection = await nats.connect(own_nats_server.url)
    jetstream = connection.jetstream()
    event = {
        "id": "evt_1", "type": "calliope.call.ended.v1", "source": "/calliope/call-worker", "subject": "call/call_1",
        "time": "2030-01-01T00:00:00Z", "organization": "org_1", "sequence": 1,
        "data": {"reason": "idle", "duration_ms": 1},
    }  # fmt: skip

    async def held() -> bool:
        return bool((await jetstream.consumer_info(EVENTS.name, "webhooks-fanout")).num_ack_pending)

    with running(WEBHOOKS, tmp_path, environment) as webhooks:
        await asyncio.to_thread(webhooks.event, "health.served")
        await asyncio.to_thread(own_mongo_server.kill)
        await jetstream.publish("calliope.evt.org_1.call.call_1.ended", json.dumps(event).encode())
        async with asyncio.timeout(10):
            while not await held():  # noqa: ASYNC110 - the bus tells nobody
                await asyncio.sleep(0.05)
        found = await examine(own_nats_server.url)
    await connection.close()
    sentences = {each["sentence"]: each["advice"] for each in about(found, "consumers")}
    (sentence,) = [each for each in sentences if each.startswith("webhooks-fanout")]
    assert sentence.startswith("webhooks-fanout waits for ")
    assert "which is away: 1 messages are held, 0 wait behind them, none is lost" in sentence
    assert "nothing has to be replayed" in sentences[sentence]


@asynccontextmanager
async def workers(settings: NatsSettings, *descriptions: dict[str, Any]) -> AsyncIterator[None]:
    """Call-workers that only say what they are."""
    bus = build_broker(settings, "call-worker", graceful_timeout_s=2.0)
    for each in descriptions:
        whole = {
            "slots": 2, "calls": 0, "accepting": True, "state": WorkerState.ACCEPTING,
            "public_url": "http://127.0.0.1:1", "media_url": "ws://127.0.0.1:1/media", "at": datetime.now(UTC), **each,
        }  # fmt: skip
        description = WorkerDescription.model_validate(whole)
        describe_worker(bus, description.worker_id, lambda description=description: description)  # type: ignore[misc]
    await start(bus, within_s=10)
    try:
        yield
    finally:
        await stop(bus)


FULL = {"worker_id": "worker_full", "calls": 2, "accepting": False, "state": "full"}
DRAINING = {"worker_id": "worker_old", "calls": 1, "accepting": False, "state": "draining"}


async def test_workers_that_take_no_calls_are_noted_while_others_do(bus_settings: NatsSettings) -> None:
    async with workers(bus_settings, {"worker_id": "worker_free"}, FULL, DRAINING):
        found = about(await examine(bus_settings.url), "calls")
    assert {each["state"] for each in found} == {"noted"}
    assert {each["sentence"] for each in found} == {
        "worker_full is full: 2 of 2 slots.",
        "worker_old is about to end, with 1 calls; others get what is left of them.",
    }


async def test_workers_of_which_none_takes_calls_are_wrong(bus_settings: NatsSettings) -> None:
    async with workers(bus_settings, FULL, DRAINING):
        found = about(await examine(bus_settings.url), "calls")
    assert {each["state"] for each in found} == {"wrong"}
    assert "2 call-workers answer: 0 of 4 calls could be taken now." in {each["sentence"] for each in found}


async def begun(client: Client, call_id: str, *, ago_s: float, name: str = "answered") -> None:
    """A call whose last fact is so old."""
    fact = {
        "id": f"evt_{call_id}", "type": f"calliope.call.{name}.v1", "source": "/calliope/call-worker",
        "subject": f"call/{call_id}", "time": (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(),
        "organization": "org_1", "sequence": 1, "data": {},
    }  # fmt: skip
    await client.jetstream().publish(f"calliope.open_call.{call_id}", b"")
    await client.jetstream().publish(f"calliope.evt.org_1.call.{call_id}.{name}", json.dumps(fact).encode())


async def test_calls_without_a_worker_and_workers_that_fell_silent_are_told(
    bus_settings: NatsSettings, client: Client
) -> None:
    await begun(client, "call_lost", ago_s=200)
    await begun(client, "call_moving", ago_s=2)
    await begun(client, "call_over", ago_s=200, name="ended")
    await begun(client, "call_held", ago_s=200)
    await client.jetstream().publish("$KV.calls.call_held", b'{"worker_id": "worker_mute", "organization": "org_1"}')
    async with workers(bus_settings, {"worker_id": "worker_free"}):
        found = {each["sentence"]: each["advice"] for each in about(await examine(bus_settings.url), "calls")}
    assert set(found) == {
        "1 call has lost its worker, and nobody took it over: call_lost (last fact 3 min ago).",
        "worker_mute holds 1 calls and does not answer.",
    }
    assert any("calliope-admin calls end ID" in advice for advice in found.values())


ACCOUNT = """
accounts { A { jetstream { max_file: 400KB, max_mem: 0 }, users: [{ user: "a", password: "a" }] } }
no_auth_user: a
http_port: -1
"""


async def test_an_account_near_its_limit_is_told_and_a_server_with_room_is_not(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, extra_config=ACCOUNT)
    server.start()
    try:
        await provisioned(server.url)
        client = await nats.connect(server.url)
        for _ in range(2):
            await client.jetstream().publish("calliope.evt.org_1.call.call_1.ended", bytes(180_000))
        (ports,) = (tmp_path / "ports").glob("*.ports")
        found = about(await examine(server.url, "--monitor", json.loads(ports.read_text())["monitoring"][0]), "streams")
        await client.close()
    finally:
        server.stop()
    assert [each["sentence"].startswith("The storage of the account is 8") for each in found] == [True]


async def test_a_call_worker_that_is_connected_and_does_not_answer_is_told_by_the_monitoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = NatsServer(tmp_path, extra_config="http_port: -1")
    server.start()
    try:
        await provisioned(server.url)
        bus = build_broker(NatsSettings(url=server.url), "call-worker", telemetry=False)
        await start(bus)
        (ports,) = (tmp_path / "ports").glob("*.ports")
        monitor = json.loads(ports.read_text())["monitoring"][0]
        assert await silent_workers([monitor], 0) == [], "it may be about to answer"
        monkeypatch.setattr("calliope_admin.doctor.connections.STARTED", timedelta(0))
        assert await silent_workers([monitor], 1) == [], "it answers"
        found = [each["sentence"] for each in about(await examine(server.url, "--monitor", monitor), "calls")]
        await stop(bus)
    finally:
        server.stop()
    silent = "1 call-worker is connected to the bus and none answers: 1 hangs, or never became ready."
    assert silent in found


async def test_a_monitoring_that_tells_no_connections_is_no_finding() -> None:
    assert await silent_workers(["http://127.0.0.1:1"], 0) == []


async def storage(said: dict[str, Any]) -> list[str]:
    """What is found of a server whose monitoring says this."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(said)

    app = web.Application()
    app.router.add_get("/jsz", answer)
    runner: Any = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return [each.sentence.replace(url, "URL") for each in await reach.storage(url, asked_for=True)]
    finally:
        await runner.cleanup()


async def test_the_storage_of_a_server_near_its_limit_is_told_by_its_monitoring() -> None:
    full = {"storage": 9 << 30, "config": {"max_storage": 10 << 30}}
    assert await storage(full) == ["The storage of NATS at URL is 90% full: 9.0 GiB of 10.0 GiB."]
    assert await storage(full | {"storage": 7 << 30}) == []
    assert await storage({}) == ["The monitoring of NATS at URL does not tell its storage (its answer is another one)."]


async def test_no_monitoring_is_only_told_to_who_named_it() -> None:
    assert await reach.storage("http://127.0.0.1:1", asked_for=False) == []
    assert len(await reach.storage("http://127.0.0.1:1", asked_for=True)) == 1


async def test_what_is_no_address_of_a_monitoring_is_refused(bus_settings: NatsSettings) -> None:
    said = await admin_here("doctor", "--nats", bus_settings.url, "--monitor", "nats:8222")
    assert said.status == 2
    assert "argument --monitor: 'nats:8222' is no address of NATS's monitoring" in said.err
