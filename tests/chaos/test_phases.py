"""A worker is killed, or drained, in each phase of a call: another one goes on with what the caller is owed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from support.house import House, facts, names, visiting
from support.phase_breaks import (
    Broken,
    assert_one_owner,
    break_in,
    leave_unanalysed,
    leave_unheard,
    prepare,
)
from support.phases import PHASES, SUMMARY, TOOL, UNHEARD, Phase

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P4")]
Which = tuple[str, str, str]
Played = dict[Which, Broken | Exception]
CARRIERS: Final = ("twilio", "telnyx")
WAYS: Final = ("kill", "terminate")
CALLS: Final = [
    pytest.param((name, carrier, how), id=f"{name}-{carrier}-{how}", marks=[pytest.mark.smoke] * ((at + way + by) % 2))
    for at, name in enumerate(PHASES)
    for by, carrier in enumerate(CARRIERS)
    for way, how in enumerate(WAYS)
]
"""Each phase both ways over both carriers; as smoke, each way over one of them."""
SIDE_BY_SIDE: Final = 3
WORKERS: Final = 2 * SIDE_BY_SIDE
"""With one slot each: a worker has one call, and there are free ones for those that go on and for those that begin."""
ANALYST: Final = f"worker-{WORKERS}"
"""The only worker that does the work after calls."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    worker = {"CALLIOPE_SLOTS": "1", "CALLIOPE_SHUTDOWN_TIMEOUT_S": "0.5", "CALLIOPE_CALL__LOST_AFTER_S": "15"}
    extra = {"worker": worker | {"CALLIOPE_ANALYSIS__AT_ONCE": "0"}, ANALYST: {"CALLIOPE_ANALYSIS__AT_ONCE": "4"}}
    with LocalStack(tmp_path_factory.mktemp("stack"), extra=extra, workers=WORKERS) as stack:
        yield stack


@pytest.fixture(scope="module")
def broken(stack: LocalStack, request: pytest.FixtureRequest) -> Played:
    """The calls of the tests that were chosen, played side by side."""
    here = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    chosen = [item.callspec.params["which"] for item in here if "which" in item.callspec.params]
    return asyncio.run(_play_all(stack, chosen))


async def _play_all(stack: LocalStack, calls: list[Which]) -> Played:
    found: Played = {}
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def play(house: House, which: Which) -> None:
        name, carrier, how = which
        async with places:
            try:
                found[which] = await break_in(house, stack, PHASES[name], carrier, how=how)
            except* (AssertionError, TimeoutError) as group:
                found[which] = group

    async with visiting(stack) as house:
        await prepare(house)
        async with asyncio.TaskGroup() as tasks:
            for which in calls:
                tasks.create_task(play(house, which))
    return found


@pytest.mark.parametrize("which", CALLS)
def test_the_call_goes_on_where_it_was(broken: Played, which: Which) -> None:
    phase, call = PHASES[which[0]], broken[which]
    if isinstance(call, Exception):
        raise call

    assert_one_owner(call, phase)
    assert_heard(call, phase)
    tools = sum(one["name"] == TOOL for one in facts(call.record, "tool_finished"))
    assert len(set(call.tool_keys)) == tools == (which[0] == "tool running")
    assert len(call.call["dials"]) == (phase.ended_reason == "transferred")


@pytest.mark.parametrize("carrier", [pytest.param("twilio", marks=pytest.mark.smoke), "telnyx"])
def test_words_that_nobody_heard_are_asked_for_once(stack: LocalStack, broken: Played, carrier: str) -> None:
    """After all others are over: in between, no worker listens."""
    call = asyncio.run(_unheard(stack, carrier))

    assert_one_owner(call, UNHEARD)
    assert_heard(call, UNHEARD)
    assert Counter(turn["kind"] for turn in facts(call.record, "turn_committed"))["ask_to_repeat"] == 1


async def _unheard(stack: LocalStack, carrier: str) -> Broken:
    async with visiting(stack) as house:
        await prepare(house)
        return await leave_unheard(house, stack, carrier)


@pytest.mark.parametrize("how", ["kill", pytest.param("terminate", marks=pytest.mark.smoke)])
async def test_an_analysis_that_was_begun_is_done_by_another_worker(
    stack: LocalStack, broken: Played, how: str
) -> None:
    """After all others are over, whose analyses would wait for it."""
    async with visiting(stack) as house:
        await prepare(house)
        record, asked = await leave_unanalysed(house, stack, ANALYST, how=how)

    assert (record["analysis_status"], record["summary"]) == ("done", SUMMARY)
    assert names(record)[-2:] == ["ended", "analyzed"]
    assert (names(record).count("ended"), names(record).count("analyzed"), asked) == (1, 1, 2)


def assert_heard(call: Broken, phase: Phase) -> None:
    """The caller heard all that was owed, at most a word of it twice; and the record has the caller's words once."""
    assert call.missing(phase.owed) == []
    assert len(call.doubled(phase.owed)) <= 1, call.doubled(phase.owed)
    assert " ".join(call.said).count(phase.says) == 1 or not phase.says, call.said
