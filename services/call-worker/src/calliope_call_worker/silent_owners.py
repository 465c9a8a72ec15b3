"""Calls whose worker is frozen, or whose machine is gone: the carrier is told to ask who goes on with them.

A worker that dies closes its sockets, and the carrier asks by itself. One that is frozen closes nothing, and a machine
without power cannot: the carrier goes on sending to nobody, and the caller hears nothing. That nobody renews the call's
lease is all that tells. Every worker looks; who claims the loss at the bus tells the carrier, once for each loss. What
the carrier asks then is answered as ever, and the journal keeps a worker that comes back from saying a word more.

A call that still rings has no media whose end a carrier could tell of: whoever is first takes it up.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from calliope.contracts.calls import CallStarted
from calliope.observability import metrics
from calliope_call_worker.accounts import with_known_key
from calliope_call_worker.calls.authenticate import HookAuthenticator, begun_call
from calliope_call_worker.continuation import is_open, still_rings
from calliope_call_worker.ownership.absences import absences, look_after
from calliope_call_worker.ports import Journals, OpenCalls
from calliope_call_worker.providers.telephony.base import RESUME, CarrierApi
from calliope_call_worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

LOOK_S: Final = 2.0
SILENT_S: Final = 5.0
"""So long a call is seen without its lease, which itself outlives the worker's last word by five seconds. Longer than
workers need to find a bus again that was away for all of them."""
AT_ONCE: Final = 10
ONE_S: Final = 15.0
"""The longest that one call is worked on."""
TakeUp = Callable[[str, str], Awaitable[None]]
"""Sees to a call that rings, by its carrier and its id. Raises: CalliopeError, when it cannot now."""
_ASKED: Final = metrics.counter(
    "calliope_silent_owners_total", "Calls whose worker fell silent, and whose carrier was told to ask who goes on."
)


class SilentOwners:
    """Looks after the calls of all workers but those that run here."""

    def __init__(
        self,
        *,
        settings: WorkerSettings,
        open_calls: OpenCalls,
        journals: Journals,
        authenticator: HookAuthenticator,
        apis: Mapping[str, CarrierApi],
        take_up: TakeUp,
        runs_here: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._open_calls = open_calls
        self._journals = journals
        self._authenticator = authenticator
        self._apis = apis
        self._take_up = take_up
        self._runs_here = runs_here
        self._seen: set[str] = set()

    async def run(self) -> None:
        """Look for as long as the worker lives."""
        async for silent, without_owner in absences(self._open_calls, lost_after_s=SILENT_S, every_s=LOOK_S):
            self._seen &= without_owner
            elsewhere = [call_id for call_id in silent if call_id not in self._seen and not self._runs_here(call_id)]
            await look_after(elsewhere, self._look_at, at_once=AT_ONCE, within_s=ONE_S)

    async def _look_at(self, call_id: str) -> None:
        if await self._ask_carrier(call_id):
            self._seen.add(call_id)

    async def _ask_carrier(self, call_id: str) -> bool:
        """Whether nothing more is to be done about this loss of an owner. Raises: CalliopeError."""
        facts, _ = await self._journals.recent(call_id)
        if not is_open(facts):
            return True
        if (datetime.now(UTC) - facts[-1].time).total_seconds() < SILENT_S:
            return False  # somebody writes: it is only the lease that does not come through
        started = CallStarted.model_validate(facts[0].data)
        if still_rings(facts):
            await self._take_up(started.carrier, call_id)
            return True
        api = self._apis.get(started.carrier)
        loss = f"silent after {facts[-1].sequence}"
        if api is None or not await self._open_calls.claim(call_id, loss):
            return True
        _ASKED.inc()
        log.warning("call.owner_silent", call_id=call_id, facts=facts[-1].sequence)
        after_url = f"{self._settings.public_url.rstrip('/')}/telephony/{started.carrier}{RESUME}{call_id}"
        accounts = await self._authenticator.accounts_of(begun_call(facts[0]))
        await with_known_key(
            accounts, lambda one: api.ask_again(one, started.carrier_call_id, after_url=after_url, key=loss)
        )
        return True
