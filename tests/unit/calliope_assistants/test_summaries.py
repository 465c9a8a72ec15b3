"""A call in a list says what its own record says, whatever order its events arrive in, and however often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallSummary, ListCalls
from calliope_assistants.summaries import change_of, row_of, summary_of
from support.call_events import REFUSED, a_call, an_event, calls, told
from support.calls_in_memory import record_of


def listed(events: list[Event]) -> CallSummary:
    return summary_of("call_9", "org_1", row_of(events))


@given(calls(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_list_says_what_the_record_says_in_any_order(events: list[Event], data: st.DataObject) -> None:
    arrived = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=9))]))
    record = record_of("call_9", events).model_dump()
    assert listed(arrived).model_dump() == {name: record[name] for name in CallSummary.model_fields}


def test_a_summary_counts_what_happened() -> None:
    summary = listed(a_call())
    assert (summary.status, summary.ended_reason, summary.ended_detail) == ("ended", "caller_hung_up", "in a hurry")
    assert (summary.turns, summary.interruptions, summary.event_count) == (2, 1, len(a_call()))
    assert [(tool.name, tool.calls, tool.failed) for tool in summary.tools] == [("book", 2, 1), ("lookup", 1, 0)]
    assert [(problem.provider, problem.count) for problem in summary.problems] == [("openai", 2), ("deepgram", 1)]
    assert (summary.problem_count, summary.summary) == (3, "Short.")


def test_a_call_that_was_refused_began_and_ended_at_once_and_says_why() -> None:
    (event,) = told([("refused", REFUSED)])
    summary = listed([event])
    assert (summary.status, summary.ended_reason, summary.refusal) == ("ended", "refused", "signature")
    assert (summary.ended_detail, summary.duration_ms) == ("compare twilio_config.auth_token", 0.0)
    assert summary.started_at == summary.ended_at == event.time
    assert (summary.assistant_id, summary.from_number, summary.carrier_call_id) == ("asst_1", "+15550001", "CA1")


def test_a_call_ended_when_its_event_says_and_else_when_the_event_was_told() -> None:
    said = "2026-01-02T00:00:00.000Z"
    (told_late,) = (an_event(9, "ended", reason="idle", duration_ms=1.0, ended_at=said),)
    old = an_event(9, "ended", reason="idle", duration_ms=1.0)
    assert listed([*a_call()[:2], told_late]).ended_at == datetime.fromisoformat(said)
    assert listed([*a_call()[:2], old]).ended_at == old.time


def test_of_many_ways_to_fail_the_first_twenty_are_told_and_all_are_counted() -> None:
    events = [an_event(at, "provider_failed", stage="llm", reason="key", provider=f"p{at}") for at in range(1, 31)]
    summary = listed(events)
    assert [problem.provider for problem in summary.problems] == [f"p{at}" for at in range(1, 21)]
    assert summary.problem_count == 30


def test_media_that_flows_again_after_a_takeover_does_not_move_the_moment_of_the_answer() -> None:
    again = [*a_call()[:2], an_event(3, "resumed"), an_event(4, "answered", stream_id="MZ2", silence_ms=480.0)]
    assert (listed(again).answered_at, listed(again).takeovers) == (a_call()[1].time, 1)
    assert (listed(again).longest_takeover_silence_ms, listed(a_call()).longest_takeover_silence_ms) == (480.0, None)


def test_an_event_whose_data_cannot_be_read_is_counted_and_says_nothing() -> None:
    assert change_of(an_event(7, "ended", reason="abducted")).add == {"event_count": 1}
    assert listed([*a_call()[:1], an_event(7, "ended", reason="abducted")]).status == "ringing"


def test_a_name_that_is_no_word_cannot_write_elsewhere_into_the_row() -> None:
    events = [an_event(1, "tool_started", turn=1, tool_call_id="t", name="a.b", arguments={}, idempotency_key="k")]
    assert row_of(events) == {"event_count": 1}


WHEN = "must be a date and time with a time zone"


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"since": "yesterday"}, WHEN),
        ({"since": "1700000000"}, WHEN),
        ({"until": "2026-01-31"}, WHEN),
        ({"since": "2026-01-31T09:00:00"}, WHEN),
        ({"since": "2026-01-31T09:00:00 01:00"}, "%2B"),
        ({"number": " 15550001111"}, "%2B"),
        ({"problem": "llm, tts"}, "a stage such as llm"),
        ({"ended_reason": "bored"}, "'caller_hung_up'"),
        ({"since": "2026-01-31T09:00:00Z", "until": "2026-01-31T09:00:00+01:00"}, "must be later than `since`"),
    ],
)
def test_a_wrong_filter_is_refused_in_words(filters: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        ListCalls.model_validate(filters)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["2026-01-31T09:00:00Z", "2026-01-31T10:00:00+01:00", "2026-01-31t09:00:00.000z"])
def test_a_moment_of_rfc_3339_is_read(text: str) -> None:
    assert ListCalls.model_validate({"since": text}).since == datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize("word", ["any", "tool", "rate_limited", "telnyx", "book_table", "tool:quote"])
def test_a_problem_is_a_word_that_is_known_or_resembles_none(word: str) -> None:
    assert ListCalls(problem=word).problem == word


@pytest.mark.parametrize("number", ["+15550001111", "anonymous", "sip:anna@example.com", "client:anna"])
def test_a_number_is_one_or_what_carriers_send_instead(number: str) -> None:
    assert ListCalls(number=number).number == number


def test_filters_travel_over_the_bus_as_they_are() -> None:
    wanted: Any = ListCalls(since=datetime(2026, 1, 31, 9, tzinfo=UTC) + timedelta(microseconds=1), number="anonymous")
    assert ListCalls.model_validate_json(wanted.model_dump_json()) == wanted
