"""Trouble on the carrier's side: media that drops without a word, and frames that are none."""

import asyncio

import pytest

from support.faults import a_script, understood
from support.heard import compare_over_streams
from support.house import House, Json, facts, heard_text
from support.scenes import PACE, VOICE, Scene, Seen, play

CARRIERS = ("twilio", "telnyx")
TALE = "Once there was a harbour between two hills, and every boat that came in by night was seen from the tower there."
LAST = "tower there"
ASKED = "a tale please"


async def _call(house: House, *faults: Json) -> tuple[Json, Json]:
    return await house.call(await house.phone_line(), a_script([{"vendor": "twilio"} | fault for fault in faults]))


@pytest.mark.promise("P4")
async def test_a_media_stream_that_is_lost_is_taken_up_again(house: House) -> None:
    async with asyncio.TaskGroup() as calls:
        dropped = calls.create_task(_call(house, {"kind": "drop"}))
        closed = calls.create_task(_call(house, {"kind": "close"}))

    for call, record in (dropped.result(), closed.result()):
        _assert_taken_up(call, record)


def _assert_taken_up(call: Json, record: Json) -> None:
    assert (call["failed"], call["streams"], record["ended_reason"]) == (None, 2, "assistant_ended")
    assert [one["reason"] for one in facts(record, "resumed")] == ["media ended after turn_committed"]
    assert [event["sequence"] for event in record["events"]] == list(range(1, len(record["events"]) + 1))
    assert heard_text(call).count("is booked") == 1


async def test_frames_that_are_none_are_skipped_and_counted(house: House) -> None:
    before = await _malformed(house)

    call, record = await _call(house, {"kind": "garbage", "times": 25})

    assert (call["failed"], call["streams"], record["ended_reason"]) == (None, 1, "assistant_ended")
    assert understood(record)
    assert await _malformed(house) - before == 25


async def test_a_carrier_that_says_nothing_more_is_not_waited_for_for_ever(house: House) -> None:
    document = {"idle_timeout": 2, "max_idle_messages": 1}
    line = await house.phone_line()
    quiet = await house.api("PATCH", f"/api/v1/assistants/{line.assistant['id']}", document)
    assert quiet.status == 200, quiet.body

    async with asyncio.timeout(60):
        script: list[Json] = [{"wait_for": "Anna"}, {"faults": [{"vendor": "twilio", "kind": "silent"}]}]
        call, record = await house.call(line, [*script, {"expect_hang_up": True, "within_s": 50}])

    assert (call["failed"], record["ended_reason"]) == (None, "idle")


async def _mid_answer(house: House, *faults: Json) -> list[Seen]:
    """A call at each carrier, which has these faults while the assistant speaks."""
    await house.sandbox("PATCH", "/sandbox/knobs", {"elevenlabs": {"voice_char_ms": {VOICE[1]: PACE}}})
    tales = [_a_tale(carrier, [{"vendor": carrier} | fault for fault in faults]) for carrier in CARRIERS]
    async with asyncio.TaskGroup() as calls:
        running = [calls.create_task(play(house, tale)) for tale in tales]
    return [call.result() for call in running]


def _a_tale(carrier: str, faults: list[Json]) -> Scene:
    script: list[Json] = [
        {"wait_for": "Anna"},
        {"wait_for_silence_ms": 300},
        {"say": ASKED},
        {"wait_for": "two hills"},
        {"faults": faults},
        {"wait_for": LAST},
        {"wait_for_silence_ms": 1_000},
        {"hang_up": True},
    ]
    return Scene(script, [{"say": TALE}], carrier=carrier)


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
async def test_a_carrier_that_reads_nothing_more_in_mid_answer_is_noticed_and_the_answer_heard(house: House) -> None:
    for seen in await _mid_answer(house, {"kind": "stops_reading"}):
        assert (seen.call["failed"], seen.call["streams"]) == (None, 2), seen
        assert [(one["stage"], one["reason"]) for one in seen.facts("provider_failed")] == [("carrier", "deadline")]
        assert len(seen.facts("resumed")) == 1
        heard = compare_over_streams(seen.call, seen.record, TALE, asked=ASKED)
        assert heard.off == 0, heard
        assert max(heard.missing, heard.twice) <= 1, heard


async def test_a_carrier_that_loses_a_mark_costs_nothing_but_a_moment(house: House) -> None:
    for seen in await _mid_answer(house, {"kind": "loses_marks"}):
        assert (seen.call["failed"], seen.call["streams"], seen.facts("provider_failed")) == (None, 1, [])
        assert compare_over_streams(seen.call, seen.record, TALE, asked=ASKED).wrong == 0


async def test_a_carrier_whose_media_dies_again_and_again_ends_the_call_in_its_own_voice(house: House) -> None:
    for seen in await _mid_answer(house, {"kind": "close", "times": None}):
        assert seen.record["ended_reason"] == "carrier_failed", seen
        assert "lost" in seen.record["ended_detail"]
        assert "technical problem" in seen.heard


async def _malformed(house: House) -> float:
    async with house.http.get(f"{house.stack.health('worker')}/metrics") as answer:
        page = await answer.text()
    found = [line.split()[1] for line in page.splitlines() if line.startswith("calliope_media_malformed_total ")]
    return float(found[0]) if found else 0.0
