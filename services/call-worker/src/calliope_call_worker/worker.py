"""One worker process: the calls in its slots, its place in the queues of requests, and how it drains."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from calliope.contracts.calls import EndReason, Stage
from calliope.contracts.workers import WorkerDescription, WorkerState
from calliope.errors import NotReadyError
from calliope.observability import logs
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_call_worker.call import Call
from calliope_call_worker.media import WaitingCall
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal, Leases, OpenCalls
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.registry import LiveCall, LiveCalls
from calliope_call_worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

TURN_S: Final = 10.0
"""How long a call that is handed over may take to come to the end of a turn; the last part of the grace time."""
AWAY_S: Final = 3.0
"""How long a worker takes no call after it handed one over: its carrier asks who goes on within that time."""
ACCEPTED_WITHIN_S: Final = 20.0
"""How long an acceptance that is under way when the last calls are handed over may still take."""

_NOT_ACCEPTING: Final = {
    WorkerState.DRAINING: "draining",
    WorkerState.FULL: "no free slot",
    WorkerState.RELEASING: "handing a call over",
}

NewCall = Callable[[CallPlan, Journal], Call]
"""Builds a call that has not begun. Raises: StageError, when a provider that it needs cannot be had."""


class RequestQueue(Protocol):
    """Requests that any one of the workers answers."""

    async def pause(self) -> None:
        """Get no more of them; those that came are still answered."""

    async def resume(self) -> None:
        """Get them again."""


class Worker:
    """Runs calls. Background jobs are no part of it; a call that fails ends alone."""

    def __init__(
        self,
        *,
        worker_id: str,
        settings: WorkerSettings,
        carriers: Sequence[str],
        tasks: IsolatedTasks,
        leases: Leases,
        open_calls: OpenCalls,
        new_call: NewCall,
    ) -> None:
        """`carriers`: where this installation has accounts of its own."""
        self.worker_id = worker_id
        self._settings = settings
        self._carriers = tuple(carriers)
        self._tasks = tasks
        self._leases = leases
        self._open_calls = open_calls
        self._new_call = new_call
        self._slots_changed, self._calls_changed = asyncio.Event(), asyncio.Event()
        self._draining = False
        self._away_until: float | None = None
        self._media_url = settings.media.public_url or ""
        self.live = LiveCalls(settings.slots, self._note_change)

    @property
    def media_url(self) -> str:
        """Where carriers reach this worker's media."""
        return self._media_url

    def listening_on(self, host: str, port: int) -> None:
        """Where that is, unless settings say otherwise."""
        self._media_url = self._media_url or f"ws://{host}:{port}/media"

    def describe(self) -> WorkerDescription:
        """As an operator sees it."""
        return WorkerDescription(
            worker_id=self.worker_id,
            slots=self._settings.slots,
            calls=len(self.live),
            accepting=self._state is WorkerState.ACCEPTING,
            state=self._state,
            public_url=self._settings.public_url,
            media_url=self._media_url,
            carriers=self._carriers,
            at=datetime.now(UTC),
        )

    async def can_accept(self) -> None:
        """Whether it would take a call now; those that it holds are served either way. Raises: NotReadyError."""
        if (words := _NOT_ACCEPTING.get(self._state)) is not None:
            raise NotReadyError(words)

    async def keep_slots(self, accepting: RequestQueue) -> None:
        """Leave the queue of accepting workers when full or draining, and come back; for ever."""
        while True:
            self._slots_changed.clear()
            if self._state is not WorkerState.ACCEPTING:
                await accepting.pause()
            else:
                await accepting.resume()
            await self._slots_changed.wait()

    async def start(self, plan: CallPlan, journal: Journal) -> None:
        """Begin a call in its reserved slot. Raises: StageError, when a provider that it needs cannot be had."""
        call = self._new_call(plan, journal)
        self.live.register(call)
        self._calls_changed.set()
        self._tasks.spawn(self._run(call), "call.run")

    async def drain(self, queues: Sequence[RequestQueue], *, within_s: float) -> None:
        """Take no more calls; let those that run end; hand the rest over to other workers."""
        self._draining = True
        self._slots_changed.set()
        async with asyncio.TaskGroup() as tasks:
            for queue in queues:
                tasks.create_task(queue.pause(), name="queue.pause")
        log.info("worker.draining", calls=len(self.live))
        turn_s = min(TURN_S, within_s / 2)
        if not await self._empty(within_s - turn_s):
            log.info("worker.handing_over", calls=len(self.live))
            await self._hand_over(turn_s)

    async def release(self, call: LiveCall, accepting: RequestQueue) -> None:
        """Hand one call over as in a drain. The queue is left for a moment, so that another worker gets it."""
        loop = asyncio.get_running_loop()
        self._away_until = loop.time() + TURN_S + AWAY_S
        try:
            await accepting.pause()
            await call.hand_over(TURN_S)
        finally:
            self._away_until = loop.time() + AWAY_S
            loop.call_at(self._away_until, self._slots_changed.set)

    @property
    def _state(self) -> WorkerState:
        if self._draining:
            return WorkerState.DRAINING
        if self._away_until is not None and asyncio.get_running_loop().time() < self._away_until:
            return WorkerState.RELEASING
        return WorkerState.FULL if self.live.full else WorkerState.ACCEPTING

    async def _hand_over(self, turn_s: float) -> None:
        """All calls at once, each at the next moment between two turns, at the latest after `turn_s`.

        Also those whose acceptance was under way: each as soon as it has begun.
        """
        try:
            async with asyncio.timeout(ACCEPTED_WITHIN_S):
                while len(self.live):
                    self._calls_changed.clear()
                    async with asyncio.TaskGroup() as tasks:
                        for call in self.live:
                            tasks.create_task(call.hand_over(turn_s), name="call.hand_over")
                    if len(self.live):
                        await self._calls_changed.wait()
        except TimeoutError:
            log.error("worker.not_handed_over", calls=len(self.live))  # noqa: TRY400 - their number says all

    async def _empty(self, within_s: float) -> bool:
        """Whether all calls are over by then."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.live):
                    self._calls_changed.clear()
                    await self._calls_changed.wait()
        except TimeoutError:
            return False
        return True

    def _note_change(self) -> None:
        self._slots_changed.set()
        self._calls_changed.set()

    async def _run(self, call: Call) -> None:
        with logs.bound(call_id=call.plan.call_id):
            try:
                await call.run()
            finally:
                self.live.release(call.plan.call_id)
                if call.abandoned:
                    self._leases.drop(call.plan.call_id)  # at once: this worker may be about to take it anew
                else:
                    await self._leases.release(call.plan.call_id)
                if call.told:
                    await self._open_calls.forget(call.plan.call_id)

    def command_failed(self, call_id: str, error: ProviderError, action: str) -> None:
        """A carrier did not do what it was told for a call."""
        call = self.live.get(call_id)
        if isinstance(call, Call) and not call.ending:
            call.provider_failed(Stage.CARRIER, error, action)

    def line_over(self, call_id: str) -> None:
        """A carrier says that a call is over, and had not said so before."""
        call = self.live.get(call_id)
        if call is not None and not call.ending:
            call.line_ended(EndReason.CALLER_HUNG_UP, "")

    def waiting(self, call_id: str) -> WaitingCall | None:
        """The call whose media a socket brings."""
        call = self.live.get(call_id)
        return call if isinstance(call, Call) else None
