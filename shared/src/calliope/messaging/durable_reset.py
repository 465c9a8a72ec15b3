"""Moves a durable consumer to another place of its stream; an operator's act, no service does it.

    change = await planned(bus, durable, since=yesterday)
    await reset(bus, durable, change)

Readers stay connected. Handlers notice by their keys what they have done before. Raises: TransientError, when the bus
does not answer in time; PermanentError, when it refuses.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from calliope.errors import PermanentError
from calliope.messaging.broker import Bus
from calliope.messaging.inspection import LOOK_S, durable_look, looking
from calliope.messaging.stream_positions import first_since
from calliope.messaging.streams import Durable

_RESET: Final = "$JS.API.CONSUMER.RESET"


@dataclass(frozen=True, slots=True)
class Change:
    """What moving a durable means; counts are of all messages of its stream, also those that it does not read."""

    number: int
    """Where it goes on."""
    again: int
    """Messages that it has handled, and is given again, at most."""
    skipped: int
    """Messages that it has not handled, and is never given, at most."""


async def planned(bus: Bus, durable: Durable, *, since: datetime | None) -> Change:
    """The change to the first message stored since a moment, or to the first that is kept.

    Raises: PermanentError, when there is no such durable.
    """
    seen = await durable_look(bus, durable)
    if seen is None:
        raise PermanentError(
            f"there is no durable consumer {durable.name} on this bus: run `python -m calliope.messaging.provision`"
        )
    async with looking(f"stream {durable.stream}"):
        first = (await bus.jetstream.stream_info(durable.stream)).state.first_seq
        number = first if since is None else await first_since(bus.jetstream, durable.stream, since)
    next_one = seen[1].acknowledged + 1
    return Change(
        number=max(1, number), again=max(0, next_one - max(number, 1)), skipped=max(0, number - max(next_one, first))
    )


async def reset(bus: Bus, durable: Durable, change: Change) -> None:
    """Let it be given its messages from there on; what it had been given and not acknowledged is given anew."""
    subject = f"{_RESET}.{durable.stream}.{durable.name}"
    async with looking(f"durable {durable.name}"):
        message = await bus.connection.request(subject, orjson.dumps({"seq": change.number}), timeout=LOOK_S)
    answer: Any = orjson.loads(message.data)
    if not isinstance(answer, dict) or "error" in answer:
        raise PermanentError(f"NATS does not reset {durable.name}: {_description(answer)}")


def _description(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("description", error)) if isinstance(error, dict) else "its answer cannot be read"
