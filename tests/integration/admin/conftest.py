"""The operator's command beside the assistants service on a real bus and store."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from calliope.ids import new_id
from support.assistants import Asking, AssistantsProcess, a_bus
from support.mongo import MongoServer, mongo_server, own_mongo_server
from support.nats import NatsServer, nats_server, own_nats_server, provisioned

__all__ = ["mongo_server", "nats_server", "own_mongo_server", "own_nats_server"]


@pytest.fixture(scope="session")
def assistants(nats_server: NatsServer, mongo_server: MongoServer) -> Iterator[AssistantsProcess]:
    """The session's service; do not stop it."""
    asyncio.run(provisioned(nats_server.url))
    with tempfile.TemporaryDirectory(prefix="calliope-admin-") as folder:
        process = AssistantsProcess(Path(folder), nats_server.url, mongo_server.url)
        process.start()
        yield process
        process.stop()


@pytest.fixture
async def asking(assistants: AssistantsProcess, nats_server: NatsServer) -> AsyncIterator[Asking]:
    """A new organization, spoken for over the bus."""
    async with a_bus(nats_server.url) as connected:
        yield Asking(connected, new_id("org"))
