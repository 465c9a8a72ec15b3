"""Starts processes of a running stack again when they die, within a limit. Pure but for the stack it is given."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from calliope_local.processes import ProcessError

MOST: Final = 3
WITHIN_S: Final = 60.0
"""A process that dies more often in so long cannot live: its own words are the news then."""
FORGETS: Final = {"sandbox": "; it has forgotten numbers and scripts: run `make assistant` again"}


class Dead(Protocol):
    """A process that has ended."""

    name: str

    def ending(self) -> str:
        """How it ended, in words."""

    def last_words(self) -> str:
        """Where its log is, and the end of it."""


class Restarts(Protocol):
    """What can start a process of its own again."""

    def restart(self, name: str) -> None:
        """Start it on its port and wait until it is ready. Raises: ProcessError."""


@dataclass(slots=True)
class Revival:
    """Counts deaths by name; `revive` says what was done in a line."""

    stack: Restarts
    _deaths: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def revive(self, dead: Dead, now: float) -> str:
        """Start a process again; `now` is monotonic seconds. Raises: ProcessError, when it dies too often."""
        deaths = self._deaths[dead.name]
        while deaths and now - deaths[0] > WITHIN_S:
            deaths.popleft()
        deaths.append(now)
        if len(deaths) > MOST:
            raise ProcessError(f"{dead.name} ended {dead.ending()}, again and again. {dead.last_words()}")
        ending = dead.ending()
        self.stack.restart(dead.name)
        return f"{dead.name} ended {ending} and was started again{FORGETS.get(dead.name, '')}."
