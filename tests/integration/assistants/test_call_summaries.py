"""Summaries of calls in the real store: events in any order, at once, repeated; and rows of an earlier version."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallSummary, ListCalls
from calliope.ids import new_id
from calliope_assistants.adapters import shapes
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_calls import MongoCallEvents
from support.call_events import a_call, calls
from support.calls_in_memory import record_of
from support.mongo import MongoServer, mongo_settings

__all__ = ["mongo_settings"]


@pytest.fixture
async def store(mongo_server: MongoServer, mongo_settings: Any) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_settings)
    await store.prepare()
    yield store
    store.close()


async def listed(rows: MongoCallEvents, organization: str, **filters: Any) -> list[CallSummary]:
    return [call.summary for call in (await rows.page(organization, ListCalls(**filters), before=None)).calls]


def told(events: list[Event]) -> list[dict[str, Any]]:
    """What a list has to say: what the record says; nothing while the call's start is on its way."""
    record = record_of(events[0].entity_id, events).model_dump()
    began = any(event.name in {"started", "refused"} for event in events)
    return [{name: record[name] for name in CallSummary.model_fields}] if began else []


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_is_the_projection_of_the_events_in_any_order_and_at_once(
    mongo_settings: Any, mongo_server: MongoServer, data: st.DataObject
) -> None:
    organization = new_id("org")
    events = data.draw(calls(call_id=new_id("call"), organization=organization))
    arrived = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=9))]))

    async def store_and_list() -> list[dict[str, Any]]:
        store = MongoStore(mongo_settings)
        rows = MongoCallEvents(store)
        half = len(arrived) // 2
        async with asyncio.TaskGroup() as tasks:
            for event in arrived[:half]:
                tasks.create_task(rows.add([event]), name="at once")
        await rows.add(arrived[half:])
        call = await rows.get(organization, events[0].entity_id)
        assert call is not None
        known = call.recorded.after(0, 100)
        assert await rows.events(organization, events[0].entity_id, known) == events
        found = [summary.model_dump() for summary in await listed(rows, organization)]
        store.close()
        return found

    assert asyncio.run(store_and_list()) == told(events)


def of_the_first_version(events: list[Event], **more: Any) -> dict[str, Any]:
    """A row as it was written when the events of a call stood in it."""
    row_id = shapes.call_id(events[0].organization, events[0].entity_id)
    kept = {str(event.sequence): event.model_dump_json() for event in events}
    return {"_id": row_id, "org_id": events[0].organization, "events": kept, "summary_version": 1, **more}


@pytest.mark.parametrize("known", [1, 9, len(a_call())])
async def test_a_call_of_the_first_version_goes_on(store: MongoStore, known: int) -> None:
    organization, rows = new_id("org"), MongoCallEvents(store)
    events = a_call(call_id=new_id("call"), organization=organization)
    await store.database.calls.insert_one(of_the_first_version(events[:known], failed={"groq": 1}))
    call = await rows.get(organization, events[0].entity_id)
    assert call is not None
    assert call.recorded.contiguous == known
    assert [item.model_dump() for item in await listed(rows, organization)] == told(events[:known])
    await rows.add(events)
    assert [item.model_dump() for item in await listed(rows, organization, problem="any")] == told(events)


async def test_calls_of_the_first_version_are_listed_once_they_are_summed_up_anew(store: MongoStore) -> None:
    organization, rows = new_id("org"), MongoCallEvents(store)
    made = [a_call(call_id=new_id("call"), organization=organization) for _ in range(3)]
    for events in made:
        await store.database.calls.insert_one(of_the_first_version(events, failed={"groq": 1}))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(rows.summarize(2), name="several at once")
    while await rows.summarize(2):
        pass
    assert len(await listed(rows, organization, problem="openai", ended_reason="caller_hung_up")) == 3
    assert await listed(rows, organization, problem="groq") == []
    assert await listed(rows, organization, problem="tool:openai") == []
    for events in made:
        assert await rows.events(organization, events[0].entity_id, range(100)) == events
