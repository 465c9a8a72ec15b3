"""Which worker's answer a carrier gets, when one is silent, slow or late."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from calliope.contracts.calls import CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, unavailable
from calliope.observability.metrics import REGISTRY
from support.http_surface import FakeBus, gateway

Answer = Callable[[], Awaitable[CarrierResponse]]
AGAIN_S = 0.02


class Workers(FakeBus):
    """Each ask reaches the next worker; the last one answers all further."""

    def __init__(self, *workers: Answer) -> None:
        super().__init__()
        self._workers = list(workers)

    async def call(self, subject: str, payload: Any, *, timeout_s: float = 5.0, **about: Any) -> Any:
        self.asked.append((subject, payload, None, None))
        worker = self._workers.pop(0) if len(self._workers) > 1 else self._workers[0]
        try:
            return await asyncio.wait_for(worker(), timeout_s)
        except TimeoutError:
            raise CommandError(ErrorCode.TIMEOUT, "no answer") from None


async def dead() -> CarrierResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def away() -> CarrierResponse:
    raise unavailable("nobody answers this at the moment")


async def well() -> CarrierResponse:
    return CarrierResponse(status=200, body="<Response><Connect/></Response>")


async def blames() -> CarrierResponse:
    raise CommandError(ErrorCode.INVALID, "that is no hook")


async def _rings(workers: Workers, **settings: float) -> tuple[int, str]:
    async with asyncio.timeout(10), gateway(workers, carrier_again_s=AGAIN_S, **settings) as client:
        answer = await client.post("/telephony/twilio/voice", data=b"")
        return answer.status, await answer.text()


def not_taken() -> float:
    return REGISTRY.get_sample_value("calliope_calls_not_taken_total", {"carrier": "twilio"}) or 0.0


@pytest.mark.promise("P4")
async def test_what_a_dead_worker_was_asked_another_one_is_asked_too() -> None:
    workers = Workers(dead, well)
    assert "<Connect/>" in (await _rings(workers))[1]
    assert len(workers.asked) == 2


@pytest.mark.promise("P4")
async def test_the_only_worker_is_asked_when_it_is_back() -> None:
    workers = Workers(dead, away, well)
    assert "<Connect/>" in (await _rings(workers))[1]


async def test_the_answer_of_a_slow_worker_counts_when_the_others_say_that_it_has_the_call() -> None:
    asked_again = asyncio.Event()

    async def slow() -> CarrierResponse:
        await asked_again.wait()
        return await well()

    async def not_mine() -> CarrierResponse:
        asked_again.set()
        raise unavailable("another worker has the call; its answer counts")

    assert "<Connect/>" in (await _rings(Workers(slow, not_mine)))[1]


async def test_without_any_worker_nobody_waits() -> None:
    workers, before = Workers(away), not_taken()
    assert "busy" in (await _rings(workers))[1]
    assert len(workers.asked) == 1
    assert not_taken() == before + 1


async def test_workers_that_are_all_dead_are_given_up() -> None:
    workers = Workers(dead)
    assert "busy" in (await _rings(workers, carrier_timeout_s=0.1))[1]
    assert len(workers.asked) <= 6


async def test_a_hook_that_is_to_blame_is_refused_whoever_says_so() -> None:
    assert (await _rings(Workers(dead, blames)))[0] == 422
