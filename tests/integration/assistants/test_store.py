"""The store's adapter alone: what several replicas do at once, and what a crash in the middle leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self

import pytest

from calliope.contracts.assistants import (
    AssignPhoneNumber,
    AssistantRef,
    DeleteAssistant,
    ListPhoneNumbers,
    PhoneNumberRef,
)
from calliope.contracts.base import Event, event_type
from calliope.errors import CommandError, TransientError
from calliope.ids import new_id
from calliope.secrets import Sealer, public_key_of
from calliope.settings import EgressSettings, MongoSettings
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_calls import MongoCallEvents
from calliope_assistants.adapters.mongo_commands import MongoCommandLog
from calliope_assistants.adapters.mongo_rows import MongoAssistants, MongoNumbers, MongoOutbox
from calliope_assistants.commands import Once
from calliope_assistants.model import Rules
from calliope_assistants.numbers import NumberService
from calliope_assistants.service import AssistantService, Parts
from support.assistants import a_document
from support.mongo import mongo_settings
from support.sealing import CALLS_KEY, SealedWrites

__all__ = ["mongo_settings"]

LATER = timedelta(seconds=60)
NUMBER = "+15550001111"


@pytest.fixture
async def store(mongo_settings: MongoSettings) -> AsyncIterator[MongoStore]:
    opened = MongoStore(mongo_settings)
    await opened.prepare()
    yield opened
    opened.close()


def service(store: MongoStore, command: str | None = None, organization: str = "org_1") -> SealedWrites:
    parts = Parts(
        rules=Rules(EgressSettings(), Sealer(public_key_of(CALLS_KEY))),
        numbers=MongoNumbers(store),
        written=lambda: None,
    )
    use_cases = AssistantService(organization, MongoAssistants(store, organization), parts, command=command)
    return SealedWrites(organization, use_cases, command)


def numbers(store: MongoStore, command: str | None = None) -> NumberService:
    rows, assistants = MongoNumbers(store), MongoAssistants(store, "org_1")
    return NumberService("org_1", rows, assistants, lambda: None, command=command)


def assignment(assistant_id: str) -> AssignPhoneNumber:
    return AssignPhoneNumber(number=NUMBER, spec={"assistant_id": assistant_id})


@pytest.mark.promise("P3")
async def test_a_create_that_crashed_before_its_answer_is_not_done_again(store: MongoStore) -> None:
    document = a_document()
    first = await service(store, "key").create(document)
    assert await service(store, "key").create(document) == first


async def test_an_update_that_crashed_before_its_answer_is_not_done_again(store: MongoStore) -> None:
    """Also when somebody else wrote in between."""
    created = await service(store).create(a_document())
    patch = {"description": "x"}
    await service(store, "key").update(created.id, patch, if_revision=1)
    await service(store).update(created.id, {"description": "y"})
    again = await service(store, "key").update(created.id, patch, if_revision=1)
    assert (again.revision, again.document["description"]) == (3, "y")


async def test_a_delete_that_crashed_before_its_answer_answers_the_same_again(store: MongoStore) -> None:
    created = await service(store).create(a_document())
    payload = DeleteAssistant(assistant_id=created.id)
    first = await service(store, "key").service.delete(payload)
    assert await service(store, "key").service.delete(payload) == first


async def test_a_rotation_that_crashed_before_its_answer_does_not_rotate_twice(store: MongoStore) -> None:
    """A second rotation would cut off the secret that receivers still verify with."""
    document = a_document(webhook_url="https://hooks.example.com/")
    created = await service(store).create(document)
    ref = AssistantRef(assistant_id=created.id)
    await service(store, "key").rotate_webhook_secret(created.id)
    before = await service(store).service.endpoints(ref)
    await service(store, "key").rotate_webhook_secret(created.id)
    assert await service(store).service.endpoints(ref) == before


async def test_an_assignment_that_crashed_before_its_answer_does_not_take_the_number_back(store: MongoStore) -> None:
    one, two = [await service(store).create(a_document(name=n)) for n in ("A", "B")]
    first = await numbers(store, "key").assign(assignment(one.id))
    await numbers(store).assign(assignment(two.id))
    again = await numbers(store, "key").assign(assignment(one.id))
    assert (first.assistant_id, again.assistant_id) == (one.id, one.id)
    (held,) = (await numbers(store).page(ListPhoneNumbers())).items
    assert held.assistant_id == two.id


async def test_a_release_that_crashed_before_its_answer_answers_the_same_again(store: MongoStore) -> None:
    created = await service(store).create(a_document())
    await numbers(store).assign(assignment(created.id))
    first = await numbers(store, "key").release(PhoneNumberRef(number=NUMBER))
    assert await numbers(store, "key").release(PhoneNumberRef(number=NUMBER)) == first


async def test_released_numbers_take_no_place_on_a_page_of_numbers(store: MongoStore) -> None:
    """However many were released before: the first page is full, and every number is on one."""
    one, two = [await service(store).create(a_document(name=n)) for n in ("A", "B")]
    made = [f"+1555000{at:04d}" for at in range(12)]
    for at, number in enumerate(made):
        spec = {"assistant_id": (one, two)[at % 2].id}
        await numbers(store).assign(AssignPhoneNumber(number=number, spec=spec))
    for number in made[:6]:
        await numbers(store).release(PhoneNumberRef(number=number))
    assert await listed(store, limit=4) == [made[6:10], made[10:]]
    assert await listed(store, limit=6) == [made[6:]]
    assert await listed(store, limit=2, assistant_id=two.id) == [made[7:10:2], made[11:]]


async def listed(store: MongoStore, **wanted: Any) -> list[list[str]]:
    """Numbers, page by page."""
    page = await numbers(store).page(ListPhoneNumbers(**wanted))
    found = [[item.number for item in page.items]]
    while page.next_cursor is not None:
        page = await numbers(store).page(ListPhoneNumbers(cursor=page.next_cursor, **wanted))
        found.append([item.number for item in page.items])
    return found


@pytest.mark.parametrize("cursor", ["+15550001111", "MDAwMDAwMDAwMDAwMDAwMXx4", "%"])
async def test_a_cursor_that_no_page_of_numbers_gave_is_refused(store: MongoStore, cursor: str) -> None:
    with pytest.raises(CommandError) as caught:
        await numbers(store).page(ListPhoneNumbers(cursor=cursor))
    (field,) = caught.value.problem.fields
    assert field.path == "cursor"
    assert "next_cursor" in field.message


async def test_a_key_used_again_after_a_day_is_a_new_command(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row knows the old command still, and the id of what it made was derived from it."""
    created = await service(store, "create").create(a_document())
    await service(store, "update").update(created.id, {"description": "x"})
    monkeypatch.setattr("calliope_assistants.service.datetime", Tomorrow)
    other = await service(store, "create").create(a_document(name="Berta"), now=Tomorrow.now(UTC))
    updated = await service(store, "update").update(created.id, {"description": "y"})
    assert other.id != created.id
    assert (updated.revision, updated.document["description"]) == (3, "y")


