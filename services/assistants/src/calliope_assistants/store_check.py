"""NATS edge: whether the store answers and takes writes now; gateways ask for their readiness."""

import asyncio
from typing import Final, Protocol

from calliope.contracts.assistants import CheckStore, Nothing
from calliope.contracts.base import CommandMessage
from calliope.contracts.subjects import Command
from calliope.errors import unavailable
from calliope.messaging.broker import Bus
from calliope_assistants.edge import on_command

CHECK_S: Final = 1.2
"""Below the 2 s in which a readiness probe wants its answer."""


class CheckedStore(Protocol):
    """A store that can be asked how it is. Both raise TransientError."""

    async def ping(self) -> None:
        """Return when it answers."""

    async def check_writes(self) -> None:
        """Return when it takes writes."""


def answer_store_checks(bus: Bus, store: CheckedStore) -> None:
    """Answer the command; a store that is away or too slow is `unavailable`."""

    @on_command(bus)(Command.STORE_CHECK)
    async def check(command: CommandMessage[CheckStore]) -> Nothing:
        try:
            async with asyncio.timeout(CHECK_S):
                await (store.check_writes() if command.payload.writes else store.ping())
        except TimeoutError:
            raise unavailable("the store does not answer in time") from None
        return Nothing()
