"""Call-workers as a gateway sees them: each answers a carrier's hook in a way of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from calliope.contracts.calls import CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError, unavailable
from calliope.messaging.command_client import NOBODY_RETRY_S
from support.http_surface import FakeBus

Answer = Callable[[], Awaitable[CarrierResponse]]


class Workers(FakeBus):
    """Each ask reaches the next worker with a free slot, the last one answers all further; `full` are the others."""

    def __init__(self, *workers: Answer, full: Answer | None = None) -> None:
        super().__init__()
        self._workers = list(workers)
        self._full = full or away
        self.asked_at: list[float] = []
        """Times of the loop."""

    @property
    def commands(self) -> list[str]:
        return [subject for subject, *_ in self.asked]

    async def call(self, subject: str, payload: Any, *, timeout_s: float = 5.0, **about: Any) -> Any:
        self.asked.append((subject, payload, None, None))
        self.asked_at.append(asyncio.get_running_loop().time())
        worker = self._full if subject == Command.CALLS_DECLINE else self._workers[0]
        if subject != Command.CALLS_DECLINE and len(self._workers) > 1:
            self._workers.pop(0)
        try:
            return await asyncio.wait_for(worker(), timeout_s)
        except TimeoutError:
            raise CommandError(ErrorCode.TIMEOUT, "no answer") from None


async def dead() -> CarrierResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def away() -> CarrierResponse:
    raise unavailable("nobody answers this at the moment", retry_after_s=NOBODY_RETRY_S)


async def well() -> CarrierResponse:
    return CarrierResponse(status=200, body="<Response><Connect/></Response>")


async def declines() -> CarrierResponse:
    return CarrierResponse(status=200, body="<Response>full</Response>")


async def blames() -> CarrierResponse:
    raise CommandError(ErrorCode.INVALID, "that is no hook")


def asks_back(retry_after_s: float, after_s: float = 0.0) -> Answer:
    """A worker that says after a while when to ask again."""

    async def answer() -> CarrierResponse:
        await asyncio.sleep(after_s)
        raise unavailable("the vendor does not say whether the call is up", retry_after_s=retry_after_s)

    return answer


def slow(after_s: float) -> Answer:
    """A worker that takes the hook after a while."""

    async def answer() -> CarrierResponse:
        await asyncio.sleep(after_s)
        return await well()

    return answer
