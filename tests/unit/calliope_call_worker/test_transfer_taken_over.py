"""A worker that is gone while it connects a caller to somebody: it is done once, and nobody speaks to both of them."""

from typing import Final

import pytest
from aiohttp import web

from calliope.contracts.base import Message
from calliope.contracts.calls import CallAnswered, EndReason, ToolFinished, ToolStarted, TransferStarted
from calliope_call_worker.providers.telephony.base import CarrierAccount, TransferRequest
from calliope_call_worker.providers.telephony.telnyx_api import TelnyxApi
from calliope_call_worker.providers.telephony.twilio import Twilio, TwilioApi
from support.vendor_fakes import serving
from unit.calliope_call_worker.test_continuation import started
from unit.calliope_call_worker.test_orders import Bench, an_event
from unit.calliope_call_worker.test_telnyx_api import OK, FakeTelnyx

pytestmark = pytest.mark.promise("P4")
DESK: Final = "+15550009999"
BEGUN: Final = (
    CallAnswered(stream_id="s"),
    started(1, "A person please."),
    ToolStarted(turn=1, tool_call_id="t1", name="transfer_call", arguments={"destination": DESK}, idempotency_key="k1"),
    TransferStarted(to_number=DESK),
)


def finished(*, ok: bool) -> ToolFinished:
    return ToolFinished(turn=1, tool_call_id="t1", name="transfer_call", ok=ok, result="", duration_ms=1)


@pytest.mark.parametrize("slots", [0, 1])
@pytest.mark.parametrize("more", [[], [finished(ok=True)]], ids=["not known", "carried out"])
async def test_the_next_worker_gives_the_same_command_and_ends_the_call(more: list[Message], slots: int) -> None:
    bench, telnyx = Bench(slots=slots), FakeTelnyx((200, OK))
    bench.happened(*BEGUN, *more)

    assert await bench.hears(an_event("streaming.stopped"), nobody_has_a_slot=not slots) == 200
    after = f"https://x/telephony/telnyx/resume/{bench.facts[0].entity_id}"
    async with serving("/{path:.*}", telnyx.answer) as (session, url):
        api, account = TelnyxApi(session, url), CarrierAccount("7", "KEY1")
        await api.transfer(account, TransferRequest("v3:a", DESK, after, None, "k1"))

    assert [end.reason for end in bench.closed] == [EndReason.TRANSFERRED]
    assert (bench.names, bench.started) == (["transfer"], [])
    assert {**bench.ordered[0].body, "command_id": bench.ordered[0].command_id} == telnyx.bodies[0]


async def test_after_a_transfer_that_failed_the_talk_goes_on() -> None:
    bench = Bench()
    bench.happened(*BEGUN, finished(ok=False))
    await bench.hears(an_event("streaming.stopped"))
    assert (bench.names, len(bench.started), bench.closed) == (["streaming_start"], 1, [])


async def test_twilio_is_answered_what_it_would_have_been_told() -> None:
    told: list[str] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        told.append(str((await request.post())["Twiml"]))
        return web.json_response({})

    wanted = TransferRequest("CA1", DESK, "https://x/?a=1&b=2", "+15550001", "k")
    async with serving("/{path:.*}", answering) as (session, url):
        await TwilioApi(session, url).transfer(CarrierAccount("AC1", "t"), wanted)

    assert told == [Twilio().answer_with_transfer(wanted).response.body]
    assert f'callerId="+15550001"><Number>{DESK}</Number></Dial>' in told[0]
