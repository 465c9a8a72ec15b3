"""A call record is a fold of its events: the same in whatever order, however often they came."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallStatus
from calliope.contracts.calls import EndReason
from support.call_events import STARTED, an_event
from support.calls_in_memory import record_of

COMMITTED = {"turn": 1, "kind": "reply", "user_text": "Hello?", "assistant_text": "Good day.", "interrupted": True}


def whole_call() -> list[Event]:
    facts: list[tuple[str, dict[str, Any]]] = [
        ("started", STARTED),
        ("answered", {"stream_id": "MZ1"}),
        ("turn_started", {"turn": 1, "text": "Hello?", "at_ms": 900.0}),
        ("turn_committed", COMMITTED),
        ("turn_started", {"turn": 2, "text": "Bye.", "at_ms": 4000.0}),
        ("turn_committed", {"turn": 2, "kind": "goodbye", "user_text": "Bye.", "assistant_text": "Bye."}),
        ("ended", {"reason": "assistant_ended", "duration_ms": 5000.0, "turns": 2}),
        ("analyzed", {"status": "done", "summary": "Short.", "structured_data": {"mood": "good"}}),
    ]
    return [an_event(at, name, **data) for at, (name, data) in enumerate(facts, start=1)]


def test_an_analysis_that_failed_says_why_and_keeps_what_there_is() -> None:
    failed = an_event(8, "analyzed", status="failed", summary="Short.", error="structured_data: wrong")
    record = record_of("call_9", [*whole_call()[:-1], failed])
    assert (record.analysis_status, record.analysis_error) == ("failed", "structured_data: wrong")
    assert (record.summary, record.structured_data) == ("Short.", None)


def test_a_whole_call_is_told() -> None:
    record = record_of("call_9", whole_call())
    assert (record.status, record.ended_reason, record.duration_ms) == (
        CallStatus.ENDED,
        EndReason.ASSISTANT_ENDED,
        5000.0,
    )
    assert (record.assistant_id, record.assistant_revision, record.carrier_call_id) == ("asst_1", 3, "CA1")
    assert (record.summary, record.structured_data) == ("Short.", {"mood": "good"})
    assert [(line.role, line.text) for line in record.transcript] == [
        ("user", "Hello?"),
        ("assistant", "Good day."),
        ("user", "Bye."),
        ("assistant", "Bye."),
    ]
    assert record.last_sequence == 8


@given(st.permutations(whole_call()), st.lists(st.sampled_from(whole_call()), max_size=20))
@settings(max_examples=100, deadline=None)
def test_order_and_repetition_change_nothing(shuffled: list[Event], repeated: list[Event]) -> None:
    assert record_of("call_9", [*shuffled, *repeated]) == record_of("call_9", whole_call())


@pytest.mark.parametrize("known", range(1, 9))
def test_a_prefix_is_told_as_far_as_it_goes(known: int) -> None:
    assert record_of("call_9", whole_call()[:known]).last_sequence == known


def test_a_hole_shows_in_the_last_sequence() -> None:
    assert record_of("call_9", [event for event in whole_call() if event.sequence != 3]).last_sequence == 2


def test_an_answered_call_is_in_progress_and_a_started_one_rings() -> None:
    assert record_of("call_9", whole_call()[:1]).status is CallStatus.RINGING
    assert record_of("call_9", whole_call()[:2]).status is CallStatus.IN_PROGRESS


def test_an_unknown_event_is_kept_and_changes_nothing_else() -> None:
    plain = record_of("call_9", whole_call()[:2])
    record = record_of("call_9", [*whole_call()[:2], an_event(3, "levitated", height=7)])
    assert record.last_sequence == 3
    assert record.status is plain.status


def test_an_event_whose_data_cannot_be_read_spoils_only_itself() -> None:
    """Newer workers, older readers: one odd fact must not make the whole call unreadable for ever."""
    odd = an_event(2, "ended", reason="abducted", duration_ms=-1)
    record = record_of("call_9", [whole_call()[0], odd])
    assert record.last_sequence == 2
    assert record.carrier_call_id == "CA1"


def test_events_are_shown_in_pages_that_fit_one_answer() -> None:
    events = [an_event(at, "tool_finished", result="x" * 8_000) for at in range(1, 61)]
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        record = record_of("call_9", events, after=after)
        assert len(record.model_dump_json().encode()) < 256 * 1024
        seen += [event.sequence for event in record.events]
        after = record.more_events_after
    assert seen == list(range(1, 61))


def test_the_longest_transcript_fits_one_answer() -> None:
    """Four hours of talk; an answer on the bus is at most 256 KiB."""
    turns = range(1, 1_501)
    events = [an_event(n, "turn_committed", turn=n, kind="reply", assistant_text="word " * 40) for n in turns]
    assert len(record_of("call_9", events).model_dump_json().encode()) < 256 * 1024


def a_failure(sequence: int, **changes: Any) -> Event:
    failed = {"stage": "llm", "provider": "openai", "reason": "key", "detail": "refused with 401"}
    return an_event(sequence, "provider_failed", **failed | changes)


def test_a_provider_that_failed_is_a_problem_of_the_call_told_once() -> None:
    events = [
        an_event(1, "started", **STARTED),
        a_failure(2, action="asks groq"),
        a_failure(3, action="gives up", detail="refused with 403"),
        a_failure(4, stage="stt", provider="deepgram", reason="dropped"),
    ]
    wrong_key, dropped = record_of("call_9", events).problems
    assert (wrong_key.stage, wrong_key.provider, wrong_key.reason, wrong_key.count) == ("llm", "openai", "key", 2)
    assert (wrong_key.detail, wrong_key.action) == ("refused with 403", "gives up")
    assert (wrong_key.first_at, wrong_key.last_at) == (events[1].time, events[2].time)
    assert (dropped.stage, dropped.count) == ("stt", 1)


def test_a_call_without_failures_has_no_problems() -> None:
    assert record_of("call_9", whole_call()).problems == ()


def test_a_record_stays_small_however_many_ways_there_are_to_fail() -> None:
    events = [a_failure(at, provider=f"p{at}", detail="x" * 500) for at in range(1, 200)]
    assert len(record_of("call_9", events).problems) == 20
