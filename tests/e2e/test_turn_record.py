"""The record of every turn: where its time went, and whose work it was."""

import statistics

import pytest

from calliope.contracts.calls import TurnTimings
from calliope_local.stack import LocalStack
from support.house import GREETING, Json
from support.scenes import Scene, Seen, played

SO = "Certainly it is so."
OUTSIDE_MS = 80.0
"""The carrier counts to its last frame with a voice, the record to the last word's end: a symbol and a frame apart."""


def talking(*more: Json, **document: object) -> Scene:
    asks: list[Json] = []
    for words in ("one two three", "four five", "six seven eight nine"):
        asks += [{"say": words}, {"wait_for": "it is so"}, {"wait_for_silence_ms": 200}]
    return Scene([{"wait_for": "Anna"}, {"wait_for_silence_ms": 200}, *asks, {"hang_up": True}], more, document)


SCENES = {
    "quick": talking({"say": SO}),
    "slow model": talking({"say": SO, "first_token_ms": 700}),
    "slow words": talking({"say": SO, "per_token_ms": 60}),
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    return played(stack, SCENES)


@pytest.fixture(params=SCENES)
def talk(seen: dict[str, Seen], request: pytest.FixtureRequest) -> Seen:
    return seen[request.param]


def replies(talk: Seen) -> list[Json]:
    return [turn for turn in talk.facts("turn_committed") if turn["kind"] == "reply"]


def test_the_waterfall_of_a_turn_sums_to_what_the_caller_waited(talk: Seen) -> None:
    assert talk.call["failed"] is None
    assert len(replies(talk)) == 3
    for turn in replies(talk):
        timings = TurnTimings.model_validate(turn["timings"])
        assert timings.response_ms is not None
        assert set(timings.waterfall) == {
            "recogniser",
            "end_of_turn",
            "request",
            "first_token",
            "first_text",
            "voice",
            "sending",
        }
        assert abs(sum(timings.waterfall.values()) - timings.response_ms) <= 5, timings


def test_what_the_record_calls_the_wait_is_what_the_carrier_measured(talk: Seen) -> None:
    outside = [
        (exchange["first_audio_at_s"] - exchange["last_voice_at_s"]) * 1_000 for exchange in talk.call["exchanges"]
    ]
    inside = [TurnTimings.model_validate(turn["timings"]).response_ms or 0.0 for turn in replies(talk)]

    apart = [abs(one - other) for one, other in zip(outside, inside, strict=True)]
    assert statistics.median(apart) < OUTSIDE_MS, (outside, inside)


def test_waiting_for_a_slow_model_is_not_put_down_to_anybody_else(seen: dict[str, Seen]) -> None:
    for turn in replies(seen["slow model"]):
        timings = TurnTimings.model_validate(turn["timings"])
        assert timings.first_token_ms is not None
        assert timings.llm_asked_ms is not None
        assert timings.first_token_ms - timings.llm_asked_ms >= 690
        assert timings.added_ms is not None
        assert timings.added_ms < 500


def test_every_turn_says_who_worked_on_it_and_how_much(talk: Seen) -> None:
    for turn in replies(talk):
        usage = turn["usage"]
        assert (usage["llm_provider"], usage["llm_model"]) == ("openai", "gpt-4o-mini")
        assert usage["input_tokens"] > 0
        assert usage["output_tokens"] > 0
        assert (usage["tts_provider"], usage["stt_provider"]) == ("elevenlabs", "deepgram")
        assert usage["tts_voice"]
        assert usage["tts_characters"] == len(SO) + 1
        assert usage["stt_audio_ms"] > 0
    welcome = talk.facts("turn_committed")[0]
    assert (welcome["kind"], welcome["assistant_text"], welcome["usage"]["llm_provider"]) == ("welcome", GREETING, None)
    assert welcome["timings"]["first_audio_sent_ms"] is not None
