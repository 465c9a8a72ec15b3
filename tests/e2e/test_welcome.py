"""The welcome is spoken while the phone still rings, so it is heard the moment that media flows."""

import asyncio
import statistics
from typing import Final

from support.house import GREETING, House, Json, PhoneLine, a_document

CALLS: Final = 20
SIDE_BY_SIDE: Final = 4
AT_ONCE_MS: Final = 50.0
"""From the stream's `start` to the first byte of the welcome, at the median."""
RINGS_MS: Final = 400
SCRIPT: Final[list[Json]] = [{"pause_ms": 250}, {"hang_up": True}]


async def test_a_welcome_that_was_spoken_before_begins_at_once_for_everybody_who_calls(house: House) -> None:
    line = await house.phone_line(a_document())
    first, record = await house.call(line, [{"wait_for": "Anna"}, {"wait_for_silence_ms": 100}, {"hang_up": True}])
    assert (first["failed"], record["transcript"][0]["text"]) == (None, GREETING)

    delays = await first_audio_ms(house, [line] * CALLS)

    print(f"\nfirst audio after start: {describe(delays)}")
    assert statistics.median(delays) < AT_ONCE_MS, describe(delays)


async def test_a_welcome_that_nobody_spoke_before_is_made_while_the_phone_rings(house: House) -> None:
    lines = [
        await house.phone_line(a_document(llm_settings={"welcome_message": f"Hello, this is Anna, number {number}."}))
        for number in range(CALLS)
    ]

    delays = await first_audio_ms(house, lines, ring_ms=RINGS_MS)

    print(f"\nfirst audio of new welcomes after start: {describe(delays)}")
    assert statistics.median(delays) < AT_ONCE_MS, describe(delays)


async def first_audio_ms(house: House, lines: list[PhoneLine], **options: int) -> list[float]:
    """When each caller's first audio came, a few calls at a time."""
    delays: list[float] = []
    for begin in range(0, len(lines), SIDE_BY_SIDE):
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(house.call(line, SCRIPT, **options)) for line in lines[begin : begin + SIDE_BY_SIDE]
            ]
        for call, _ in (task.result() for task in running):
            assert call["failed"] is None
            delays += call["first_audio_ms"]
    assert len(delays) == len(lines)
    return delays


def describe(delays: list[float]) -> str:
    """For a reader."""
    return f"p50 {statistics.median(delays):.1f} ms, most {max(delays):.1f} ms of {len(delays)} calls"
