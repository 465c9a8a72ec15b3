"""The relay: events that were stored with their documents go to the bus, in order, until it has acknowledged them.

An event that the bus refuses for good is a dead letter and stays where it is: later ones of its entity wait behind it,
so that `sequence` never has a hole, and those of others go on. It is tried again every few minutes, and at once when an
operator replays the letter.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.outbox_publish import OutboxPublisher
from calliope.messaging.publish import encode, subject_of
from calliope.messaging.streams import ASSISTANTS_OUTBOX
from calliope.observability import metrics
from calliope_assistants.ports import Outbox, Waiting

log = structlog.get_logger(__name__)

POLL_S: Final = 2.0
BATCH: Final = 100
CONCURRENCY: Final = 16
"""Rows told of side by side."""
REFUSED_RETRY: Final = timedelta(minutes=5)

_OLDEST: Final = metrics.gauge("calliope_outbox_oldest_seconds", "Age of the oldest event that is not on the bus yet.")
_REFUSED: Final = metrics.gauge(
    "calliope_outbox_refused_entities", "Entities whose events wait behind one that the bus refused for good."
)


class Relay:
    """Several may run: events can then be published twice, and stand in the stream once; none is lost."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: OutboxPublisher,
        letters: DeadLetters,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._letters = letters
        self._now = now
        self._wake = asyncio.Event()
        self._refused = 0

    def wake(self) -> None:
        """Something was written."""
        self._wake.set()

    async def retry(self, event: Event) -> None:
        """Try an event that was refused again, and those behind it. Raises: TransientError."""
        await self._outbox.take_up(event)
        self.wake()

    def notice(self) -> str | None:
        """What somebody has to look at, though the service is ready."""
        if not self._refused:
            return None
        return f"the events of {self._refused} entities wait behind one that the bus refused: see the dead letters"

    async def run(self) -> None:
        """For ever; a store or bus that is away is waited for."""
        while True:
            self._wake.clear()
            try:
                while await self.drain():
                    pass
                await self._count()
            except* TransientError as group:
                log.warning("outbox.waiting", error=str(group.exceptions[0]))
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self) -> int:
        """Publish what waits now, each row in order; how many events. Raises: TransientError, or a group of them."""
        now = self._now()
        rows = await self._outbox.waiting(BATCH, now)
        ages = [(now - event.time).total_seconds() for row in rows for event in row.events]
        _OLDEST.set(max(ages, default=0.0))
        sent = 0
        for first in range(0, len(rows), CONCURRENCY):
            async with asyncio.TaskGroup() as tasks:
                sending = [
                    tasks.create_task(self._send_all(row), name="outbox.row")
                    for row in rows[first : first + CONCURRENCY]
                ]
            sent += sum(task.result() for task in sending)
        return sent

    async def _send_all(self, row: Waiting) -> int:
        """The row's events in order, up to one that is refused; how many went out."""
        if not row.is_readable:
            log.error("outbox.unreadable", collection=row.collection, row=row.id)
            await self._outbox.put_off(row, self._now() + REFUSED_RETRY)
        for sent, event in enumerate(row.events):
            try:
                await self._publisher.publish_kept(event, now=self._now())
            except PermanentError as exc:
                await self._refuse(row, event, exc, is_new=not row.was_refused or sent > 0)
                return sent
            await self._outbox.published(row, event, self._now())
        return len(row.events)

    async def _refuse(self, row: Waiting, event: Event, error: PermanentError, *, is_new: bool) -> None:
        """Keep it for a person to look at. Raises: TransientError."""
        log.error("outbox.refused", event_id=event.id, type=event.type, error=str(error))
        if is_new:
            try:
                await self._letters.add(
                    ASSISTANTS_OUTBOX,
                    subject=subject_of(event),
                    body=encode(event),
                    message_id=event.id,
                    error=error,
                )
            except PermanentError as exc:
                log.error("outbox.no_dead_letter", event_id=event.id, error=str(exc))  # noqa: TRY400 - said above
        await self._outbox.put_off(row, self._now() + REFUSED_RETRY)

    async def _count(self) -> None:
        self._refused = await self._outbox.refused()
        _REFUSED.set(self._refused)
