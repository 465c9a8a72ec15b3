"""Whether the carrier still takes what we send: marks that should be back, and a probe before it is given up. Pure.

What a mark proves to have been heard is `playout`'s business; here one that a `clear` returned counts as well.
"""

from collections import deque
from enum import Enum
from typing import Final

LATE_S: Final = 1.0
"""So long after it is due, and after the usual echo, a mark is asked after."""
PROBE_S: Final = 2.0
"""So long the carrier may take to return any mark at all once it was probed."""
STALLED_S: Final = 0.25
"""Who asks later than this did not run meanwhile: what came back in that time has still to be read."""


class Verdict(Enum):
    """What to do now: wait until the next deadline, send a mark of our own, or give the stream up."""

    WAIT = "wait"
    PROBE = "probe"
    LOST = "lost"


class MarkWatch:
    """The marks of one media stream that have not come back. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._outstanding: deque[tuple[str, float]] = deque()
        self._alive_at = float("-inf")
        self._probed_at: float | None = None

    def sent(self, name: str, due_at: float) -> None:
        """A mark was sent that is passed at `due_at` and comes back an echo later."""
        self._outstanding.append((name, due_at))

    def probed(self, name: str, now: float) -> None:
        """A mark was sent for nothing but to see whether it comes back."""
        self.sent(name, now)
        self._probed_at = now

    def cleared(self, now: float) -> None:
        """The carrier was told to drop its buffer: it returns every mark at once."""
        self._outstanding = deque((name, min(due_at, now)) for name, due_at in self._outstanding)

    def returned(self, name: str, now: float) -> None:
        """A mark came back: the carrier reads, and those sent before this one were lost on their way."""
        self._alive_at, self._probed_at = now, None
        if any(name == known for known, _ in self._outstanding):
            while self._outstanding.popleft()[0] != name:
                pass

    def deadline(self, echo_s: float) -> float | None:
        """When to ask for a verdict, if nothing comes back until then; None while nothing is waited for."""
        if self._probed_at is not None:
            return self._probed_at + PROBE_S
        if not self._outstanding:
            return None
        return max(self._outstanding[0][1], self._alive_at) + echo_s + LATE_S

    def verdict(self, now: float, echo_s: float) -> Verdict:
        """What follows from what has not come back by now."""
        deadline = self.deadline(echo_s)
        if deadline is None or now < deadline:
            return Verdict.WAIT
        if self._probed_at is None:
            return Verdict.PROBE
        if now > deadline + STALLED_S:
            self._probed_at = now - PROBE_S + STALLED_S
            return Verdict.WAIT
        return Verdict.LOST
