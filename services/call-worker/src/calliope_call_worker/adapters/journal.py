"""The journal of calls in JetStream: a call's events, appended under the server's check that nobody else appended.

The expected last sequence of the call's subjects travels with every append; the server refuses a second writer. While
the bus is away facts wait here, in order and bounded; a publish of unknown outcome is repeated with the same id.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from calliope.contracts import subjects
from calliope.contracts.base import Event, Message, event_type
from calliope.contracts.calls import EVENT_NAMES, CallEnded
from calliope.errors import PermanentError, TransientError
from calliope.ids import new_id
from calliope.messaging.broker import Bus
from calliope.messaging.publish import EventPublisher, Last, SequenceConflict
from calliope.messaging.streams import EVENTS
from calliope.observability.traces import current_traceparent
from calliope_call_worker.adapters.fitting import fitted
from calliope_call_worker.errors import JournalFullError, OwnershipError

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 2_000
RETRY_S: Final = 0.25
MAX_RETRY_S: Final = 5.0
FIRST_S: Final = 6.0
READ_S: Final = 5.0
MAX_FACTS: Final = 20_000
GIVE_UP_S: Final = 540.0  # below the stream's duplicate window: a later repeat could be stored twice
SOURCE: Final = "/calliope/call-worker"


Spawn = Callable[[Coroutine[Any, Any, None], str], object]


class NatsJournal:
    """One call's journal; see `ports.Journal`. All facts of a call carry one trace, whoever writes them."""

    def __init__(
        self,
        publisher: EventPublisher,
        spawn: Spawn,
        *,
        organization_id: str,
        call_id: str,
        sequence: int = 0,
        last_stream_sequence: int = 0,
        traceparent: str | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._publisher = publisher
        self._spawn = spawn
        self._organization_id = organization_id
        self._call_id = call_id
        self._sequence = sequence
        self._last = last_stream_sequence
        self._traceparent = traceparent
        self._filter = subjects.events_of(subjects.Entity.CALL, organization=organization_id, entity_id=call_id)
        self._waiting: deque[Event] = deque()
        self._pumping = False
        self._stored = asyncio.Event()
        self._stored.set()
        self._lost = False
        self.on_lost = on_lost

    def append(self, fact: Message) -> None:
        """See `ports.Journal`."""
        if self._lost:
            return
        if len(self._waiting) >= MAX_WAITING and not isinstance(fact, CallEnded):  # there is one, and it must be told
            raise JournalFullError(f"{MAX_WAITING} facts of a call wait for the bus")
        self._sequence += 1
        name = EVENT_NAMES[type(fact)]
        event = Event(
            id=new_id("evt"),
            type=event_type("call", name),
            source=SOURCE,
            subject=f"call/{self._call_id}",
            time=datetime.now(UTC),
            organization=self._organization_id,
            sequence=self._sequence,
            traceparent=self._traceparent,
            data=fact.model_dump(mode="json"),
        )
        self._waiting.append(fitted(event))
        self._stored.clear()
        if not self._pumping:
            self._pumping = True
            self._spawn(self._pump(), "journal.pump")

    async def flush(self, timeout_s: float) -> bool:
        """See `ports.Journal`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._stored.wait()
        except TimeoutError:
            return False
        return True

    async def store_first(self, fact: Message) -> None:
        """Append the first fact and wait for the server's word. Raises: OwnershipError, TransientError."""
        lost = asyncio.get_running_loop().create_future()
        self.on_lost = lambda: lost.set_result(None)
        self.append(fact)
        stored = asyncio.ensure_future(self._stored.wait())
        try:
            await asyncio.wait({stored, lost}, timeout=FIRST_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stored.cancel()
            self.on_lost = None
        if lost.done():
            raise OwnershipError("another worker writes this call")
        if not self._stored.is_set():
            self._give_up("the bus did not take the first fact")
            raise TransientError("the bus does not take the call's first fact", retry_after_s=1.0)

    async def _pump(self) -> None:
        try:
            while self._waiting and not self._lost:
                if await self._store(self._waiting[0]):
                    self._waiting.popleft()
        finally:
            self._pumping = False
        if not self._lost:
            self._stored.set()

    async def _store(self, event: Event) -> bool:
        """Until the server has it. False: the journal is lost."""
        delay, started = RETRY_S, asyncio.get_running_loop().time()
        while True:
            try:
                self._last = await self._publisher.publish(event, after=Last(self._filter, self._last))
            except (SequenceConflict, PermanentError) as exc:
                self._give_up(str(exc))
                return False
            except TransientError as exc:
                if asyncio.get_running_loop().time() - started > GIVE_UP_S:
                    self._give_up("the bus was away for too long")
                    return False
                log.warning("journal.waiting", call_id=self._call_id, waiting=len(self._waiting), error=str(exc))
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_RETRY_S)
                continue
            return True

    def _give_up(self, why: str) -> None:
        log.error("journal.lost", call_id=self._call_id, reason=why, unwritten=len(self._waiting))
        self._lost = True
        self._waiting.clear()
        if self.on_lost is not None:
            self.on_lost()


class NatsJournals:
    """See `ports.Journals`."""

    def __init__(self, bus: Bus, spawn: Spawn) -> None:
        self._bus = bus
        self._publisher = EventPublisher(bus)
        self._spawn = spawn

    async def create(self, organization_id: str, call_id: str, first: Message) -> NatsJournal:
        """See `ports.Journals`."""
        journal = NatsJournal(
            self._publisher,
            self._spawn,
            organization_id=organization_id,
            call_id=call_id,
            traceparent=current_traceparent(),
        )
        await journal.store_first(first)
        return journal

    async def first(self, call_id: str) -> Event | None:
        """See `ports.Journals`. Raises: TransientError."""
        try:
            journal = subjects.events_of(subjects.Entity.CALL, entity_id=call_id)
        except ValueError:
            return None  # it comes from a path that anybody can ask for
        try:
            async with asyncio.timeout(READ_S):
                found = await self._bus.jetstream.get_msg(EVENTS.name, seq=1, subject=journal, next=True)
        except NotFoundError:
            return None
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the call's journal cannot be read now", retry_after_s=1.0) from exc
        return Event.model_validate_json(found.data or b"")

    async def read(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `ports.Journals`. Raises: TransientError."""
        try:
            journal = subjects.events_of(subjects.Entity.CALL, entity_id=call_id)
        except ValueError:
            return (), 0  # it comes from a path that anybody can ask for
        facts: list[Event] = []
        position = 0
        try:
            async with asyncio.timeout(READ_S):
                while len(facts) < MAX_FACTS:
                    # Asked of the stream's leader: a replica may not know the last facts yet.
                    found = await self._bus.jetstream.get_msg(EVENTS.name, seq=position + 1, subject=journal, next=True)
                    facts.append(Event.model_validate_json(found.data or b""))
                    position = int(found.seq or 0)
        except NotFoundError:
            return tuple(facts), position
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the call's journal cannot be read now", retry_after_s=1.0) from exc
        raise TransientError(f"the call's journal has more than {MAX_FACTS} facts")

    async def reopen(self, facts: tuple[Event, ...], last: int, first: Message) -> NatsJournal:
        """See `ports.Journals`."""
        journal = NatsJournal(
            self._publisher,
            self._spawn,
            organization_id=facts[-1].organization,
            call_id=facts[-1].entity_id,
            sequence=facts[-1].sequence,
            last_stream_sequence=last,
            traceparent=facts[0].traceparent,
        )
        await journal.store_first(first)
        return journal
