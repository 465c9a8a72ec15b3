"""Publishing to a real server: stored once, fenced journals, wake-ups."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faststream.nats import NatsRouter
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import Bus, consumer
from calliope.messaging.publish import EventPublisher, Last, Scheduler, SequenceConflict
from calliope.messaging.streams import EVENTS, MAX_MESSAGE_BYTES, WEBHOOKS_WAKE

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
MakeEvent = Callable[..., Event]
JOURNAL = subjects.events_of(subjects.Entity.CALL, organization="org_1", entity_id="call_9")


@pytest.fixture
def lost_ack(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The next publish is stored, and its acknowledgement lost."""
    real = JetStreamContext.publish

    def arm() -> None:
        armed = [True]

        async def publish(self: JetStreamContext, *args: Any, **options: Any) -> Any:
            ack = await real(self, *args, **options)
            if armed:
                armed.clear()
                raise NatsTimeoutError
            return ack

        monkeypatch.setattr(JetStreamContext, "publish", publish)

    return arm


async def stored(bus: Bus) -> int:
    return (await bus.jetstream.stream_info(EVENTS.name)).state.messages


@pytest.mark.promise("P3")
async def test_an_event_is_stored_once_though_its_acknowledgement_was_lost(
    bus: Bus, make_event: MakeEvent, lost_ack: Callable[[], None]
) -> None:
    lost_ack()

    sequence = await EventPublisher(bus).publish(make_event())

    assert (sequence, await stored(bus)) == (1, 1)


async def test_a_journal_grows_while_others_write_to_the_stream(bus: Bus, make_event: MakeEvent) -> None:
    publisher = EventPublisher(bus)
    last = await publisher.last_sequence(JOURNAL)
    assert last == 0
    for number in range(1, 4):
        last = await publisher.publish(make_event(sequence=number), after=Last(JOURNAL, last))
        await publisher.publish(make_event(call="call_8", sequence=number))

    assert last == await publisher.last_sequence(JOURNAL) == 5


@pytest.mark.promise("P4")
async def test_a_second_writer_is_refused(bus: Bus, make_event: MakeEvent) -> None:
    publisher = EventPublisher(bus)
    first = await publisher.publish(make_event("started"), after=Last(JOURNAL, 0))
    second = await publisher.publish(make_event("answered", sequence=2), after=Last(JOURNAL, first))

    with pytest.raises(SequenceConflict) as refused:
        await publisher.publish(make_event("ended", sequence=2), after=Last(JOURNAL, first))

    assert (refused.value.expected, refused.value.actual) == (first, second)
    assert await stored(bus) == 2


@pytest.mark.promise("P4")
async def test_of_writers_at_once_one_wins(bus: Bus, make_event: MakeEvent) -> None:
    publisher = EventPublisher(bus)

    async def append() -> bool:
        try:
            await publisher.publish(make_event(), after=Last(JOURNAL, 0))
        except SequenceConflict:
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(append()) for _ in range(10)]

    assert [writer.result() for writer in writers].count(True) == 1


@pytest.mark.promise("P3")
async def test_a_fenced_event_is_recognised_when_its_acknowledgement_was_lost(
    bus: Bus, make_event: MakeEvent, lost_ack: Callable[[], None]
) -> None:
    """The server itself refuses the retry: it looks at the sequence before it looks for duplicates."""
    publisher = EventPublisher(bus)
    first = await publisher.publish(make_event(), after=Last(JOURNAL, 0))
    lost_ack()

    second = await publisher.publish(make_event("answered", sequence=2), after=Last(JOURNAL, first))

    assert (second, await stored(bus)) == (2, 2)


async def test_a_fenced_event_is_recognised_long_after(bus: Bus, make_event: MakeEvent) -> None:
    publisher = EventPublisher(bus)
    event = make_event()
    first = await publisher.publish(event, after=Last(JOURNAL, 0))

    assert await publisher.publish(event, after=Last(JOURNAL, 0)) == first


async def test_an_own_event_that_others_followed_is_a_conflict(bus: Bus, make_event: MakeEvent) -> None:
    """It is stored, but who publishes it has lost the journal."""
    publisher = EventPublisher(bus)
    event = make_event()
    first = await publisher.publish(event, after=Last(JOURNAL, 0))
    await publisher.publish(make_event("resumed", sequence=2), after=Last(JOURNAL, first))

    with pytest.raises(SequenceConflict):
        await publisher.publish(event, after=Last(JOURNAL, 0))


async def test_an_event_above_the_cap_is_refused_and_the_connection_lives(bus: Bus, make_event: MakeEvent) -> None:
    publisher = EventPublisher(bus)

    with pytest.raises(PermanentError):
        await publisher.publish(make_event(data={"text": "x" * MAX_MESSAGE_BYTES}))

    assert await publisher.publish(make_event()) == 1


async def test_a_stream_that_is_away_is_a_transient_error(bus: Bus, make_event: MakeEvent) -> None:
    await bus.jetstream.delete_stream(EVENTS.name)

    with pytest.raises(TransientError):
        await EventPublisher(bus, timeout_s=0.2, budget_s=0.5).publish(make_event())


async def test_a_wake_up_arrives_once_and_a_cancelled_one_never(connect: Connect) -> None:
    router, woken, both = NatsRouter(), [], asyncio.Event()

    @consumer(router, WEBHOOKS_WAKE)
    async def wake(body: dict[str, int]) -> None:
        woken.append(body["n"])
        if body["n"] == 3:
            both.set()

    async with connect(router) as bus, asyncio.timeout(10):
        scheduler = Scheduler(bus, service="webhooks")
        now = datetime.now(UTC)
        await scheduler.at(now + timedelta(hours=1), key="dlv_1", body=b'{"n": 0}')
        await scheduler.at(now, key="dlv_1", body=b'{"n": 1}')
        await scheduler.at(now + timedelta(seconds=1), key="dlv_2", body=b'{"n": 2}')
        await scheduler.cancel("dlv_2")
        await scheduler.at(now + timedelta(seconds=2), key="dlv_3", body=b'{"n": 3}')
        await both.wait()

    assert woken == [1, 3]
