"""How a call closes, in a fixed order: its end is fixed, the line put down, effects end, `ended` is told."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from calliope.contracts.calls import CallEnded, EndReason
from calliope_call_worker.dialogue import Dialogue
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.ports import Journal
from calliope_call_worker.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)

FLUSH_S: Final = 2.0
HANG_UP_S: Final = 2.0
"""So long `ended` waits for the carrier's answer; a slower one comes later."""
TOOLS_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class End:
    """Why and when a call ended; nothing that is done afterwards changes it."""

    reason: EndReason
    duration_ms: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing a call needs of it. `hang_up` has begun when it is spawned and may outlive the call."""

    call_id: str
    dialogue: Dialogue
    toolbox: Toolbox
    journal: Journal
    hang_up: Callable[[], Coroutine[Any, Any, None]]
    spawn: "Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]]"

    async def close(self, end: End, *, line_is_up: Callable[[], bool], tell_problem: Callable[[], str]) -> bool:
        """Whether its end is stored. `tell_problem` writes the problem that ended it, and answers with the detail."""
        self.dialogue.stop()
        if line_is_up():
            await asyncio.wait({self.spawn(self.hang_up(), "call.hang_up")}, timeout=HANG_UP_S)
        await self.toolbox.finish(TOOLS_S)
        try:
            self.dialogue.close()
        except JournalFullError as exc:
            log.error("call.last_turn_lost", call_id=self.call_id, reason=str(exc))  # noqa: TRY400
        detail = tell_problem()
        self.journal.append(
            CallEnded(
                reason=end.reason,
                duration_ms=end.duration_ms,
                detail=detail,
                turns=self.dialogue.turns,
                ended_at=end.at,
            )
        )
        return await self.journal.flush(FLUSH_S)
