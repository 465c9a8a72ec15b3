"""Calls whose worker died, and which no carrier asked about again: they end in the record too, as `worker_lost`.

A carrier that has the caller on the line asks within seconds, and another worker goes on with it (`calls/resume`). The
others end here: the caller hung up meanwhile, or the carrier never learned that its media is gone. Every worker looks
after them; who writes the end is decided by the journal's sequence check, as everywhere.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog

from calliope.contracts.base import Event
from calliope.contracts.calls import CallEnded, CallStarted, EndReason
from calliope.contracts.live_calls import Closure
from calliope.errors import CalliopeError
from calliope_call_worker.accounts import with_known_key
from calliope_call_worker.calls.authenticate import HookAuthenticator, begun_call
from calliope_call_worker.calls.claim import lost
from calliope_call_worker.continuation import ended, is_transferred
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.ownership.absences import absences, look_after
from calliope_call_worker.ports import Journals, OpenCalls
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierApi
from calliope_call_worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

LOOKS: Final = 20
"""So often a call is looked at before it counts as lost."""
AT_ONCE: Final = 16
"""Closed side by side: each waits for the bus and for a carrier."""
CLOSE_S: Final = 20.0
"""One call; what is not done by then is tried again at the next look."""
HANG_UP_FOR_S: Final = 600.0
"""So long after its end a carrier that does not answer is told again to put the line of a lost call down."""
QUIET_S: Final = 5.0
"""So long after its last fact a call without a lease may still be on its way from one worker to another."""
_PASSES: Final = {Failure.DEADLINE, Failure.DROPPED, Failure.ERROR, Failure.RATE_LIMITED}
_WHY: Final = "its worker ended without a word, and the carrier did not ask again"
_OPERATOR: Final = "its worker ended without a word, and an operator ended it"


class LostCalls:
    """Closes calls that had no owner for `lost_after_s`: writes `ended`, hangs up at the carrier; one per worker."""

    def __init__(
        self,
        *,
        settings: WorkerSettings,
        open_calls: OpenCalls,
        journals: Journals,
        authenticator: HookAuthenticator,
        apis: Mapping[str, CarrierApi],
    ) -> None:
        self._settings = settings
        self._open_calls = open_calls
        self._journals = journals
        self._authenticator = authenticator
        self._apis = apis

    async def run(self) -> None:
        """Look after them for as long as the worker lives."""
        lost_after_s = self._settings.call.lost_after_s
        async for lost_calls, _ in absences(self._open_calls, lost_after_s=lost_after_s, every_s=lost_after_s / LOOKS):
            await self.close_all(lost_calls)

    async def close_all(self, call_ids: Collection[str]) -> None:
        """End those that nobody goes on with, a few at a time; whatever is wrong with one, the others end."""
        close = partial(self._close, why=_WHY, quiet_s=self._settings.call.lost_after_s)
        await look_after(call_ids, close, at_once=AT_ONCE, within_s=CLOSE_S)

    async def close(self, call_id: str) -> Closure:
        """End a call for an operator, now, unless a worker holds it. Raises: TransientError."""
        if await self._open_calls.is_held(call_id):
            return Closure.HELD
        return await self._close(call_id, _OPERATOR, quiet_s=QUIET_S)

    async def _close(self, call_id: str, why: str, *, quiet_s: float) -> Closure:
        """The end of a call, unless it has one, or somebody wrote within `quiet_s`. Raises: TransientError."""
        facts, position = await self._journals.recent(call_id)
        if not facts or facts[0].name != "started":
            await self._open_calls.forget(call_id)
            return Closure.UNKNOWN
        if ended(facts):
            if await self._is_down(facts):
                await self._open_calls.forget(call_id)
            return Closure.ENDED
        if (datetime.now(UTC) - facts[-1].time).total_seconds() < quiet_s:
            return Closure.HELD  # somebody went on with it after all
        try:
            await self._journals.reopen(facts, position, lost(facts, why))
        except OwnershipError:
            return Closure.HELD
        log.warning("call.lost", call_id=call_id, facts=facts[-1].sequence)
        if await self._hang_up(facts):
            await self._open_calls.forget(call_id)
        return Closure.CLOSED

    async def _is_down(self, facts: Sequence[Event]) -> bool:
        """Whether nothing is left to do for the line of a call that has its end.

        Who ends it as lost puts its line down, too; where that did not succeed it is tried again.
        """
        lost_for_s = _lost_for_s(facts, datetime.now(UTC))
        if lost_for_s is None or lost_for_s >= HANG_UP_FOR_S:
            return True
        return lost_for_s >= CLOSE_S and await self._hang_up(facts)

    async def _hang_up(self, facts: Sequence[Event]) -> bool:
        """Nobody speaks on that line any more, unless the caller was connected to someone else.

        False, when the carrier has to be asked again.
        """
        first = CallStarted.model_validate(facts[0].data)
        api = self._apis.get(first.carrier)
        if api is None or is_transferred(facts):
            return True
        try:
            accounts = await self._authenticator.accounts_of(begun_call(facts[0]))
            await with_known_key(accounts, lambda one: api.hang_up(one, first.carrier_call_id))
        except CalliopeError as exc:
            log.info("call.not_hung_up", call_id=facts[0].entity_id, error=str(exc))
            return isinstance(exc, ProviderError) and exc.failure not in _PASSES
        return True


def _lost_for_s(facts: Sequence[Event], now: datetime) -> float | None:
    """How long ago it was ended as lost; None, when it was not."""
    end = next((fact for fact in reversed(facts) if fact.name == "ended"), None)
    if end is None or CallEnded.model_validate(end.data).reason != EndReason.WORKER_LOST:
        return None
    return (now - end.time).total_seconds()