class Tomorrow(datetime):
    """A clock a day and a minute ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        ahead = datetime.now(tz) + timedelta(days=1, minutes=1)
        return cls.fromtimestamp(ahead.timestamp(), tz)


async def test_a_create_crashed_before_midnight_is_recognised_after_it(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = a_document()
    first = await service(store, "key").create(payload)
    monkeypatch.setattr("calliope_assistants.service.datetime", AfterMidnight)
    assert await service(store, "key").create(payload) == first


class AfterMidnight(datetime):
    """The first second of tomorrow (UTC)."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        return cls(tomorrow.year, tomorrow.month, tomorrow.day, 0, 0, 1, tzinfo=tz)


@pytest.mark.promise("P3")
async def test_a_command_whose_worker_died_is_taken_over_by_one(store: MongoStore) -> None:
    log, now = MongoCommandLog(store), datetime.now(UTC)
    assert await log.begin("k", "hash", now, 15.0) is None
    still = await log.begin("k", "hash", now, 15.0)
    assert still is not None
    assert still.reply is None
    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(log.begin("k", "hash", now + LATER, 15.0)) for _ in range(20)]
    assert sum(attempt.result() is None for attempt in tries) == 1


async def test_a_command_is_known_for_a_day_and_then_no_more(store: MongoStore) -> None:
    """Whether or not the store has cleaned up yet."""
    log, now = MongoCommandLog(store), datetime.now(UTC) - timedelta(days=1, minutes=1)
    assert await log.begin("k", "hash", now, 15.0) is None
    await log.finish("k", {"done": True})
    assert await log.begin("k", "other", datetime.now(UTC), 15.0) is None


