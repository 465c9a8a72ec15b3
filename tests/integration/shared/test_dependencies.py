"""A dependency that is away, against a real server: nothing is counted, lost or doubled, and the order stays."""

import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from faststream.nats import NatsRouter

from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope.messaging import streams
from calliope.messaging.broker import Bus, consumer
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.publish import EventPublisher
from calliope.messaging.streams import EVENTS, WEBHOOKS_FANOUT, Durable
from support.waiting import until

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
MakeEvent = Callable[..., Event]


@pytest.fixture
def hasty_fanout(monkeypatch: pytest.MonkeyPatch) -> Durable:
    """The durable of the fan-out, as it would be if ten minutes were two seconds."""
    hasty = dataclasses.replace(WEBHOOKS_FANOUT, ack_wait_s=0.3, max_deliver=2, retry_delays_s=(0.01,))
    monkeypatch.setitem(streams._BY_NAME, hasty.name, hasty)
    return hasty


class Reader:
    """Keeps events in a store that may be away."""

    def __init__(self, durable: Durable) -> None:
        self.router = NatsRouter()
        self.away = False
        self.begun = 0
        self.checks = 0
        self.kept: list[int] = []

        @consumer(self.router, durable, batch=8)
        async def keep(event: Event) -> None:
            self.begun += 1
            self._ask()
            self.kept.append(event.sequence)

    async def check(self) -> None:
        self.checks += 1
        self._ask()

    def _ask(self) -> None:
        if self.away:
            raise TransientError("the store does not answer", retry_after_s=0.01, dependency="store")


async def pending(bus: Bus) -> tuple[int, int]:
    """Messages that were delivered more than once, and those that nobody was given yet."""
    info = await bus.jetstream.consumer_info(EVENTS.name, WEBHOOKS_FANOUT.name)
    return info.num_redelivered or 0, info.num_pending or 0


@pytest.mark.promise("P3")
async def test_an_outage_longer_than_the_schedule_loses_doubles_and_counts_nothing(
    connect: Connect, make_event: MakeEvent, hasty_fanout: Durable
) -> None:
    reader = Reader(hasty_fanout)
    async with connect() as bus:
        await bus.jetstream.add_consumer(EVENTS.name, hasty_fanout.config())
    async with connect(reader.router) as bus:
        bus.dependencies.add("store", reader.check)
        publisher = EventPublisher(bus)
        await publisher.publish(make_event(sequence=1))
        await until(lambda: reader.kept == [1])
        reader.away = True
        for sequence in range(2, 41):
            await publisher.publish(make_event(sequence=sequence))
        await until(lambda: bus.dependencies.away == ("store",))
        await until(lambda: reader.checks >= 4)  # 1.75 s: far beyond `max_deliver` times `ack_wait` and the delays
        begun_while_away = reader.begun - 1
        redelivered, unread = await pending(bus)
        reader.away = False
        await until(lambda: len(reader.kept) >= 40)
        letters = await DeadLetters(bus).counts()
        last = await publisher.publish(make_event(sequence=41))
        await until(lambda: reader.kept[-1] == 41)
        info = await bus.jetstream.consumer_info(EVENTS.name, WEBHOOKS_FANOUT.name)

    assert begun_while_away <= 8, "a paused reader takes no more than it held"
    assert (redelivered, unread) == (0, 39 - begun_while_away)
    assert reader.kept == list(range(1, 42))
    assert letters == {}
    assert info.delivered.consumer_seq == info.delivered.stream_seq == last, "each was delivered once"


async def test_a_process_that_ends_meanwhile_is_followed_by_another(
    connect: Connect, make_event: MakeEvent, hasty_fanout: Durable
) -> None:
    """Rolling restarts during an outage are no failures of the messages."""
    async with connect() as bus:
        await bus.jetstream.add_consumer(EVENTS.name, hasty_fanout.config())
        for sequence in (1, 2, 3):
            await EventPublisher(bus).publish(make_event(sequence=sequence))
    for _ in range(hasty_fanout.max_deliver + 1):
        reader = Reader(hasty_fanout)
        reader.away = True
        async with connect(reader.router) as bus:
            bus.dependencies.add("store", reader.check)
            await until(lambda bus=bus: bus.dependencies.away)  # type: ignore[misc]
    reader = Reader(hasty_fanout)
    async with connect(reader.router) as bus:
        bus.dependencies.add("store", reader.check)
        await until(lambda: len(reader.kept) >= 3)
        letters = await DeadLetters(bus).counts()

    assert sorted(reader.kept) == [1, 2, 3]
    assert letters == {}
