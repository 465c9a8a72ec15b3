"""Commands on the bus, answered: a reply goes out, whatever the handler raises. Who asks: `command_client.py`.

Handlers are plain ones of FastStream; `Context()` injection works:

    create = responder(router, Command.ASSISTANTS_CREATE, service="assistants")

    @create
    async def handle(command: CommandMessage[CreateAssistant]) -> Assistant: ...

    await create.pause()                          # left the queue group; what was delivered is still answered
    await create.resume()

On the wire: `{"organization", "command_id", "payload"}` and `{"ok": …}` or `{"error": {…}}`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson
import structlog
from fast_depends.exceptions import ValidationError as DependsValidationError
from faststream import BaseMiddleware, StreamMessage
from faststream.exceptions import HandlerException, IgnoredException
from faststream.nats import NatsBroker, NatsResponse, NatsRouter
from faststream.nats.subscriber.usecases import ConcurrentCoreSubscriber, CoreSubscriber
from faststream.response import Response
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import BaseModel, ValidationError

from calliope.contracts import subjects
from calliope.contracts.errors import ErrorCode, Problem
from calliope.errors import CommandError, TransientError
from calliope.messaging.streams import MAX_MESSAGE_BYTES
from calliope.observability import metrics
from calliope.validation.problems import field_problems

DEADLINE: Final = "Calliope-Deadline"
"""Header: the unix time in milliseconds after which nobody waits for the reply."""
ANSWERED_AT: Final = "Calliope-Answered-At"
"""Header of every reply: the unix time in milliseconds by the clock of who answers."""
ERROR_CODE: Final = "Nats-Service-Error-Code"
ERROR_TEXT: Final = "Nats-Service-Error"
WORKERS: Final = 64
"""Requests handled at once, per subject; the framework's own default is one."""
LATE: Final = Problem(code=ErrorCode.TIMEOUT, message="came after its deadline; not begun")
_DETACH_S: Final = 5.0
_LOOK_S: Final = 0.005
_HEADERS_BYTES: Final = 2048
"""Kept free in a reply for what the framework adds."""
JSON: Final = {"content-type": "application/json"}

log = structlog.get_logger()

_SECONDS: Final = metrics.histogram(
    "calliope_command_seconds", "Commands answered, by the code of the answer.", "subject", "code"
)

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Responder:
    """One command of a service: a decorator for its handler, and a switch for its subscription."""

    def __init__(self, subscriber: CoreSubscriber) -> None:
        self._subscriber = subscriber

    def __call__(self, handler: Handler) -> Handler:
        """Use `handler` for this command."""
        self._subscriber(handler)
        return handler

    async def pause(self) -> None:
        """Leave the queue group. On return the server sends no more; what it had sent is being answered."""
        await detach(self._subscriber)

    async def resume(self) -> None:
        """Join the queue group again; on return the server knows."""
        subscriber = self._subscriber
        if subscriber.subscription is not None or not subscriber.running:
            return
        connection = subscriber.connection
        subscriber.subscription = await connection.subscribe(
            subject=subscriber.subject.broker_address,
            queue=subscriber.queue,
            cb=subscriber._put_msg if isinstance(subscriber, ConcurrentCoreSubscriber) else subscriber.consume,
            **subscriber.extra_options,
        )
        await known_to_server(connection)


def responder(router: NatsBroker | NatsRouter, subject: str, *, service: str, workers: int = WORKERS) -> Responder:
    """Answer a command; replicas of `service` share the requests."""
    subscriber = router.subscriber(subject, queue=service, max_workers=workers)
    if not isinstance(subscriber, CoreSubscriber):
        raise TypeError(f"{subject} is not read from the core bus")
    return Responder(subscriber)


async def detach(subscriber: CoreSubscriber) -> None:
    """Take one core subscription away from the server, without dropping what was delivered."""
    subscription, subscriber.subscription = subscriber.subscription, None
    if subscription is not None:
        await leave(subscriber.connection, subscription)


async def known_to_server(connection: Client) -> None:
    """Return when the server knows a subscription that was just made, if it is there."""
    if connection.is_connected:  # else the subscription is renewed with the connection
        with suppress(NatsError, OSError):
            async with asyncio.timeout(_DETACH_S):
                await connection.flush()


async def leave(connection: Client | None, subscription: Subscription) -> None:
    """End a subscription at the server; what was delivered is still worked through."""
    if connection is None or connection.is_closed:
        return
    if connection.is_connected:
        with suppress(NatsError, OSError, TimeoutError):
            async with asyncio.timeout(_DETACH_S):
                await subscription.drain()  # type: ignore[no-untyped-call]
                return
    # Not to be renewed with the connection.
    connection._remove_sub(subscription._id)


