"""Pulls ended calls from `call-worker-analysis`: a few hands, one call each, kept alive while it is worked on.

Not a handler of the framework: those end in seconds, and these must stop taking work before the worker stops.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NothingYet
from nats.js import JetStreamContext

from calliope.contracts.base import Event
from calliope.messaging.broker import FETCH_S, Bus
from calliope.messaging.outcome import give_back, settle
from calliope.messaging.streams import CALL_WORKER_ANALYSIS
from calliope.observability import logs, traces
from calliope_call_worker.analysis.job import AnalysisJob
from calliope_call_worker.settings import AnalysisSettings

log = structlog.get_logger(__name__)

PAUSE_S: Final = 1.0
"""Before the next try, after the bus failed; and before a message that was given back goes to somebody else."""
GIVE_BACK_S: Final = 1.0


class AnalysisWork:
    """The work after the call, of one worker."""

    def __init__(self, bus: Bus, job: AnalysisJob, settings: AnalysisSettings) -> None:
        self._bus = bus
        self._job = job
        self._settings = settings
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """For as long as the worker takes work. Cancelled, it gives back what it holds."""
        async with asyncio.TaskGroup() as hands:
            for _ in range(self._settings.at_once):
                hands.create_task(self._hand(), name="analysis.hand")

    def stop_taking(self) -> None:
        """The worker drains: what was begun goes on, what waits for something is given back, nothing new is begun."""
        self._draining.set()
        self._bus.dependencies.close()

    async def _hand(self) -> None:
        """One call after another; a failure is no reason to stop, and must not be a busy loop."""
        while not self._draining.is_set():
            try:
                async with self._subscribed() as subscription:
                    await self._serve(subscription)
            except (NatsError, OSError) as exc:
                log.warning("analysis.bus_failed", error=type(exc).__name__)
                await asyncio.sleep(PAUSE_S)
            except Exception:
                log.exception("analysis.hand_crashed")
                await asyncio.sleep(PAUSE_S)

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[JetStreamContext.PullSubscription]:
        await self._bus.up.wait()
        durable = CALL_WORKER_ANALYSIS
        subscription = await self._bus.jetstream.pull_subscribe_bind(durable=durable.name, stream=durable.stream)
        try:
            yield subscription
        finally:  # one that is left waiting would hold up the end of the connection
            with suppress(NatsError, OSError):
                await subscription.unsubscribe()

    async def _serve(self, subscription: JetStreamContext.PullSubscription) -> None:
        """Raises: NatsError, OSError."""
        while not self._draining.is_set():
            try:
                message = (await subscription.fetch(1, timeout=FETCH_S))[0]
            except NothingYet:
                continue
            if self._draining.is_set():
                await give_back(message, PAUSE_S)
            else:
                await self._handle(message)

    async def _handle(self, message: Msg) -> None:
        """Do the work of one message and tell the server what became of it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beat = tasks.create_task(self._keep_alive(message), name="analysis.heartbeat")
                error = await self._done(message)
                beat.cancel()
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_S):
                    await give_back(message, PAUSE_S)
            raise
        if not await settle(message, error) and error is None:
            await message.ack()  # if it gets lost: the message comes back, and the journal says that it is done

    async def _done(self, message: Msg) -> Exception | None:
        """What the work raised, if it did."""
        try:
            ended = Event.model_validate_json(message.data)
            with (
                logs.bound(call_id=ended.entity_id),
                traces.span("call.analyze", parent=ended.traceparent),
            ):
                durable, tries = CALL_WORKER_ANALYSIS, message.metadata.num_delivered
                await self._bus.dependencies.handle(
                    message, durable, lambda: self._job.run(ended, tries=tries, max_tries=durable.max_deliver)
                )
        except Exception as exc:  # `settle` logs it and decides
            return exc
        return None

    async def _keep_alive(self, message: Msg) -> None:
        """The server takes a message back from whoever is silent for `ack_wait`."""
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            try:
                await message.in_progress()
            except (NatsError, OSError) as exc:
                log.warning("analysis.heartbeat_failed", error=type(exc).__name__)
