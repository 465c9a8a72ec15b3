"""Crashes, repetitions and replicas: nothing is lost, nothing is planned twice, what is sent twice has the same id."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from calliope.contracts.webhooks import DeliveryState
from calliope.messaging.publish import encode, subject_of
from support.mongo import MongoServer
from support.waiting import until

from .conftest import PRIVATE_KEY, House, Receiver


@pytest.mark.promise("P3")
async def test_an_event_that_the_bus_delivers_twice_is_planned_once(house: House, receiver: Receiver) -> None:
    assistant = house.assistant("a", receiver.url("hook"))
    event, after = house.started(assistant), house.started(assistant)
    async with house.open():
        for copy in ("first", "second"):
            await house.publisher.publish_bytes(subject_of(event), encode(event), message_id=copy)
        await house.tell(after)
        await until(lambda: after.id in {got.id for got in receiver.got})
        await until(lambda: len(receiver.got) == 2)
        assert len(await house.deliveries()) == 2


async def test_replicas_share_the_work_without_sending_twice(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [*[500] * 20, 200]
    assistant = house.assistant("a", receiver.url("hook"))
    events = [house.started(assistant) for _ in range(60)]
    async with house.open(times=2):
        await house.tell(*events)
        await until(lambda: len(receiver.got) >= 80)
        await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
        while any(one.state is not DeliveryState.DELIVERED for one in await house.deliveries(limit=100)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        logs = {one.event_id: len(one.log) for one in await house.deliveries(limit=100)}
    assert Counter(got.id for got in receiver.got) == logs
    assert sum(logs.values()) == 80


async def test_a_restart_resumes_what_is_due(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [500, 200]
    house.with_delivery(schedule_s=(0, 0.5))
    event = house.started(house.assistant("a", receiver.url("hook")))
    async with house.open():
        await house.tell(event)
        await house.delivery(lambda one: len(one.log) == 1)
    async with house.open():
        await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
    assert [got.id for got in receiver.got] == [event.id] * 2


async def test_a_long_wait_is_ended_by_the_bus(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = [500, 200]
    house.with_delivery(schedule_s=(0, 1), alarm_from_s=0.1, sweep_s=3_600)
    async with house.open():
        await house.tell(house.started(house.assistant("a", receiver.url("hook"))))
        await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
    assert len(receiver.got) == 2


async def test_an_attempt_on_its_way_is_finished_before_the_service_ends(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = ["hang"]
    async with house.open():
        await house.tell(house.started(house.assistant("a", receiver.url("hook"))))
        await until(lambda: receiver.got)
        asyncio.get_running_loop().call_later(0.1, receiver.released.set)
    async with house.open():
        (delivery,) = await house.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


@pytest.mark.promise("P3")
async def test_a_killed_sender_is_followed_by_the_same_delivery_again(house: House, receiver: Receiver) -> None:
    receiver.scripts["hook"] = ["hang"]
    event = house.started(house.assistant("a", receiver.url("hook")))
    async with service_process(house) as process:
        await house.tell(event)
        await until(lambda: receiver.got)
        process.kill()
        await process.wait()
    receiver.scripts["hook"] = [200]
    house.with_delivery(timeout_s=0.5)
    async with house.open():
        delivery = await house.delivery(lambda one: one.state is DeliveryState.DELIVERED)
    assert [got.id for got in receiver.got] == [event.id] * 2
    assert delivery.attempts == 2


async def test_events_wait_for_a_store_that_is_away(
    house: House, receiver: Receiver, own_mongo_server: MongoServer
) -> None:
    mongo = house.settings.mongo.model_copy(update={"url": SecretStr(own_mongo_server.url), "timeout_s": 0.3})
    house.settings = house.settings.model_copy(update={"mongo": mongo})
    assistant = house.assistant("a", receiver.url("hook"))
    events = [house.started(assistant) for _ in range(6)]
    async with house.open():
        await house.tell(*events[:3])
        await until(lambda: len(receiver.got) == 3)
        own_mongo_server.kill()
        await house.tell(*events[3:])
        own_mongo_server.start()
        await until(lambda: len({got.id for got in receiver.got}) == 6)
        await house.delivery(lambda one: one.event_id == events[-1].id and one.state is DeliveryState.DELIVERED)


@asynccontextmanager
async def service_process(house: House) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m calliope_webhooks`, as it is run."""
    settings = house.settings
    environment = {
        **os.environ,
        "CALLIOPE_NATS__URL": settings.nats.url,
        "CALLIOPE_MONGO__URL": settings.mongo.url.get_secret_value(),
        "CALLIOPE_MONGO__DATABASE": settings.mongo.database,
        "CALLIOPE_EGRESS__ALLOW": '["127.0.0.0/8"]',
        "CALLIOPE_EGRESS__ALLOW_HTTP": "true",
        "CALLIOPE_SEALING__PRIVATE_KEYS": f'["{PRIVATE_KEY}"]',
        "CALLIOPE_DELIVERY__TIMEOUT_S": "1",
        "CALLIOPE_DELIVERY__LEASE_MARGIN_S": "0.5",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "calliope_webhooks", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
