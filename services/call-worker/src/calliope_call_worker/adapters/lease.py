"""Leases in the key-value bucket `calls`: who holds a live call, renewed every second, gone soon after a worker dies.

A lease tells; it does not decide. Two workers are kept apart by the journal's sequence check.
"""

import asyncio
from typing import Final

import orjson
import structlog
from nats.errors import Error as NatsError
from nats.js.kv import KeyValue

from calliope.messaging.broker import Bus
from calliope.messaging.streams import CALLS_BUCKET

log = structlog.get_logger(__name__)

RENEW_S: Final = 1.0
WRITE_S: Final = 2.0


class NatsLeases:
    """See `ports.Leases`."""

    def __init__(self, bus: Bus, worker_id: str) -> None:
        self._bus = bus
        self._worker_id = worker_id
        self._held: dict[str, bytes] = {}
        self._bucket: KeyValue | None = None

    async def take(self, call_id: str, organization_id: str) -> None:
        """See `ports.Leases`."""
        self._held[call_id] = orjson.dumps({"worker_id": self._worker_id, "organization": organization_id})
        await self._write(call_id)

    async def release(self, call_id: str) -> None:
        """See `ports.Leases`."""
        if self._held.pop(call_id, None) is None:
            return
        try:
            async with asyncio.timeout(WRITE_S):
                await (await self._open()).purge(call_id)
        except (NatsError, OSError, TimeoutError) as exc:
            log.info("lease.not_released", call_id=call_id, error=type(exc).__name__)

    def drop(self, call_id: str) -> None:
        """See `ports.Leases`."""
        self._held.pop(call_id, None)

    async def renew(self) -> None:
        """Renew all leases every second, for as long as the worker lives."""
        while True:
            await asyncio.sleep(RENEW_S)
            for call_id in list(self._held):
                await self._write(call_id)

    async def _write(self, call_id: str) -> None:
        value = self._held.get(call_id)
        if value is None:
            return
        try:
            async with asyncio.timeout(WRITE_S):
                await (await self._open()).put(call_id, value)
        except (NatsError, OSError, TimeoutError) as exc:
            log.warning("lease.not_renewed", call_id=call_id, error=type(exc).__name__)

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await self._bus.jetstream.key_value(CALLS_BUCKET)
        return self._bucket
