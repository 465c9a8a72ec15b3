"""What operators do with calls: who has one acts, everybody else says that it has it not."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from calliope.contracts.calls import CallEnded, EndReason, TurnCommitted
from calliope.contracts.live_calls import ClosedCall, Closure, HeldCall
from calliope_call_worker.call import Call
from calliope_call_worker.calls.operate import OVER_WITHIN_S, OperatedCalls
from calliope_call_worker.registry import LiveCall, LiveCalls
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import a_call

WELCOME: dict[str, Any] = {"llm_settings": {"welcome_message": "Hello there, this is Ann."}}
NONE = HeldCall(worker_id="worker_1", held=False)


class FakeCall:
    """Ends when it was told to, after `takes_s`."""

    def __init__(self, *, takes_s: float = 0.0, ending: bool = False) -> None:
        self.plan = SimpleNamespace(call_id="call_1")
        self.ending, self.waiting_facts, self.takes_s = ending, 2, takes_s
        self.ends: list[EndReason] = []

    def end(self, reason: EndReason, detail: str) -> None:
        self.ends.append(reason)
        self.ending = True

    async def released(self) -> None:
        await asyncio.sleep(self.takes_s)


class Closer:
    """Closes everything."""

    async def close(self, call_id: str) -> Closure:
        return Closure.CLOSED


def operated(call: FakeCall | Call | None, released: list[LiveCall] | None = None) -> OperatedCalls:
    live = LiveCalls(5, lambda: None)
    if call is not None:
        live.register(cast("LiveCall", call))

    async def release(one: LiveCall) -> None:
        if released is not None:
            released.append(one)

    return OperatedCalls("worker_1", live, Closer(), release)


async def test_a_call_that_runs_elsewhere_is_let_alone() -> None:
    calls = operated(FakeCall())
    assert calls.describe("call_2") == NONE
    assert await calls.end("call_2") == NONE
    assert await calls.release("call_2") == NONE


async def test_who_has_a_call_says_so() -> None:
    assert operated(FakeCall()).describe("call_1") == HeldCall(worker_id="worker_1", held=True, waiting_facts=2)


@in_virtual_time
async def test_the_answer_comes_when_the_call_is_over_or_soon() -> None:
    quick, slow = FakeCall(takes_s=1), FakeCall(takes_s=60)
    ended, ending = await operated(quick).end("call_1"), await operated(slow).end("call_1")
    assert (ended.held, ended.over, ending.over, ending.ending) == (True, True, False, True)
    assert quick.ends == [EndReason.OPERATOR_ENDED]
    assert asyncio.get_running_loop().time() == 1 + OVER_WITHIN_S


async def test_a_call_that_ends_already_keeps_its_reason_and_is_not_handed_over() -> None:
    call, released = FakeCall(ending=True), list[LiveCall]()
    assert (await operated(call).end("call_1")).over
    assert not (await operated(call, released).release("call_1")).over
    assert (call.ends, released) == ([], [])


async def test_a_call_that_runs_here_is_not_closed_as_one_that_nobody_has() -> None:
    calls = operated(FakeCall())
    assert await calls.close("call_1") == ClosedCall(worker_id="worker_1", closure=Closure.HELD)
    assert await calls.close("call_2") == ClosedCall(worker_id="worker_1", closure=Closure.CLOSED)


async def test_an_operator_cuts_the_assistant_short_and_the_record_says_why() -> None:
    async with a_call(plays_at_once=False, **WELCOME) as call:
        await until(lambda: call.media.unplayed)
        said = await operated(call.call).end("call_1")
        await call.over()

        (ended,) = call.facts(CallEnded)
        turns = [turn.assistant_text for turn in call.facts(TurnCommitted)]
    assert said.over
    assert (ended.reason, ended.detail) == (EndReason.OPERATOR_ENDED, "an operator ended it")
    assert "Hello there, this is Ann." not in turns


async def test_a_call_that_still_rings_can_be_ended() -> None:
    async with a_call(answered=False, **WELCOME) as call:
        said = await operated(call.call).end("call_1")
        await call.over()

        (ended,) = call.facts(CallEnded)
    assert said.over
    assert (ended.reason, ended.duration_ms) == (EndReason.OPERATOR_ENDED, 0)
