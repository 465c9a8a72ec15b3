"""Events that the bus refuses for good: a dead letter each, their entity waits without a hole, the others go on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faststream.nats import NatsRouter

from calliope.contracts.assistants import AssistantRef, DeleteAssistant
from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import Bus, build_broker, consumer, start, stop
from calliope.messaging.dead_letters import DeadLetters, ReplayOutcome
from calliope.messaging.outbox_publish import OutboxPublisher
from calliope.messaging.publish import Last
from calliope.messaging.streams import ASSISTANTS_OUTBOX, EVENTS
from calliope.observability import metrics
from calliope.secrets import Sealer, public_key_of
from calliope.settings import EgressSettings, MongoSettings, NatsSettings
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_rows import MongoAssistants, MongoNumbers, MongoOutbox
from calliope_assistants.model import Rules
from calliope_assistants.outbox import REFUSED_RETRY, Relay
from calliope_assistants.ports import Waiting
from calliope_assistants.service import AssistantService, Parts
from support.assistants import a_document
from support.mongo import mongo_settings
from support.nats import bus_settings
from support.sealing import CALLS_KEY, SealedWrites
from support.waiting import until

__all__ = ["bus_settings", "mongo_settings"]


class Refusing(OutboxPublisher):
    """A publisher whose bus refuses the events of some entities, and knows no id again when it `forgets`."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.refused: set[str] = set()
        self.forgets = False
        self.tries = 0
        self.passed = 0

    async def publish(self, event: Event, *, after: Last | None = None) -> int:
        if event.entity_id in self.refused:
            self.tries += 1
            raise PermanentError("message size exceeds maximum allowed")
        position = await super().publish(event, after=after)
        self.passed += 1
        return position

    async def publish_bytes(self, subject: str, body: bytes, *, message_id: str, after: Last | None = None) -> int:
        id_ = f"{message_id}, try {self.passed}" if self.forgets else message_id
        return await super().publish_bytes(subject, body, message_id=id_, after=after)


class Lossy(MongoOutbox):
    """A store that goes away before it has noted what was published."""

    away = True

    async def published(self, waiting: Waiting, event: Event, now: datetime) -> None:
        if self.away:
            raise TransientError("the store does not answer")
        await super().published(waiting, event, now)


@dataclass
class World:
    """A relay between a real store and a real bus, with a clock of its own."""

    bus: Bus
    store: MongoStore
    publisher: Refusing
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.relay = Relay(MongoOutbox(self.store), self.publisher, DeadLetters(self.bus), now=lambda: self.now)
        parts = Parts(
            rules=Rules(EgressSettings(), Sealer(public_key_of(CALLS_KEY))),
            numbers=MongoNumbers(self.store),
            written=self.relay.wake,
        )
        self.assistants = AssistantService("org_1", MongoAssistants(self.store, "org_1"), parts, command=None)
        self.writes = SealedWrites("org_1", self.assistants)

    async def create(self, name: str) -> str:
        return (await self.writes.create(a_document(name=name))).id

    async def told(self) -> list[tuple[str, int]]:
        """Entity and sequence of what the bus has, in order."""
        told: list[tuple[str, int]] = []
        last = (await self.bus.jetstream.stream_info(EVENTS.name)).state.last_seq
        for sequence in range(1, last + 1):
            message = await self.bus.jetstream.get_msg(EVENTS.name, seq=sequence)
            if str(message.subject).startswith("calliope.evt."):
                event = Event.model_validate_json(message.data or b"")
                told.append((event.entity_id, event.sequence))
        return told


@pytest.fixture
async def world(bus_settings: NatsSettings, mongo_settings: MongoSettings) -> AsyncIterator[World]:
    store = MongoStore(mongo_settings)
    await store.prepare()
    router = NatsRouter()
    retried: list[Callable[[Event], Any]] = []

    @consumer(router, ASSISTANTS_OUTBOX)
    async def retry(event: Event) -> None:
        await retried[0](event)

    bus = build_broker(bus_settings, "assistants", routers=[router])
    world = World(bus, store, Refusing(bus))
    retried.append(world.relay.retry)
    await start(bus, within_s=10)
    yield world
    await stop(bus)
    store.close()


