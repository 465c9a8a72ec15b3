"""The relay: events that were stored with their documents go to the bus, in order, until it has acknowledged them."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.publish import EventPublisher
from calliope.observability import metrics
from calliope_assistants.ports import Outbox, Waiting

log = structlog.get_logger(__name__)

POLL_S: Final = 2.0
BATCH: Final = 100
AT_ONCE: Final = 16
"""Rows told of side by side."""

_OLDEST: Final = metrics.gauge("calliope_outbox_oldest_seconds", "Age of the oldest event that is not on the bus yet.")


class Relay:
    """Several may run: events can then go out twice, with the same id; none is lost."""

    def __init__(self, outbox: Outbox, publisher: EventPublisher) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was written."""
        self._wake.set()

    async def run(self) -> None:
        """For ever; a store or bus that is away is waited for."""
        while True:
            self._wake.clear()
            try:
                while await self.drain():
                    pass
            except* TransientError as group:
                log.warning("outbox.waiting", error=str(group.exceptions[0]))
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self) -> int:
        """Publish what waits now, each row in order; how many events. Raises: TransientError, or a group of them."""
        rows = await self._outbox.waiting(BATCH)
        now = datetime.now(UTC)
        ages = [(now - event.time).total_seconds() for row in rows for event in row.events]
        _OLDEST.set(max(ages, default=0.0))
        for first in range(0, len(rows), AT_ONCE):
            async with asyncio.TaskGroup() as tasks:
                for row in rows[first : first + AT_ONCE]:
                    tasks.create_task(self._send_all(row), name="outbox.row")
        return len(ages)

    async def _send_all(self, row: Waiting) -> None:
        for event in row.events:
            await self._send(row, event)

    async def _send(self, row: Waiting, event: Event) -> None:
        try:
            await self._publisher.publish(event)
        except PermanentError as exc:
            # It would block its row for ever; the log of sent events keeps it for a person to look at.
            log.error("outbox.refused", event_id=event.id, type=event.type, error=str(exc))  # noqa: TRY400
        await self._outbox.published(row, event, datetime.now(UTC))
