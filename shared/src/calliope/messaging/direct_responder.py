"""Commands that strangers can cause, read from the bus without the framework: most are answered at once, and all
within a bound.

    answer = DirectResponder(bus, Command.CALLS_ACCEPT, CarrierRequest, hooks.answer,
                             service="call-worker", share=LoopShare(0.25, 0.5), spawn=tasks.spawn)

The handler looks at a request without waiting, and returns the result or what is still to be done for it (`Pending`).
Only the latter has a task, a span and a place in `calliope_command_seconds`; the rest is counted. Looking costs time of
the loop that carries calls: when its share is used up, or too many are pending, a request is refused as `unavailable`
without being read, so that who asks may try elsewhere. To refuse costs time, too; so the subscription is left for a
moment, and the server refuses what nobody reads. On the wire all is as in `commands.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import orjson
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import BaseModel

from calliope.contracts import subjects
from calliope.contracts.base import CommandMessage
from calliope.contracts.errors import ErrorCode, Problem
from calliope.messaging.commands import LATE, encoded_reply, is_late, known_to_server, leave, observe, problem_of
from calliope.observability import metrics, traces
from calliope.runtime.loop_share import LoopShare

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

MAX_PENDING: Final = 64
"""Requests of one subject that wait for something, at once."""
MAX_PENDING_UNTRUSTED: Final = 32
"""Above it, only those of who has shown who it is: strangers leave them places."""
MAX_WAITING: Final = 1_024
"""Messages of one subject between socket and handler. Reading pauses every few messages, so there are a handful; the
client drops what is above."""
PENDING_COST_S: Final = 0.0005
"""What a pending request of nobody who is known takes of the loop: a question over the bus and its answer."""
REST_S: Final = 0.025
"""Of the share must be there again before more is read."""
MAX_REST_S: Final = 1.0
BUSY: Final = Problem(code=ErrorCode.UNAVAILABLE, message="too many requests at once; try again", retry_after_s=0.1)
"""Another replica may have time now, and this one has mostly rested by then."""
_AT_ONCE: Final = metrics.counter(
    "calliope_commands_answered_at_once_total",
    "Commands that were answered without anything being waited for, by the code of the answer.",
    "subject",
    "code",
)
_RESTS: Final = metrics.counter(
    "calliope_command_rests_total", "Times that a command was not read for a moment: too many had come.", "subject"
)

log = structlog.get_logger()

PayloadT = TypeVar("PayloadT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[Any]"]
"""Runs work under a name, in a group that outlives the responder."""


@dataclass(frozen=True, slots=True)
class Pending(Generic[ResultT]):
    """What is still to be done for a result; `trusted` when who asks has shown who it is."""

    work: Callable[[], Awaitable[ResultT]]
    trusted: bool


class DirectResponder(Generic[PayloadT, ResultT]):
    """One command of a service; replicas of `service` share the requests. Reads from the start of the bus on."""

    def __init__(
        self,
        bus: "Bus",
        subject: str,
        payload: type[PayloadT],
        handler: Callable[[PayloadT], ResultT | Pending[ResultT]],
        *,
        service: str,
        share: LoopShare,
        spawn: Spawn,
        used_s: Callable[[], float] = time.thread_time,
    ) -> None:
        """`used_s`: time that this thread has worked so far."""
        self._bus = bus
        self._subject = subject
        self._pattern = subjects.pattern_of(subject)
        self._message = CommandMessage[payload]  # type: ignore[valid-type]
        self._handler = handler
        self._service = service
        self._share = share
        self._spawn = spawn
        self._used_s = used_s
        self._subscription: Subscription | None = None
        self._paused = True
        self._pause_asked = asyncio.Event()
        self._resting = False
        self._rest: asyncio.Task[Any] | None = None
        self._pending = 0
        self._none_pending = asyncio.Event()
        self._none_pending.set()
        bus.direct_responders.append(self)

    async def pause(self) -> None:
        """Leave the queue group. On return the server sends no more; what it had sent is being answered."""
        self._paused = True
        self._pause_asked.set()
        if self._rest is not None:
            await asyncio.wait({self._rest})
        await self._leave()

    async def resume(self) -> None:
        """Join the queue group; on return the server knows."""
        self._paused = False
        self._pause_asked.clear()
        await self._join()

    async def _join(self) -> None:
        if self._subscription is not None or self._paused or self._resting:
            return
        self._subscription = await self._bus.connection.subscribe(
            self._subject, queue=self._service, cb=self._take, pending_msgs_limit=MAX_WAITING
        )
        await known_to_server(self._bus.connection)

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await leave(self._bus.connection, subscription)

    async def _be_away(self) -> None:
        """Read nothing until something of the share is there again."""
        _RESTS.labels(self._pattern).inc()
        try:
            await self._leave()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(MAX_REST_S, self._share.wait_s(REST_S))):
                    await self._pause_asked.wait()
        finally:
            self._resting = False
        with suppress(NatsError):  # the connection is closed: nobody asks any more
            await self._join()

    async def settled(self) -> None:
        """Return when nothing is pending."""
        await self._none_pending.wait()

    async def _take(self, message: Msg) -> None:
        began_s = self._used_s()
        if not self._share.is_left(asyncio.get_running_loop().time()):
            if not self._resting:
                self._resting = True
                self._rest = self._spawn(self._be_away(), "command.rest")
            await self._answer_at_once(message, BUSY)
            return
        problem: Problem | None = None
        found: ResultT | Pending[ResultT] | None = None
        if is_late(message.headers):
            problem = LATE
        else:
            try:
                found = self._handler(self._message.model_validate(orjson.loads(message.data)).payload)
            except Exception as exc:  # the edge: whatever happens, who asks gets an answer
                problem = self._problem_of(exc)
        if not isinstance(found, Pending):
            await self._answer_at_once(message, problem, found)
        elif self._pending < (MAX_PENDING if found.trusted else MAX_PENDING_UNTRUSTED):
            self._begin(message, found)
            if found.trusted:
                return
            self._share.spend(PENDING_COST_S)
        else:
            await self._answer_at_once(message, BUSY)
        self._share.spend(self._used_s() - began_s)

    def _begin(self, message: Msg, pending: Pending[ResultT]) -> None:
        self._pending += 1
        self._none_pending.clear()
        self._spawn(self._finish(message, pending), "command.answer").add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._pending -= 1
        if not self._pending:
            self._none_pending.set()

    async def _finish(self, message: Msg, pending: Pending[ResultT]) -> None:
        began = time.perf_counter()
        problem: Problem | None = None
        result: ResultT | None = None
        with traces.span(f"{self._pattern} process", parent=(message.headers or {}).get(traces.TRACEPARENT)):
            try:
                result = await pending.work()
            except Exception as exc:  # as above
                problem = self._problem_of(exc)
        observe(self._pattern, problem, time.perf_counter() - began)
        await self._reply(message, problem, result)

    async def _answer_at_once(self, message: Msg, problem: Problem | None, result: ResultT | None = None) -> None:
        await self._reply(message, problem, result)
        _AT_ONCE.labels(self._pattern, str(problem.code) if problem else "ok").inc()

    def _problem_of(self, error: Exception) -> Problem:
        problem = problem_of(error)
        if problem.code is ErrorCode.INTERNAL:
            log.exception("command.crashed", subject=self._pattern, exc_info=error)
        return problem

    async def _reply(self, message: Msg, problem: Problem | None, result: ResultT | None) -> None:
        if not message.reply:
            return
        body, headers = encoded_reply(problem, result)
        try:
            await self._bus.connection.publish(message.reply, body, headers=headers)
        except (NatsError, OSError) as exc:  # the bus is away, and with it who asks
            log.debug("command.not_answered", subject=self._pattern, reason=type(exc).__name__)
