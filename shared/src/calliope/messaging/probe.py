"""Asks whether somebody answers, for people who look for what is wrong: nothing is raised, everything has a deadline.

answers = await everybody(bus, Command.WORKERS_DESCRIBE, Nothing(), within_s=1.0)
answer = await anybody(bus, Command.DELIVERIES_LIST, ListDeliveries(limit=1), organization="org_1", within_s=2.0)
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ValidationError

from calliope.contracts.base import Reply
from calliope.contracts.errors import ErrorCode, Problem
from calliope.contracts.subjects import Command
from calliope.messaging.broker import Bus
from calliope.messaging.commands import ANSWERED_AT, DEADLINE, JSON

_ANSWERS: Final = 1_000
"""At most; beyond it the client drops what comes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a result or a problem, and how far the other clock is ahead of ours, in seconds, if it told."""

    result: Any = None
    problem: Problem | None = None
    clock_ahead_s: float | None = None

    @property
    def is_there(self) -> bool:
        """Whether its owner and what it needs are there: a refusal in words is an answer, too."""
        away = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.INTERNAL}
        return self.problem is None or self.problem.code not in away


async def anybody(
    bus: Bus, command: Command, payload: BaseModel, *, within_s: float, organization: str | None = None
) -> Answer:
    """The answer of whoever reads this command; that nobody does is a problem like any other."""
    asked = time.time()
    try:
        message = await bus.connection.request(
            command, _body(payload, organization), timeout=within_s, headers=_headers(within_s)
        )
    except NoRespondersError:
        return Answer(problem=Problem(code=ErrorCode.UNAVAILABLE, message="nobody answers this at the moment"))
    except TimeoutError:
        return Answer(problem=Problem(code=ErrorCode.TIMEOUT, message=f"no answer within {within_s:g} s"))
    except (NatsError, OSError):
        return Answer(problem=Problem(code=ErrorCode.UNAVAILABLE, message="the bus is away"))
    return _answer(message, asked, time.time())


async def everybody(
    bus: Bus, command: Command, payload: BaseModel, *, within_s: float, enough: Callable[[Answer], bool] | None = None
) -> list[Answer]:
    """All answers that come within so many seconds, for commands that more than one process reads.

    The first one that is `enough` is the last.
    """
    connection, asked = bus.connection, time.time()
    inbox, found = connection.new_inbox(), []
    subscription = None
    try:
        async with asyncio.timeout(within_s):
            subscription = await connection.subscribe(inbox, pending_msgs_limit=_ANSWERS)
            await connection.publish(command, _body(payload, None), reply=inbox, headers=_headers(within_s))
            async for message in subscription.messages:
                if (message.headers or {}).get("Status"):  # the server's word that nobody reads it
                    break
                found.append(_answer(message, asked, time.time()))
                if enough is not None and enough(found[-1]):
                    break
    except (TimeoutError, NatsError, OSError):
        pass  # what came until then is the answer
    finally:
        if subscription is not None and connection.is_connected:
            await subscription.unsubscribe()
    return found


def _body(payload: BaseModel, organization: str | None) -> bytes:
    return orjson.dumps({"organization": organization, "payload": payload.model_dump(mode="json")})


def _headers(within_s: float) -> dict[str, str]:
    return {**JSON, DEADLINE: str(int((time.time() + within_s + 60) * 1000))}  # clocks that differ are to be told, too


def _answer(message: Msg, asked: float, answered: float) -> Answer:
    headers: Mapping[str, str] = message.headers or {}
    stamp = headers.get(ANSWERED_AT, "")
    ahead = int(stamp) / 1000 - (asked + answered) / 2 if stamp.isdigit() else None
    try:
        reply = Reply.model_validate_json(message.data)
    except ValidationError:
        return Answer(problem=Problem(code=ErrorCode.INTERNAL, message="the answer cannot be read"))
    return Answer(reply.ok, reply.error, ahead)
