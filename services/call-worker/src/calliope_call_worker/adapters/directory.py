"""Asks the assistants service who answers a number; remembers the answer for when it is away."""

from collections import OrderedDict
from typing import Final

import structlog

from calliope.contracts.assistants import AssistantRef, PinnedAssistant, ResolvedNumber, ResolveNumber
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.messaging.command_client import CommandClient

log = structlog.get_logger(__name__)

ASK_S: Final = 2.0
MAX_REMEMBERED: Final = 10_000
_NOBODY: Final = {ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}
_AWAY: Final = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}


class BusDirectory:
    """See `ports.Directory`. A remembered answer is used only while the owner cannot be asked."""

    def __init__(self, commands: CommandClient) -> None:
        self._commands = commands
        self._numbers: OrderedDict[str, ResolvedNumber] = OrderedDict()

    async def resolve(self, number: str) -> ResolvedNumber | None:
        """See `ports.Directory`. Raises: CommandError, when the owner is away and nothing is remembered."""
        try:
            resolved = await self._commands.call(
                Command.PHONE_NUMBERS_RESOLVE,
                ResolveNumber(number=number[:32], also_inactive=True),
                reply_type=ResolvedNumber,
                timeout_s=ASK_S,
            )
        except CommandError as exc:
            if exc.code in _NOBODY:
                self._numbers.pop(number, None)
                return None
            if exc.code in _AWAY and number in self._numbers:
                log.warning("directory.remembered", error=exc.code)
                return self._numbers[number]
            raise
        self._numbers[number] = resolved
        self._numbers.move_to_end(number)
        if len(self._numbers) > MAX_REMEMBERED:
            self._numbers.popitem(last=False)
        return resolved

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant | None:
        """See `ports.Directory`."""
        try:
            return await self._commands.call(
                Command.ASSISTANTS_PIN,
                AssistantRef(assistant_id=assistant_id),
                reply_type=PinnedAssistant,
                organization=organization_id,
                timeout_s=ASK_S,
            )
        except CommandError as exc:
            if exc.code in _NOBODY:
                return None
            remembered = [found.assistant for found in self._numbers.values() if found.assistant.id == assistant_id]
            if exc.code in _AWAY and remembered:
                return remembered[-1]
            raise
