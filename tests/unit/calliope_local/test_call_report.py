"""What a person reads of a call: its talk with times, what answers waited for, and why a webhook is missing."""

from typing import Any

import pytest

from calliope_local.call_report import live_line, print_events, print_live, print_turns, print_webhooks

SENTENCE = {"type": "line", "side": "assistant", "text": "Hold the line.", "start_ms": 6_100, "interrupted": False}
TURN = {
    "sequence": 2,
    "type": "calliope.call.turn_committed.v1",
    "time": "2026-11-28T10:00:00.123456Z",
    "data": {
        "turn": 1,
        "kind": "reply",
        "assistant_text": "x" * 100,
        "timings": {
            "last_word_ms": 1_000,
            "final_ms": 1_300,
            "llm_asked_ms": 1_301,
            "tts_asked_ms": 1_400,
            "first_tts_byte_ms": 1_480,
            "first_audio_sent_ms": 1_481,
        },
    },
}
RECORD: dict[str, Any] = {"events": [TURN], "analysis_status": None, "summary": None, "structured_data": None}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (SENTENCE, "  6.10 s  assistant  Hold the line."),
        (SENTENCE | {"side": "caller"}, "  6.10 s  caller     Hold the line."),
        (SENTENCE | {"interrupted": True}, "  6.10 s  assistant  Hold the line. — interrupted, falls silent"),
        ({"type": "dial", "number": "+15550007777", "at_ms": 7_040.5}, "  7.04 s  --- handed over to +15550007777"),
        ({"type": "clear", "at_ms": 1}, None),
    ],
)
def test_a_live_event_in_words(event: dict[str, Any], text: str | None) -> None:
    assert live_line(event) == text


def test_live_events_are_printed_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    print_live([SENTENCE, {"type": "clear"}, {"type": "dial", "number": "+1", "at_ms": 9_000}])

    assert capsys.readouterr().out.splitlines() == [
        "     6.10 s  assistant  Hold the line.",
        "     9.00 s  --- handed over to +1",
    ]


def test_an_answer_shows_what_providers_took_and_what_was_added(capsys: pytest.CaptureFixture[str]) -> None:
    fixed = TURN | {"data": TURN["data"] | {"kind": "welcome"}}  # type: ignore[operator]

    answers = print_turns(RECORD | {"events": [fixed, TURN]})

    assert answers == 1
    assert capsys.readouterr().out.splitlines()[1].split() == ["1", "481", "ms", "479", "ms", "2.0", "ms"]


def test_events_are_printed_with_their_gist_and_the_analysis_after_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_events(RECORD | {"analysis_status": "completed", "summary": "Booked.", "structured_data": {"name": "Zoë"}})

    event, summary, data = capsys.readouterr().out.splitlines()
    assert event == f"     2  10:00:00.123  calliope.call.turn_committed.v1    {'x' * 60}"
    assert (summary, data) == ("   after the call: Booked.", '   structured data: {"name": "Zoë"}')


def test_a_webhook_that_is_missing_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"id": "a", "sequence": 1, "type": "calliope.call.started.v1"}]

    print_webhooks(events, {})
    print_webhooks(events, {"a": "the receiver answered 500"})

    verified, missing = capsys.readouterr().out.splitlines()
    assert verified.endswith("verified")
    assert missing.endswith("MISSING: the receiver answered 500")
