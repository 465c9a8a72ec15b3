"""Calls that nobody holds: since when, and a few of them at a time to whoever looks after them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final

import structlog

from calliope.errors import CalliopeError, TransientError
from calliope_call_worker.ports import OpenCalls

log = structlog.get_logger(__name__)

MOST_AT_A_LOOK: Final = 200


class Absences:
    """Since when calls have nobody who holds them. Pure; `now` in seconds of any steady clock."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._since: dict[str, float] = {}

    def lost(self, without_owner: Collection[str], now: float) -> list[str]:
        """Those who have been without an owner for long enough; one that is held again begins anew."""
        self._since = {call_id: self._since.get(call_id, now) for call_id in sorted(without_owner)}
        due = [call_id for call_id, since in self._since.items() if now - since >= self._lost_after_s]
        return due[:MOST_AT_A_LOOK]


async def absences(
    open_calls: OpenCalls, *, lost_after_s: float, every_s: float
) -> AsyncIterator[tuple[list[str], set[str]]]:
    """For ever, once in `every_s`: the calls that have had no owner for so long, and all that have none now."""
    found, now = Absences(lost_after_s), asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(every_s)
        try:
            without_owner = await open_calls.without_owner()
        except TransientError as exc:
            log.info("calls_without_owner.not_known", reason=str(exc))
            without_owner = set()  # what was not seen all the time begins anew
        yield found.lost(without_owner, now()), without_owner


async def look_after(
    call_ids: Collection[str], work: Callable[[str], Awaitable[object]], *, at_once: int, within_s: float
) -> None:
    """Do it for each call, so many at a time; whatever is wrong with one, the others, and this worker, go on."""
    places = asyncio.Semaphore(at_once)

    async def one(call_id: str) -> None:
        try:
            async with places, asyncio.timeout(within_s):
                await work(call_id)
        except (CalliopeError, TimeoutError) as exc:
            log.info("call_without_owner.later", call_id=call_id, reason=str(exc) or f"not done within {within_s:g} s")
        except Exception:
            log.exception("call_without_owner.failed", call_id=call_id)

    async with asyncio.TaskGroup() as tasks:
        for call_id in call_ids:
            tasks.create_task(one(call_id), name="call_without_owner.look_after")
