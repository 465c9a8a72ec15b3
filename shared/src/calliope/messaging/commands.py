"""Commands on the bus, both sides: ask and get a result or a typed error; answer, whatever the handler raises.

Asking:

    commands = CommandClient(bus)
    view = await commands.call(
        Command.ASSISTANTS_CREATE, payload, reply_type=AssistantView, organization=org_id, command_id=key, timeout_s=5.0
    )                                             # raises CommandError: code, fields, retry_after_s

Answering (plain FastStream handlers; `Context()` injection works):

    create = responder(router, Command.ASSISTANTS_CREATE, service="assistants")

    @create
    async def handle(command: CommandMessage[CreateAssistant]) -> AssistantView: ...

    await create.pause()                          # left the queue group; what was delivered is still answered
    await create.resume()

On the wire: `{"organization", "command_id", "payload"}` and `{"ok": …}` or `{"error": {…}}`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import orjson
import structlog
from fast_depends.exceptions import ValidationError as DependsValidationError
from faststream import BaseMiddleware, StreamMessage
from faststream.exceptions import HandlerException, IgnoredException
from faststream.nats import NatsBroker, NatsResponse, NatsRouter
from faststream.nats.subscriber.usecases import ConcurrentCoreSubscriber, CoreSubscriber
from faststream.response import Response
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ValidationError

from calliope.contracts import subjects
from calliope.contracts.base import Reply
from calliope.contracts.errors import ErrorCode, FieldProblem, Problem
from calliope.errors import CommandError, TransientError, unavailable
from calliope.messaging.connection import MessageTooLarge
from calliope.messaging.streams import MAX_MESSAGE_BYTES
from calliope.observability import metrics, traces

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

DEADLINE: Final = "Calliope-Deadline"
"""Header: the unix time in milliseconds after which nobody waits for the reply."""
ERROR_CODE: Final = "Nats-Service-Error-Code"
ERROR_TEXT: Final = "Nats-Service-Error"
WORKERS: Final = 64
"""Requests handled at once, per subject; the framework's own default is one."""
RECONNECT_PATIENCE_S: Final = 1.0
_DETACH_S: Final = 5.0
_LOOK_S: Final = 0.005
_HEADERS_BYTES: Final = 2048
"""Kept free in a reply for what the framework adds."""
_JSON: Final = {"content-type": "application/json"}

log = structlog.get_logger()

_SECONDS: Final = metrics.histogram(
    "calliope_command_seconds", "Commands answered, by the code of the answer.", "subject", "code"
)
_CALL_SECONDS: Final = metrics.histogram(
    "calliope_command_call_seconds", "Commands asked, by the code of the answer.", "subject", "code"
)

ReplyT = TypeVar("ReplyT", bound=BaseModel)
Handler = TypeVar("Handler", bound=Callable[..., Any])


