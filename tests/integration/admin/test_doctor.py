"""`calliope-admin doctor` beside installations that are well, and that are not."""

import asyncio
from pathlib import Path
from typing import Any

import nats
import pytest
from aiohttp import web

from calliope.contracts.subjects import dead_letter
from calliope.messaging.streams import CALL_WORKER_ANALYSIS, EVENTS, WEBHOOKS_FANOUT
from support.admin import Said, admin
from support.assistants import AssistantsProcess
from support.mongo import MongoServer
from support.nats import NatsServer, provisioned
from support.service_processes import GATEWAY, NOWHERE, WEBHOOKS, WORKER, running


def wrong(said: Said) -> dict[str, str]:
    """What it found wrong: sentences by what they are about; each has advice."""
    found = [each for each in said.json["findings"] if each["state"] == "wrong"]
    assert all(each["advice"] for each in found)
    return {each["about"]: each["sentence"] for each in found}


async def examine(bus: NatsServer, folder: Path, **environment: str) -> Said:
    return await admin("doctor", "--json", "--nats", bus.url, cwd=folder, environment=environment)


async def test_an_installation_that_is_well(
    own_nats_server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> None:
    await provisioned(own_nats_server.url)
    nats_port, mongo_port = own_nats_server.port, mongo_server.port
    assistants = AssistantsProcess(tmp_path, own_nats_server.url, mongo_server.url)
    await asyncio.to_thread(assistants.start)
    try:
        with running(GATEWAY, tmp_path, GATEWAY.environment(nats=nats_port, mongo=mongo_port)) as gateway:
            port = (await asyncio.to_thread(gateway.event, "gateway.serving"))["port"]
            url = {"CALLIOPE_PUBLIC_URL": f"http://127.0.0.1:{port}"}
            worker = WORKER.environment(nats=nats_port, mongo=mongo_port, **url)
            webhooks = WEBHOOKS.environment(nats=nats_port, mongo=mongo_port)
            with running(WORKER, tmp_path, worker) as working, running(WEBHOOKS, tmp_path, webhooks) as sending:
                await asyncio.to_thread(working.event, "worker.ready")
                await asyncio.to_thread(sending.event, "health.served")
                said = await examine(own_nats_server, tmp_path)
                people = await admin("doctor", "--nats", own_nats_server.url, cwd=tmp_path)
    finally:
        await asyncio.to_thread(assistants.stop)
    assert wrong(said) == {}
    assert said.status == 0
    assert {each["about"] for each in said.json["findings"]} >= {"bus", "clocks", "streams", "consumers", "calls"}
    assert people.out.endswith("All is well.\n")
    assert "100 of 100 calls could be taken now" in people.out


async def test_an_absent_bus_is_found_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    environment = {
        "CALLIOPE_ENVIRONMENT": "production",
        "CALLIOPE_NATS__URL": f"nats://127.0.0.1:{NOWHERE}",
        "CALLIOPE_PUBLIC_URL": f"http://127.0.0.1:{NOWHERE}",
    }
    said = await admin("doctor", "--json", cwd=tmp_path, environment=environment)
    assert said.status == 1
    found = wrong(said)
    assert found.keys() == {"bus", "settings", "addresses"}
    assert "cannot be reached" in found["addresses"]


async def test_an_empty_bus_lacks_streams_services_and_workers(own_nats_server: NatsServer, tmp_path: Path) -> None:
    said = await examine(own_nats_server, tmp_path)
    found = [each for each in said.json["findings"] if each["state"] == "wrong"]
    assert said.status == 1
    assert {each["about"] for each in found} == {"streams", "consumers", "services", "calls"}
    missing = [each for each in found if "There is no" in each["sentence"]]
    assert all("calliope.messaging.provision" in each["advice"] for each in missing)
    assert {each["sentence"].split()[0] for each in found if each["about"] == "services"} == {"assistants", "webhooks"}


async def test_what_was_changed_given_up_or_is_read_by_nobody(own_nats_server: NatsServer, tmp_path: Path) -> None:
    await provisioned(own_nats_server.url)
    connection = await nats.connect(own_nats_server.url)
    jetstream = connection.jetstream()
    changed = EVENTS.config()
    changed.max_age = 60
    changed.duplicate_window = 60
    await jetstream.update_stream(changed)
    await jetstream.delete_consumer(CALL_WORKER_ANALYSIS.stream, CALL_WORKER_ANALYSIS.name)
    await jetstream.publish("calliope.evt.org_1.call.call_1.ended", b"{}")
    await jetstream.publish(dead_letter(WEBHOOKS_FANOUT.name, "invalid"), b"{}")
    await connection.close()
    said = await examine(own_nats_server, tmp_path, CALLIOPE_NATS__REPLICAS="3")
    sentences = [each["sentence"] for each in said.json["findings"] if each["state"] == "wrong"]
    assert "EVENTS differs in max_age, duplicate_window." in sentences
    assert "EVENTS has 1 copies, 3 are wanted." in sentences
    assert "There is no durable consumer call-worker-analysis." in sentences
    assert "webhooks-fanout: 1 messages wait and nobody reads them." in sentences
    assert any(
        each.startswith("1 messages were given up (webhooks-fanout, invalid: 1); the oldest ") for each in sentences
    )


async def test_a_service_without_its_store_says_so(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    await provisioned(own_nats_server.url)
    impatient = {"CALLIOPE_MONGO__TIMEOUT_S": "0.5"}
    assistants = AssistantsProcess(tmp_path, own_nats_server.url, own_mongo_server.url, **impatient)
    await asyncio.to_thread(assistants.start)
    try:
        await asyncio.to_thread(own_mongo_server.kill)
        said = await examine(own_nats_server, tmp_path)
    finally:
        await asyncio.to_thread(assistants.stop)
    (finding,) = [each for each in said.json["findings"] if each["sentence"].startswith("assistants answers")]
    assert finding["state"] == "wrong"
    assert "CALLIOPE_MONGO__URL" in finding["advice"]


@pytest.mark.parametrize(("status", "words"), [(502, "the gateway behind it is not"), (301, "redirects")])
async def test_a_proxy_that_does_not_lead_to_the_gateway_is_told(status: int, words: str, tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner: Any = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        environment = {"CALLIOPE_NATS__URL": f"nats://127.0.0.1:{NOWHERE}", "CALLIOPE_PUBLIC_URL": url}
        said = await admin("doctor", "--json", cwd=tmp_path, environment=environment)
    finally:
        await runner.cleanup()
    assert words in wrong(said)["addresses"]
