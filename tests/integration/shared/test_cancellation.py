"""Work on a real bus ends when it is cancelled, at whichever point it waits, also when an answer comes just then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from calliope.messaging.broker import Bus, build_broker, ready, start, stop
from calliope.messaging.streams import CALL_WORKER_ANALYSIS, CALLS_BUCKET, EVENTS, OPEN_CALLS
from calliope.settings import NatsSettings
from support.cancelling import steps_until_done


@pytest.fixture
async def bus(bus_settings: NatsSettings) -> AsyncIterator[Bus]:
    bus = build_broker(bus_settings, "call-worker", graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    yield bus
    await stop(bus)


async def _asks(bus: Bus) -> None:
    await bus.jetstream.stream_info(EVENTS.name)


async def _publishes(bus: Bus) -> None:
    await bus.jetstream.publish("calliope.open_call.call_1", b"", stream=OPEN_CALLS.name)


async def _flushes(bus: Bus) -> None:
    await ready(bus)


async def _keeps(bus: Bus) -> None:
    bucket = await bus.jetstream.key_value(CALLS_BUCKET)
    await bucket.put("call_1", b"x")


async def _pulls(bus: Bus) -> None:
    durable = CALL_WORKER_ANALYSIS
    pull = await bus.jetstream.pull_subscribe_bind(durable=durable.name, stream=durable.stream)
    try:
        async with asyncio.timeout(0.05):
            await pull.fetch(1, timeout=5)
    except TimeoutError:
        return
    finally:
        await pull.unsubscribe()


WAYS: list[Callable[[Bus], Coroutine[Any, Any, None]]] = [_asks, _publishes, _flushes, _keeps, _pulls]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
async def test_it_ends_wherever_it_waits(bus: Bus, way: Callable[[Bus], Coroutine[Any, Any, None]]) -> None:
    assert await steps_until_done(lambda: way(bus)) > 1


async def test_a_question_that_is_cancelled_when_its_answer_comes(bus: Bus) -> None:
    task = asyncio.ensure_future(_asks(bus))
    async with asyncio.timeout(5):
        while not bus.connection._resp_map:  # noqa: ASYNC110 - the question goes out some steps later
            await asyncio.sleep(0)
    (answer,) = bus.connection._resp_map.values()  # what the client waits for
    answer.add_done_callback(lambda _: task.cancel())

    await asyncio.wait({task}, timeout=5)

    assert task.cancelled()
