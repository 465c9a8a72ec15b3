"""The call-worker on a real bus, with the sandbox's models over real sockets."""

from collections.abc import AsyncIterator

import pytest

from calliope.settings import NatsSettings
from support.aftermath import Aftermath, aftermath
from support.nats import bus_settings, nats_server, own_nats_server

__all__ = ["bus_settings", "nats_server", "own_nats_server"]


@pytest.fixture
async def house(bus_settings: NatsSettings) -> AsyncIterator[Aftermath]:
    async with aftermath(bus_settings) as house:
        yield house