class CommandClient:
    """The asking side."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus

    @overload
    async def call(
        self,
        subject: str,
        payload: BaseModel | Mapping[str, Any],
        *,
        reply_type: type[ReplyT],
        organization: str | None = None,
        command_id: str | None = None,
        timeout_s: float = 5.0,
    ) -> ReplyT: ...

    @overload
    async def call(
        self,
        subject: str,
        payload: BaseModel | Mapping[str, Any],
        *,
        reply_type: None = None,
        organization: str | None = None,
        command_id: str | None = None,
        timeout_s: float = 5.0,
    ) -> Any: ...

    async def call(
        self,
        subject: str,
        payload: BaseModel | Mapping[str, Any],
        *,
        reply_type: type[ReplyT] | None = None,
        organization: str | None = None,
        command_id: str | None = None,
        timeout_s: float = 5.0,
    ) -> ReplyT | Any:
        """Ask, and return the result; without `reply_type` as plain JSON.

        Raises: CommandError. `unavailable`: nothing was done, ask again. `timeout`: the outcome is unknown, ask again
        with the same `command_id`. Else what the handler said.
        """
        began = time.perf_counter()
        code = "ok"
        try:
            with traces.span(f"{subjects.pattern_of(subject)} call"):
                body = _request_body(payload, organization, command_id)
                reply = Reply.model_validate_json(await self._ask(subject, body, timeout_s))
                if reply.error is not None:
                    raise _raised(reply.error)
                return reply.ok if reply_type is None else reply_type.model_validate(reply.ok)
        except CommandError as exc:
            code = exc.code.value
            raise
        finally:
            _CALL_SECONDS.labels(subjects.pattern_of(subject), code).observe(time.perf_counter() - began)

    async def _ask(self, subject: str, body: bytes, timeout_s: float) -> bytes:
        headers = traces.inject({**_JSON, DEADLINE: str(int((time.time() + timeout_s) * 1000))})
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait_for_connection(min(timeout_s, RECONNECT_PATIENCE_S))
                answer = await self._bus.connection.request(subject, body, timeout=timeout_s, headers=headers)
        except NoRespondersError as exc:
            raise unavailable("nobody answers this at the moment") from exc
        except TimeoutError as exc:  # the client's own is one, too
            raise CommandError(ErrorCode.TIMEOUT, f"no answer within {timeout_s:g} s") from exc
        except MessageTooLarge as exc:
            raise CommandError(ErrorCode.TOO_LARGE, "the request is too large") from exc
        except (NatsError, OSError) as exc:
            raise unavailable("the bus is away") from exc
        return bytes(answer.data)

    async def _wait_for_connection(self, patience_s: float) -> None:
        """While the bus is away a request would only wait in a buffer and run when nobody listens any more."""
        try:
            async with asyncio.timeout(patience_s):
                await self._bus.up.wait()
        except TimeoutError:
            raise unavailable("the bus is away") from None


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
        if connection.is_connected:  # else the subscription is renewed with the connection
            with suppress(NatsError, OSError):
                async with asyncio.timeout(_DETACH_S):
                    await connection.flush()


def responder(router: NatsBroker | NatsRouter, subject: str, *, service: str, workers: int = WORKERS) -> Responder:
    """Answer a command; replicas of `service` share the requests."""
    subscriber = router.subscriber(subject, queue=service, max_workers=workers)
    if not isinstance(subscriber, CoreSubscriber):
        raise TypeError(f"{subject} is not read from the core bus")
    return Responder(subscriber)


async def detach(subscriber: CoreSubscriber) -> None:
    """Take one core subscription away from the server, without dropping what was delivered."""
    subscription, subscriber.subscription = subscriber.subscription, None
    connection = subscriber.connection if subscription is not None else None
    if subscription is None or connection is None or connection.is_closed:
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
            if _is_late(msg.headers):
                problem = Problem(code=ErrorCode.TIMEOUT, message="came after its deadline; not begun")
            else:
                result = await call_next(msg)
        except (HandlerException, IgnoredException):
            raise
        except Exception as exc:  # the edge: whatever happens, the caller gets an answer
            problem = problem_of(exc)
            if problem.code is ErrorCode.INTERNAL:
                log.exception("command.crashed", subject=subject)
        _SECONDS.labels(subject, problem.code.value if problem else "ok").observe(time.perf_counter() - began)
        return _reply(problem, result) if reply_to else None


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
    fields = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        steps = [str(step) for step in item["loc"]]
        if "payload" in steps[:2]:
            steps = steps[steps.index("payload") + 1 :]
        fields.append(FieldProblem(path=".".join(steps), message=item["msg"].removeprefix("Value error, ")))
    return Problem(code=ErrorCode.INVALID, message="the request was refused", fields=tuple(fields))


def _raised(problem: Problem) -> CommandError:
    return CommandError(problem.code, problem.message, fields=problem.fields, retry_after_s=problem.retry_after_s)


def _is_late(headers: Mapping[str, str]) -> bool:
    deadline = headers.get(DEADLINE, "")
    return deadline.isdigit() and int(deadline) < time.time() * 1000


def _request_body(payload: BaseModel | Mapping[str, Any], organization: str | None, command_id: str | None) -> bytes:
    plain = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    try:
        return orjson.dumps({"organization": organization, "command_id": command_id, "payload": plain})
    except TypeError:  # of all that JSON can say, only integers beyond 64 bits
        raise CommandError(ErrorCode.INVALID, "the request holds a number beyond 64 bits") from None


def _reply(problem: Problem | None, result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if problem is None:
        try:
            body = orjson.dumps({"ok": result}, default=_plain)
        except TypeError:
            log.exception("command.answer_unwritable", result=type(result).__name__)
            return _reply(Problem(code=ErrorCode.INTERNAL, message="something broke on our side"), None)
        if len(body) > MAX_MESSAGE_BYTES - _HEADERS_BYTES:
            problem = Problem(code=ErrorCode.TOO_LARGE, message="the answer is too large; ask for less at once")
        else:
            return NatsResponse(body, headers=dict(_JSON))
    headers = {**_JSON, ERROR_CODE: problem.code.value, ERROR_TEXT: problem.message[:200]}
    return NatsResponse(orjson.dumps({"error": problem.model_dump(mode="json")}), headers=headers)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be a reply")
