"""Keeps the revisions of assistants that calls are taken with, in the key-value bucket `pins`, secrets sealed.

Written behind the call's back: a call never waits for it. What could not be written is not there later, and who needs
it asks for the assistant as it is then.
"""

import asyncio
from collections import OrderedDict
from typing import Final

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError

from calliope.contracts.assistants import PinnedAssistant, ResolvedNumber
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.streams import PINS_BUCKET
from calliope_call_worker.ports import Directory

log = structlog.get_logger(__name__)

WRITE_S: Final = 5.0
READ_S: Final = 5.0
MAX_WAITING: Final = 200
MAX_WRITTEN: Final = 10_000
KEPT_FOR_S: Final = 24 * 60 * 60.0
"""Then a revision still in use is written again: the bucket forgets what is old."""


class NatsPins:
    """See `ports.Pins`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: asyncio.Queue[tuple[str, PinnedAssistant]] = asyncio.Queue(MAX_WAITING)
        self._written: OrderedDict[str, float] = OrderedDict()

    def keep(self, pinned: PinnedAssistant) -> None:
        """Have it written soon; once is enough."""
        key, now = _key(pinned.organization_id, pinned.id, pinned.revision), asyncio.get_running_loop().time()
        if now - self._written.get(key, -KEPT_FOR_S) < KEPT_FOR_S:
            return
        try:
            self._waiting.put_nowait((key, pinned))
        except asyncio.QueueFull:  # the bus is away; the next call with it tries again
            log.warning("pins.not_kept", reason="too many wait")
            return
        self._written[key] = now
        if len(self._written) > MAX_WRITTEN:
            self._written.popitem(last=False)

    async def run(self) -> None:
        """Write what waits, for as long as the worker lives."""
        while True:
            key, pinned = await self._waiting.get()
            try:
                async with asyncio.timeout(WRITE_S):
                    bucket = await self._bus.jetstream.key_value(PINS_BUCKET)
                    await bucket.put(key, pinned.model_dump_json().encode())
            except (NatsError, OSError, TimeoutError) as exc:
                self._written.pop(key, None)
                log.warning("pins.not_kept", reason=type(exc).__name__)

    async def find(self, organization_id: str, assistant_id: str, revision: int) -> PinnedAssistant | None:
        """See `ports.Pins`."""
        try:
            async with asyncio.timeout(READ_S):
                bucket = await self._bus.jetstream.key_value(PINS_BUCKET)
                found = await bucket.get(_key(organization_id, assistant_id, revision))
        except KeyNotFoundError:
            return None
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the kept assistants cannot be read now", retry_after_s=1.0) from exc
        return PinnedAssistant.model_validate_json(found.value) if found.value is not None else None


class KeepingDirectory:
    """See `ports.Directory`. What it tells is what calls are taken with, so it is kept."""

    def __init__(self, directory: Directory, pins: NatsPins) -> None:
        self._directory = directory
        self._pins = pins

    async def resolve(self, number: str) -> ResolvedNumber | None:
        """See `ports.Directory`."""
        resolved = await self._directory.resolve(number)
        if resolved is not None:
            self._pins.keep(resolved.assistant)
        return resolved

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant | None:
        """See `ports.Directory`."""
        pinned = await self._directory.pin(organization_id, assistant_id)
        if pinned is not None:
            self._pins.keep(pinned)
        return pinned


def _key(organization_id: str, assistant_id: str, revision: int) -> str:
    return f"{organization_id}.{assistant_id}.{revision}"
