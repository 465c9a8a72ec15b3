"""When nothing is broken nothing is reported broken: many clean calls without one false alarm."""

import asyncio
import time
from typing import Final

import pytest

from support.faults import FIRST, a_document_with_keys
from support.house import House, Json, PhoneLine, facts

SHORT: Final[list[Json]] = [
    {"wait_for": "Anna", "within_s": 60},
    {"wait_for_silence_ms": 300},
    {"say": FIRST},
    {"wait_for": "Saturday", "within_s": 60},
    {"hang_up": True},
]


async def test_forty_clean_calls_report_no_failure(house: House) -> None:
    await _clean(house, calls=40, at_once=14)


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(10))
async def test_a_thousand_clean_calls_report_no_failure(house: House, hundred: int) -> None:
    """In hundreds, so that one that hangs is noticed."""
    await _clean(house, calls=100, at_once=24)


async def _clean(house: House, *, calls: int, at_once: int) -> None:
    line = await house.phone_line(a_document_with_keys("clean"))
    left, alarms, began = iter(range(calls)), list[Json](), time.monotonic()

    async def caller() -> None:
        for number in left:
            alarms.extend(await _alarms(house, line, number))

    async with asyncio.TaskGroup() as callers:
        for _ in range(at_once):
            callers.create_task(caller())
    print(f"{calls} calls in {time.monotonic() - began:.0f} s, {at_once} at once")
    assert not alarms, alarms


async def _alarms(house: House, line: PhoneLine, number: int) -> list[Json]:
    call, record = await house.call(line, SHORT)
    failed: list[Json] = [{"call": number} | fact for fact in facts(record, "provider_failed")]
    wrong = (call["failed"], record["ended_reason"], call["streams"]) != (None, "caller_hung_up", 1)
    ended = {"call": number, "failed": call["failed"], "ended": record["ended_reason"], "late": call["latest_tick_ms"]}
    return failed + ([ended] if wrong else [])
