"""Asks the assistants service for assistants by id."""

from typing import Final

from calliope.contracts.assistants import AssistantRef, PinnedAssistant
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.messaging.command_client import CommandClient

ASK_S: Final = 2.0


class BusDirectory:
    """See `ports.Directory`."""

    def __init__(self, commands: CommandClient) -> None:
        self._commands = commands

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
            if exc.code is ErrorCode.NOT_FOUND:
                return None
            raise
