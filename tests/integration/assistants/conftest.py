"""The assistants service on a real bus and store.

One process serves all tests: each takes an organization of its own, and nobody sees another's.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from calliope.ids import new_id
from calliope.messaging.broker import Bus
from support.assistants import Asking, AssistantsProcess, a_bus
from support.mongo import MongoServer, mongo_server, own_mongo_server
from support.nats import NatsServer, nats_server, own_nats_server, provisioned

__all__ = ["mongo_server", "nats_server", "own_mongo_server", "own_nats_server"]


@pytest.fixture(scope="session")
def assistants(nats_server: NatsServer, mongo_server: MongoServer) -> Iterator[AssistantsProcess]:
    """The session's service; do not stop it."""
    asyncio.run(provisioned(nats_server.url))
    with tempfile.TemporaryDirectory(prefix="calliope-assistants-") as folder:
        process = AssistantsProcess(Path(folder), nats_server.url, mongo_server.url)
        process.start()
        yield process
        process.stop()


@pytest.fixture
async def bus(assistants: AssistantsProcess, nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A client's connection, while the service runs."""
    async with a_bus(nats_server.url) as connected:
        yield connected


@pytest.fixture
def asking(bus: Bus) -> Asking:
    """A new organization."""
    return Asking(bus, new_id("org"))


@pytest.fixture
def stranger(bus: Bus) -> Asking:
    """Another organization."""
    return Asking(bus, new_id("org"))


@pytest.fixture
async def own(
    own_nats_server: NatsServer, own_mongo_server: MongoServer, tmp_path: Path
) -> AsyncIterator[AssistantsProcess]:
    """A service of one's own, to kill, with a bus and a store of one's own."""
    await provisioned(own_nats_server.url)
    process = AssistantsProcess(tmp_path, own_nats_server.url, own_mongo_server.url)
    try:
        await asyncio.to_thread(process.start)
        yield process
    finally:
        await asyncio.to_thread(process.stop)
