"""A bus and a store for processes of ours."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.mongo import mongo_server
from support.nats import NatsServer, own_nats_server, provisioned

__all__ = ["mongo_server", "own_nats_server"]


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """The session's server, with all streams and durables; do not stop it."""
    with tempfile.TemporaryDirectory(prefix="calliope-nats-") as folder:
        server = NatsServer(Path(folder))
        server.start()
        asyncio.run(provisioned(server.url))
        yield server
        server.stop()
