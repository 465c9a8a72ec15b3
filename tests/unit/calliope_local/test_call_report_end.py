"""Why nobody answered a call of `make call`, in the words of whoever knows best."""

from typing import Any

import pytest

from calliope_local.call.report import broke, print_answered, why_unanswered
from support.running import answering

ASSISTANT: dict[str, Any] = {"name": "Practice", "is_active": True}
UNANSWERED: dict[str, Any] = {"status": "no-answer", "failed": None, "problems": []}
REFUSED: dict[str, Any] = {"ended_reason": "refused", "ended_detail": "no worker had a free slot: start more"}
RECORD: dict[str, Any] = {
    "id": "call_1",
    "ended_reason": "idle",
    "duration_ms": 61_234.0,
    "events": [],
    "problems": [
        {"stage": "tts", "provider": "elevenlabs", "reason": "key", "count": 2, "detail": "refused with 401"},
    ],
    "analysis_status": "completed",
    "analysis_error": None,
    "summary": "Nothing was said.",
    "structured_data": {"booked": False},
}


@pytest.mark.parametrize(
    ("assistant", "call", "record", "why"),
    [
        (ASSISTANT, UNANSWERED, REFUSED, "no worker had a free slot: start more."),
        (ASSISTANT | {"is_active": False}, UNANSWERED, None, "“Practice” is not active; set its is_active to true."),
        (ASSISTANT, UNANSWERED | {"status": "busy"}, None, "the line was busy: no call-worker has a free slot."),
        (ASSISTANT, UNANSWERED | {"problems": ["answered 403"]}, None, "answered 403."),
        (ASSISTANT, {"status": "failed", "failed": "it answered 500", "problems": []}, None, "it answered 500."),
        (ASSISTANT, UNANSWERED, {"ended_reason": "no_media"}, "the carrier says no-answer; the log of the call-worker"),
    ],
)
def test_the_one_who_knows_best_says_why(
    assistant: dict[str, Any], call: dict[str, Any], record: dict[str, Any] | None, why: str
) -> None:
    assert why_unanswered(assistant, call, record).startswith(why)


def test_the_end_of_a_call_tells_reason_problems_data_and_where_to_read_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering() as answers:
        print_answered(answers.stack, {"problems": ["unknown event x"]}, RECORD)
        record = f"{answers.url}/api/v1/calls/call_1"

    told = capsys.readouterr().out
    assert "\nEnded: idle (the caller was silent for too long), after 61.2 s\n" in told
    assert "   Problem: tts elevenlabs: key, 2 times. refused with 401\n" in told
    assert "   Problem: the carrier says: unknown event x\n" in told
    assert "   Summary: Nothing was said.\n" in told
    assert '   Data:    {"booked": false}\n' in told
    assert f"   Record:  {record}\n" in told
    assert f"   curl -s {record} -H" in told


@pytest.mark.parametrize(
    ("reason", "is_broken"),
    [("caller_hung_up", False), ("assistant_ended", False), ("transferred", False), ("provider_failed", True)],
)
def test_a_call_broke_when_neither_side_ended_it(reason: str, is_broken: bool) -> None:
    assert broke(RECORD | {"ended_reason": reason}) is is_broken


def test_a_summary_that_could_not_be_had_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    failed = RECORD | {"summary": None, "analysis_error": "openai: key"}
    with answering() as answers:
        print_answered(answers.stack, {"problems": []}, failed)

    assert "   Summary: none, openai: key\n" in capsys.readouterr().out


def test_a_call_without_a_record_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as answers:
        print_answered(answers.stack, {"problems": []}, None)

    assert "/api/v1/calls -H" in capsys.readouterr().out
