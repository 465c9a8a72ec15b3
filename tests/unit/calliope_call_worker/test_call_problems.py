"""What the carrier does not do is a problem of the call too."""

import pytest

from calliope.contracts.calls import CallEnded, EndReason, ProviderFailed, Stage
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


@pytest.mark.parametrize("reason", [EndReason.CALLER_HUNG_UP, EndReason.BUSY])
async def test_an_end_that_people_chose_is_none(reason: EndReason) -> None:
    async with a_call() as call:
        await call.conversing()
        call.call.line_ended(reason, "")
        await call.over()
    assert told(call) == []
