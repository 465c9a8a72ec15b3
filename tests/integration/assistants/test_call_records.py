"""Call records through the bus: journalled events in any order, any number of times; one organization's only."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallPage, CallRecord, CallSummary, ListCalls
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.publish import EventPublisher, encode, subject_of
from support.assistants import Asking
from support.call_events import BEGAN, STARTED, Fact, a_call, an_event, told


def facts(asking: Asking, call_id: str, **whose: Any) -> list[Event]:
    told_of: list[Fact] = [
        ("started", STARTED),
        ("answered", {"stream_id": "MZ1"}),
        ("turn_started", {"turn": 1, "text": "Hello?", "at_ms": 900.0}),
        ("turn_committed", {"turn": 1, "kind": "reply", "user_text": "Hello?", "assistant_text": "Good day."}),
        ("ended", {"reason": "caller_hung_up", "duration_ms": 5000.0, "turns": 1}),
        ("analyzed", {"status": "done", "summary": "Short."}),
    ]
    return told(told_of, call_id=call_id, organization=asking.organization, **whose)


async def record(asking: Asking, call_id: str, *, until: int) -> CallRecord:
    """The record, once it has taken in so many events."""
    async with asyncio.timeout(15):
        while True:
            try:
                answer = await asking.ask(Command.CALL_RECORDS_GET, {"call_id": call_id})
            except CommandError as exc:
                if exc.code is not ErrorCode.NOT_FOUND:
                    raise
            else:
                found = CallRecord.model_validate(answer)
                if found.last_sequence >= until:
                    return found
            await asyncio.sleep(0.02)


async def test_a_call_told_in_order_is_recorded(asking: Asking) -> None:
    call_id, publisher = new_id("call"), EventPublisher(asking.bus)
    events = facts(asking, call_id)
    for event in events:
        await publisher.publish(event)
    found = await record(asking, call_id, until=6)
    assert (found.status, found.ended_reason, found.summary) == ("ended", "caller_hung_up", "Short.")
    assert [line.text for line in found.transcript] == ["Hello?", "Good day."]
    assert found.events == tuple(events)


@pytest.mark.promise("P3")
async def test_order_and_repetition_change_nothing(asking: Asking) -> None:
    in_order, shuffled = new_id("call"), new_id("call")
    publisher = EventPublisher(asking.bus)
    for event in facts(asking, in_order):
        await publisher.publish(event)
    for at, event in enumerate(reversed(facts(asking, shuffled) * 2)):
        await publisher.publish_bytes(subject_of(event), encode(event), message_id=f"{event.id}-{at}")
    one = await record(asking, in_order, until=6)
    two = await record(asking, shuffled, until=6)
    told = {"id", "events"}
    assert one.model_dump(exclude=told) == two.model_dump(exclude=told)
    assert [event.sequence for event in two.events] == [1, 2, 3, 4, 5, 6]


@pytest.mark.promise("P8")
async def test_another_organizations_call_is_not_there_and_cannot_be_written_over(
    asking: Asking, stranger: Asking
) -> None:
    """Even if an id were the same, one organization's events never reach another's record."""
    call_id, publisher = new_id("call"), EventPublisher(asking.bus)
    for event in facts(asking, call_id):
        await publisher.publish(event)
    before = await record(asking, call_id, until=6)
    with pytest.raises(CommandError) as caught:
        await stranger.ask(Command.CALL_RECORDS_GET, {"call_id": call_id})
    assert caught.value.code is ErrorCode.NOT_FOUND
    for event in facts(stranger, call_id)[:2]:
        await publisher.publish(event)
    theirs = await record(stranger, call_id, until=2)
    assert {event.organization for event in theirs.events} == {stranger.organization}
    assert await record(asking, call_id, until=6) == before


async def test_a_list_is_complete_also_when_calls_start_in_the_same_millisecond(asking: Asking) -> None:
    publisher = EventPublisher(asking.bus)
    made = [new_id("call") for _ in range(7)]
    for call_id in made:
        for event in facts(asking, call_id)[:2]:
            await publisher.publish(event)
    for call_id in made:
        await record(asking, call_id, until=2)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        answer = await asking.ask(Command.CALL_RECORDS_LIST, {"limit": 3, "cursor": cursor})
        page = CallPage.model_validate(answer)
        seen += [item.id for item in page.items]
        cursor, pages = page.next_cursor, pages + 1
    assert seen == sorted(made, reverse=True)


async def listed(asking: Asking, **filters: Any) -> list[CallSummary]:
    """What a list shows, asked for in pages of two."""
    items: list[CallSummary] = []
    cursor = None
    while True:
        wanted = ListCalls(limit=2, cursor=cursor, **filters)
        page = CallPage.model_validate(await asking.ask(Command.CALL_RECORDS_LIST, wanted))
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items


async def test_a_list_says_of_a_call_what_its_own_record_says(asking: Asking) -> None:
    call_id, publisher = new_id("call"), EventPublisher(asking.bus)
    events = a_call(call_id=call_id, organization=asking.organization)
    for at, event in enumerate([*reversed(events), *events]):
        await publisher.publish_bytes(subject_of(event), encode(event), message_id=f"{event.id}-{at}")
    own = (await record(asking, call_id, until=len(events))).model_dump()
    (in_list,) = await listed(asking)
    assert in_list.model_dump() == {name: own[name] for name in CallSummary.model_fields}
    assert (in_list.event_count, in_list.problem_count, in_list.turns) == (len(events), 3, 2)


async def test_a_list_can_be_narrowed_by_each_filter_and_by_all_together(asking: Asking) -> None:
    publisher, made = EventPublisher(asking.bus), [new_id("call") for _ in range(5)]
    for at, (call_id, known) in enumerate(zip(made, (1, 2, 5, 6, 6), strict=True)):
        began = BEGAN + timedelta(hours=at)
        whose: dict[str, Any] = {"call_id": call_id, "organization": asking.organization, "began": began}
        events = facts(asking, call_id, began=began)[:known]
        if at > 2:
            events.append(an_event(7, "provider_failed", stage="llm", provider="openai", reason="key", **whose))
        if at == 4:
            events[0] = an_event(1, "started", **whose, **STARTED | {"from_number": "+15559999"})
        for event in events:
            await publisher.publish(event)
        await until_counted(asking, call_id, len(events))
    first, second, third, fourth, fifth = made
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, made),
        ({"status": "ringing"}, [first]),
        ({"status": "in_progress"}, [second]),
        ({"status": "ended"}, [third, fourth, fifth]),
        ({"ended_reason": "caller_hung_up"}, [third, fourth, fifth]),
        ({"ended_reason": "idle"}, []),
        ({"assistant_id": "asst_1"}, made),
        ({"assistant_id": "asst_other"}, []),
        ({"number": "+15559999"}, [fifth]),
        ({"number": STARTED["to_number"]}, made),
        ({"problem": "any"}, [fourth, fifth]),
        ({"problem": "llm"}, [fourth, fifth]),
        ({"problem": "openai"}, [fourth, fifth]),
        ({"problem": "key"}, [fourth, fifth]),
        ({"problem": "quota"}, []),
        ({"since": BEGAN + timedelta(hours=2, seconds=1)}, [third, fourth, fifth]),
        ({"since": BEGAN + timedelta(hours=2, seconds=2)}, [fourth, fifth]),
        ({"until": BEGAN + timedelta(hours=2, seconds=1)}, [first, second]),
        ({"since": BEGAN + timedelta(hours=1), "until": BEGAN + timedelta(hours=4), "number": STARTED["to_number"],
          "assistant_id": "asst_1", "status": "ended", "ended_reason": "caller_hung_up", "problem": "key"}, [fourth]),
    ]  # fmt: skip
    for filters, expected in cases:
        assert [item.id for item in await listed(asking, **filters)] == expected[::-1], filters


async def until_counted(asking: Asking, call_id: str, events: int) -> None:
    """Until a call has so many events in the list."""
    async with asyncio.timeout(15):
        while True:
            counts = {item.id: item.event_count for item in await listed(asking)}
            if counts.get(call_id) == events:
                return
            await asyncio.sleep(0.02)


async def test_a_wrong_filter_is_refused_in_words(asking: Asking) -> None:
    with pytest.raises(CommandError) as caught:
        await asking.ask(Command.CALL_RECORDS_LIST, {"since": "yesterday"})
    assert caught.value.code is ErrorCode.INVALID
