"""The journal of one call: facts wait here, in order and bounded, until the log has them; a second writer is refused.

The log stores a fact only behind the one that this journal stored last. So whoever is refused does not own the call.
A first fact that is not stored in time is given up; whether it was stored may then not be known. It is made known in
the background, and closed with a fence, so that no call is left that nobody took, and another worker may go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from calliope.contracts.base import Event, Message, event_type
from calliope.contracts.calls import EVENT_NAMES, CallAbandoned, CallEnded, CallStarted, EndReason, Resumed
from calliope.errors import PermanentError, TransientError
from calliope.ids import new_id
from calliope.messaging.publish import NotStoredError, SequenceConflict
from calliope_call_worker.errors import JOURNALS, OwnershipError
from calliope_call_worker.ownership.payload_truncation import fitted_with_size
from calliope_call_worker.ownership.waiting import Waiting, count_lost

log = structlog.get_logger(__name__)

RETRY_S: Final = 0.25
MAX_RETRY_S: Final = 5.0
FIRST_S: Final = 6.0
"""How long a first fact may take: a carrier waits for the answer."""
CARRIER_WAITS_S: Final = 20.0
"""A carrier whose call no worker took asks no more after so long; nobody goes on with it then."""
GIVE_UP_S: Final = 3_600.0
"""How long facts wait for a bus that is away. They cannot be stored twice, however late."""
SOURCE: Final = "/calliope/call-worker"

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[Any]"]


class EventLog(Protocol):
    """Where the facts of calls are stored."""

    async def append(self, event: Event, *, after: int) -> int:
        """Store it, unless the call's last fact has another position than `after`; its position.

        Raises: SequenceConflict; PermanentError, when it can never be stored; NotStoredError, when it was surely not
        stored; TransientError, when that is unknown.
        """

    async def last_position(self, organization_id: str, call_id: str) -> int:
        """Where the last fact of a call is; 0 when there is none. Raises: TransientError."""


class CallJournal:
    """See `ports.Journal`. All facts of a call carry one trace, whoever writes them."""

    def __init__(
        self,
        event_log: EventLog,
        waiting: Waiting,
        spawn: Spawn,
        *,
        organization_id: str,
        call_id: str,
        sequence: int = 0,
        position: int = 0,
        traceparent: str | None = None,
    ) -> None:
        """`sequence` and `position`: those of the call's last fact. `spawn` starts tasks that outlive the call."""
        self.call_id = call_id
        self._log = event_log
        self._room = waiting
        self._spawn = spawn
        self._organization_id = organization_id
        self._sequence = sequence
        self._position = position
        self._traceparent = traceparent
        self._waiting: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        self._pump: asyncio.Task[Any] | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._lost = False
        self._ended = False
        self._maybe_stored = False
        self.on_lost: Callable[[], None] | None = None

    # What a call sees

    def append(self, fact: Message) -> None:
        """See `ports.Journal`."""
        if self._lost:
            return
        if self._ended:  # what fails while a call is being taken down is no news of it any more
            log.info("journal.after_the_end", call_id=self.call_id, fact=type(fact).__name__)
            return
        event, size = fitted_with_size(self._next_event(fact))
        if not isinstance(fact, CallEnded):  # there is one, and it must be told
            self._room.check(len(self._waiting), self._bytes, size)
        self._sequence = event.sequence
        self._ended = self._ended or isinstance(fact, CallEnded)
        self._waiting.append((event, size))
        self._bytes += size
        self._room.added(size)
        self._settled.clear()
        if self._pump is None or self._pump.done():
            self._pump = self._spawn(self._store_all(), "journal.pump")

    async def flush(self, timeout_s: float) -> bool:
        """See `ports.Journal`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            return False
        return not self._lost

    @property
    def sequence(self) -> int:
        """See `ports.Journal`."""
        return self._sequence

    @property
    def lost(self) -> bool:
        """See `ports.Journal`."""
        return self._lost

    async def look_whose(self, within_s: float) -> None:
        """See `ports.Journal`. What waits finds out by being stored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()
                await self.verify()

    @property
    def waiting(self) -> int:
        """Facts that are not stored yet."""
        return len(self._waiting)

    # What its owner does

    async def store_first(self, fact: Message) -> None:
        """Append the first fact and wait for the log's word. Raises: OwnershipError, TransientError."""
        self.append(fact)
        event, _ = self._waiting[0]
        try:
            stored = await self.flush(FIRST_S)
        except asyncio.CancelledError:
            self._spawn(self._abandon(event, fact), "journal.abandon")
            raise
        if self._lost:
            raise OwnershipError("another worker writes this call")
        if not stored and not await self._stored_after_all():
            self._spawn(self._abandon(event, fact), "journal.abandon")
            raise TransientError("the bus does not take the call's fact", retry_after_s=1.0, dependency=JOURNALS)

    async def verify(self) -> None:
        """Look whether the call still is ours: after a time in which others may have thought that nobody holds it."""
        if self._lost or self._ended or self._waiting:  # what waits finds out by itself
            return
        position = self._position
        try:
            actual = await self._log.last_position(self._organization_id, self.call_id)
        except TransientError as exc:
            log.info("journal.not_verified", call_id=self.call_id, reason=str(exc))
            return
        if actual > position and position == self._position and not self._waiting:
            self._lose("conflict", "another worker went on with the call")

    def stop(self) -> None:
        """The process ends: what still waits is lost, and said."""
        if self._waiting:
            self._lose("stopped", "the process ended before the bus took them")

    # How facts are stored

    async def _store_all(self) -> None:
        while self._waiting and not self._lost:
            if not await self._store(self._waiting[0][0]):
                return
            if not self._lost:
                self._drop_first()
        self._settled.set()

    async def _store(self, event: Event) -> bool:
        """Until the log has it. False: it never will, and the journal is lost."""
        pause_s, now = RETRY_S, asyncio.get_running_loop().time
        give_up_at = now() + GIVE_UP_S
        while True:
            known, self._maybe_stored = self._maybe_stored, True  # also when this try is cancelled
            try:
                self._position = await self._log.append(event, after=self._position)
            except SequenceConflict as exc:
                self._lose("conflict", str(exc))
                return False
            except PermanentError as exc:
                self._lose("refused", str(exc))
                return False
            except NotStoredError as exc:
                self._maybe_stored, why = known, str(exc)
            except TransientError as exc:
                why = str(exc)
            except Exception as exc:  # a bug must not end the call's record: it is tried again, and the bound holds
                log.exception("journal.failed", call_id=self.call_id)
                why = type(exc).__name__
            else:
                self._maybe_stored = False
                return True
            if now() >= give_up_at:
                self._lose("gave_up", why)
                return False
            log.warning("journal.waiting", call_id=self.call_id, waiting=len(self._waiting), reason=why)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_RETRY_S)

    # How a first fact is given up

    async def _stored_after_all(self) -> bool:
        """End the attempt; whether it came through in this very moment."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
        return self._settled.is_set() and not self._lost

    async def _abandon(self, event: Event, fact: Message) -> None:
        """End the attempt; where its fate is unknown, make it known, and close what it began."""
        stored = await self._stored_after_all()
        maybe_stored = stored or self._maybe_stored
        self._close()
        if not maybe_stored or not isinstance(fact, CallStarted | Resumed):
            return  # never stored; or true whenever it is
        if not stored and not await self._store(event):
            return  # somebody else has the call
        fence = self._next_event(_fence(fact, datetime.now(UTC) - event.time))
        if await self._store(fence):
            log.warning("journal.abandoned", call_id=self.call_id, first=event.name, fence=fence.name)

    def _close(self) -> None:
        """Nothing is appended any more."""
        self._lost = True
        while self._waiting:
            self._drop_first()
        self._settled.set()

    def _lose(self, why: str, detail: str) -> None:
        """The call is another's, or cannot be recorded: whoever speaks for it is told to stop."""
        log.error("journal.lost", call_id=self.call_id, reason=why, detail=detail, unwritten=len(self._waiting))
        count_lost(why, len(self._waiting))
        self._close()
        if self.on_lost is not None:
            self.on_lost()

    def _drop_first(self) -> None:
        _, size = self._waiting.popleft()
        self._bytes -= size
        self._room.removed(size)

    def _next_event(self, fact: Message) -> Event:
        return Event(
            id=new_id("evt"),
            type=event_type("call", EVENT_NAMES[type(fact)]),
            source=SOURCE,
            subject=f"call/{self.call_id}",
            time=datetime.now(UTC),
            organization=self._organization_id,
            sequence=self._sequence + 1,
            traceparent=self._traceparent,
            data=fact.model_dump(mode="json"),
        )


def _fence(first: CallStarted | Resumed, age: timedelta) -> Message:
    """What closes a first fact that was stored although the carrier was told that it was not."""
    why = "the bus did not confirm in time that this worker has the call"
    if isinstance(first, CallStarted) and age.total_seconds() > CARRIER_WAITS_S:
        return CallEnded(reason=EndReason.FAILED, duration_ms=0, detail=f"{why}; the carrier was told no")
    return CallAbandoned(worker_id=first.worker_id, reason=why)