@pytest.mark.promise("P3")
async def test_a_refused_event_waits_with_those_behind_it_and_the_others_go_on(world: World) -> None:
    large, small = await world.create("Large"), await world.create("Small")
    world.publisher.refused = {large}
    await world.relay.drain()
    await world.writes.update(large, {"name": "Larger"})
    await world.writes.update(small, {"name": "Smaller"})
    for _ in range(3):
        await world.relay.drain()
    [letter] = (await DeadLetters(world.bus).list(durable="assistants-outbox")).letters

    assert await world.told() == [(small, 1), (small, 2)]
    assert world.publisher.tries == 1, "it is not asked again at once"
    assert (letter.reason, letter.detail) == ("refused", "message size exceeds maximum allowed")
    assert letter.subject == f"calliope.evt.org_1.assistant.{large}.created"

    world.now += REFUSED_RETRY + timedelta(seconds=1)
    await world.relay.drain()
    assert world.publisher.tries == 2
    assert len((await DeadLetters(world.bus).list()).letters) == 1, "one letter an event, however often it is refused"

    world.publisher.refused = set()
    world.now += REFUSED_RETRY + timedelta(seconds=1)
    await world.relay.drain()
    assert await world.told() == [(small, 1), (small, 2), (large, 1), (large, 2)]


@pytest.mark.promise("P3")
async def test_replaying_its_letter_publishes_it_and_those_behind_it_at_once(world: World) -> None:
    large = await world.create("Large")
    world.publisher.refused = {large}
    async with asyncio.TaskGroup() as tasks:
        relaying = tasks.create_task(world.relay.run(), name="outbox.relay")
        await until(world.relay.notice)
        assert metrics.REGISTRY.get_sample_value("calliope_outbox_refused_entities") == 1
        assert "1 entities wait" in (world.relay.notice() or "")
        await world.assistants.delete(DeleteAssistant(assistant_id=large))
        world.publisher.refused = set()
        [letter] = (await DeadLetters(world.bus).list()).letters
        told = await DeadLetters(world.bus).replay(letter.id)
        await until(lambda: world.publisher.passed == 2 and world.relay.notice() is None)
        relaying.cancel()

    assert told.outcome is ReplayOutcome.REPLAYED
    assert await world.told() == [(large, 1), (large, 2)]
    assert await DeadLetters(world.bus).counts() == {}


async def test_refused_entities_leave_room_for_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay reads so many rows at once; those that wait are not among them."""
    monkeypatch.setattr("calliope_assistants.outbox.BATCH", 3)
    refused = {await world.create(f"Large{n}") for n in range(4)}
    world.publisher.refused = refused
    await world.relay.drain()
    await world.relay.drain()
    small = await world.create("Small")
    await world.relay.drain()

    assert await world.told() == [(small, 1)]
    assert await MongoOutbox(world.store).refused() == 4


async def test_a_row_that_cannot_be_read_holds_up_nobody(world: World) -> None:
    broken, small = await world.create("Broken"), await world.create("Small")
    await world.store.database.assistants.update_one({"_id": broken}, {"$set": {"outbox": {"evt_1": "{}"}}})
    await world.relay.drain()
    seen = await world.assistants.get(AssistantRef(assistant_id=small))

    assert await world.told() == [(seen.id, 1)]
    assert await MongoOutbox(world.store).refused() == 1


@pytest.mark.promise("P3")
async def test_what_was_published_before_the_store_went_away_stands_once_however_late_it_is_back(world: World) -> None:
    world.publisher.forgets = True  # as the server does after its window
    outbox = Lossy(world.store)
    relay = Relay(outbox, world.publisher, DeadLetters(world.bus), now=lambda: world.now)
    small, large = await world.create("Small"), await world.create("Large")
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await relay.drain()
    assert sorted(await world.told()) == sorted([(small, 1), (large, 1)])

    outbox.away, world.now = False, world.now + timedelta(hours=2)
    await world.writes.update(small, {"name": "Smaller"})
    await relay.drain()
    assert sorted(await world.told()) == sorted([(small, 1), (large, 1), (small, 2)])
    assert await relay.drain() == 0, "nothing waits any more"
