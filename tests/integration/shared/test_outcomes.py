"""Messages that fail, against a real server: given back with delay, buried with a reason, and neighbours unharmed."""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from faststream.nats import NatsRouter

from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging import streams
from calliope.messaging.broker import Bus, consumer
from calliope.messaging.publish import EventPublisher, encode
from calliope.messaging.streams import DEAD, EVENTS, MAX_MESSAGE_BYTES, WEBHOOKS_FANOUT, Durable

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
MakeEvent = Callable[..., Event]


@pytest.fixture
def quick_fanout(monkeypatch: pytest.MonkeyPatch) -> Durable:
    """The durable of the fan-out with a schedule that a test can wait for."""
    quick = dataclasses.replace(WEBHOOKS_FANOUT, retry_delays_s=(0.01,))
    monkeypatch.setitem(streams._BY_NAME, quick.name, quick)
    return quick


async def dead_letters(bus: Bus, count: int) -> list[tuple[str, dict[str, str], bytes]]:
    """Wait for `count` of them."""
    async with asyncio.timeout(5):
        while True:
            info = await bus.jetstream.stream_info(DEAD.name, subjects_filter="calliope.dead.>")
            subjects = info.state.subjects or {}
            if sum(subjects.values()) >= count:
                break
            await asyncio.sleep(0.01)
    letters = [await bus.jetstream.get_last_msg(DEAD.name, subject) for subject in sorted(subjects)]
    return [(str(letter.subject), letter.headers or {}, letter.data or b"") for letter in letters]


async def acknowledged(bus: Bus, up_to: int) -> None:
    async with asyncio.timeout(5):
        while True:
            info = await bus.jetstream.consumer_info(EVENTS.name, WEBHOOKS_FANOUT.name)
            if info.ack_floor.stream_seq >= up_to:
                return
            await asyncio.sleep(0.01)


@pytest.mark.promise("P3")
async def test_a_refused_message_is_a_dead_letter_and_its_neighbours_pass(
    connect: Connect, make_event: MakeEvent
) -> None:
    router, seen = NatsRouter(), []

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        seen.append(event.sequence)
        if event.sequence == 2:
            raise PermanentError("never")

    async with connect(router) as bus:
        publisher = EventPublisher(bus)
        bad = make_event(sequence=2)
        for event in (make_event(sequence=1), bad, make_event(sequence=3)):
            last = await publisher.publish(event)
        [(subject, headers, body)] = await dead_letters(bus, 1)
        await acknowledged(bus, last)

    assert sorted(seen) == [1, 2, 3]
    assert (subject, body) == ("calliope.dead.webhooks-fanout.permanent", encode(bad))
    assert headers["Calliope-Subject"] == "calliope.evt.org_1.call.call_9.started"
    assert headers["Calliope-Stream-Sequence"] == "2"


async def test_a_body_that_never_decodes_is_buried_at_once(connect: Connect, make_event: MakeEvent) -> None:
    router, seen = NatsRouter(), []

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        seen.append(event.id)

    bodies = (b"{no json", b"0", b"", b"\xff", b'{"id": 1}')
    async with connect(router) as bus:
        for body in bodies:
            await bus.jetstream.publish(
                "calliope.evt.org_1.call.call_9.started", body, headers={"content-type": "application/json"}
            )
        good = make_event()
        last = await EventPublisher(bus).publish(good)
        [(subject, headers, _)] = await dead_letters(bus, len(bodies))
        await acknowledged(bus, last)

    assert seen == [good.id]
    assert subject == "calliope.dead.webhooks-fanout.malformed"
    assert headers["Calliope-Deliveries"] == "1"


@pytest.mark.usefixtures("quick_fanout")
async def test_a_transient_error_comes_back_after_the_wished_delay(connect: Connect, make_event: MakeEvent) -> None:
    router, times, done = NatsRouter(), [], asyncio.Event()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        times.append(time.monotonic())
        if len(times) < 3:
            raise TransientError("soon", retry_after_s=0.2)
        done.set()

    async with connect(router) as bus, asyncio.timeout(5):
        last = await EventPublisher(bus).publish(make_event())
        await done.wait()
        await acknowledged(bus, last)

    assert len(times) == 3
    assert all(later - earlier >= 0.19 for earlier, later in itertools.pairwise(times))


async def test_a_message_that_always_fails_ends_as_exhausted(
    connect: Connect, make_event: MakeEvent, quick_fanout: Durable
) -> None:
    router, deliveries = NatsRouter(), []

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        deliveries.append(event.id)
        raise TransientError("never well")

    async with connect(router) as bus:
        last = await EventPublisher(bus).publish(make_event())
        [(subject, headers, _)] = await dead_letters(bus, 1)
        await acknowledged(bus, last)

    assert subject == "calliope.dead.webhooks-fanout.exhausted"
    assert len(deliveries) == int(headers["Calliope-Deliveries"]) == quick_fanout.max_deliver


async def test_a_dead_letter_of_a_message_at_the_cap_is_stored(connect: Connect, make_event: MakeEvent) -> None:
    router = NatsRouter()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        raise PermanentError("never")

    async with connect(router) as bus:
        await EventPublisher(bus).publish(make_event(data={"text": "x" * (MAX_MESSAGE_BYTES - 600)}))
        [(_, _, body)] = await dead_letters(bus, 1)

    assert len(body) > MAX_MESSAGE_BYTES - 600


@pytest.mark.promise("P3")
async def test_no_letter_no_burial(connect: Connect, make_event: MakeEvent) -> None:
    """While DEAD does not take it, the message stays; it is buried when DEAD is back."""
    router, tried = NatsRouter(), asyncio.Event()

    @consumer(router, WEBHOOKS_FANOUT)
    async def handle(event: Event) -> None:
        tried.set()
        raise PermanentError("never")

    async with connect(router) as bus:
        await bus.jetstream.delete_stream(DEAD.name)
        await EventPublisher(bus).publish(make_event())
        async with asyncio.timeout(10):
            await tried.wait()
            while True:
                info = await bus.jetstream.consumer_info(EVENTS.name, WEBHOOKS_FANOUT.name)
                if info.num_redelivered or info.num_ack_pending:
                    break
                await asyncio.sleep(0.01)

    assert info.num_ack_pending == 1
    assert info.ack_floor.stream_seq == 0
