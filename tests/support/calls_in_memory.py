"""The store of calls in memory, counting what is read of it; and the record of a call, made as the service makes it."""

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallRecord, CallRef, ListCalls
from calliope_assistants.calls import CallRecords
from calliope_assistants.ports import CallList, CallRow
from calliope_assistants.recorded import Recorded
from calliope_assistants.summaries import add_to

ResultT = TypeVar("ResultT")


class CallsInMemory:
    """See `calliope_assistants.ports.CallEvents`."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: dict[tuple[str, str], dict[int, Event]] = {}
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.events_examined = 0
        self.events_read = 0
        self.writes: list[list[Event]] = []
        self._keep(events)

    async def add(self, events: Sequence[Event]) -> None:
        self.writes.append(list(events))
        self._keep(events)

    def _keep(self, events: Iterable[Event]) -> None:
        for event in events:
            key = (event.organization, event.entity_id)
            if event.sequence not in self._events.setdefault(key, {}):
                self._events[key][event.sequence] = event
                add_to(self._rows.setdefault(key, {}), event)

    async def get(self, organization_id: str, call_id: str) -> CallRow | None:
        key = (organization_id, call_id)
        return CallRow(self._rows[key], Recorded().plus(self._events[key])) if key in self._rows else None

    async def events(
        self, organization_id: str, call_id: str, sequences: Iterable[int], *, names: Sequence[str] | None = None
    ) -> Sequence[Event]:
        there, wanted = self._events[organization_id, call_id], list(sequences)
        found = [there[each] for each in wanted if each in there and (names is None or there[each].name in names)]
        self.events_examined += len(wanted)
        self.events_read += len(found)
        return found

    async def page(self, organization_id: str, wanted: ListCalls, *, before: str | None) -> CallList:
        raise NotImplementedError("lists are tested with a real store")

    async def summarize(self, limit: int) -> int:
        return 0


def record_of(call_id: str, events: Iterable[Event], *, after: int = 0) -> CallRecord:
    """The record that the service makes of these events."""
    events = list(events)
    records = CallRecords(events[0].organization, CallsInMemory(events))
    return at_once(records.get(CallRef(call_id=call_id, after=after)))


def at_once(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of work that waits for nothing; also inside a running loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    raise RuntimeError("it waited for something")
