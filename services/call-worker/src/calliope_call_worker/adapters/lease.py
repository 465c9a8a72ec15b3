"""Leases in the key-value bucket `calls`: key call_id, gone soon after its worker died."""

from typing import Final

from nats.errors import Error as NatsError

from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.streams import CALLS, CALLS_BUCKET

CONFIRM_S: Final = 5.0
_PURGE: Final = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
"""What a client of NATS puts to remove a key with its history."""


class NatsLeaseStore:
    """See `ownership.lease.LeaseStore`. A put into a bucket is a message to its subject."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def connected(self) -> bool:
        """See `LeaseStore`."""
        return self._bus.up.is_set()

    async def send(self, call_id: str, lease: bytes) -> None:
        """See `LeaseStore`."""
        await self._send(call_id, lease)

    async def confirm(self, call_id: str, lease: bytes) -> None:
        """See `LeaseStore`."""
        try:
            await self._bus.jetstream.publish(_subject(call_id), lease, timeout=CONFIRM_S, stream=CALLS.name)
        except (NatsError, OSError) as exc:
            raise TransientError(f"the bus does not confirm: {type(exc).__name__}") from exc

    async def remove(self, call_id: str) -> None:
        """See `LeaseStore`."""
        await self._send(call_id, b"", _PURGE)

    async def _send(self, call_id: str, lease: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            await self._bus.connection.publish(_subject(call_id), lease, headers=headers)
        except (NatsError, OSError) as exc:
            raise TransientError(f"the bus takes nothing: {type(exc).__name__}") from exc


def _subject(call_id: str) -> str:
    return f"$KV.{CALLS_BUCKET}.{call_id}"
