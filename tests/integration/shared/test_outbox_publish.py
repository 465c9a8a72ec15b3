"""An event that an outbox kept for longer than the server knows ids stands in the stream once."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.outbox_publish import BATCH, RECENT, OutboxPublisher
from calliope.messaging.publish import encode, subject_of
from calliope.messaging.streams import EVENTS

MakeEvent = Callable[..., Event]


async def publish_forgotten(bus: Bus, event: Event) -> None:
    """As if it had been published so long ago that the server does not know its id any more."""
    await OutboxPublisher(bus).publish_bytes(subject_of(event), encode(event), message_id=f"{event.id}, long ago")


async def stored(bus: Bus) -> list[int]:
    """Sequences of the events in the stream, in its order."""
    last = (await bus.jetstream.stream_info(EVENTS.name)).state.last_seq
    found = [await bus.jetstream.get_msg(EVENTS.name, seq=each) for each in range(1, last + 1)]
    return [Event.model_validate_json(each.data or b"").sequence for each in found]


def kept(make_event: MakeEvent, sequence: int = 1, *, age: timedelta = RECENT) -> Event:
    """An event that has waited in an outbox."""
    event = make_event(sequence=sequence)
    return event.model_copy(update={"time": datetime.now(UTC) - age - timedelta(seconds=sequence)})


@pytest.mark.promise("P3")
@pytest.mark.parametrize("followed_by", [0, 3, BATCH + 20], ids=["the newest", "others came since", "many came since"])
async def test_an_event_that_stands_there_is_not_published_again(
    bus: Bus, make_event: MakeEvent, followed_by: int
) -> None:
    events = [kept(make_event, sequence) for sequence in range(1, followed_by + 2)]
    for event in events:
        await publish_forgotten(bus, event)
    assert await OutboxPublisher(bus).publish_kept(events[0], now=datetime.now(UTC)) == 1
    state = (await bus.jetstream.stream_info(EVENTS.name)).state
    assert state.messages == followed_by + 1


@pytest.mark.parametrize("before", [0, 2])
async def test_an_event_that_never_came_is_published(bus: Bus, make_event: MakeEvent, before: int) -> None:
    for sequence in range(1, before + 1):
        await publish_forgotten(bus, kept(make_event, sequence))
    late = kept(make_event, before + 1)
    assert await OutboxPublisher(bus).publish_kept(late, now=datetime.now(UTC)) == before + 1
    assert await stored(bus) == list(range(1, before + 2))


async def test_events_of_others_do_not_count(bus: Bus, make_event: MakeEvent) -> None:
    other = kept(make_event).model_copy(update={"subject": "call/call_8"})
    await publish_forgotten(bus, other)
    assert await OutboxPublisher(bus).publish_kept(kept(make_event), now=datetime.now(UTC)) == 2


@pytest.mark.promise("P3")
async def test_of_relays_that_publish_the_same_old_event_at_once_one_stores_it(bus: Bus, make_event: MakeEvent) -> None:
    late, told = kept(make_event), list[int]()

    async def relay() -> None:
        for _ in range(5):
            try:
                told.append(await OutboxPublisher(bus).publish_kept(late, now=datetime.now(UTC)))
            except TransientError:
                continue
            return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(relay(), name="relay")
    assert told == [1] * 6
    assert await stored(bus) == [1]


async def test_a_recent_event_is_known_by_its_id(bus: Bus, make_event: MakeEvent) -> None:
    recent = make_event(sequence=1).model_copy(update={"time": datetime.now(UTC)})
    for _ in range(2):
        assert await OutboxPublisher(bus).publish_kept(recent, now=datetime.now(UTC)) == 1
    assert await stored(bus) == [1]
