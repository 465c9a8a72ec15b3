"""When the turn-taking recogniser says what."""

from dataclasses import dataclass
from typing import Any

import pytest

from calliope_sandbox.recognition import Emission
from calliope_sandbox.turn_recognition import TurnOptions, TurnRecognition


@dataclass(frozen=True)
class Word:
    """A heard word."""

    text: str
    start_ms: float
    end_ms: float


def told(emissions: list[Emission]) -> list[tuple[Any, ...]]:
    """Messages, short."""
    return [(message["event"], message["transcript"]) for message in (emission.message for emission in emissions)]


def played(recognition: TurnRecognition, *words: Word, until_ms: int, begin_ms: int = 0) -> list[Emission]:
    """Audio in steps of 20 ms in which these words are said."""
    out: list[Emission] = []
    for at in range(begin_ms + 20, until_ms + 1, 20):
        done = [word for word in words if at - 20 < word.end_ms <= at]
        partial = next((word.text[:1] for word in words if word.start_ms < at < word.end_ms), "")
        spoken_ms = max((min(at, word.end_ms) for word in words if word.start_ms < at), default=0)
        out += recognition.hear(done, partial=partial, position_ms=at, silence_ms=at - spoken_ms)
    return out


BOOK, IT, NOW = Word("Book", 100, 400), Word("it.", 460, 600), Word("Now.", 820, 1_000)


def test_a_turn_is_told_from_its_start_to_its_end() -> None:
    out = played(TurnRecognition(TurnOptions(update_ms=100)), BOOK, IT, until_ms=1_000)
    assert told(out) == [
        ("StartOfTurn", "Book"),
        ("Update", "Book"),
        *[("Update", "Book it.")] * 3,
        ("EndOfTurn", "Book it."),
    ]
    assert [out[-1].message[name] for name in ("turn_index", "trigger", "end_of_turn_confidence")] == [
        0,
        "model",
        0.733,
    ]


def test_an_eager_end_that_holds_has_the_words_of_the_end() -> None:
    out = told(played(TurnRecognition(TurnOptions(eager_eot_threshold=0.4)), BOOK, IT, until_ms=1_000))
    assert out[-2:] == [("EagerEndOfTurn", "Book it."), ("EndOfTurn", "Book it.")]


def test_an_eager_end_is_taken_back_before_other_words_come() -> None:
    options = TurnOptions(eager_eot_threshold=0.3, eot_threshold=0.9)
    out = [event for event, _ in told(played(TurnRecognition(options), BOOK, IT, NOW, until_ms=1_400))]
    assert [event for event in out if event != "Update"] == [
        "StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn",
    ]  # fmt: skip


def test_a_turn_that_the_model_may_not_end_ends_by_its_timeout() -> None:
    out = played(TurnRecognition(TurnOptions(eot_threshold=1.0, eot_timeout_ms=700)), BOOK, until_ms=2_000)
    ends = [emission.message for emission in out if emission.message["event"] == "EndOfTurn"]
    assert [(end["trigger"], end["audio_window_end"]) for end in ends] == [("timeout", 1.1)]


def test_a_turn_is_ended_on_demand_and_only_when_there_is_one() -> None:
    recognition = TurnRecognition(TurnOptions())
    assert recognition.force_end() == []
    played(recognition, BOOK, until_ms=420)
    (end,) = recognition.force_end()
    assert (end.message["transcript"], end.message["trigger"]) == ("Book", "manual")


def test_windows_of_turns_join_and_their_numbers_rise() -> None:
    recognition = TurnRecognition(TurnOptions())
    out = played(recognition, BOOK, until_ms=700)
    out += played(recognition, NOW, until_ms=1_400, begin_ms=700)
    first, second = [emission.message for emission in out if emission.message["event"] == "EndOfTurn"]
    assert first["audio_window_end"] == second["audio_window_start"]
    assert [first["turn_index"], second["turn_index"]] == [0, 1]


@pytest.mark.parametrize("said", [(), (BOOK,)])
def test_closing_never_tells_the_end_of_a_turn(said: tuple[Word, ...]) -> None:
    recognition = TurnRecognition(TurnOptions())
    played(recognition, *said, until_ms=420)
    assert told(recognition.close()) == [("Update", word.text) for word in said]
