"""Claims about calls on a real bus: one worker of all gets each."""

import asyncio

import pytest

from calliope.messaging.broker import build_broker, start, stop
from calliope.settings import NatsSettings
from calliope_call_worker.adapters.open_calls import NatsOpenCalls

pytestmark = pytest.mark.promise("P4")


async def test_of_many_who_claim_at_once_one_has_the_claim_and_each_loss_is_claimed_anew(
    bus_settings: NatsSettings,
) -> None:
    bus = build_broker(bus_settings, "call-worker", graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    try:
        calls = NatsOpenCalls(bus)
        await calls.note("call_1")
        for loss in ("silent after 3", "silent after 9"):
            claims = await asyncio.gather(*(calls.claim("call_1", loss) for _ in range(20)))
            assert sorted(claims) == [False] * 19 + [True]
            assert not await calls.claim("call_1", loss)
        assert "call_1" in await calls.without_owner()
        await calls.forget("call_1")
        assert not await calls.claim("call_1", "silent after 12")
    finally:
        await stop(bus)
