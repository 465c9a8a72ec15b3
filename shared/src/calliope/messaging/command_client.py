"""Commands on the bus, asked: a result, or a typed error.

    commands = CommandClient(bus)
    view = await commands.call(
        Command.ASSISTANTS_CREATE, payload, reply_type=Assistant, organization=org_id, command_id=key, timeout_s=5.0
    )                                             # raises CommandError: code, fields, retry_after_s

On the wire: as in `commands.py`, which answers.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import orjson
import structlog
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ValidationError

from calliope.contracts import subjects
from calliope.contracts.base import Reply
from calliope.contracts.errors import ErrorCode, Problem
from calliope.errors import CommandError, unavailable
from calliope.messaging.commands import DEADLINE, JSON
from calliope.messaging.connection import MessageTooLarge
from calliope.observability import metrics, traces

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

RECONNECT_PATIENCE_S: Final = 1.0
NOBODY_RETRY_S: Final = 0.1
"""When nobody listens, the server says so at once, and somebody may begin to at any moment."""

log = structlog.get_logger()

_CALL_SECONDS: Final = metrics.histogram(
    "calliope_command_call_seconds", "Commands asked, by the code of the answer.", "subject", "code"
)

ReplyT = TypeVar("ReplyT", bound=BaseModel)


class CommandClient:
    """Asks on one bus."""

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
        with the same `command_id`. `internal`: the answer is none that this version can read; it may have been done.
        Else what the handler said.
        """
        began = time.perf_counter()
        code = "crashed"
        try:
            with traces.span(f"{subjects.pattern_of(subject)} call"):
                body = _request_body(payload, organization, command_id)
                result = _read(await self._ask(subject, body, timeout_s), reply_type, subject)
        except CommandError as exc:
            code = str(exc.code)
            raise
        except asyncio.CancelledError:
            code = "cancelled"
            raise
        else:
            code = "ok"
            return result
        finally:
            _CALL_SECONDS.labels(subjects.pattern_of(subject), code).observe(time.perf_counter() - began)

    async def _ask(self, subject: str, body: bytes, timeout_s: float) -> bytes:
        headers = traces.inject({**JSON, DEADLINE: str(int((time.time() + timeout_s) * 1000))})
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait_for_connection(min(timeout_s, RECONNECT_PATIENCE_S))
                answer = await self._bus.connection.request(subject, body, timeout=timeout_s, headers=headers)
        except asyncio.CancelledError as exc:
            if _is_cancelled():
                raise
            raise unavailable("the bus is away") from exc  # the client gave the request up, not its caller
        except NoRespondersError as exc:
            raise unavailable("nobody answers this at the moment", retry_after_s=NOBODY_RETRY_S) from exc
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


def _request_body(payload: BaseModel | Mapping[str, Any], organization: str | None, command_id: str | None) -> bytes:
    plain = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    try:
        return orjson.dumps({"organization": organization, "command_id": command_id, "payload": plain})
    except TypeError:  # of all that JSON can say, only integers beyond 64 bits
        raise CommandError(ErrorCode.INVALID, "the request holds a number beyond 64 bits") from None


def _is_cancelled() -> bool:
    """Whether somebody cancelled who asks."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _read(answer: bytes, reply_type: type[ReplyT] | None, subject: str) -> ReplyT | Any:
    """The result of an answer. Raises: CommandError, also for one that cannot be read."""
    try:
        reply = Reply.model_validate(orjson.loads(answer))
        if reply.error is None:
            return reply.ok if reply_type is None else reply_type.model_validate(reply.ok)
    except (ValidationError, orjson.JSONDecodeError) as exc:  # their words would quote the answer
        wrong = [each["loc"] for each in exc.errors()] if isinstance(exc, ValidationError) else []
        log.error("command.answer_unreadable", subject=subjects.pattern_of(subject), fields=wrong)  # noqa: TRY400
        raise CommandError(
            ErrorCode.INTERNAL, "the answer could not be read: are all services of one version?"
        ) from exc
    raise _raised(reply.error)


def _raised(problem: Problem) -> CommandError:
    return CommandError(problem.code, problem.message, fields=problem.fields, retry_after_s=problem.retry_after_s)
