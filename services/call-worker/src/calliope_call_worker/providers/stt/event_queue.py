"""Events of a recogniser that nobody has read yet: bounded, and what was said for certain is never dropped."""

from collections import deque
from typing import Final

from calliope_call_worker.providers.stt.base import SttEvent, Transcript

MAX_EVENTS: Final = 1_000
"""Of all kinds; the oldest that is no final makes room."""


class EventQueue:
    """First in, first out. When it is full the oldest interim goes, else the oldest hint; finals stay."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._max_events = max_events
        self._events: deque[SttEvent] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: SttEvent) -> bool:
        """Add an event. False: it is a final, and as many finals are waiting as may wait."""
        if len(self._events) >= self._max_events and not self._make_room():
            return not _is_final(event)
        self._events.append(event)
        return True

    def take(self) -> SttEvent:
        """The oldest. Raises: IndexError, when there is none."""
        return self._events.popleft()

    def _make_room(self) -> bool:
        for droppable in (_is_interim, lambda event: not _is_final(event)):
            at = next((at for at, event in enumerate(self._events) if droppable(event)), None)
            if at is not None:
                del self._events[at]
                return True
        return False


def _is_final(event: SttEvent) -> bool:
    return isinstance(event, Transcript) and event.is_final


def _is_interim(event: SttEvent) -> bool:
    return isinstance(event, Transcript) and not event.is_final
