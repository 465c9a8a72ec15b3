"""Silence, long calls, keys and callers who speak first, through all services."""

from itertools import pairwise

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, Json
from support.scenes import Scene, Seen, played

READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
STORY = "Once there was a shepherd who lived on a hill above the sea and counted every ship that came to the end"
STILL_THERE = "Are you with me?"
IDLE_GOODBYE = "I cannot hear you, so I will hang up now. Goodbye."
LONG_GOODBYE = "We have reached the longest time a call may take. Goodbye."
LATE_MS = 400.0
"""How much later than due an idle message may begin: the voice's first byte, and a busy machine."""


def idle(timeout_s: int, most: int) -> Json:
    return {"idle_timeout": timeout_s, "max_idle_messages": most, "idle_message": STILL_THERE}


RULES: list[Json] = [{"match": "story", "say": STORY}, {"say": "Certainly it is so."}]
SCENES = {
    "silent": Scene([{"expect_hang_up": True}], RULES, idle(1, 2)),
    "no idle messages": Scene([{"expect_hang_up": True}], RULES, idle(1, 0)),
    "reset": Scene(
        [{"wait_for": "with me"}, {"say": "yes I am"}, {"wait_for": "it is so"}, {"expect_hang_up": True}],
        RULES,
        idle(1, 1),
    ),
    "long reply": Scene(
        [*READY, {"say": "a story"}, {"wait_for": "to the end"}, {"wait_for": "with me"}, {"hang_up": True}],
        RULES,
        idle(1, 3),
    ),
    "goodbye gives way": Scene(
        [
            {"wait_for": "with me"},
            {"wait_for": "I cannot"},
            {"say": "wait please I am here"},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        RULES,
        idle(1, 1),
    ),
    "too long": Scene(
        [*READY, {"pause_ms": 5_200}, {"say": "a story"}, {"expect_hang_up": True}],
        RULES,
        {"max_call_duration": 10},
    ),
    "keys": Scene(
        [*READY, {"dtmf": "12#"}, {"wait_for": "it is so"}, {"hang_up": True}],
        RULES,
    ),
    "keys after words": Scene(
        [*READY, {"say": "my number is"}, {"dtmf": "42"}, {"wait_for": "it is so"}, {"hang_up": True}],
        RULES,
    ),
    "keys cut in": Scene(
        [
            *READY,
            {"say": "a story"},
            {"wait_for": "shepherd"},
            {"dtmf": "0#"},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        [{"match": "DTMF", "say": "Certainly it is so."}, *RULES],
    ),
    "no welcome": Scene(
        [{"pause_ms": 600}, {"say": "hello who is there"}, {"wait_for": "it is so"}, {"hang_up": True}],
        RULES,
        {"llm_settings": {"welcome_message": None}},
    ),
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    return played(stack, SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_the_caller_could_follow_the_script(seen: dict[str, Seen], name: str) -> None:
    assert seen[name].call["failed"] is None, (seen[name].call["lines"], seen[name].record["transcript"])
    assert seen[name].call["problems"] == []


def test_a_silent_caller_is_asked_twice_and_told_goodbye_to_the_last_word(seen: dict[str, Seen]) -> None:
    talk = seen["silent"]

    assert [line["text"] for line in talk.lines] == [GREETING, STILL_THERE, STILL_THERE, IDLE_GOODBYE]
    assert talk.assistant == [GREETING, STILL_THERE, STILL_THERE, IDLE_GOODBYE]
    assert (talk.record["ended_reason"], talk.call["ended_by"]) == ("idle", "product")
    assert talk.asked == []


def test_silence_is_measured_from_the_audible_end_of_what_was_said_before(seen: dict[str, Seen]) -> None:
    for name in ("silent", "no idle messages", "long reply"):
        lines = seen[name].lines if name != "long reply" else seen[name].lines[1:]
        gaps = [after["start_ms"] - before["end_ms"] for before, after in pairwise(lines)]
        assert gaps, name
        assert all(1_000 <= gap < 1_000 + LATE_MS for gap in gaps), (name, gaps)


def test_without_idle_messages_the_goodbye_comes_at_once(seen: dict[str, Seen]) -> None:
    assert seen["no idle messages"].assistant == [GREETING, IDLE_GOODBYE]
    assert seen["no idle messages"].record["ended_reason"] == "idle"


def test_speech_resets_the_count_of_idle_messages(seen: dict[str, Seen]) -> None:
    talk = seen["reset"]

    assert talk.assistant == [GREETING, STILL_THERE, "Certainly it is so.", STILL_THERE, IDLE_GOODBYE]
    assert talk.record["ended_reason"] == "idle"


def test_nobody_is_asked_whether_they_are_there_while_the_assistant_speaks(seen: dict[str, Seen]) -> None:
    assert seen["long reply"].assistant[:3] == [GREETING, STORY, STILL_THERE]


def test_a_caller_who_speaks_into_the_idle_goodbye_keeps_the_call(seen: dict[str, Seen]) -> None:
    talk = seen["goodbye gives way"]

    assert talk.users == ["wait please I am here"]
    assert talk.record["ended_reason"] == "caller_hung_up"


def test_the_longest_call_ends_with_a_goodbye_even_into_a_story(seen: dict[str, Seen]) -> None:
    talk = seen["too long"]

    assert talk.record["ended_reason"] == "max_duration"
    assert talk.assistant[-1] == LONG_GOODBYE
    assert talk.heard.endswith(LONG_GOODBYE)
    (cut,) = talk.facts("interrupted")
    assert 10_000 <= cut["at_ms"] < 10_000 + LATE_MS
    assert STORY.startswith(talk.assistant[-2])


def test_keys_are_words_of_a_turn_and_facts(seen: dict[str, Seen]) -> None:
    assert seen["keys"].users == ["DTMF: 12"]
    assert [key["digit"] for key in seen["keys"].facts("dtmf_received")] == ["1", "2", "#"]


def test_keys_pressed_behind_words_join_their_turn(seen: dict[str, Seen]) -> None:
    assert seen["keys after words"].users == ["my number is DTMF: 42"]


def test_a_key_cuts_the_assistant_short(seen: dict[str, Seen]) -> None:
    talk = seen["keys cut in"]

    (cut,) = talk.facts("interrupted")
    assert STORY.startswith(cut["heard_text"])
    assert talk.users == ["a story", "DTMF: 0"]


def test_without_a_welcome_the_caller_speaks_first(seen: dict[str, Seen]) -> None:
    talk = seen["no welcome"]

    assert talk.assistant == ["Certainly it is so."]
    assert talk.users == ["hello who is there"]
    assert [message["role"] for message in talk.asked[-1]] == ["system", "user"]
