"""A live call in the hands of an operator: moved to another worker, and ended."""

from collections.abc import Callable

import pytest

from calliope_local.stack import LocalStack
from support.admin import admin_here
from support.chaos import LISTENING_STEP, TALK, assert_whole, longest_pause_s, owner, reached
from support.house import facts, names, visiting

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P4")]
Record = Callable[[str, object], None]


@pytest.mark.parametrize("carrier", [pytest.param("twilio", marks=pytest.mark.smoke), "telnyx"])
async def test_an_operator_moves_a_call_to_another_worker(
    stack: LocalStack, record_property: Record, carrier: str
) -> None:
    async with visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, TALK)
        await reached(house, sid, LISTENING_STEP)
        _, worker_id = await owner(house, stack, line, sid)

        call_id = (await house.open_record(line, sid))["id"]
        moved = await admin_here("calls", "release", call_id, "--json", "--nats", stack.describe()["nats"])
        call, record = await house.finished(line, sid)

    resumed = facts(record, "resumed")
    record_property("silence_s", round(longest_pause_s(call), 2))
    assert (moved.status, moved.json["from"], moved.json["to"]) == (0, worker_id, resumed[0]["worker_id"])
    assert [one["previous_worker_id"] for one in resumed] == [worker_id]
    assert resumed[0]["worker_id"] != worker_id
    assert_whole(call, record)


@pytest.mark.parametrize("carrier", [pytest.param("twilio", marks=pytest.mark.smoke), "telnyx"])
async def test_an_operator_ends_a_call_in_mid_turn(stack: LocalStack, carrier: str) -> None:
    async with visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, [*TALK[:3], {"expect_hang_up": True, "within_s": 10}])
        await reached(house, sid, 4)
        _, worker_id = await owner(house, stack, line, sid)

        call_id = (await house.open_record(line, sid))["id"]
        ended = await admin_here("calls", "end", call_id, "--nats", stack.describe()["nats"])
        call, record = await house.finished(line, sid)

    assert (ended.status, ended.out) == (0, f"{worker_id} has ended {call_id}.\n")
    assert (call["failed"], call["ended_by"], record["ended_reason"]) == (None, "product", "operator_ended")
    assert names(record).count("ended") == 1
