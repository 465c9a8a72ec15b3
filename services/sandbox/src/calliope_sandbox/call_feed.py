"""Orders what happened in a call by its time, for a reader who follows the call live. Pure."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

MAX_EVENTS: Final = 2_000
"""Events kept per call; the oldest go first."""


@dataclass(slots=True)
class CallFeed:
    """Events of one call, ordered by their time (ms since the call was answered).

    A line of talk is known only when it ends, but its time is when it began. So an event is held back until no line
    that began before it is still open.
    """

    _released: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    _held: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _count: int = 0

    @property
    def holds(self) -> bool:
        """Whether events are held back."""
        return bool(self._held)

    def add(self, event: dict[str, Any], at_ms: float) -> None:
        """Hold `event`, which happened `at_ms`, until `release`."""
        heapq.heappush(self._held, (at_ms, next(self._numbers), event))

    def release(self, open_since_ms: float | None) -> None:
        """Show held events up to the begin of the oldest open line; all of them when no line is open."""
        while self._held and (open_since_ms is None or self._held[0][0] <= open_since_ms):
            self._released.append(heapq.heappop(self._held)[2])
            self._count += 1

    def after(self, count: int) -> tuple[int, list[dict[str, Any]]]:
        """How many events there were, and those after the first `count` that are still kept."""
        missing = min(self._count - count, len(self._released))
        return self._count, list(self._released)[len(self._released) - missing :] if missing > 0 else []
