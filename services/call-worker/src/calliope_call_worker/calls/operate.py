"""Use case: an operator looks at a call, ends it, hands it over, or closes one that no worker has."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from calliope.contracts.calls import EndReason
from calliope.contracts.live_calls import ClosedCall, Closure, HeldCall
from calliope_call_worker.registry import LiveCall, LiveCalls

log = structlog.get_logger(__name__)

OVER_WITHIN_S: Final = 4.0
"""How long the answer waits for a call that ends: hanging up takes two seconds at most, an effect under way longer."""
_DETAIL: Final = "an operator ended it"

Release = Callable[[LiveCall], Awaitable[None]]
"""Hands a call over to another worker."""


class CallCloser(Protocol):
    """Ends calls that no worker has."""

    async def close(self, call_id: str) -> Closure:
        """End one in its record and at its carrier. Raises: TransientError."""


class OperatedCalls:
    """What operators may do with calls; of a call that runs elsewhere this worker only says that it has it not."""

    def __init__(self, worker_id: str, live: LiveCalls, closer: CallCloser, release: Release) -> None:
        self._worker_id = worker_id
        self._live = live
        self._closer = closer
        self._release = release

    def describe(self, call_id: str) -> HeldCall:
        """Whether this worker has the call."""
        call = self._live.get(call_id)
        return self._none() if call is None else self._held(call)

    async def end(self, call_id: str) -> HeldCall:
        """Hang up, if the call runs here; the answer comes when it is over, at the latest after `OVER_WITHIN_S`."""
        call = self._live.get(call_id)
        if call is None:
            return self._none()
        if not call.ending:
            log.info("call.ended_by_operator", call_id=call_id)
            call.end(EndReason.OPERATOR_ENDED, _DETAIL)
        over = False
        with suppress(TimeoutError):
            async with asyncio.timeout(OVER_WITHIN_S):
                await call.released()
                over = True
        return self._held(call, over=over)

    async def release(self, call_id: str) -> HeldCall:
        """Hand the call over between two turns, if it runs here; one that ends is let end."""
        call = self._live.get(call_id)
        if call is None:
            return self._none()
        if call.ending:
            return self._held(call)
        log.info("call.released_by_operator", call_id=call_id)
        await self._release(call)
        return self._held(call, over=True)

    async def close(self, call_id: str) -> ClosedCall:
        """End a call that no worker has. Raises: TransientError."""
        if self._live.get(call_id) is not None:
            return ClosedCall(worker_id=self._worker_id, closure=Closure.HELD)
        return ClosedCall(worker_id=self._worker_id, closure=await self._closer.close(call_id))

    def _held(self, call: LiveCall, *, over: bool = False) -> HeldCall:
        return HeldCall(
            worker_id=self._worker_id, held=True, over=over, ending=call.ending, waiting_facts=call.waiting_facts
        )

    def _none(self) -> HeldCall:
        return HeldCall(worker_id=self._worker_id, held=False)
