"""The log of calls' events in memory: away, slow, full, or forgetful of its answers, as a test says."""

import asyncio
from dataclasses import dataclass, field

from calliope.contracts.base import Event
from calliope.contracts.calls import CallStarted, Direction
from calliope.errors import TransientError
from calliope.messaging.publish import NotStoredError, SequenceConflict

ANSWER_S = 5.0
STARTED = CallStarted(
    direction=Direction.INBOUND, from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
    assistant_revision=1, carrier="twilio", carrier_call_id="CA1", worker_id="worker_1",
)  # fmt: skip


@dataclass
class MemoryLog:
    """See `ownership.journal.EventLog`."""

    stored: list[Event] = field(default_factory=list)
    away: bool = False
    """Nothing is sent, and that is known."""
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    """Unless set, what is sent is stored only when it is set; nobody hears an answer before."""
    latency_s: float = 0.0
    tries: int = 0

    def __post_init__(self) -> None:
        self.frozen.set()
        self._in_transit: list[tuple[Event, int]] = []
        self._last: dict[str, tuple[int, str]] = {}

    def freeze(self) -> None:
        """Answer nobody, until `thaw`."""
        self.frozen.clear()

    def thaw(self) -> None:
        """Do what was sent meanwhile, in order, and go on."""
        for event, after in self._in_transit:
            if self._position(event) == after:
                self._store(event)
        self._in_transit.clear()
        self.frozen.set()

    async def append(self, event: Event, *, after: int) -> int:
        """See `EventLog`."""
        self.tries += 1
        if self.away:
            raise NotStoredError("away")
        if not self.frozen.is_set():
            self._in_transit.append((event, after))
            await asyncio.sleep(ANSWER_S)
            raise TransientError("no answer")
        await asyncio.sleep(self.latency_s)
        position, last_id = self._last.get(event.entity_id, (0, ""))
        if last_id == event.id:
            return position
        if position != after:
            raise SequenceConflict(event.entity_id, after, position)
        return self._store(event)

    async def last_position(self, organization_id: str, call_id: str) -> int:
        """See `EventLog`."""
        if self.away or not self.frozen.is_set():
            raise TransientError("away")
        return self._last.get(call_id, (0, ""))[0]

    def _position(self, event: Event) -> int:
        return self._last.get(event.entity_id, (0, ""))[0]

    def _store(self, event: Event) -> int:
        self.stored.append(event)
        self._last[event.entity_id] = len(self.stored), event.id
        return len(self.stored)

    @property
    def names(self) -> list[str]:
        """What is stored."""
        return [event.name for event in self.stored]
