"""Call records through the bus: journalled events in any order, any number of times; one organization's only."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calliope.contracts.base import Event, event_type
from calliope.contracts.calls import CallPage, CallRecord
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.ids import new_id
from calliope.messaging.publish import EventPublisher, encode, subject_of
from support.assistants import Asking

BEGAN = datetime(2026, 1, 2, 12, tzinfo=UTC)
STARTED = {
    "direction": "inbound", "from_number": "+15550001", "to_number": "+15550002", "assistant_id": "asst_1",
    "assistant_revision": 3, "carrier": "twilio", "carrier_call_id": "CA1", "worker_id": "w1",
}  # fmt: skip


def facts(asking: Asking, call_id: str, *, began: datetime = BEGAN) -> list[Event]:
    told: list[tuple[str, dict[str, Any]]] = [
        ("started", STARTED),
        ("answered", {"stream_id": "MZ1"}),
        ("turn_started", {"turn": 1, "text": "Hello?", "at_ms": 900.0}),
        ("turn_committed", {"turn": 1, "kind": "reply", "user_text": "Hello?", "assistant_text": "Good day."}),
        ("ended", {"reason": "caller_hung_up", "duration_ms": 5000.0, "turns": 1}),
        ("analyzed", {"status": "done", "summary": "Short."}),
    ]
    return [
        Event(
            id=new_id("evt"),
            type=event_type("call", name),
            source="/calliope/call-worker",
            subject=f"call/{call_id}",
            time=began + timedelta(seconds=sequence),
            organization=asking.organization,
            sequence=sequence,
            data=data,
        )
        for sequence, (name, data) in enumerate(told, start=1)
    ]


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


async def test_a_list_can_be_narrowed(asking: Asking) -> None:
    publisher, made = EventPublisher(asking.bus), [new_id("call") for _ in range(3)]
    for call_id, known in zip(made, (1, 2, 5), strict=True):
        for event in facts(asking, call_id)[:known]:
            await publisher.publish(event)
        await record(asking, call_id, until=known)
    for call_id, status in zip(made, ("ringing", "in_progress", "ended"), strict=True):
        answer = await asking.ask(Command.CALL_RECORDS_LIST, {"status": status})
        assert [item["id"] for item in answer["items"]] == [call_id]
    answer = await asking.ask(Command.CALL_RECORDS_LIST, {"assistant_id": "asst_other"})
    assert answer["items"] == []