async def test_a_store_that_fails_in_the_middle_leaves_the_key_to_be_tried_again(store: MongoStore) -> None:
    """The outcome is unknown, so the key is neither forgotten nor stuck until its lease ends."""
    once, runs = Once(MongoCommandLog(store)), []

    async def work() -> AssistantRef:
        runs.append(1)
        if len(runs) == 1:
            raise TransientError("away")
        return AssistantRef(assistant_id="asst_1")

    async def run() -> AssistantRef:
        return await once.run(
            organization_id="org_1",
            subject="s",
            command_id="k",
            payload=AssistantRef(assistant_id="asst_1"),
            reply_type=AssistantRef,
            work=work,
        )

    with pytest.raises(TransientError):
        await run()
    assert await run() == AssistantRef(assistant_id="asst_1")
    assert len(runs) == 2


async def test_a_key_that_expired_is_begun_anew_by_one_of_many(store: MongoStore) -> None:
    log, now = MongoCommandLog(store), datetime.now(UTC)
    assert await log.begin("k", "hash", now - timedelta(days=1, minutes=1), 15.0) is None
    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(log.begin("k", "hash", now, 15.0)) for _ in range(20)]
    assert sum(attempt.result() is None for attempt in tries) == 1


async def test_two_relays_at_once_lose_nothing_and_do_not_fail(store: MongoStore) -> None:
    for n in range(20):
        await service(store).create(a_document(name=f"A{n}"))
    outbox = MongoOutbox(store)

    async def relay() -> None:
        for row in await outbox.waiting(100, datetime.now(UTC)):
            for event in row.events:
                await outbox.published(row, event, datetime.now(UTC))

    async with asyncio.TaskGroup() as tasks:
        for n in range(4):
            tasks.create_task(relay(), name=f"relay.{n}")
    assert await outbox.waiting(100, datetime.now(UTC)) == []
    assert await store.database.events_log.count_documents({}) == 20


async def test_the_events_of_a_new_call_may_arrive_all_at_once(store: MongoStore) -> None:
    calls = MongoCallEvents(store)
    events = [
        Event(
            id=new_id("evt"),
            type=event_type("call", "tool_finished"),
            source="/calliope/call-worker",
            subject="call/call_9",
            time=datetime.now(UTC),
            organization="org_1",
            sequence=sequence,
            data={},
        )
        for sequence in range(1, 31)
    ]
    async with asyncio.TaskGroup() as tasks:
        for event in events * 2:
            tasks.create_task(calls.add([event]))
    call = await calls.get("org_1", "call_9")
    assert call is not None
    assert (call.recorded.contiguous, call.summed["event_count"]) == (30, 30)


async def test_many_assistants_of_one_name_at_once_are_one(store: MongoStore) -> None:
    async def create() -> bool:
        try:
            await service(store).create(a_document())
        except CommandError:
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(create()) for _ in range(20)]
    assert sum(task.result() for task in made) == 1
