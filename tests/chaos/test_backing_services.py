"""Calls go on while the bus, the store or another service is gone, and the facts are complete afterwards."""

import pytest

from calliope_local.stack import LocalStack
from support.chaos import LISTENING_STEP, TALK, assert_whole, breaking, complete, reached
from support.house import visiting

pytestmark = pytest.mark.chaos


async def _call_during(stack: LocalStack, name: str) -> None:
    """One call in whose middle a process is killed, to be started again later in it, or after it."""
    async with visiting(stack) as house:
        line = await house.phone_line()
        sid = await house.place(line, TALK)
        await reached(house, sid, LISTENING_STEP)
        await breaking(lambda: stack.kill(name))
        if name == "nats":
            await reached(house, sid, LISTENING_STEP + 2)
            await breaking(lambda: stack.restart(name))
            call = await house.heard(sid)
        else:
            call = await house.heard(sid)
            await breaking(lambda: stack.restart(name))
        record = await complete(house, line, sid)
        await house.delivered(line, record, within_s=60)
        assert_whole(call, record)
        assert call["streams"] == 1


@pytest.mark.promise("P3")
@pytest.mark.parametrize("name", ["nats", "mongo", "webhooks", "assistants", "gateway"])
async def test_a_call_does_not_notice_that_a_process_is_gone_and_no_fact_is_lost_or_doubled(
    stack: LocalStack, name: str
) -> None:
    await _call_during(stack, name)