async def settled(subscriber: CoreSubscriber) -> None:
    """Wait until every request that was delivered has been answered; the framework would drop those not yet begun."""
    if not isinstance(subscriber, ConcurrentCoreSubscriber) or not subscriber.running:
        return
    idle = 0
    while idle < 2:  # twice, for what was taken from the queue and not yet begun
        await asyncio.sleep(_LOOK_S)
        empty = subscriber.receive_stream.statistics().current_buffer_used == 0
        idle = idle + 1 if empty and subscriber.limiter.value == subscriber.max_workers else 0


class CommandMiddleware(BaseMiddleware):
    """Around every core handler: a reply always goes out, late requests are not begun, exceptions become envelopes."""

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Any]) -> Any:
        raw = msg.raw_message
        reply_to = getattr(raw, "reply", None)
        if reply_to is None or reply_to.startswith("$JS.ACK"):
            return await call_next(msg)
        subject = subjects.pattern_of(raw.subject)
        began = time.perf_counter()
        problem: Problem | None = None
        result: Any = None
        try:
            if is_late(msg.headers):
                problem = LATE
            else:
                result = await call_next(msg)
        except (HandlerException, IgnoredException):
            raise
        except Exception as exc:  # the edge: whatever happens, the caller gets an answer
            problem = problem_of(exc)
            if problem.code is ErrorCode.INTERNAL:
                log.exception("command.crashed", subject=subject)
        observe(subject, problem, time.perf_counter() - began)
        if not reply_to:
            return None
        if isinstance(result, Response):
            return result
        body, headers = encoded_reply(problem, result)
        return NatsResponse(body, headers=headers)


def problem_of(exc: Exception) -> Problem:
    """The error a caller is told; what was not raised on purpose is `internal`, without its words."""
    match exc:
        case CommandError():
            return exc.problem
        case DependsValidationError(original_error=ValidationError() as inner):
            return _invalid(inner)
        case ValidationError():
            return _invalid(exc)
        case DependsValidationError() | orjson.JSONDecodeError():
            return Problem(code=ErrorCode.INVALID, message="the request is not JSON of the expected form")
        case TransientError():
            return Problem(
                code=ErrorCode.UNAVAILABLE, message=str(exc) or "try again", retry_after_s=exc.retry_after_s or 1.0
            )
        case TimeoutError():
            return Problem(code=ErrorCode.TIMEOUT, message="took too long; the outcome is unknown")
        case _:
            return Problem(code=ErrorCode.INTERNAL, message="something broke on our side")


def _invalid(error: ValidationError) -> Problem:
    fields = [each.model_copy(update={"path": _in_payload(each.path)}) for each in field_problems(error)]
    return Problem(code=ErrorCode.INVALID, message="the request was refused", fields=tuple(fields))


def _in_payload(path: str) -> str:
    """The path within the payload: the envelope is ours, not the client's."""
    steps = path.split(".")
    return ".".join(steps[steps.index("payload") + 1 :]) if "payload" in steps[:2] else path


def is_late(headers: Mapping[str, str] | None) -> bool:
    """Whether nobody waits for the reply any more."""
    deadline = (headers or {}).get(DEADLINE, "")
    return deadline.isdigit() and int(deadline) < time.time() * 1000


def observe(subject: str, problem: Problem | None, took_s: float) -> None:
    """Measure a command that was begun, by the code of its answer."""
    _SECONDS.labels(subject, str(problem.code) if problem else "ok").observe(took_s)


def encoded_reply(problem: Problem | None, result: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a reply; a result that cannot be sent becomes a problem."""
    if problem is None:
        try:
            body = orjson.dumps({"ok": result}, default=_plain)
        except TypeError:
            log.exception("command.answer_unwritable", result=type(result).__name__)
            return encoded_reply(Problem(code=ErrorCode.INTERNAL, message="something broke on our side"), None)
        if len(body) <= MAX_MESSAGE_BYTES - _HEADERS_BYTES:
            return body, {**JSON, **_now()}
        problem = Problem(code=ErrorCode.TOO_LARGE, message="the answer is too large; ask for less at once")
    headers = {**JSON, **_now(), ERROR_CODE: str(problem.code), ERROR_TEXT: problem.message[:200]}
    return orjson.dumps({"error": problem.model_dump(mode="json")}), headers


def _now() -> dict[str, str]:
    return {ANSWERED_AT: str(int(time.time() * 1000))}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be a reply")
