"""Leases of calls: this worker tells every second which calls it holds. A lease tells; the journal decides.

All leases are sent together, and the last of a round is confirmed: the bus works through what one connection sent in
order, so all before it are there, too. No round waits for the one before, however slow the bus answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import orjson
import structlog

from calliope.errors import TransientError
from calliope.observability import metrics

log = structlog.get_logger(__name__)

RENEW_S: Final = 1.0
LEASE_S: Final = 5.0
"""A lease that was not renewed for so long is gone; `messaging.streams.CALLS` says the same to the server."""
AT_ONCE: Final = 20
"""Sent before the loop has its turn: each takes some 30 µs."""

_HELD = metrics.gauge("calliope_leases_held", "Calls whose leases this worker renews.")
_LAPSED = metrics.counter(
    "calliope_leases_lapsed_total", "Leases that were not confirmed for longer than they live, while held."
)


class LeaseStore(Protocol):
    """Where leases are kept."""

    @property
    def connected(self) -> bool:
        """Whether anything can be sent now."""

    async def send(self, call_id: str, lease: bytes) -> None:
        """Renew; what became of it is not known. Raises: TransientError, when it was not sent."""

    async def confirm(self, call_id: str, lease: bytes) -> None:
        """Renew, and wait until this and what was sent before is there. Raises: TransientError."""

    async def remove(self, call_id: str) -> None:
        """Forget it; it is gone soon in any case. Raises: TransientError, when that was not sent."""


class LeaseKeeper:
    """See `ports.Leases`."""

    def __init__(
        self, store: LeaseStore, worker_id: str, *, on_renewed_again: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`on_renewed_again`: leases had lapsed and are there again; meanwhile others may have taken calls over."""
        self._store = store
        self._worker_id = worker_id
        self._on_renewed_again = on_renewed_again
        self._held: dict[str, bytes] = {}
        self._confirmed_at = 0.0
        self._lapsed = False
        _HELD.set_function(lambda: len(self._held))

    async def take(self, call_id: str, organization_id: str) -> None:
        """See `ports.Leases`."""
        if not self._held:
            self._confirmed_at, self._lapsed = asyncio.get_running_loop().time(), False
        lease = orjson.dumps({"worker_id": self._worker_id, "organization": organization_id})
        self._held[call_id] = lease
        if self._store.connected:
            await self._tried(self._store.send(call_id, lease))

    async def release(self, call_id: str) -> None:
        """See `ports.Leases`."""
        if self._held.pop(call_id, None) is not None and self._store.connected:
            await self._tried(self._store.remove(call_id))

    def drop(self, call_id: str) -> None:
        """See `ports.Leases`."""
        self._held.pop(call_id, None)

    async def renew(self) -> None:
        """Renew all leases every second, for as long as the worker lives."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as confirmations:
            while True:
                due = max(due + RENEW_S, loop.time())
                await asyncio.sleep(due - loop.time())
                await self._round(confirmations)
                self._look(loop.time())

    async def _round(self, confirmations: asyncio.TaskGroup) -> None:
        leases = list(self._held.items())
        if not leases or not self._store.connected:
            return
        for number, (call_id, lease) in enumerate(leases[:-1], start=1):
            if not await self._tried(self._store.send(call_id, lease)):
                return
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        sent_at = asyncio.get_running_loop().time()
        confirmations.create_task(self._confirm(*leases[-1], sent_at), name="leases.confirm")

    async def _confirm(self, call_id: str, lease: bytes, sent_at: float) -> None:
        """At most `LEASE_S` long, so that as many rounds as there are seconds in it are open at once."""
        try:
            async with asyncio.timeout(LEASE_S):
                await self._store.confirm(call_id, lease)
        except (TransientError, TimeoutError) as exc:
            log.info("leases.not_confirmed", calls=len(self._held), reason=str(exc) or "no answer in time")
            return
        self._confirmed_at = max(self._confirmed_at, sent_at)
        if self._lapsed:
            self._lapsed = False
            log.info("leases.renewed_again", calls=len(self._held))
            if self._on_renewed_again is not None:
                await self._on_renewed_again()

    def _look(self, now: float) -> None:
        """Notice a lapse, once."""
        if not self._held:
            self._confirmed_at, self._lapsed = now, False
        elif not self._lapsed and now - self._confirmed_at > LEASE_S:
            self._lapsed = True
            _LAPSED.inc(len(self._held))
            log.warning("leases.lapsed", calls=len(self._held), since_s=round(now - self._confirmed_at, 1))

    async def _tried(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except TransientError as exc:
            log.info("lease.not_sent", reason=str(exc))
            return False
        return True
