"""What becomes of a JetStream message whose handler raised: acknowledged, given back, or a dead letter.

| raised                                             | told to JetStream                                            |
| nothing                                            | ack                                                          |
| TransientError, CommandError that may pass         | nak after the durable's delay or its wish, if that is longer; |
|                                                    | on the last delivery a dead letter                           |
| PermanentError, ValidationError, JSONDecodeError   | dead letter (acknowledged), then ack                         |
| HeldBackError: it waited for a dependency          | nak, whatever its deliveries                                 |
| anything else, a bug                               | logged with traceback, then as transient                      |
| CancelledError                                     | nothing: it comes back after ack_wait                         |

Handlers know nothing of this; `build_broker` installs `OutcomeMiddleware`. Who pulls messages himself calls `settle`.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeGuard

import structlog
from fast_depends.exceptions import ValidationError as DependsValidationError
from faststream import BaseMiddleware, ContextRepo, StreamMessage
from faststream.exceptions import HandlerException, IgnoredException
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import ValidationError

from calliope.contracts import subjects
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, PermanentError, TransientError
from calliope.messaging.dead_letter_form import letter_headers
from calliope.messaging.dependencies import Dependencies, HeldBackError
from calliope.messaging.streams import DEAD, Durable, durable_named
from calliope.observability import metrics

MAX_DELAY_S: Final = 60.0
"""A delayed message holds its place in `max_ack_pending`; what must wait longer belongs in the database.

So this bounds a wish, too; the deliveries that are left outlast it.
"""
_DEAD_TIMEOUT_S: Final = 5.0
_DEAD_TRIES: Final = 3
_MAY_PASS: Final = frozenset(
    {ErrorCode.BUSY, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.RATE_LIMITED, ErrorCode.IN_PROGRESS}
)

log = structlog.get_logger()

_OUTCOMES: Final = metrics.counter(
    "calliope_bus_outcomes_total", "What became of messages from durables.", "durable", "outcome"
)


@dataclass(frozen=True, slots=True)
class Ack:
    """Done."""


@dataclass(frozen=True, slots=True)
class Nak:
    """Again, after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Never again: stored in DEAD. `reason` is `permanent`, `malformed` or `exhausted`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Not decided here: cancelled, or the framework's own signal."""


Outcome = Ack | Nak | Dead | Leave


def outcome(exc: BaseException | None, deliveries: int, durable: Durable) -> Outcome:
    """The table above, as a function; `deliveries` counts this one."""
    match exc:
        case None:
            return Ack()
        case ValidationError() | DependsValidationError() | json.JSONDecodeError() | UnicodeDecodeError():
            return Dead("malformed")
        case PermanentError():
            return Dead("permanent")
        case CommandError() if isinstance(exc.code, ErrorCode) and exc.code not in _MAY_PASS:
            return Dead("permanent")
        case HandlerException() | IgnoredException():
            return Leave()
        case HeldBackError():
            return Nak(durable.retry_delay_s(1))
        case Exception() if deliveries >= durable.max_deliver:
            return Dead("exhausted")
        case Exception():
            return Nak(min(max(_wish_s(exc) or 0.0, durable.retry_delay_s(deliveries)), MAX_DELAY_S))
        case _:
            return Leave()


def _wish_s(exc: Exception) -> float | None:
    if isinstance(exc, TransientError):
        return exc.retry_after_s
    return exc.problem.retry_after_s if isinstance(exc, CommandError) else None


class OutcomeMiddleware(BaseMiddleware):
    """Holds what meets a dependency that is away, and carries the outcome of everything else out.

    A dead letter is stored before the message is let go, or it is tried again later.
    """

    def __init__(self, msg: Any, /, *, context: ContextRepo, dependencies: Dependencies) -> None:
        super().__init__(msg, context=context)
        self._dependencies = dependencies

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
        message = self.msg
        if not _is_from_durable(message) or (durable := durable_named(message.metadata.consumer)) is None:
            return await call_next(msg)
        return await self._dependencies.handle(message, durable, lambda: call_next(msg))

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        return await settle(self.msg, exc_val) if _is_from_durable(self.msg) else False


def _is_from_durable(message: Any) -> TypeGuard[Msg]:
    """Whether JetStream waits for an answer to it."""
    return isinstance(message, Msg) and message.reply.startswith("$JS.ACK")


async def settle(message: Msg, error: BaseException | None) -> bool:
    """Tell JetStream what becomes of a durable's message. False: that is left to the caller (an ack, or nothing)."""
    meta = message.metadata
    durable = durable_named(meta.consumer)
    if durable is None:
        return False
    result = outcome(error, meta.num_delivered, durable)
    _OUTCOMES.labels(durable.name, type(result).__name__.lower()).inc()
    match result:
        case Ack() | Leave():
            return False
        case Nak(delay_s=delay_s):
            _tell(error, durable, message, delay_s=delay_s)
            await give_back(message, delay_s)
        case Dead(reason=reason):
            _tell(error, durable, message, reason=reason)
            await _bury(message, durable, reason, error)
    return True


async def give_back(message: Msg, delay_s: float) -> None:
    """Not now: it is delivered again after `delay_s`."""
    try:
        await message.nak(delay=delay_s)
    except (NatsError, OSError) as exc:  # it comes back after ack_wait
        log.warning("message.nak_failed", error=type(exc).__name__)


async def _bury(message: Msg, durable: Durable, reason: str, error: BaseException | None) -> None:
    meta = message.metadata
    headers = letter_headers(
        message.headers or {},
        subject=message.subject,
        stream=meta.stream,
        sequence=meta.sequence.stream,
        deliveries=meta.num_delivered,
        durable=durable.name,
        reason=reason,
        error=error,
        detail=str(error) if _is_meant(error) else None,
    )
    jetstream = message._client.jetstream()
    for _ in range(_DEAD_TRIES):
        try:
            await jetstream.publish(
                subjects.dead_letter(durable.name, reason),
                message.data,
                headers=headers,
                stream=DEAD.name,
                timeout=_DEAD_TIMEOUT_S,
            )
            await message.ack()  # not `term`: its advisory is kept for what was dropped without a letter
        except (TimeoutError, NatsError, OSError) as exc:
            log.warning("message.bury_failed", durable=durable.name, error=type(exc).__name__)
        else:
            return
    await give_back(message, MAX_DELAY_S)


def _is_meant(error: BaseException | None) -> bool:
    """Whether it was raised on purpose, with words for people."""
    return isinstance(error, TransientError | PermanentError | CommandError)


def _tell(error: BaseException | None, durable: Durable, message: Msg, **facts: str | float) -> None:
    """One line a failure; with the traceback when nobody meant to raise it."""
    meant = _is_meant(error)
    malformed = facts.get("reason") == "malformed"  # its words would quote the message
    log.log(
        logging.WARNING if meant or malformed else logging.ERROR,
        "message.failed",
        durable=durable.name,
        subject=subjects.pattern_of(message.subject),
        stream_sequence=message.metadata.sequence.stream,
        deliveries=message.metadata.num_delivered,
        error=type(error).__name__,
        detail=str(error)[:200] if meant else None,
        exc_info=None if meant or malformed else error,
        **facts,
    )
