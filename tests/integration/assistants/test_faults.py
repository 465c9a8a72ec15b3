"""What happens to assistants when something breaks: nothing acknowledged is lost, and answers stay quick and honest."""

import asyncio
import time
from pathlib import Path

import pytest

from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.publish import EventPublisher
from support.assistants import Asking, AssistantsProcess, a_bus, as_read
from support.call_events import a_call
from support.mongo import MongoServer
from support.nats import NatsServer, provisioned
from support.waiting import until

LONGEST_ANSWER_S = 8.0


@pytest.mark.promise("P3")
async def test_an_event_written_but_not_published_survives_kill_9(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    """The bus's storage is taken away, so what is written cannot be published; the service dies; the next one tells."""
    async with a_bus(own_nats_server.url) as bus:
        asking = Asking(bus, new_id("org"))
        await bus.jetstream.delete_stream("EVENTS")
        created = [await asking.create(name=f"A{n}") for n in range(5)]
        await asking.ask(Command.ASSISTANTS_DELETE, {"assistant_id": created[0].id})
        own.kill()
        await provisioned(own_nats_server.url)
        await asyncio.to_thread(own.start)
        events = await asking.events(6)
    told = [(event.entity_id, event.sequence, event.name) for event in events]
    assert sorted(told) == sorted(
        [(assistant.id, 1, "created") for assistant in created] + [(created[0].id, 2, "deleted")]
    )
    assert told.index((created[0].id, 1, "created")) < told.index((created[0].id, 2, "deleted"))


async def test_commands_repeated_until_answered_have_one_effect_each_though_a_replica_is_killed_at_work(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    urls = (own_nats_server.url, own_mongo_server.url)
    other = AssistantsProcess(tmp_path / "other", *urls, CALLIOPE_MONGO__DATABASE=own.database)
    await asyncio.to_thread(other.start)
    try:
        async with a_bus(own_nats_server.url) as bus, asyncio.timeout(60):
            asking, answered = Asking(bus, new_id("org")), asyncio.Semaphore(0)

            async def create(n: int) -> str:
                while True:
                    try:
                        created = await asking.create(f"key-{n}", name=f"A{n}")
                    except CommandError as exc:
                        assert exc.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.IN_PROGRESS}  # noqa: PT017
                    else:
                        answered.release()
                        return created.id

            async with asyncio.TaskGroup() as tasks:
                creates = [tasks.create_task(create(n)) for n in range(100)]
                for _ in range(10):
                    await answered.acquire()
                other.kill()
            listed = [await asking.ask(Command.ASSISTANTS_LIST, {"limit": 60})]
            listed.append(await asking.ask(Command.ASSISTANTS_LIST, {"limit": 60, "cursor": listed[0]["next_cursor"]}))
            events = await asking.events(100)
    finally:
        await asyncio.to_thread(other.stop)
    made = sorted(create.result() for create in creates)
    assert sorted(item["id"] for page in listed for item in page["items"]) == made
    assert sorted(event.entity_id for event in events) == made


async def test_a_long_queue_of_unpublished_events_goes_out_at_once(
    own: AssistantsProcess, own_nats_server: NatsServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking = Asking(bus, new_id("org"))
        await bus.jetstream.delete_stream("EVENTS")
        async with asyncio.TaskGroup() as tasks:
            for n in range(250):
                tasks.create_task(asking.create(name=f"A{n}"))
        await provisioned(own_nats_server.url)
        assert len(await asking.events(250)) == 250
        await until(lambda: "calliope_outbox_oldest_seconds 0.0" in own.metrics())


async def test_while_the_store_is_away_answers_say_so_at_once_and_work_when_it_is_back(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking = Asking(bus, new_id("org"))
        created = await asking.create()
        own_mongo_server.kill()
        for subject, payload in (
            (Command.ASSISTANTS_GET, {"assistant_id": created.id}),
            (Command.ASSISTANTS_CREATE, {"document": {}}),
            (Command.ASSISTANTS_DELETE, {"assistant_id": created.id}),
            (Command.CALL_RECORDS_LIST, {}),
        ):
            began = time.monotonic()
            with pytest.raises(CommandError) as caught:
                await asking.ask(subject, payload, command_id="k")
            assert caught.value.code is ErrorCode.UNAVAILABLE, subject
            assert caught.value.problem.retry_after_s is not None
            assert time.monotonic() - began < LONGEST_ANSWER_S
        assert not own.is_ready()
        own_mongo_server.start()
        await until(own.is_ready)
        assert await asking.get(created.id) == as_read(created)


@pytest.mark.promise("P3")
async def test_calls_told_while_the_store_is_away_are_recorded_whole(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking, publisher = Asking(bus, new_id("org")), EventPublisher(bus)
        calls = {call_id: a_call(call_id=call_id, organization=asking.organization) for call_id in ("call_a", "call_b")}
        own_mongo_server.kill()
        for events in calls.values():
            for event in events:
                await publisher.publish(event)
        await until(lambda: 'calliope_dependency_away{dependency="store"} 1.0' in own.metrics())
        own_mongo_server.start()
        await until(lambda: 'calliope_dependency_away{dependency="store"} 0.0' in own.metrics())
        for call_id, events in calls.items():
            await recorded(asking, call_id, len(events))
        assert await DeadLetters(bus).counts() == {}
        assert own.is_ready()


async def recorded(asking: Asking, call_id: str, facts: int) -> None:
    """Return when the record of a call has so many facts, without a hole."""
    async with asyncio.timeout(10):
        while True:
            try:
                record = await asking.ask(Command.CALL_RECORDS_GET, {"call_id": call_id})
            except CommandError as exc:
                assert exc.code in {ErrorCode.NOT_FOUND, ErrorCode.UNAVAILABLE}  # noqa: PT017 - it is on its way
            else:
                if record["last_sequence"] == facts:
                    return
            await asyncio.sleep(0.02)


async def test_a_store_that_hangs_does_not_hold_an_answer_up(
    own: AssistantsProcess, own_nats_server: NatsServer, own_mongo_server: MongoServer
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking = Asking(bus, new_id("org"))
        created = await asking.create()
        own_mongo_server.freeze()
        try:
            for command_id in (None, "k"):
                began = time.monotonic()
                with pytest.raises(CommandError) as caught:
                    await asking.create(command_id, name="Berta")
                assert caught.value.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
                assert time.monotonic() - began < LONGEST_ANSWER_S
            with pytest.raises(CommandError) as caught:
                await asking.get(created.id)
            assert caught.value.code is ErrorCode.UNAVAILABLE
        finally:
            own_mongo_server.thaw()
        await until(own.is_ready)
        assert await asking.get(created.id) == as_read(created)


async def test_a_service_started_before_its_store_waits_for_it(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    await provisioned(own_nats_server.url)
    own_mongo_server.stop()
    process = AssistantsProcess(tmp_path, own_nats_server.url, own_mongo_server.url)
    process.launch()
    try:
        await until(lambda: "store.awaited" in process.log(), within_s=20)
        assert not process.is_ready()
        own_mongo_server.start()
        await until(process.is_ready, within_s=20)
    finally:
        await asyncio.to_thread(process.stop)


async def test_a_service_that_waits_for_its_store_ends_when_told(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> None:
    own_mongo_server.stop()
    process = AssistantsProcess(tmp_path, own_nats_server.url, own_mongo_server.url)
    process.launch()
    try:
        await until(lambda: "store.awaited" in process.log(), within_s=20)
    finally:
        await asyncio.to_thread(process.stop)
    assert "service.stopped" in process.log()
