"""What is wrong with a played call is said in words, with the reason where somebody knows it."""

from typing import Any

import pytest

from calliope_local.checks import failures, webhook_problems
from calliope_local.scenario import Scenario

Json = dict[str, Any]
TALK: list[Json] = [{"wait_for": "hello"}, {"say": "Goodbye"}, {"expect_hang_up": True}]
NAMES = ("started", "answered", "turn_started", "turn_committed", "ended")


def event(sequence: int, name: str) -> Json:
    return {"id": f"evt_{sequence}", "sequence": sequence, "type": f"calliope.call.{name}.v1"}


def a_record(**changes: Any) -> Json:
    said = [("assistant", "Hello, this is Anna."), ("user", "Goodbye"), ("assistant", "Bye then.")]
    record = {
        "status": "ended",
        "ended_reason": "assistant_ended",
        "events": [event(sequence, name) for sequence, name in enumerate(NAMES, 1)],
        "transcript": [{"role": role, "text": text} for role, text in said],
        "structured_data": None,
    }
    return record | changes


def a_call(**changes: Any) -> Json:
    heard = "Hello, this is Anna. Bye then."
    call = {
        "failed": None,
        "heard_words": [{"text": word} for word in heard.split()],
        "lines": [{"side": "assistant", "text": heard}, {"side": "caller", "text": "Goodbye"}],
    }
    return call | changes


def test_a_whole_call_lacks_nothing() -> None:
    scenario = Scenario({}, TALK, ended_reason="assistant_ended", heard=("Anna", "Bye"))
    assert failures(a_call(), a_record(), scenario) == []


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ({"ended_reason": "idle"}, "it ended with assistant_ended, not with idle"),
        ({"events": ("tool_started",)}, "there is no event call.tool_started"),
        ({"heard": ("Bye", "Anna")}, "the caller did not hear “Anna”, or not in its turn"),
        ({"structured_data": {"booked": True}}, "the structured data has no booked"),
    ],
)
def test_what_was_expected_and_did_not_come_is_named(scenario: Json, words: str) -> None:
    assert failures(a_call(), a_record(), Scenario({}, TALK, **scenario)) == [words]


def test_data_of_another_value_is_told_as_json() -> None:
    record = a_record(structured_data={"name": "Zoë", "booked": False})
    scenario = Scenario({}, TALK, structured_data={"name": "Zoë", "booked": True})
    assert failures(a_call(), record, scenario) == ["booked of the structured data is false, not true"]


def test_an_interruption_that_did_not_happen_is_missed() -> None:
    caller = [{"interrupt": {"after_words": 1, "say": "Goodbye"}}]
    assert failures(a_call(), a_record(), Scenario({}, caller)) == ["the assistant was interrupted 0 times, not 1 time"]


def test_a_record_that_is_not_what_was_heard_is_told_with_both() -> None:
    heard = [{"text": word} for word in ("Something", "else", "entirely")]
    (words,) = failures(a_call(heard_words=heard), a_record(), Scenario({}, TALK))
    assert "heard “Something else entirely”, the transcript says “Hello, this is Anna. Bye then.”" in words


def test_a_hole_in_the_events_is_missed() -> None:
    events = [event(sequence, name) for sequence, name in zip((1, 2, 3, 5, 6), NAMES, strict=True)]
    assert failures(a_call(), a_record(events=events), Scenario({}, TALK)) == ["its events have holes: 1, 2, 3, 5, 6"]


def test_a_caller_who_failed_and_a_record_that_never_came_are_both_told() -> None:
    assert failures(a_call(failed="application error: 503"), None, Scenario({}, TALK)) == [
        "the caller's script failed: application error: 503",
        "there is no record of the call",
    ]


def test_a_caller_who_says_nothing_is_not_expected_to_have_turns() -> None:
    record = a_record(events=[event(1, "started"), event(2, "answered"), event(3, "ended")], transcript=[])
    call = a_call(heard_words=[], lines=[])
    assert failures(call, record, Scenario({}, [{"hang_up": True}])) == []


def attempt(webhook_id: str, *, why: str = "") -> Json:
    return {"webhook_id": webhook_id, "verified": not why, "why": why}


def test_only_events_of_the_call_have_to_be_verified() -> None:
    """`assistant.created` may come to a receiver that learns the secret from the answer to the request."""
    attempts = [attempt("evt_of_assistant", why="no secret registered"), attempt("evt_1"), attempt("evt_2")]
    assert webhook_problems([event(1, "started"), event(2, "ended")], attempts) == {}


def test_an_event_that_was_verified_once_reached_its_receiver() -> None:
    attempts = [attempt("evt_1", why="No matching signature found"), attempt("evt_1")]
    assert webhook_problems([event(1, "started")], attempts) == {}


@pytest.mark.parametrize(
    ("attempts", "deliveries", "why"),
    [
        (
            [attempt("evt_1", why="no secret registered")],
            [],
            "arrived 1 time, not verified: no secret registered",
        ),
        ([], [], "never sent: the webhooks service has no delivery of it"),
        (
            [],
            [{"event_id": "evt_1", "state": "due", "attempts": 0, "log": [], "url": "http://x/"}],
            "due after 0 attempts (http://x/)",
        ),
        (
            [],
            [
                {
                    "event_id": "evt_1",
                    "state": "dead",
                    "attempts": 1,
                    "log": [{"status": None, "error": "blocked_address"}],
                    "url": "http://x/",
                }
            ],
            "dead after 1 attempt, the last answered blocked_address (http://x/)",
        ),
    ],
)
def test_why_an_event_did_not_reach_its_receiver(attempts: list[Json], deliveries: list[Json], why: str) -> None:
    assert webhook_problems([event(1, "started")], attempts, deliveries) == {"evt_1": why}
