"""Dead letters against a real server: listed, shown, and replayed to their durable alone, once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import pytest
from faststream.nats import NatsRouter
from nats.errors import TimeoutError as NothingYet
from nats.js.api import ConsumerConfig

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import Bus, build_broker, consumer, start, stop
from calliope.messaging.dead_letters import DeadLetter, DeadLetterNotFound, DeadLetters, ReplayOutcome
from calliope.messaging.publish import EventPublisher, encode, subject_of
from calliope.messaging.streams import ASSISTANTS_PROJECTION, EVENTS, SCHED, WEBHOOKS_FANOUT, WEBHOOKS_WAKE, Durable
from calliope.settings import NatsSettings
from support.nats import NatsServer, provisioned
from support.waiting import until

Connect = Callable[..., AbstractAsyncContextManager[Bus]]
MakeEvent = Callable[..., Event]


class Reader:
    """Refuses every event while `broken`, and remembers the ids of those that it took."""

    def __init__(self, durable: Durable = WEBHOOKS_FANOUT) -> None:
        self.router = NatsRouter()
        self.broken = True
        self.taken: list[str] = []

        @consumer(self.router, durable)
        async def handle(event: Event) -> None:
            if self.broken:
                raise PermanentError("it cannot be read\nnow")
            self.taken.append(event.id)


async def waiting_letters(letters: DeadLetters, count: int) -> tuple[DeadLetter, ...]:
    async with asyncio.timeout(10):
        while True:
            found = (await letters.list()).letters
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


async def test_a_letter_says_what_failed_where_and_why(connect: Connect, make_event: MakeEvent) -> None:
    reader, event = Reader(), make_event()
    async with connect(reader.router) as bus:
        letters = DeadLetters(bus)
        sequence = await EventPublisher(bus).publish(event)
        [letter] = await waiting_letters(letters, 1)
        content = await letters.show(letter.id)
        counts = await letters.counts()

    assert (letter.durable, letter.reason, letter.error) == ("webhooks-fanout", "permanent", "PermanentError")
    assert letter.detail == "it cannot be read now"
    assert (letter.subject, letter.stream, letter.stream_sequence) == (subject_of(event), "EVENTS", sequence)
    assert (letter.deliveries, letter.replay_of, letter.replayed_at) == (1, None, None)
    assert abs((letter.died_at - datetime.now(UTC)).total_seconds()) < 60
    assert content.body == encode(event)
    assert content.headers["Nats-Msg-Id"] == event.id
    assert content.headers["content-type"] == "application/json"
    assert counts == {("webhooks-fanout", "permanent"): 1}


@pytest.mark.promise("P3")
async def test_a_replay_reaches_its_durable_alone_and_once(connect: Connect, make_event: MakeEvent) -> None:
    reader, other, event = Reader(), Reader(ASSISTANTS_PROJECTION), make_event()
    other.broken = False
    async with connect(reader.router, other.router) as bus:
        letters = DeadLetters(bus)
        last_in_journal = await EventPublisher(bus).publish(event)
        [letter] = await waiting_letters(letters, 1)
        reader.broken = False
        first = await letters.replay(letter.id)
        again = await letters.replay(letter.id)
        await until(lambda: reader.taken)
        later = make_event(sequence=2)
        await EventPublisher(bus).publish(later)
        await until(lambda: len(reader.taken) == 2 and len(other.taken) == 2)
        [filed] = (await letters.list(replayed=True)).letters
        content = await letters.show(letter.id)
        counts = await letters.counts()
        journal = await EventPublisher(bus).last_sequence(subjects.events_of(subjects.Entity.CALL, name="started"))

    assert (first.outcome, again.outcome) == (ReplayOutcome.REPLAYED, ReplayOutcome.ALREADY)
    assert reader.taken == [event.id, later.id]
    assert other.taken == [event.id, later.id]
    assert journal > last_in_journal
    assert (filed.id, filed.subject, filed.reason) == (letter.id, letter.subject, "permanent")
    assert filed.replayed_at is not None
    assert filed.died_at == letter.died_at
    assert (content.body, content.headers["Nats-Msg-Id"]) == (encode(event), event.id)
    assert counts == {}


async def test_what_fails_again_is_a_new_letter_and_replaying_all_ends(connect: Connect, make_event: MakeEvent) -> None:
    reader = Reader()
    async with connect(reader.router) as bus:
        letters = DeadLetters(bus)
        events = [make_event(sequence=n) for n in (1, 2, 3)]
        for event in events:
            await EventPublisher(bus).publish(event)
        first = await waiting_letters(letters, 3)
        told = [each async for each in letters.replay_all()]
        second = await waiting_letters(letters, 3)
        reader.broken = False
        healed = [each async for each in letters.replay_all(durable="webhooks-fanout")]
        await until(lambda: len(reader.taken) == 3)
        nothing_left = [each async for each in letters.replay_all()]

    assert [each.letter.id for each in told] == [each.id for each in first]
    assert sorted(each.replay_of or 0 for each in second) == [each.id for each in first]
    assert {each.subject for each in second} == {each.subject for each in first}
    assert {each.outcome for each in (*told, *healed)} == {ReplayOutcome.REPLAYED}
    assert sorted(reader.taken) == sorted(event.id for event in events)
    assert nothing_left == []


async def test_letters_are_listed_by_durable_by_time_and_by_pages(connect: Connect, make_event: MakeEvent) -> None:
    reader, other = Reader(), Reader(ASSISTANTS_PROJECTION)
    async with connect(reader.router, other.router) as bus:
        letters = DeadLetters(bus)
        for n in (1, 2, 3):
            await EventPublisher(bus).publish(make_event(sequence=n))
        everything = await waiting_letters(letters, 6)
        first = await letters.list(limit=4)
        rest = await letters.list(limit=4, after=first.next_after or 0)
        mine = await letters.list(durable="assistants-projection")
        late = await letters.list(since=everything[3].died_at)
        never = await letters.list(since=datetime(2999, 1, 1, tzinfo=UTC))

    assert (*first.letters, *rest.letters) == everything
    assert (len(first.letters), rest.next_after) == (4, None)
    assert {each.durable for each in mine.letters} == {"assistants-projection"}
    assert len(mine.letters) == 3
    assert late.letters == everything[3:]
    assert never.letters == ()


async def test_a_replay_that_was_cut_short_is_finished_by_the_next(connect: Connect, make_event: MakeEvent) -> None:
    """The process of the operator died after the message was stored and before the letter was moved."""
    reader, event = Reader(), make_event()
    async with connect(reader.router) as bus:
        letters = DeadLetters(bus)
        await EventPublisher(bus).publish(event)
        [letter] = await waiting_letters(letters, 1)
        reader.broken = False
        there = subjects.replay(EVENTS.name, letter.durable, letter.stream_sequence)
        await bus.jetstream.publish(there, encode(event), headers={"content-type": "application/json"})
        repeated = await letters.replay(letter.id)
        counts = await letters.counts()
        later = make_event(sequence=2)
        await EventPublisher(bus).publish(later)
        await until(lambda: later.id in reader.taken)

    assert repeated.outcome is ReplayOutcome.ALREADY
    assert counts == {}
    assert reader.taken == [event.id, later.id]


async def test_many_operators_at_once_replay_each_letter_once(connect: Connect, make_event: MakeEvent) -> None:
    reader = Reader()

    async def replay_all(bus: Bus) -> list[ReplayOutcome]:
        return [each.outcome async for each in DeadLetters(bus).replay_all()]

    async with connect(reader.router) as bus:
        events = [make_event(sequence=n) for n in range(1, 11)]
        for event in events:
            await EventPublisher(bus).publish(event)
        await waiting_letters(DeadLetters(bus), 10)
        reader.broken = False
        async with asyncio.TaskGroup() as operators:
            tasks = [operators.create_task(replay_all(bus), name="operator") for _ in range(3)]
        await until(lambda: len(reader.taken) >= 10)
        left = await DeadLetters(bus).counts()
        last = make_event(sequence=11)
        await EventPublisher(bus).publish(last)
        await until(lambda: last.id in reader.taken)

    outcomes = [outcome for task in tasks for outcome in task.result()]
    assert outcomes.count(ReplayOutcome.REPLAYED) == 10
    assert sorted(reader.taken[:10]) == sorted(event.id for event in events)
    assert len(reader.taken) == 11
    assert left == {}


@pytest.mark.promise("P3")
async def test_what_the_server_dropped_by_itself_is_a_letter_too(bus: Bus, make_event: MakeEvent) -> None:
    """Every process that took it died over it: nobody of ours could write a letter."""
    event = make_event()
    impatient = ConsumerConfig(
        durable_name=WEBHOOKS_FANOUT.name,
        ack_wait=0.05,
        max_deliver=1,
        filter_subjects=WEBHOOKS_FANOUT.config().filter_subjects,
    )
    await bus.jetstream.delete_consumer(EVENTS.name, WEBHOOKS_FANOUT.name)
    await bus.jetstream.add_consumer(EVENTS.name, impatient)
    sequence = await EventPublisher(bus).publish(event)
    reading = await bus.jetstream.pull_subscribe_bind(durable=WEBHOOKS_FANOUT.name, stream=EVENTS.name)
    await reading.fetch(1, timeout=2)
    with pytest.raises(NothingYet):
        await reading.fetch(1, timeout=0.3)
    letters = DeadLetters(bus)
    [letter] = await waiting_letters(letters, 1)
    content = await letters.show(letter.id)
    told = await letters.replay(letter.id)
    [again] = await reading.fetch(1, timeout=2)
    await reading.unsubscribe()

    assert (letter.reason, letter.stream_sequence, letter.durable) == ("dropped", sequence, "webhooks-fanout")
    assert (content.letter.subject, content.body) == (subject_of(event), encode(event))
    assert told.outcome is ReplayOutcome.REPLAYED
    assert again.data == encode(event)
    assert await letters.counts() == {}


async def test_a_wake_up_is_replayed_in_its_own_stream(bus: Bus) -> None:
    await bus.jetstream.publish(subjects.due("webhooks", "dlv_1"), b"{}", stream=SCHED.name)
    letter = {"Calliope-Subject": subjects.due("webhooks", "dlv_1"), "Calliope-Stream": SCHED.name}
    subject = subjects.dead_letter(WEBHOOKS_WAKE.name, "permanent")
    stored = await bus.jetstream.publish(subject, b"{}", headers={**letter, "Calliope-Stream-Sequence": "1"})

    told = await DeadLetters(bus).replay(stored.seq)

    reading = await bus.jetstream.pull_subscribe_bind(durable=WEBHOOKS_WAKE.name, stream=SCHED.name)
    messages = [*await reading.fetch(1, timeout=2), *await reading.fetch(1, timeout=2)]
    await reading.unsubscribe()
    assert told.outcome is ReplayOutcome.REPLAYED
    assert [message.subject for message in messages] == [
        subjects.due("webhooks", "dlv_1"),
        subjects.replay(SCHED.name, WEBHOOKS_WAKE.name, 1),
    ]


async def test_what_cannot_be_replayed_is_said_in_words(bus: Bus) -> None:
    letters = DeadLetters(bus)
    old = await bus.jetstream.publish(subjects.dead_letter("webhooks-old", "permanent"), b"{}")

    assert (await letters.replay(old.seq)).outcome is ReplayOutcome.UNREAD
    with pytest.raises(DeadLetterNotFound, match="there is no dead letter 99"):
        await letters.show(99)
    with pytest.raises(DeadLetterNotFound, match="there is no dead letter 0"):
        await letters.replay(0)
    with pytest.raises(PermanentError, match="take one of webhooks-fanout, "):
        await letters.list(durable="webhooks")


async def test_a_bus_that_is_away_is_a_transient_error(own_nats_server: NatsServer) -> None:
    await provisioned(own_nats_server.url)
    bus = build_broker(NatsSettings(url=own_nats_server.url), "admin")
    await start(bus, within_s=10)
    own_nats_server.kill()
    await until(lambda: not bus.up.is_set())

    with pytest.raises(TransientError, match="cannot be reached"):
        await DeadLetters(bus, timeout_s=0.2).list()
    await stop(bus)
