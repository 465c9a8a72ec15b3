"""No dead air: every fault of every provider, in the middle of a call, and what its caller had to endure."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from support.faults import BOOKED, a_document_with_keys, a_script, endured, keys, quiet, settled, understood
from support.house import House, Json, facts, said, visiting
from support.scenes import unique

MOST_SILENCE_S: Final = 2.0
EVER: Final = None  # for `times`


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One fault at one provider; `says` are the failures that the record may call it."""

    stage: str
    name: str
    faults: tuple[Json, ...]
    says: frozenset[str]


VENDORS: Final = {"stt": "deepgram", "llm": "openai", "tts": "elevenlabs"}
_UNREACHABLE: Final = {"kind": "drop", "after": None}


def _cell(stage: str, name: str, says: str, *faults: Json) -> Cell:
    return Cell(stage, name, faults, frozenset(says.split()))


CELLS: Final = (
    _cell("stt", "refused", "dropped", {"kind": "drop"}, _UNREACHABLE | {"times": 2}),
    _cell("stt", "silent", "deadline", {"kind": "silent"}),
    _cell("stt", "error", "dropped", {"kind": "error"}),
    _cell("stt", "drop", "dropped", {"kind": "drop", "skip": 3}),
    _cell("stt", "garbage", "malformed", {"kind": "garbage"}),
    _cell("stt", "rate_limited", "dropped rate_limited", {"kind": "drop"}, {"kind": "rate_limited", "times": 2}),
    _cell("stt", "mute", "deadline", {"kind": "silent", "skip": 6}),
    _cell("stt", "slow_drip", "deadline", {"kind": "slow_drip", "ms": 8}),
    _cell("llm", "refused", "dropped", _UNREACHABLE | {"times": EVER}),
    _cell("llm", "silent", "deadline", {"kind": "silent", "times": EVER}),
    _cell("llm", "error", "error", {"kind": "error", "after": 2, "times": EVER}),
    _cell("llm", "drop", "dropped", {"kind": "drop", "after": 2, "times": EVER}),
    _cell("llm", "garbage", "malformed", {"kind": "garbage", "after": 2, "times": EVER}),
    _cell("llm", "rate_limited", "rate_limited", {"kind": "rate_limited", "times": EVER}),
    _cell("llm", "stall", "deadline", {"kind": "silent", "skip": 2, "times": EVER}),
    _cell("llm", "trickle", "deadline", {"kind": "slow_drip", "ms": 3}),
    _cell("llm", "slow_drip", "deadline", {"kind": "slow_drip", "ms": 20}),
    _cell("tts", "refused", "dropped", {"kind": "drop"}, _UNREACHABLE | {"times": EVER}),
    _cell("tts", "silent", "deadline", {"kind": "silent", "times": EVER}),
    _cell("tts", "error", "error dropped", {"kind": "error", "times": EVER}),
    _cell("tts", "drop", "dropped", {"kind": "drop", "skip": 6, "times": EVER}),
    _cell("tts", "garbage", "malformed", {"kind": "garbage", "times": EVER}),
    _cell("tts", "rate_limited", "dropped rate_limited", {"kind": "drop"}, {"kind": "rate_limited", "times": EVER}),
    _cell("tts", "stall", "deadline", {"kind": "silent", "skip": 6, "times": EVER}),
    _cell("tts", "slow_drip", "deadline", {"kind": "slow_drip", "ms": 100}),
)
MAY_GO_UNNOTICED: Final = {cell for cell in CELLS if (cell.stage, cell.name) == ("stt", "slow_drip")}
"""A recogniser that is slow but keeps pace is no failure; one that falls behind has nobody to stand in for it."""


MAY_REPEAT: Final = len(CELLS) // 3
"""Cells that may have a second call, without the others: a busy machine makes vendors late that should be prompt. What
is broken fails both; and what spoils more calls than these is told as it is."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All calls of the matrix, each as its caller and as the API saw it; the worker's state before and after."""

    calls: dict[Cell, tuple[Json, Json]]
    before: dict[str, float]
    after: dict[str, float]


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> Seen:
    async def ring() -> Seen:
        async with visiting(stack) as house:
            await house.call(await house.phone_line(a_document_with_keys("warm")), a_script([]))
            before = await settled(house)
            found = await _played(house, CELLS)
            spoilt = [cell for cell in CELLS if problems(cell, *found[cell])]
            if len(spoilt) <= MAY_REPEAT:
                found |= await _played(house, spoilt)
            return Seen(found, before, await quiet(house, before))

    return asyncio.run(ring())


@pytest.mark.promise("P5")
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.stage}-{cell.name}")
def test_whatever_a_provider_does_the_call_goes_on_without_dead_air(
    seen: Seen, cell: Cell, record_property: Callable[[str, object], None]
) -> None:
    call, record = seen.calls[cell]
    record_property("silence_s", round(endured(call).silence_s, 2))

    assert problems(cell, call, record) == []


def problems(cell: Cell, call: Json, record: Json) -> list[str]:
    """What of a call is not as it must be, in words."""
    caller = endured(call)
    told = {(one["stage"], one["reason"]) for one in facts(record, "provider_failed")}
    strange = told - {(cell.stage, reason) for reason in cell.says}
    found = {
        f"the caller's script failed: {call['failed']}": call["failed"] is not None,
        f"it ended with {record['ended_reason']}": record["ended_reason"] != "assistant_ended",
        f"the caller heard {caller.words}": caller.whole_words != BOOKED.split(),
        f"the caller was understood as {said(record, 'user')}": not understood(record),
        f"{caller.silence_s:.2f} s of silence": caller.silence_s >= MOST_SILENCE_S,
        f"the record tells of {strange}": bool(strange),
        "the record tells of no failure": not told and cell not in MAY_GO_UNNOTICED,
    }
    return [sentence for sentence, is_so in found.items() if is_so]


def test_calls_in_which_providers_failed_leave_no_task_and_no_socket_behind(seen: Seen) -> None:
    """Sockets may stay in the pools of HTTP connections; media and speech have a task each as long as they are open."""
    counted = {name: seen.after[name] - seen.before[name] for name in seen.after}
    assert seen.after["calls"] == 0
    assert counted["tasks"] <= 0
    assert counted["sockets"] < len(CELLS) / 2


async def _played(house: House, cells: Iterable[Cell]) -> dict[Cell, tuple[Json, Json]]:
    """A call for each: side by side, but one begins after the other. In step, all would want the processor at once."""
    made = {}
    async with asyncio.TaskGroup() as calls:
        for cell in cells:
            tag, vendor = unique(f"{cell.stage}-{cell.name}"), VENDORS[cell.stage]
            faults = [{"vendor": vendor, "key": keys(tag)[vendor]} | fault for fault in cell.faults]
            line = await house.phone_line(a_document_with_keys(tag))
            made[cell] = calls.create_task(house.call(line, a_script(faults)))
    return {cell: task.result() for cell, task in made.items()}
