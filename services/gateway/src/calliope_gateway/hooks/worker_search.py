"""Finds the call-worker that answers a carrier's hook, within the deadline of whoever asks; knows no HTTP."""

import asyncio
from dataclasses import dataclass
from typing import Final

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.ports import Commands

LOOK_S: Final = 1.2
"""So long a worker with a free slot is looked for, before one of the others turns the call away."""
LOOK_EVERY_S: Final = 0.1
"""The shortest pause between two questions; workers that name a longer one are not asked before it is over."""
MOST_LOOKING: Final = 128
"""Hooks that look for a worker at once; above it, all workers being full is believed at the first word."""
MOST_AGAIN: Final = 2
"""Times `again_s`: while nobody answers, the next worker is asked after so long at the latest."""
DECLINE_S: Final = 2.0
"""Kept for turning a call away, but never more than a quarter of the time that there is."""
_NOT_TAKEN: Final = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.BUSY}


@dataclass(frozen=True, slots=True)
class NotTaken:
    """No worker that was asked takes it; `retry_after_s` from now they may be asked again."""

    retry_after_s: float = LOOK_EVERY_S


class WorkerSearch:
    """Searches of one gateway. Deadlines are times of the event loop; no method returns later than its own."""

    def __init__(self, commands: Commands, *, again_s: float) -> None:
        """`again_s`: after it a second worker is asked, when the first has said nothing."""
        self._commands = commands
        self._again_s = again_s
        self._looking = 0

    async def find(self, hook: CarrierRequest, deadline: float) -> CarrierResponse | None:
        """The answer of a worker that takes the hook, or of one that turns it away; None: there is no worker.

        Raises: CommandError, when the hook itself is to blame.
        """
        now = asyncio.get_running_loop().time
        last_ask = self.last_ask(deadline)
        crowded = self._looking >= MOST_LOOKING
        look_until = min(last_ask, now() + (0.0 if crowded else LOOK_S))
        self._looking += 1
        try:
            while True:
                found = await self.ask(hook, last_ask)
                if isinstance(found, CarrierResponse):
                    return found
                if now() + found.retry_after_s >= look_until:
                    declined = await self.decline(hook, deadline)
                    if declined is not None or crowded or now() + found.retry_after_s >= last_ask:
                        return declined
                    look_until = min(last_ask, now() + LOOK_S)
                await asyncio.sleep(found.retry_after_s)
        finally:
            self._looking -= 1

    async def look(self, hook: CarrierRequest, deadline: float, *, until: float) -> CarrierResponse | None:
        """The answer of a worker that takes the hook; None, when there is none by the deadline.

        Workers are asked once, and then again until that moment. Raises: as `ask`.
        """
        now = asyncio.get_running_loop().time
        until = now() if self._looking >= MOST_LOOKING else min(until, deadline)
        self._looking += 1
        try:
            while True:
                found = await self.ask(hook, deadline)
                if isinstance(found, CarrierResponse):
                    return found
                if now() + found.retry_after_s >= until:
                    return None
                await asyncio.sleep(found.retry_after_s)
        finally:
            self._looking -= 1

    def last_ask(self, deadline: float) -> float:
        """Until when to ask who takes a hook, so that there is time left to have it turned away."""
        return deadline - min(DECLINE_S, (deadline - asyncio.get_running_loop().time()) / 4)

    async def ask(self, hook: CarrierRequest, deadline: float) -> CarrierResponse | NotTaken:
        """A worker's answer, or that all who were asked cannot take the hook now, or said nothing by then.

        A worker that died took what it was just asked along, and a caller waits: while nobody answers, one is asked
        again, after longer each time. A worker that is only slow keeps the call, and its answer is waited for.
        Raises: CommandError, when the hook itself is to blame.
        """
        now, again_s = asyncio.get_running_loop().time, self._again_s
        asked: set[asyncio.Task[CarrierResponse | CommandError]] = set()
        answer: CarrierResponse | CommandError | None = None
        retry_after_s = LOOK_EVERY_S
        async with asyncio.TaskGroup() as tasks:
            while answer is None and (left_s := deadline - now()) > 0:
                asked.add(tasks.create_task(self._ask_one(Command.CALLS_ACCEPT, hook, left_s), name="hook.ask"))
                again_at = min(deadline, now() + again_s)
                while answer is None and asked and (wait_s := again_at - now()) > 0:
                    done, asked = await asyncio.wait(asked, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    for found in (task.result() for task in done):
                        if not isinstance(found, CommandError) or found.code not in _NOT_TAKEN:
                            answer = found
                            continue
                        retry_after_s = max(retry_after_s, found.problem.retry_after_s or 0.0)
                        again_at = min(deadline, max(again_at, now() + retry_after_s))
                if not asked:
                    break
                again_s = min(2 * again_s, MOST_AGAIN * self._again_s)
            for task in asked:
                task.cancel()
        if isinstance(answer, CommandError):
            raise answer
        return NotTaken(retry_after_s) if answer is None else answer

    async def decline(self, hook: CarrierRequest, deadline: float) -> CarrierResponse | None:
        """How any worker, also a full one, turns the call away; None, when there is none. Raises: as `ask`."""
        left_s = min(DECLINE_S, deadline - asyncio.get_running_loop().time())
        if left_s <= 0:
            return None
        answer = await self._ask_one(Command.CALLS_DECLINE, hook, left_s)
        if isinstance(answer, CarrierResponse):
            return answer
        if answer.code not in _NOT_TAKEN:
            raise answer
        return None

    async def _ask_one(
        self, command: Command, hook: CarrierRequest, timeout_s: float
    ) -> CarrierResponse | CommandError:
        try:
            return await self._commands.call(command, hook, reply_type=CarrierResponse, timeout_s=timeout_s)
        except CommandError as exc:
            return exc
