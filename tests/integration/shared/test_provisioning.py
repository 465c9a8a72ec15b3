"""The provisioner and the check, against a real server."""

import asyncio
import dataclasses
from pathlib import Path

import nats
import pytest
from faststream.nats import NatsRouter
from nats.js.api import ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from calliope.messaging.broker import Bus, build_broker, consumer, start, stop
from calliope.messaging.differences import DURABLE_IGNORED, STREAM_IGNORED
from calliope.messaging.provision import ProvisionError, check, provision, provision_at
from calliope.messaging.streams import (
    ASSISTANTS_PROJECTION,
    CALLS_BUCKET,
    DURABLES,
    EVENTS,
    OPEN_CALLS,
    STREAMS,
    WEBHOOKS_FANOUT,
)
from calliope.observability import metrics
from calliope.settings import NatsSettings
from support.nats import NatsServer
from support.processes import free_port


async def test_provisioning_again_changes_nothing(bus_settings: NatsSettings) -> None:
    assert await provision_at(bus_settings) == []


async def test_everything_declared_is_there(bus: Bus) -> None:
    await check(bus, durables=DURABLES, streams=STREAMS)


async def test_a_durable_that_is_gone_is_named(bus: Bus) -> None:
    await bus.jetstream.delete_consumer(EVENTS.name, WEBHOOKS_FANOUT.name)

    with pytest.raises(ProvisionError, match="durable webhooks-fanout is missing"):
        await check(bus, durables=[WEBHOOKS_FANOUT])


async def test_a_durable_deleted_while_it_is_read_neither_spins_nor_stays_away(bus_settings: NatsSettings) -> None:
    """The framework's own loop asks again at once, some thousand times a second."""
    router, seen = NatsRouter(), asyncio.Event()
    refused: list[object] = []

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(body: dict[str, int]) -> None:
        seen.set()

    bus = build_broker(bus_settings, "webhooks", routers=[router])
    await start(bus)
    async with asyncio.timeout(20):
        before = pulls_refused()
        await bus.jetstream.delete_consumer(EVENTS.name, WEBHOOKS_FANOUT.name)
        while len(refused) < 2:
            refused = [*refused, *([pulls_refused()] if pulls_refused() > before + len(refused) else [])]
            await asyncio.sleep(0.01)
        await provision(bus.jetstream)
        await bus.jetstream.publish("calliope.evt.o.call.c.e", b"{}")
        await seen.wait()
    await stop(bus)

    assert refused == [before + 1, before + 2]


def pulls_refused() -> float:
    name = "calliope_bus_pull_failures_total"
    return metrics.REGISTRY.get_sample_value(name, {"durable": WEBHOOKS_FANOUT.name}) or 0.0


async def test_a_durable_with_other_settings_is_seen_and_set_right(bus: Bus) -> None:
    other = dataclasses.replace(WEBHOOKS_FANOUT, ack_wait_s=7, subjects=("calliope.evt.a.>", "calliope.evt.b.>"))
    await bus.jetstream.add_consumer(EVENTS.name, other.config())
    with pytest.raises(ProvisionError, match="ack_wait, filter_subjects"):
        await check(bus, durables=[WEBHOOKS_FANOUT])

    changed = await provision(bus.jetstream)

    assert changed == ["updated durable webhooks-fanout: ack_wait, filter_subjects"]
    await check(bus, durables=[WEBHOOKS_FANOUT])


async def test_a_stream_with_other_settings_is_seen_and_set_right(bus: Bus) -> None:
    await bus.jetstream.update_stream(dataclasses.replace(EVENTS, max_age_s=3600).config())
    with pytest.raises(ProvisionError, match="stream EVENTS differs in max_age"):
        await check(bus, streams=[EVENTS])

    assert await provision(bus.jetstream) == ["updated stream EVENTS: max_age"]


