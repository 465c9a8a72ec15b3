"""What the carrier does not do is a problem of the call too."""

import asyncio

import pytest

from calliope.contracts.calls import CallEnded, EndReason, ProviderFailed, Stage, TurnCommitted
from calliope_call_worker.call import REATTACH_S
from calliope_call_worker.continuation import STREAM_LOST, STREAM_UNHEARD
from calliope_call_worker.pipeline.mark_watch import LATE_S, PROBE_S
from calliope_call_worker.pipeline.playout import LONGEST_ECHO_S
from support.virtual_time import in_virtual_time
from support.whole_call import WholeCall, a_call


def told(call: WholeCall) -> list[tuple[Stage, str, str, str]]:
    return [(fact.stage, fact.provider, fact.reason, fact.detail) for fact in call.facts(ProviderFailed)]


async def test_media_that_never_comes() -> None:
    async with a_call(answered=False, start_deadline_s=0.05) as call:
        await call.over()
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.NO_MEDIA]
    assert told(call) == [(Stage.CARRIER, "twilio", "deadline", "the carrier did not connect its media")]


async def test_a_line_that_the_carrier_lost() -> None:
    async with a_call() as call:
        await call.conversing()
        call.call.line_ended(EndReason.CARRIER_FAILED, "the carrier says: failed")
        await call.over()
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.CARRIER_FAILED]
    assert told(call) == [(Stage.CARRIER, "twilio", "dropped", "the carrier says: failed")]


@in_virtual_time
async def test_a_carrier_that_plays_nothing_is_a_lost_stream_and_nothing_was_heard() -> None:
    async with a_call(plays_at_once=False, llm_settings={"welcome_message": "Hello, this is Ann."}) as call:
        await asyncio.sleep(LONGEST_ECHO_S + LATE_S + PROBE_S + 2)
        assert told(call) == [(Stage.CARRIER, "twilio", "deadline", "it plays nothing of what we send")]
        assert call.facts(ProviderFailed)[0].action == STREAM_UNHEARD
        assert call.facts(TurnCommitted) == []
        await asyncio.sleep(REATTACH_S)
        await call.over()
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.CARRIER_FAILED]
    assert [turn.assistant_text for turn in call.facts(TurnCommitted)] == [""]


@in_virtual_time
async def test_a_stream_that_is_closed_after_something_was_heard_is_told_so() -> None:
    async with a_call(llm_settings={"welcome_message": "Hello, this is Ann."}) as call:
        await asyncio.sleep(5)
        call.media.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told(call) == [(Stage.CARRIER, "twilio", "dropped", "it closed the media stream")]
        assert call.facts(ProviderFailed)[0].action == STREAM_LOST
        await asyncio.sleep(REATTACH_S)
        await call.over()


@pytest.mark.parametrize("reason", [EndReason.CALLER_HUNG_UP, EndReason.BUSY])
async def test_an_end_that_people_chose_is_none(reason: EndReason) -> None:
    async with a_call() as call:
        await call.conversing()
        call.call.line_ended(reason, "")
        await call.over()
    assert told(call) == []
