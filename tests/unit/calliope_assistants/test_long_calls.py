"""A call of ten hours is read by pages; what one answer reads and holds does not grow with the call."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallRef, ListCallEvents, ListTranscript
from calliope.errors import CommandError
from calliope_assistants.calls import EXAMINED_FOR_A_PAGE, CallRecords
from calliope_assistants.records import Transcript
from support.call_events import STARTED, a_call, an_event, calls
from support.calls_in_memory import CallsInMemory, at_once

FACTS = 50_000
ANSWER_BYTES = 256 * 1024


def ten_hours() -> Iterator[Event]:
    """50,000 facts: turns with tools, and now and then one that was withdrawn and began again."""
    yield an_event(1, "started", **STARTED)
    sequence, turn = 1, 0
    while sequence < FACTS - 1:
        turn += 1
        facts: list[tuple[str, dict[str, Any]]] = [
            ("turn_started", {"turn": turn, "text": f"question {turn}", "at_ms": 1.0}),
            ("tool_finished", {"turn": turn, "tool_call_id": "t", "name": "book", "ok": True, "result": "x" * 300}),
            ("turn_committed", {"turn": turn, "kind": "reply", "assistant_text": f"answer {turn}, in some words"}),
        ]
        for name, data in [*facts[: 1 if turn % 50 == 0 else 0], *facts]:
            sequence += 1
            if sequence < FACTS:
                yield an_event(sequence, name, **data)
    yield an_event(FACTS, "ended", reason="caller_hung_up", duration_ms=36_000_000.0)


@pytest.fixture(scope="module")
def told() -> list[Event]:
    return list(ten_hours())


@pytest.fixture(scope="module")
def long_call(told: list[Event]) -> CallsInMemory:
    return CallsInMemory(told)


def asked(store: CallsInMemory) -> CallRecords:
    store.events_examined = store.events_read = 0
    return CallRecords("org_1", store)


def test_the_record_of_ten_hours_is_one_small_answer_that_leads_to_the_pages(long_call: CallsInMemory) -> None:
    record = at_once(asked(long_call).get(CallRef(call_id="call_9")))
    assert (record.status, record.event_count, record.last_sequence) == ("ended", FACTS, FACTS)
    assert len(record.model_dump_json().encode()) < ANSWER_BYTES
    assert long_call.events_examined <= 2 * EXAMINED_FOR_A_PAGE
    assert record.more_transcript_after is not None
    assert record.more_events_after is not None


def test_every_event_of_ten_hours_is_on_one_page(long_call: CallsInMemory) -> None:
    records, seen, after = asked(long_call), list[int](), 0
    while True:
        long_call.events_read = 0
        page = at_once(records.events(ListCallEvents(call_id="call_9", after=after, limit=500)))
        assert len(page.model_dump_json().encode()) < ANSWER_BYTES
        assert long_call.events_read <= 550
        seen += [event.sequence for event in page.items]
        if page.next_after is None:
            break
        after = page.next_after
    assert seen == list(range(1, FACTS + 1))


def test_the_pages_of_a_transcript_say_together_what_was_said(long_call: CallsInMemory, told: list[Event]) -> None:
    whole = Transcript()
    whole.add(told)
    records, seen, after = asked(long_call), list[str](), 0
    while True:
        long_call.events_examined = 0
        page = at_once(records.transcript(ListTranscript(call_id="call_9", after=after, limit=1_000)))
        assert long_call.events_examined <= EXAMINED_FOR_A_PAGE
        assert len(page.model_dump_json().encode()) < ANSWER_BYTES
        seen += [line.text for line in page.items]
        if page.next_after is None:
            break
        after = page.next_after
    assert seen == [line.text for line in whole.lines]


@given(calls(), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_pages_of_any_size_are_the_whole(events: list[Event], limit: int) -> None:
    records, seen, after = CallRecords("org_1", CallsInMemory(events)), list[Event](), 0
    while True:
        page = at_once(records.events(ListCallEvents(call_id="call_9", after=after, limit=limit)))
        assert 1 <= len(page.items) <= limit
        seen += page.items
        if page.next_after is None:
            break
        after = page.next_after
    assert seen == events


def test_a_call_under_way_is_followed_after_its_last_event() -> None:
    store = CallsInMemory(a_call()[:3])
    records = CallRecords("org_1", store)
    assert at_once(records.events(ListCallEvents(call_id="call_9", after=3))).items == ()
    at_once(store.add(a_call()[3:5]))
    assert [e.sequence for e in at_once(records.events(ListCallEvents(call_id="call_9", after=3))).items] == [4, 5]


def test_pages_of_a_call_that_is_not_there_are_not_found() -> None:
    records = CallRecords("org_1", CallsInMemory())
    for work in (records.events(ListCallEvents(call_id="x")), records.transcript(ListTranscript(call_id="x"))):
        with pytest.raises(CommandError, match="there is no call 'x'"):
            at_once(work)