async def test_the_bucket_of_calls_is_a_working_bucket(bus: Bus) -> None:
    bucket = await bus.jetstream.key_value(CALLS_BUCKET)
    revision = await bucket.create("call_9", b"worker_1")

    assert await bucket.update("call_9", b"worker_2", last=revision) > revision
    assert (await bucket.get("call_9")).value == b"worker_2"
    assert (await bucket.status()).ttl == 5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"max_bytes": 10_000_000}, "max_bytes"),
        ({"max_msgs": 1_000}, "max_msgs"),
        ({"no_ack": True}, "no_ack"),
        ({"allow_rollup_hdrs": True}, "allow_rollup_hdrs"),
        ({"discard": "new", "max_age": 60, "duplicate_window": 60}, "discard, max_age, duplicate_window"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_whatever_was_changed_by_hand_is_seen_and_set_right(
    bus: Bus, changed: dict[str, object], words: str
) -> None:
    config = EVENTS.config()
    for name, value in changed.items():
        setattr(config, name, value)
    await bus.jetstream.update_stream(config)

    with pytest.raises(ProvisionError, match="stream EVENTS differs in"):
        await check(bus, streams=[EVENTS])
    [said] = await provision(bus.jetstream)
    await check(bus, streams=[EVENTS])

    assert sorted(said.removeprefix("updated stream EVENTS: ").split(", ")) == sorted(words.split(", "))


async def test_what_cannot_be_changed_is_refused_in_words_and_the_rest_is_done(bus: Bus) -> None:
    memory = OPEN_CALLS.config()
    memory.storage = StorageType.MEMORY
    await bus.jetstream.delete_stream(OPEN_CALLS.name)
    await bus.jetstream.add_stream(memory)
    await bus.jetstream.delete_consumer(EVENTS.name, WEBHOOKS_FANOUT.name)
    careless = WEBHOOKS_FANOUT.config()
    careless.deliver_policy = DeliverPolicy.NEW
    await bus.jetstream.add_consumer(EVENTS.name, careless)
    await bus.jetstream.delete_consumer(EVENTS.name, ASSISTANTS_PROJECTION.name)

    with pytest.raises(ProvisionError) as caught:
        await provision(bus.jetstream)

    first, second = str(caught.value).split("; durable")
    assert first.startswith("stream OPEN_CALLS differs in storage, and NATS refuses the change")
    assert "`nats stream backup OPEN_CALLS`" in first
    assert second.startswith(" webhooks-fanout differs in deliver_policy, and NATS refuses the change")
    await check(bus, durables=[ASSISTANTS_PROJECTION])


async def test_copies_on_several_servers_are_refused_by_a_single_one(bus_settings: NatsSettings) -> None:
    with pytest.raises(ProvisionError, match="NATS is a single one: make it a cluster, or set it to 1"):
        await provision_at(bus_settings.model_copy(update={"replicas": 3}))


async def test_copies_change_as_was_chosen_and_never_by_themselves(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = []
    for n, port in enumerate(ports):
        (tmp_path / str(n)).mkdir()
        cluster = f'cluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}'
        servers.append(NatsServer(tmp_path / str(n), extra_config=f"server_name: s{n}\n{cluster}"))
    try:
        for server in servers:
            server.start()
        settings = NatsSettings(url=servers[0].url, start_timeout_s=60)
        for wanted, there in ((None, 1), (3, 3), (None, 3), (1, 1)):
            chosen = settings.model_copy(update={"replicas": wanted})
            await provision_at(chosen)
            assert await copies(settings) == {there}
            assert await provision_at(chosen) == []
    finally:
        for server in servers:
            server.stop()


async def copies(settings: NatsSettings) -> set[int | None]:
    """How many copies there are of the streams and durables."""
    connection = await nats.connect(settings.url)
    jetstream = connection.jetstream()
    found = {(await jetstream.stream_info(stream.name)).config.num_replicas for stream in STREAMS}
    for durable in DURABLES:
        found.add((await jetstream.consumer_info(durable.stream, durable.name)).config.num_replicas)
    await connection.close()
    return found


@pytest.mark.parametrize(
    ("ignored", "kind"), [(STREAM_IGNORED, StreamConfig), (DURABLE_IGNORED, ConsumerConfig)], ids=["stream", "durable"]
)
def test_every_field_that_is_not_compared_is_there_and_says_why(ignored: dict[str, str], kind: type) -> None:
    assert set(ignored) <= {each.name for each in dataclasses.fields(kind)}
    assert all(ignored.values())
