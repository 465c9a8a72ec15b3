"""What a service's durables need besides the bus: while it is known to be away, their messages wait and do not age.

    bus.dependencies.add("store", store.writes)      # returns when it is there, raises when not
    raise TransientError("…", dependency="store")    # in an adapter: what was away

A handler whose error names a dependency is believed once a check of it fails, too. Then its message is held, alive for
the server, and handled again when the check succeeds; deliveries are not counted, so an outage of any length makes no
dead letter. A reader asks for its next messages when those that it has are done: held ones pause it. When the check
succeeds, the error was the message's own and counts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from calliope.errors import TransientError
from calliope.messaging.streams import Durable
from calliope.observability import metrics

CHECK_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0
"""How long after its return a dependency is noticed, at most."""
FRESH_S: Final = 0.5
"""A check that succeeded within this time answers for those who ask beside it."""
_BEATS: Final = 3
"""Signs of life within `ack_wait`: two may be lost."""

log = structlog.get_logger()

Check = Callable[[], Awaitable[object]]
"""Returns when all is well, raises when not."""
ResultT = TypeVar("ResultT")

_AWAY: Final = metrics.gauge("calliope_dependency_away", "1 while it is known to be away.", "dependency")
_AWAY_SECONDS: Final = metrics.counter(
    "calliope_dependency_away_seconds_total", "Time for which it was away, counted at its return.", "dependency"
)
_HELD: Final = metrics.gauge("calliope_bus_held_messages", "Messages that wait for a dependency.", "durable")


class HeldBackError(TransientError):
    """The process stops while the message waited for a dependency: another one takes it, and it has not failed."""


@dataclass(slots=True)
class _State:
    """One dependency."""

    check: Check
    away_since_s: float | None = None
    well_at_s: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of those who wait, one checks."""


class Dependencies:
    """Those of one process. Starts nothing: of the handlers that wait for a dependency, one checks it."""

    def __init__(
        self,
        *,
        check_s: float = CHECK_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check_s = check_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._closing = asyncio.Event()

    def add(self, name: str, check: Check) -> None:
        """Errors that name this dependency are looked into with `check`."""
        self._states[name] = _State(check)
        _AWAY.labels(name).set(0)

    @property
    def away(self) -> tuple[str, ...]:
        """Names of those that are known to be away."""
        return tuple(name for name, state in self._states.items() if state.away_since_s is not None)

    def notice(self) -> str | None:
        """For health: what messages wait for."""
        return f"messages wait for what is away: {', '.join(self.away)}" if self.away else None

    def close(self) -> None:
        """The process stops: messages that wait are given back."""
        self._closing.set()

    async def handle(self, message: Msg, durable: Durable, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Do the work of one message, again as often as it met a dependency that was away.

        Raises: HeldBackError, and whatever `work` raises.
        """
        while True:
            for name in self.away:
                await self._hold(message, durable, name)
            try:
                return await work()
            except TransientError as exc:
                if exc.dependency is None or not await self._is_away(exc.dependency):
                    raise

    async def _hold(self, message: Msg, durable: Durable, name: str) -> None:
        with _HELD.labels(durable.name).track_inprogress():
            async with asyncio.TaskGroup() as tasks:
                beat = tasks.create_task(_keep_alive(message, durable.ack_wait_s / _BEATS), name="bus.hold")
                try:
                    await self._back(self._states[name], name)
                finally:
                    beat.cancel()
        if self._closing.is_set():
            raise HeldBackError(f"{name} is away, and the process stops")

    async def _is_away(self, name: str) -> bool:
        """Whether an error that names this dependency is explained by it."""
        state = self._states.get(name)
        if state is None:
            return False
        async with state.lock:
            return state.away_since_s is not None or not await self._is_well(state, name)

    async def _back(self, state: _State, name: str) -> None:
        """Return when it is there, or the process stops."""
        pause_s = self._first_pause_s
        async with state.lock:
            while state.away_since_s is not None and not self._closing.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._closing.wait()
                await self._is_well(state, name)
                pause_s = min(2 * pause_s, self._longest_pause_s)

    async def _is_well(self, state: _State, name: str) -> bool:
        if self._clock() - state.well_at_s < FRESH_S:
            return True
        try:
            async with asyncio.timeout(self._check_s):
                await state.check()
        except Exception as exc:
            if state.away_since_s is None:
                state.away_since_s = self._clock()
                _AWAY.labels(name).set(1)
                log.warning("dependency.away", dependency=name, error=type(exc).__name__, detail=str(exc)[:200])
            return False
        state.well_at_s = self._clock()
        if state.away_since_s is not None:
            away_s = state.well_at_s - state.away_since_s
            state.away_since_s = None
            _AWAY.labels(name).set(0)
            _AWAY_SECONDS.labels(name).inc(away_s)
            log.info("dependency.back", dependency=name, away_s=round(away_s, 1))
        return True


async def _keep_alive(message: Msg, every_s: float) -> None:
    """The server takes a message back from whoever is silent for `ack_wait`; then another process has it, too."""
    while True:
        try:
            await message.in_progress()
        except (NatsError, OSError) as exc:
            log.warning("message.not_kept_alive", error=type(exc).__name__)
        await asyncio.sleep(every_s)
