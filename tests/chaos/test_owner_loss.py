"""A live call outlives its worker: killed, deployed over, or alone and started again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calliope_local.stack import LocalStack
from support.chaos import (
    LISTENING_STEP,
    TALK,
    assert_whole,
    breaking,
    longest_pause_s,
    owner,
    reached,
)
from support.house import House, Json, PhoneLine, a_document, facts, heard_text, names, said, visiting

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P4")]
Record = Callable[[str, object], None]


@pytest.mark.smoke
@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_another_worker_goes_on_when_the_owner_is_killed(stack: LocalStack, carrier: str) -> None:
    async with visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, TALK)
        await reached(house, sid, LISTENING_STEP)
        name, worker_id = await owner(house, stack, line, sid)

        await breaking(lambda: stack.kill(name))
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart(name))

    resumed = facts(record, "resumed")
    assert [one["previous_worker_id"] for one in resumed] == [worker_id]
    assert call["streams"] == 2
    assert_whole(call, record)
    assert said(record, "user").startswith("Hi, what are your opening hours? Can I book")


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_another_worker_goes_on_when_the_owner_is_frozen_and_the_owner_says_nothing_when_it_wakes(
    tmp_path: Path, carrier: str
) -> None:
    async with LocalStack(tmp_path, workers=2) as stack, visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, [*TALK[:5], {"pause_ms": 18_000}, *TALK[6:]])
        await reached(house, sid, LISTENING_STEP)
        name, worker_id = await owner(house, stack, line, sid)

        await breaking(lambda: stack.pause(name))  # its sockets stay open, as those of a machine without power
        try:
            await reached(house, sid, LISTENING_STEP + 2, within_s=90)  # the caller asks on, and somebody listens
        finally:
            await breaking(lambda: stack.resume(name))
        call, record = await house.finished(line, sid)

    assert [one["previous_worker_id"] for one in facts(record, "resumed")] == [worker_id]
    assert call["streams"] == 2
    assert_whole(call, record)


async def test_a_call_whose_owner_dies_before_it_answers_rings_on_and_is_answered(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, workers=2) as stack, visiting(stack) as house:
        line = await house.phone_line(carrier="telnyx")
        await house.sandbox("POST", "/sandbox/faults", {"vendor": "telnyx", "kind": "refuse", "times": 1_000})
        sid = await house.place(line, TALK)
        name, worker_id = await owner(house, stack, line, sid)

        await breaking(lambda: stack.kill(name))
        await house.sandbox("DELETE", "/sandbox/faults")
        call, record = await house.finished(line, sid, within_s=90)

    assert [one["previous_worker_id"] for one in facts(record, "resumed")] == [worker_id]
    assert call["streams"] == 1
    assert_whole(call, record)


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_the_caller_who_was_being_answered_waits_less_than_two_seconds(
    stack: LocalStack, record_property: Record, carrier: str
) -> None:
    answered = [*TALK[:3], {"wait_for": "open"}, *TALK[3:]]
    async with visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, answered)
        name, _ = await owner(house, stack, line, sid)
        await reached(house, sid, 5)

        await breaking(lambda: stack.kill(name))
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart(name))

    record_property("silence_s", round(longest_pause_s(call), 2))
    assert (call["failed"], record["ended_reason"]) == (None, "assistant_ended")
    assert longest_pause_s(call) < 2.0
    assert said(record, "user").count("opening hours") == 1


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_a_deploy_hands_calls_over_between_turns(stack: LocalStack, carrier: str) -> None:
    async with visiting(stack) as house:
        line = await house.phone_line(carrier=carrier)
        sid = await house.place(line, TALK)
        await reached(house, sid, LISTENING_STEP)
        name, worker_id = await owner(house, stack, line, sid)

        await breaking(lambda: stack.terminate(name))
        other_line = await house.phone_line()
        other = await house.place(other_line, [{"wait_for": "Anna"}, {"hang_up": True}])
        taken_by, _ = await owner(house, stack, other_line, other)
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart(name))

    assert taken_by != name
    assert [one["previous_worker_id"] for one in facts(record, "resumed")] == [worker_id]
    assert_whole(call, record)


async def _alone(house: House, stack: LocalStack, script: list[Json]) -> tuple[PhoneLine, str]:
    """A call whose worker is the only one; its caller has heard the first answer."""
    await breaking(lambda: stack.terminate("worker-2"))
    line = await house.phone_line()
    sid = await house.place(line, script)
    await reached(house, sid, LISTENING_STEP)
    return line, sid


async def test_a_call_waits_for_the_only_worker_to_come_back(stack: LocalStack) -> None:
    async with visiting(stack) as house:
        line, sid = await _alone(house, stack, TALK)

        await breaking(lambda: stack.kill("worker"))
        await breaking(lambda: stack.restart("worker"))
        call, record = await house.finished(line, sid)
        await breaking(lambda: stack.restart("worker-2"))

    assert len(facts(record, "resumed")) == 1
    assert_whole(call, record)


async def test_a_caller_who_hangs_up_while_no_worker_is_there_leaves_a_record_with_an_end(stack: LocalStack) -> None:
    gone = [*TALK[:5], {"pause_ms": 1_500}, {"hang_up": True}]
    async with visiting(stack) as house:
        line, sid = await _alone(house, stack, gone)

        await breaking(lambda: stack.kill("worker"))
        call = await house.heard(sid)
        await breaking(lambda: stack.restart("worker"))
        await breaking(lambda: stack.restart("worker-2"))
        record = await house.record(line, sid, within_s=60)
        ends = {event["id"] for event in record["events"] if event["type"].split(".")[2] == "ended"}
        await house.delivered_ids(line, ends, within_s=60)

    assert call["ended_by"] == "caller"
    assert record["ended_reason"] == "worker_lost"
    assert names(record).count("ended") == 1


async def test_a_caller_whom_no_worker_goes_on_with_is_told_so_in_the_assistants_language(tmp_path: Path) -> None:
    extra = {"gateway": {"CALLIOPE_RESUME_WAIT_S": "2"}, "worker": {"CALLIOPE_CALL__LOST_AFTER_S": "4"}}
    german = a_document(stt_settings={"language": "de"})
    async with LocalStack(tmp_path, extra=extra) as stack, visiting(stack) as house:
        line = await house.phone_line(german)
        sid = await house.place(line, [{"wait_for": "Anna"}, {"expect_hang_up": True, "within_s": 30}])
        await reached(house, sid, 2)

        await breaking(lambda: stack.kill("worker"))
        call = await house.heard(sid)
        await breaking(lambda: stack.restart("worker"))
        record = await house.record(line, sid, within_s=60)

    assert '<Say language="de-DE">Es tut uns leid' in call["twiml"][-1]
    assert "technisches Problem" in heard_text(call)
    assert (call["failed"], call["ended_by"]) == (None, "product")
    assert record["ended_reason"] == "worker_lost"
