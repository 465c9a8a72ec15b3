"""Asks the assistants service which numbers an assistant answers."""

from collections.abc import Sequence
from typing import Final

from calliope.contracts.assistants import Nothing, PhoneNumber, PhoneNumberList
from calliope.contracts.subjects import Command
from calliope.messaging.command_client import CommandClient

ASK_S: Final = 2.0


class BusNumbers:
    """See `ports.AssignedNumbers`."""

    def __init__(self, commands: CommandClient) -> None:
        self._commands = commands

    async def of(self, organization_id: str, assistant_id: str) -> Sequence[PhoneNumber]:
        """See `ports.AssignedNumbers`."""
        held = await self._commands.call(
            Command.PHONE_NUMBERS_LIST,
            Nothing(),
            reply_type=PhoneNumberList,
            organization=organization_id,
            timeout_s=ASK_S,
        )
        return [number for number in held.items if number.assistant_id == assistant_id]
