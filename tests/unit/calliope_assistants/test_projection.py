"""Events that arrive together are written together; one that cannot be kept, or is cancelled, spoils no other."""

import asyncio
from collections.abc import Sequence

import pytest

from calliope.contracts.base import Event
from calliope.errors import TransientError
from calliope_assistants.projection import CallProjection
from support.call_events import a_call
from support.calls_in_memory import CallsInMemory


class SlowStore(CallsInMemory):
    """Writes when it is told to; refuses what it is told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.away = False
        self.impossible: set[int] = set()

    async def add(self, events: Sequence[Event]) -> None:
        self.asked.set()
        await self.go.wait()
        if self.away:
            raise TransientError("the store does not answer")
        if {event.sequence for event in events} & self.impossible:
            raise ValueError("a document that no store takes")
        await super().add(events)


async def outcomes(store: SlowStore, events: Sequence[Event]) -> list[BaseException | None]:
    """What each `add` raised, when all were begun before the first write was over."""
    projection, found = CallProjection(store), dict[int, BaseException | None]()

    async def add(event: Event) -> None:
        try:
            await projection.add(event)
        except Exception as exc:
            found[event.sequence] = exc
        else:
            found[event.sequence] = None

    async with asyncio.TaskGroup() as tasks:
        for event in events:
            tasks.create_task(add(event), name="add")
        await store.asked.wait()
        await asyncio.sleep(0)
        store.go.set()
    return [found[event.sequence] for event in events]


async def test_what_arrives_during_a_write_is_written_in_one() -> None:
    store, events = SlowStore(), a_call()
    assert await outcomes(store, events) == [None] * len(events)
    assert [len(batch) for batch in store.writes] == [1, len(events) - 1]


async def test_a_store_that_is_away_is_asked_once_for_all() -> None:
    store = SlowStore()
    store.away = True
    failures = await outcomes(store, a_call())
    assert {type(each) for each in failures} == {TransientError}


async def test_an_event_that_cannot_be_kept_spoils_no_other() -> None:
    store = SlowStore()
    store.impossible = {7}
    failures = await outcomes(store, a_call())
    assert [at for at, each in enumerate(failures, start=1) if each is not None] == [7]
    assert sorted(event.sequence for batch in store.writes for event in batch) == [
        event.sequence for event in a_call() if event.sequence != 7
    ]


async def test_a_handler_that_is_cancelled_while_it_writes_leaves_the_rest_to_the_others() -> None:
    store, (first, second, third, *_) = SlowStore(), a_call()
    projection = CallProjection(store)
    writer = asyncio.create_task(projection.add(first), name="writer")
    await store.asked.wait()
    others = [asyncio.create_task(projection.add(event), name="other") for event in (second, third)]
    await asyncio.sleep(0)
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    store.go.set()
    async with asyncio.timeout(5):
        for other in others:
            await other
    assert {event.sequence for batch in store.writes for event in batch} >= {2, 3}
