"""Keeps the revisions of assistants that calls are taken with, in the key-value bucket `pins`, secrets sealed.

A revision is stored before the first call of this worker with it is answered, so whoever goes on with that call finds
it. What the bus does not take then is tried again with the next call.
"""

import asyncio
import time
from typing import Final

import orjson
import structlog
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError

from calliope.caches import BoundedCache
from calliope.contracts.assistants import PinnedAssistant
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.streams import PINS_BUCKET
from calliope.observability import metrics
from calliope_call_worker.errors import JOURNALS

log = structlog.get_logger(__name__)

WRITE_S: Final = 2.0
READ_S: Final = 5.0
WRITTEN_BYTES: Final = 4 * 1024 * 1024
CACHE_BYTES: Final = 16 * 1024 * 1024
KEPT_FOR_S: Final = 24 * 60 * 60.0
"""Then a revision still in use is written again: the bucket forgets what is old."""
_NOT_KEPT: Final = metrics.counter(
    "calliope_assistant_revisions_not_kept_total",
    "Revisions that a call was taken with and the bus did not store: another worker may go on with a newer one.",
)


class NatsPins:
    """See `ports.Pins`. What was read or written is kept here as JSON, within a number of bytes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._written: BoundedCache[str, float] = BoundedCache(WRITTEN_BYTES)
        self._read: BoundedCache[str, bytes] = BoundedCache(CACHE_BYTES)

    def kept(self, organization_id: str, assistant_id: str, revision: int) -> bool:
        """See `ports.Pins`."""
        written_at = self._written.get(_key(organization_id, assistant_id, revision))
        return written_at is not None and time.monotonic() - written_at < KEPT_FOR_S

    async def keep(self, pinned: PinnedAssistant) -> None:
        """See `ports.Pins`."""
        if self.kept(pinned.organization_id, pinned.id, pinned.revision):
            return
        key, value = _key(pinned.organization_id, pinned.id, pinned.revision), orjson.dumps(dict(pinned))
        try:
            async with asyncio.timeout(WRITE_S):
                bucket = await self._bus.jetstream.key_value(PINS_BUCKET)
                await bucket.put(key, value)
        except (NatsError, OSError, TimeoutError) as exc:
            _NOT_KEPT.inc()
            log.warning("pin.not_kept", assistant_id=pinned.id, revision=pinned.revision, reason=type(exc).__name__)
            return
        self._written.put(key, time.monotonic(), len(key))
        self._read.put(key, value, len(value))

    async def find(self, organization_id: str, assistant_id: str, revision: int) -> PinnedAssistant | None:
        """See `ports.Pins`."""
        key = _key(organization_id, assistant_id, revision)
        value = self._read.get(key)
        if value is None:
            try:
                async with asyncio.timeout(READ_S):
                    bucket = await self._bus.jetstream.key_value(PINS_BUCKET)
                    value = (await bucket.get(key)).value
            except KeyNotFoundError:
                return None
            except (NatsError, OSError, TimeoutError) as exc:
                why = "the kept assistants cannot be read now"
                raise TransientError(why, retry_after_s=1.0, dependency=JOURNALS) from exc
            if value is None:
                return None
            self._read.put(key, value, len(value))
        return PinnedAssistant.model_validate(orjson.loads(value))


def _key(organization_id: str, assistant_id: str, revision: int) -> str:
    return f"{organization_id}.{assistant_id}.{revision}"
