"""Calls whose processes die: a talk long enough to break something in it, and what has to be true afterwards."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from calliope_local.stack import LocalStack
from support.house import House, Json, PhoneLine, facts, heard_text, names

BOOK: Final = "Can I book a table tomorrow"
TALK: Final[list[Json]] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": "Hi, what are your opening hours?"},
    {"wait_for": "Saturday"},
    {"wait_for_silence_ms": 300},
    {"pause_ms": 2_500},
    {"say": BOOK, "within_s": 60},
    {"wait_for": "anything else", "within_s": 60},
    {"wait_for_silence_ms": 300},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True, "within_s": 60},
]
LISTENING_STEP: Final = 6
"""Of `TALK`: the caller has heard the first answer and is quiet for a moment."""


async def reached(house: House, sid: str, step: int, *, within_s: float = 60.0) -> Json:
    """The call, once its caller is at this step of the script (from 1)."""
    async with asyncio.timeout(within_s):
        while True:
            call = await house.heard(sid, within_s=0)
            assert call["failed"] is None, call["failed"]
            if len(call["steps"]) >= step:
                return call
            await asyncio.sleep(0.02)


async def owner(house: House, stack: LocalStack, line: PhoneLine, sid: str) -> tuple[str, str]:
    """Which process holds the call, by its name in the stack and by its worker id."""
    worker_id = await _worker_id(house, line, sid)
    for name in [name for name in stack.names() if name.startswith("worker")]:
        if worker_id in stack.log_file(name).read_text(encoding="utf-8"):
            return name, worker_id
    raise AssertionError(f"no worker of the stack is {worker_id}")


async def _worker_id(house: House, line: PhoneLine, sid: str, *, within_s: float = 10.0) -> str:
    deadline = time.monotonic() + within_s
    while True:
        record = await house.open_record(line, sid)
        if record["events"]:
            return str((facts(record, "resumed") or facts(record, "started"))[-1]["worker_id"])
        assert time.monotonic() < deadline, "the call has no record"
        await asyncio.sleep(0.05)


async def breaking(action: Callable[[], None]) -> None:
    """Break something without holding the loop."""
    await asyncio.to_thread(action)


def assert_whole(call: Json, record: Json) -> None:
    """The talk went to its end, its record has every fact once and in order, and remembers what was said before."""
    assert call["failed"] is None
    assert record["ended_reason"] == "assistant_ended", (record["ended_reason"], names(record))
    assert [event["sequence"] for event in record["events"]] == list(range(1, len(record["events"]) + 1))
    assert names(record).count("ended") == 1
    heard = heard_text(call)
    assert [heard.count(words) for words in ("opening", "nine to six", "is booked")] == [0, 1, 1]


async def complete(house: House, line: PhoneLine, sid: str, *, within_s: float = 60.0) -> Json:
    """The record once no fact is missing between its first and its end; those told again may arrive after later ones.

    Raises: TimeoutError, when one never comes.
    """
    async with asyncio.timeout(within_s):
        while True:
            record = await house.record(line, sid, within_s=within_s)
            if len(record["events"]) == max(event["sequence"] for event in record["events"]):
                return record
            await asyncio.sleep(0.1)


def longest_pause_s(call: Json) -> float:
    """Of the assistant in the middle of an answer."""
    own = [line for line in call["lines"] if line["side"] == "caller"]
    words = [word for word in call["heard_words"] if own[0]["end_ms"] <= word["start_ms"] < own[1]["start_ms"]]
    return max(float(after["start_ms"] - before["end_ms"]) for before, after in pairwise(words)) / 1_000
