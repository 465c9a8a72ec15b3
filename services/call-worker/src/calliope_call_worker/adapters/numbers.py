"""Asks the assistants service which numbers an assistant answers."""

from collections.abc import Sequence
from typing import Final

from calliope.contracts.assistants import ListPhoneNumbers, PhoneNumber, PhoneNumberList
from calliope.contracts.subjects import Command
from calliope.messaging.command_client import CommandClient

ASK_S: Final = 2.0
MOST: Final = 200
"""One page; a check that asked carriers about more numbers would not end in time."""


class BusNumbers:
    """See `ports.AssignedNumbers`."""

    def __init__(self, commands: CommandClient) -> None:
        self._commands = commands

    async def of(self, organization_id: str, assistant_id: str) -> Sequence[PhoneNumber]:
        """See `ports.AssignedNumbers`."""
        page = await self._commands.call(
            Command.PHONE_NUMBERS_LIST,
            ListPhoneNumbers(assistant_id=assistant_id, limit=MOST),
            reply_type=PhoneNumberList,
            organization=organization_id,
            timeout_s=ASK_S,
        )
        return page.items
