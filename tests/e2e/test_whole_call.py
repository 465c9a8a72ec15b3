"""One whole call through all services on real sockets: what was said is what was heard, and everybody was told."""

import asyncio
from dataclasses import dataclass

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, House, Json, facts, heard_text, names, said, visiting

SCRIPT: list[Json] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": "Hi, what are your opening hours?"},
    {"interrupt": {"after_words": 4, "say": "Sorry, I meant can I book a table tomorrow"}},
    {"wait_for": "anything else"},
    {"wait_for_silence_ms": 300},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True},
]


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as its caller, the API and the receiver of its webhooks saw it."""

    call: Json
    record: Json
    told: Json


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> Seen:
    async def ring() -> Seen:
        async with visiting(stack) as house:
            line = await house.phone_line()
            call, record = await house.call(line, SCRIPT)
            return Seen(call, record, await house.delivered(line, record))

    return asyncio.run(ring())


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
def test_what_was_said_is_what_was_heard_on_both_sides(seen: Seen) -> None:
    call, record = seen.call, seen.record

    assert call["failed"] is None
    assert said(record, "user") == " ".join(step["say"] for step in (SCRIPT[2], SCRIPT[3]["interrupt"], SCRIPT[6]))
    assert heard_text(call).startswith(GREETING)
    assert_nearly_the_same(heard_text(call).split(), said(record, "assistant").split())
    assert record["ended_reason"] == "assistant_ended"


@pytest.mark.promise("P3")
def test_events_are_complete_in_order_and_delivered_to_a_receiver_who_verifies_them(seen: Seen) -> None:
    record, told = seen.record, seen.told

    assert [event["sequence"] for event in record["events"]] == list(range(1, len(record["events"]) + 1))
    assert names(record)[0:2] == ["started", "answered"]
    assert {"turn_started", "interrupted", "turn_committed", "tool_started", "tool_finished"} <= set(names(record))
    wanted = {event["id"]: event for event in record["events"]}
    verified = {attempt["webhook_id"]: attempt["body"] for attempt in told["attempts"] if attempt["verified"]}
    assert told["unverified"] == 0
    assert {key: verified.get(key) for key in wanted} == wanted


def test_a_turns_moments_are_in_order_and_its_work_is_counted(seen: Seen) -> None:
    replies = [turn for turn in facts(seen.record, "turn_committed") if turn["kind"] == "reply"]
    assert len(replies) == 3
    for turn in replies:
        moments = turn["timings"]
        order = ("last_word_ms", "final_ms", "committed_ms", "tts_asked_ms", "first_tts_byte_ms", "first_audio_sent_ms")
        times = [moments[name] for name in order]
        assert times == sorted(times)
        assert moments["first_token_ms"] >= moments["llm_asked_ms"]
        assert turn["usage"]["llm_provider"] == "openai"
        assert turn["usage"]["tts_characters"] > 0


async def test_one_trace_runs_from_the_carriers_hook_through_the_bus_into_every_event(house: House) -> None:
    line = await house.phone_line()

    _, record = await house.call(line, [{"wait_for": "Anna"}, {"hang_up": True}])

    assert len({event["traceparent"].split("-")[1] for event in record["events"]}) == 1
    assert record["ended_reason"] == "caller_hung_up"


def assert_nearly_the_same(heard: list[str], written: list[str]) -> None:
    """The same words; where the caller interrupted, half a word more may have reached the ear, or one word less."""
    assert abs(len(heard) - len(written)) <= 2, (heard, written)
    missing = [word for word in written if word not in heard]
    assert not missing, (heard, written)
