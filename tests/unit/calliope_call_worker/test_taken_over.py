"""A worker that was frozen, or cut off from the bus, while another went on: it does nothing to the caller's line."""

import json

import pytest

from calliope.contracts.calls import EndReason
from calliope_call_worker.providers.llm.base import Finished, LlmEvent, ToolCall
from calliope_call_worker.providers.stt.base import Transcript
from support.waiting import until
from support.whole_call import ANSWER, a_call

pytestmark = [pytest.mark.promise("P4"), pytest.mark.parametrize("taken_over", [False, True])]
NUMBER = "+15550009999"
TRANSFER = {"transfer_call": {"enabled": True, "transfer_numbers": [NUMBER]}}
CALLS_TOOL: list[LlmEvent] = [
    ToolCall("t1", "transfer_call", json.dumps({"destination": NUMBER})),
    Finished("tool_calls"),
]


async def test_only_who_has_the_call_hangs_up(taken_over: bool) -> None:
    async with a_call() as call:
        await call.conversing()
        call.journal.taken_over = taken_over
        call.call.end(EndReason.OPERATOR_ENDED, "an operator ended it")
        await call.over()
    assert call.carrier.told == ([] if taken_over else ["hang up"])


async def test_only_who_has_the_call_transfers_it(taken_over: bool) -> None:
    async with a_call(answers=CALLS_TOOL, tools_settings=TRANSFER) as call:
        call.model.then(ANSWER)
        await call.conversing()
        call.journal.taken_over = taken_over
        await call.hears(Transcript("A person, please.", True, True, 0, 900))
        await until(lambda: call.carrier.told or len(call.model.requests) > 1)
    assert call.carrier.told == ([] if taken_over else ["transfer"])
