"""Journals of calls in JetStream: a call's events, appended under the server's check that nobody else appended.

The expected last sequence of the call's subjects travels with every append; the server refuses a second writer.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakValueDictionary

import structlog

from calliope.contracts import subjects
from calliope.contracts.base import Event, Message
from calliope.contracts.calls import CallStarted, Resumed
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.publish import EventPublisher, Last
from calliope.observability.traces import current_traceparent
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_call_worker.adapters.journal_reader import JournalReader
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.ownership.journal import CallJournal
from calliope_call_worker.ownership.waiting import Waiting

log = structlog.get_logger(__name__)

READ_S: Final = 5.0
LAST_FACTS_S: Final = 5.0


class NatsEventLog:
    """See `ownership.journal.EventLog`."""

    def __init__(self, bus: Bus) -> None:
        self._publisher = EventPublisher(bus)

    async def append(self, event: Event, *, after: int) -> int:
        """See `ownership.journal.EventLog`."""
        journal = _filter(event.organization, event.entity_id)
        return await self._publisher.publish_once(event, after=Last(journal, after))

    async def last_position(self, organization_id: str, call_id: str) -> int:
        """See `ownership.journal.EventLog`."""
        try:
            async with asyncio.timeout(READ_S):
                return await self._publisher.last_sequence(_filter(organization_id, call_id))
        except TimeoutError as exc:
            raise TransientError("the stream cannot be read") from exc


class NatsJournals:
    """See `ports.Journals`. Leaving the block gives facts that still wait for the bus a moment."""

    def __init__(self, bus: Bus) -> None:
        self._log = NatsEventLog(bus)
        self._reader = JournalReader(bus)
        self._waiting = Waiting()
        self._tasks = IsolatedTasks()
        self._writing: set[asyncio.Task[Any]] = set()
        self._open: WeakValueDictionary[str, CallJournal] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.finish(LAST_FACTS_S)
        finally:
            await self._tasks.__aexit__(kind, error, trace)

    async def finish(self, within_s: float) -> None:
        """Wait until all facts are stored; what is left after that is lost, and said."""
        try:
            if self._writing:
                await asyncio.wait(self._writing, timeout=within_s)
        finally:
            for journal in list(self._open.values()):
                journal.stop()
            for task in self._writing:
                task.cancel()

    async def create(self, organization_id: str, call_id: str, first: Message) -> CallJournal:
        """See `ports.Journals`."""
        journal = self._journal(organization_id, call_id, traceparent=current_traceparent())
        try:
            await journal.store_first(first)
        except OwnershipError:
            if not isinstance(first, CallStarted):
                raise
            return await self._after_abandoned(call_id, first)
        return journal

    async def first(self, call_id: str) -> Event | None:
        """See `ports.Journals`."""
        return await self._reader.first(call_id)

    async def read(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `ports.Journals`."""
        return await self._reader.whole(call_id)

    async def scan(self, call_id: str, take: Callable[[Event], None]) -> int:
        """See `ports.Journals`."""
        return await self._reader.scan(call_id, take)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `ports.Journals`."""
        return await self._reader.recent(call_id)

    async def reopen(self, facts: tuple[Event, ...], last: int, first: Message) -> CallJournal:
        """See `ports.Journals`."""
        journal = self._journal(
            facts[-1].organization,
            facts[-1].entity_id,
            sequence=facts[-1].sequence,
            position=last,
            traceparent=facts[0].traceparent,
        )
        await journal.store_first(first)
        return journal

    async def verify(self) -> None:
        """Look whether the calls whose journals are open still are this worker's; see `CallJournal.verify`."""
        async with asyncio.TaskGroup() as tasks:
            for journal in list(self._open.values()):
                tasks.create_task(journal.verify(), name="journal.verify")

    async def _after_abandoned(self, call_id: str, started: CallStarted) -> CallJournal:
        """Go on with a call that another worker had given up at its beginning. Raises: OwnershipError."""
        facts, position = await self.recent(call_id)
        if not facts or facts[-1].name != "abandoned":
            raise OwnershipError("another worker writes this call")
        previous = str(facts[-1].data.get("worker_id", ""))
        resumed = Resumed(worker_id=started.worker_id, previous_worker_id=previous, reason="it was given up there")
        return await self.reopen(facts, position, resumed)

    def _journal(self, organization_id: str, call_id: str, **known: Any) -> CallJournal:
        journal = CallJournal(
            self._log, self._waiting, self._spawn, organization_id=organization_id, call_id=call_id, **known
        )
        self._open[call_id] = journal
        return journal

    def _spawn(self, work: Any, name: str) -> "asyncio.Task[Any]":
        task = self._tasks.spawn(work, name)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task


def _filter(organization_id: str, call_id: str) -> str:
    return subjects.events_of(subjects.Entity.CALL, organization=organization_id, entity_id=call_id)
