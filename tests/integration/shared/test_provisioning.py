"""The provisioner and the check, against a real server."""

import asyncio
import dataclasses

import pytest
from faststream.nats import NatsRouter

from calliope.messaging.broker import Bus, build_broker, consumer, start, stop
from calliope.messaging.provision import ProvisionError, check, provision, provision_at
from calliope.messaging.streams import CALLS_BUCKET, DURABLES, EVENTS, STREAMS, WEBHOOKS_FANOUT
from calliope.observability import metrics
from calliope.settings import NatsSettings


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

    assert changed == ["updated durable webhooks-fanout"]
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
