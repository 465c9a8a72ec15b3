"""When the streaming recogniser says what."""

from dataclasses import dataclass
from typing import Any

from calliope_sandbox.recognition import ArrivalClock, Emission, Recognition, RecognitionOptions


@dataclass(frozen=True)
class Word:
    """A heard word."""

    text: str
    start_ms: float
    end_ms: float


OPTIONS = RecognitionOptions(interim_results=True, endpointing_ms=300, utterance_end_ms=1_000, vad_events=True)


def told(emissions: list[Emission]) -> list[tuple[Any, ...]]:
    """Messages, short."""
    return [
        (message["type"],)
        if message["type"] != "Results"
        else (message["channel"]["alternatives"][0]["transcript"], message["is_final"], message["speech_final"])
        for message in (emission.message for emission in emissions)
    ]


def test_one_utterance_is_told_in_the_order_of_the_vendor() -> None:
    recognition = Recognition(OPTIONS)

    out = recognition.hear([Word("Book", 800, 1_000)], partial="a", position_ms=1_100, silence_ms=0)
    out += recognition.hear([Word("it.", 1_050, 1_300)], partial="", position_ms=1_500, silence_ms=200)
    out += recognition.hear([], partial="", position_ms=1_600, silence_ms=300)
    out += recognition.hear([], partial="", position_ms=2_300, silence_ms=1_000)

    assert told(out) == [
        ("SpeechStarted",),
        ("Book", False, False),
        ("Book it.", False, False),
        ("Book it.", True, True),
        ("UtteranceEnd",),
    ]


def test_long_speech_is_final_piece_by_piece() -> None:
    recognition = Recognition(RecognitionOptions(endpointing_ms=300))
    words = [Word(f"w{n}", 500 * n, 500 * n + 400) for n in range(10)]

    out = [e for w in words for e in recognition.hear([w], partial="x", position_ms=w.end_ms, silence_ms=0)]

    assert told(out) == [("w0 w1 w2 w3 w4 w5 w6 w7 w8", True, False)]


def test_windows_join_without_a_gap() -> None:
    recognition = Recognition(RecognitionOptions(endpointing_ms=100))
    first = recognition.hear([Word("a", 0, 100)], partial="", position_ms=250, silence_ms=150)[0].message
    second = recognition.hear([Word("b", 300, 400)], partial="", position_ms=600, silence_ms=200)[0].message

    assert first["start"] + first["duration"] == second["start"] == 0.25


def test_without_endpointing_only_the_end_of_the_utterance_is_told() -> None:
    recognition = Recognition(RecognitionOptions(endpointing_ms=None, utterance_end_ms=1_000))

    out = recognition.hear([Word("a", 0, 100)], partial="", position_ms=1_100, silence_ms=1_000)

    assert told(out) == [("UtteranceEnd",)]


def test_finalize_flushes_what_is_pending_and_may_be_empty() -> None:
    recognition = Recognition(RecognitionOptions(endpointing_ms=300))
    recognition.hear([Word("a", 0, 100)], partial="", position_ms=150, silence_ms=50)

    first, second = recognition.finalize(), recognition.finalize()

    assert told(first) == [("a", True, False)]
    assert told(second) == [("", True, False)]
    assert first[0].message["from_finalize"] is True


def test_words_are_plain_unless_formatting_was_asked_for() -> None:
    recognition = Recognition(RecognitionOptions(endpointing_ms=100, formatted=False))

    out = recognition.hear([Word("Hello,", 0, 100)], partial="", position_ms=300, silence_ms=200)

    assert told(out) == [("hello", True, True)]


def test_the_arrival_of_the_last_voiced_audio_is_known() -> None:
    clock = ArrivalClock()
    for number in range(10):
        clock.arrived(20.0 * (number + 1), 100.0 + number)

    assert clock.of(95.0) == 104.0
    assert clock.of(500.0) is None
