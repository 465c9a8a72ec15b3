"""Hands the caller of one call over to somebody else, once however often the carrier has to be told."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from calliope.contracts.calls import TransferStarted
from calliope_call_worker.closing import FLUSH_S
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierApi, TransferRequest
from calliope_call_worker.tools.http import ToolAnswer

DOUBT_S: Final = 1.0
"""So long after a command whose answer was lost the media is watched: a transfer ends it."""
_DOUBTFUL: Final = {Failure.DEADLINE, Failure.DROPPED, Failure.ERROR}
"""After these the carrier may have done what it was told."""
_FAILED: Final = ToolAnswer(ok=False, text="the transfer failed; nobody could be reached")
_CONNECTED: Final = ToolAnswer(ok=True, text="the caller is being connected")


class Transfer:
    """Transfers of one call. `over` is set when the call is, also because its media ended."""

    def __init__(
        self,
        plan: CallPlan,
        api: CarrierApi,
        journal: Journal,
        *,
        after_url: str,
        over: asyncio.Event,
        tell_problem: Callable[[ProviderError], None],
    ) -> None:
        self._plan = plan
        self._api = api
        self._journal = journal
        self._after_url = after_url
        self._over = over
        self._tell_problem = tell_problem
        self.under_way = False
        """Whether media that ends now means that the caller is being connected to somebody else."""

    async def begin(self, destination: str, key: str) -> ToolAnswer:
        """Connect the caller to `destination`; for the same key once, also when another worker asks the carrier."""
        self.under_way = True  # the carrier may stop our media before it answers
        self._journal.append(TransferStarted(to_number=destination))
        await self._journal.flush(FLUSH_S)
        if self._journal.lost:
            return _FAILED
        plan = self._plan
        wanted = TransferRequest(plan.carrier_call_id, destination, self._after_url, plan.shown_number, key)
        try:
            await self._api.transfer(plan.account, wanted)
        except ProviderError as exc:
            if exc.failure in _DOUBTFUL and await self._media_ends():
                return _CONNECTED
            self.under_way = False
            self._tell_problem(exc)
            return _FAILED
        return _CONNECTED

    async def _media_ends(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(DOUBT_S):
                await self._over.wait()
        return self._over.is_set()
