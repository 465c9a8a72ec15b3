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
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel

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
        with the same `command_id`. Else what the handler said.
        """
        began = time.perf_counter()
        code = "cancelled"
        try:
            with traces.span(f"{subjects.pattern_of(subject)} call"):
                body = _request_body(payload, organization, command_id)
                reply = Reply.model_validate(orjson.loads(await self._ask(subject, body, timeout_s)))
                if reply.error is not None:
                    raise _raised(reply.error)
                result = reply.ok if reply_type is None else reply_type.model_validate(reply.ok)
        except CommandError as exc:
            code = exc.code.value
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


def _request_body(payload: BaseModel | Mapping[str, Any], organization: str | None, command_id: str | None) -> bytes:
    plain = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    try:
        return orjson.dumps({"organization": organization, "command_id": command_id, "payload": plain})
    except TypeError:  # of all that JSON can say, only integers beyond 64 bits
        raise CommandError(ErrorCode.INVALID, "the request holds a number beyond 64 bits") from None


def _raised(problem: Problem) -> CommandError:
    return CommandError(problem.code, problem.message, fields=problem.fields, retry_after_s=problem.retry_after_s)
