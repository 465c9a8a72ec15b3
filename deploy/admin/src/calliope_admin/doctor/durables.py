"""Looks at a durable consumer twice, a moment apart: only movement tells whether somebody reads."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from calliope.errors import CalliopeError
from calliope.messaging.broker import Bus
from calliope.messaging.inspection import Reading, durable_look
from calliope.messaging.streams import Durable

SECOND_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class DurableLook:
    """What two looks saw; `before` and `now` are None when there is no such durable, or `problem` says why not."""

    durable: Durable
    different: tuple[str, ...] = ()
    before: Reading | None = None
    now: Reading | None = None
    problem: str | None = None


async def look_at_all(bus: Bus, durables: Iterable[Durable]) -> list[DurableLook]:
    """All at once, in their order; one that cannot be looked at hides no other."""
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(_look_twice(bus, each), name=f"look.{each.name}") for each in durables]
    return [each.result() for each in looks]


async def _look_twice(bus: Bus, durable: Durable) -> DurableLook:
    try:
        first = await durable_look(bus, durable)
        if first is not None:
            await asyncio.sleep(SECOND_LOOK_S)
            second = await durable_look(bus, durable)
            if second is not None:
                return DurableLook(durable, tuple(second[0]), first[1], second[1])
    except CalliopeError as exc:
        return DurableLook(durable, problem=str(exc))
    return DurableLook(durable)
