"""Barge-in through all services: what cuts the assistant short, when, and what becomes of the caller's words."""

import pytest

from calliope_local.stack import LocalStack
from support.house import Json
from support.scenes import Scene, Seen, played

STORY = "Once there was a shepherd who lived on a hill above the sea and counted every ship that came to the end"
READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
TELL: Json = {"say": "Tell me a story"}


def rules(*more: Json) -> list[Json]:
    return [*more, {"match": "story", "say": STORY}, {"say": "Certainly it is so."}]


def patience(threshold: int, speaking_s: float, cooldown_s: float) -> Json:
    return {
        "interruption_settings": {
            "interruption_threshold": threshold,
            "min_speaking_time": speaking_s,
            "interruption_cooldown": cooldown_s,
        }
    }


SCENES = {
    "backchannel": Scene(
        [
            *READY,
            TELL,
            {"interrupt": {"after_words": 4, "say": "uh huh"}},
            {"wait_for": "to the end"},
            {"wait_for_silence_ms": 1_500},
            {"say": "thank you very much"},
            {"wait_for": "Certainly it is so"},
            {"hang_up": True},
        ],
        rules({"match": "thank you", "say": "Certainly it is so."}),
        patience(3, 0.3, 0.5),
    ),
    "backchannel at last": Scene(
        [
            *READY,
            TELL,
            {"interrupt": {"after_words": 4, "say": "uh huh"}},
            {"wait_for": "to the end"},
            {"hang_up": True},
        ],
        rules(),
        patience(3, 0.3, 0.5),
    ),
    "min speaking time": Scene(
        [
            *READY,
            TELL,
            {"interrupt": {"after_ms": 200, "say": "please stop it now"}},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        rules(),
        patience(2, 3.0, 0.0),
    ),
    "cooldown": Scene(
        [
            *READY,
            TELL,
            {"interrupt": {"after_words": 3, "say": "wait another story please"}},
            {"wait_for": "Once there was"},
            {"interrupt": {"after_words": 1, "say": "no stop that now"}},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        rules({"match": "stop", "say": "Certainly it is so."}),
        patience(2, 0.2, 5.0),
    ),
    "twice in a row": Scene(
        [
            *READY,
            TELL,
            {"interrupt": {"after_words": 3, "say": "wait another story please"}},
            {"wait_for": "Once there was"},
            {"interrupt": {"after_words": 2, "say": "no stop that now"}},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        rules({"match": "stop", "say": "Certainly it is so."}),
        patience(2, 0.2, 0.0),
    ),
    "during the welcome": Scene(
        [{"interrupt": {"after_words": 5, "say": "wait what is this"}}, {"wait_for": "it is so"}, {"hang_up": True}],
        rules(),
        patience(3, 0.3, 0.5)
        | {"llm_settings": {"welcome_message": "Hello, this is Anna of the old library in the town by the river."}},
    ),
    "before any audio": Scene(
        [
            *READY,
            {"say": "I would like"},
            {"pause_ms": 700},
            {"say": "a room with a view"},
            {"wait_for": "it is so"},
            {"hang_up": True},
        ],
        [{"say": "Certainly it is so.", "first_token_ms": 1_100}],
        patience(3, 0.3, 0.5),
    ),
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    return played(stack, SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_the_caller_could_follow_the_script(seen: dict[str, Seen], name: str) -> None:
    assert seen[name].call["failed"] is None, (seen[name].call["lines"], seen[name].record["transcript"])
    assert seen[name].call["problems"] == []


def test_words_below_the_threshold_are_never_answered_alone_and_join_the_next_turn(seen: dict[str, Seen]) -> None:
    talk = seen["backchannel"]

    assert talk.facts("interrupted") == []
    assert talk.assistant[1] == STORY
    assert talk.users == ["Tell me a story", "uh huh thank you very much"]
    assert said_to_the_model(talk)[-1] == talk.users


def test_words_that_no_turn_followed_are_in_the_record_and_were_not_answered(seen: dict[str, Seen]) -> None:
    talk = seen["backchannel at last"]

    assert talk.users == ["Tell me a story", "uh huh"]
    assert said_to_the_model(talk)[-1] == ["Tell me a story"]
    assert talk.facts("turn_committed")[-1]["assistant_text"] == ""


def test_min_speaking_time_counts_from_the_first_audible_word(seen: dict[str, Seen]) -> None:
    talk = seen["min speaking time"]

    (cut,) = talk.facts("interrupted")
    told = next(turn for turn in talk.facts("turn_committed") if turn["user_text"] == "Tell me a story")
    assert 3_000 <= cut["at_ms"] - told["timings"]["first_audio_sent_ms"] < 3_300
    assert talk.users == ["Tell me a story", "please stop it now"]


def test_an_interruption_waits_for_the_cooldown_of_the_one_before(seen: dict[str, Seen]) -> None:
    first, second = seen["cooldown"].facts("interrupted")

    assert 5_000 <= second["at_ms"] - first["at_ms"] < 5_300
    assert seen["cooldown"].users == ["Tell me a story", "wait another story please", "no stop that now"]


def test_two_interruptions_in_a_row_each_leave_what_was_heard_in_the_history(seen: dict[str, Seen]) -> None:
    talk = seen["twice in a row"]

    first, second = talk.facts("interrupted")
    assert talk.users == ["Tell me a story", "wait another story please", "no stop that now"]
    told = [message["content"] for message in talk.asked[-1] if message["role"] == "assistant"]
    assert told == ["Hello, this is Anna.", first["heard_text"], second["heard_text"]]
    assert STORY.startswith(first["heard_text"])
    assert STORY.startswith(second["heard_text"])


def test_a_caller_who_speaks_into_the_welcome_is_answered_and_the_model_knows_what_was_heard(
    seen: dict[str, Seen],
) -> None:
    talk = seen["during the welcome"]

    (cut,) = talk.facts("interrupted")
    assert cut["turn"] == 0
    assert talk.users == ["wait what is this"]
    assert talk.asked[-1][1]["content"] == cut["heard_text"]
    assert "Hello, this is Anna" in cut["heard_text"]
    assert "river" not in cut["heard_text"]


def test_a_reply_that_nobody_heard_leaves_no_trace_and_the_words_are_one_turn(seen: dict[str, Seen]) -> None:
    talk = seen["before any audio"]

    assert talk.facts("interrupted") == []
    assert talk.users == ["I would like a room with a view"]
    assert [message["role"] for message in talk.asked[-1]] == ["system", "assistant", "user"]
    assert said_to_the_model(talk)[-1] == talk.users


def said_to_the_model(talk: Seen) -> list[list[str]]:
    """The caller's turns in each request."""
    return [[message["content"] for message in asked if message["role"] == "user"] for asked in talk.asked]
