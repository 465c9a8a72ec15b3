"""`calliope-admin consumers …` against a real bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from faststream.nats import NatsRouter
from nats.aio.client import Client

from calliope.contracts.base import Event
from calliope.messaging.broker import Bus, build_broker, consumer, start, stop
from calliope.messaging.streams import ASSISTANTS_PROJECTION, EVENTS, WEBHOOKS_FANOUT
from calliope.settings import NatsSettings
from support.admin import Said, admin_here
from support.nats import bus_settings
from support.waiting import until

__all__ = ["bus_settings"]

EVENT = Event.model_validate(
    {
        "id": "evt_1",
        "type": "calliope.call.started.v1",
        "source": "/calliope/call-worker",
        "subject": "call/call_1",
        "time": "2030-01-01T00:00:00Z",
        "organization": "org_1",
        "sequence": 1,
        "data": {},
    }
)


@pytest.fixture
async def client(bus_settings: NatsSettings) -> AsyncIterator[Client]:
    client = await nats.connect(bus_settings.url)
    yield client
    await client.close()


async def say(settings: NatsSettings, *words: str) -> Said:
    return await admin_here("consumers", *words, "--nats", settings.url)


async def publish(client: Client, count: int) -> None:
    for _ in range(count):
        await client.jetstream().publish("calliope.evt.org_1.call.call_1.started", EVENT.model_dump_json().encode())


@asynccontextmanager
async def reading(settings: NatsSettings) -> AsyncIterator[list[str]]:
    """Webhooks' fan-out, which takes everything."""
    router, taken = NatsRouter(), list[str]()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        taken.append(event.id)

    bus: Bus = build_broker(settings, "webhooks", routers=[router], graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    try:
        yield taken
    finally:
        await stop(bus)


def states(said: Said) -> dict[str, str]:
    return {each["name"]: each["state"] for each in said.json["items"]}


async def test_each_says_what_waits_and_whether_somebody_reads_it(bus_settings: NatsSettings, client: Client) -> None:
    await publish(client, 3)
    held = await client.jetstream().pull_subscribe_bind(durable="call-worker-analysis", stream="EVENTS")
    await client.jetstream().publish("calliope.evt.org_1.call.call_1.ended", b"{}")
    await held.fetch(1, timeout=2)
    async with reading(bus_settings) as taken:
        await until(lambda: len(taken) == 3)
        said = await say(bus_settings, "list", "--json")
        people = await say(bus_settings, "list")
    await held.unsubscribe()
    by_name = {each["name"]: each for each in said.json["items"]}
    assert said.status == 0
    assert states(said)["webhooks-fanout"] == "read"
    assert states(said)["assistants-projection"] == "nobody"
    assert states(said)["call-worker-analysis"] == "held"
    assert (by_name["assistants-projection"]["waiting"], by_name["assistants-projection"]["unacknowledged"]) == (4, 0)
    assert by_name["call-worker-analysis"]["unacknowledged"] == 1
    assert "assistants-projection: 4 messages wait and nobody reads them." in people.out.splitlines()
    assert "Start the assistants service, or see its log." in people.out.splitlines()


async def test_one_that_is_missing_or_paused_says_what_to_do(bus_settings: NatsSettings, client: Client) -> None:
    await client.jetstream().delete_consumer(EVENTS.name, ASSISTANTS_PROJECTION.name)
    pause = b'{"pause_until": "2999-01-01T00:00:00Z"}'
    await client.request(f"$JS.API.CONSUMER.PAUSE.EVENTS.{WEBHOOKS_FANOUT.name}", pause)
    said, people = await say(bus_settings, "list", "--json"), await say(bus_settings, "list")
    assert states(said)["assistants-projection"] == "missing"
    assert states(said)["webhooks-fanout"] == "paused"
    assert "paused until 2999-01-01T00:00:00Z" in people.out
    assert "nats consumer resume EVENTS webhooks-fanout" in people.out
    assert "calliope.messaging.provision" in people.out


async def test_a_reset_asks_says_what_it_means_and_is_read_again(bus_settings: NatsSettings, client: Client) -> None:
    await publish(client, 3)
    async with reading(bus_settings) as taken:
        await until(lambda: len(taken) == 3)
        unasked = await say(bus_settings, "reset", "webhooks-fanout")
        done = await say(bus_settings, "reset", "webhooks-fanout", "--yes")
        await until(lambda: len(taken) == 6)
        await publish(client, 1)
        await until(lambda: len(taken) == 7)
        well = await say(bus_settings, "list", "--json")
    assert (unasked.status, unasked.out) == (2, "")
    assert "Up to 3 messages that webhooks has handled would be given to it again" in unasked.err
    assert "Nothing was done: say --yes to do it." in unasked.err
    assert done.status == 0
    assert done.out.startswith("webhooks-fanout goes on at number 1 of EVENTS: ")
    assert states(well)["webhooks-fanout"] == "read"


async def test_a_reset_that_would_lose_something_says_so(bus_settings: NatsSettings, client: Client) -> None:
    await publish(client, 3)
    said = await say(bus_settings, "reset", "webhooks-fanout", "--since", "0m")
    assert said.status == 2
    assert "Up to 3 messages that webhooks has not handled would NEVER be given to it" in said.err
    where = await say(bus_settings, "reset", "webhooks-fanout", "--since", "1h")
    assert "where it is" in where.err
    done = await say(bus_settings, "reset", "webhooks-fanout", "--since", "0m", "--yes")
    assert done.out.endswith("0 messages to read. Up to 3 messages that webhooks had not handled were skipped.\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("reset", "webhooks"), "argument NAME: there is no durable consumer 'webhooks': did you mean webhooks-"),
        (("reset", "webhooks-fanout", "--since", "soon"), "argument --since: 'soon' is neither how long ago"),
        (("reset",), "the following arguments are required: NAME"),
    ],
)
async def test_a_refusal_names_what_is_wrong(bus_settings: NatsSettings, words: tuple[str, ...], expected: str) -> None:
    said = await say(bus_settings, *words)
    assert (said.status, said.out) == (2, "")
    assert expected in said.err


async def test_resetting_what_is_not_there_says_what_to_do(bus_settings: NatsSettings, client: Client) -> None:
    await client.jetstream().delete_consumer(EVENTS.name, ASSISTANTS_PROJECTION.name)
    said = await say(bus_settings, "reset", "assistants-projection", "--yes")
    assert said.status == 1
    assert "There is no durable consumer assistants-projection on this bus: run" in said.err
