"""What a repeated command made before, also when a crash took its answer: its id follows from the command. Pure."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from calliope.idempotency import id_made_by
from calliope_assistants.ports import COMMANDS_KNOWN


class Made(Protocol):
    """A row that knows its birth."""

    @property
    def created_at(self) -> datetime:
        """When."""


MadeT = TypeVar("MadeT", bound=Made)


async def made_before(
    get: Callable[[str], Awaitable[MadeT | None]], prefix: str, owner: str, command: str | None, now: datetime
) -> MadeT | None:
    """What this command made before a crash, also if that was yesterday, less than a day ago."""
    if command is None:
        return None
    for moment in (now, now - COMMANDS_KNOWN):
        row = await get(id_made_by(prefix, owner, command, moment))
        if row is not None and now - row.created_at < COMMANDS_KNOWN:
            return row
    return None
