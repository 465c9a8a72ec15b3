"""A real nats-server for tests: one of its own for each test that asks for a bus; killed with -9 and started on demand.

In the `conftest.py` of a folder that needs it: `from support.nats import bus_settings  # noqa: F401`.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest

from calliope.messaging.provision import provision
from calliope.settings import NatsSettings
from support.processes import ChildProcess


class NatsServer(ChildProcess):
    """One nats-server with JetStream in its own directory; keeps its port over restarts."""

    def __init__(self, folder: Path, *, extra_config: str = "") -> None:
        super().__init__(folder / "log")
        self._folder = folder
        self._extra = extra_config
        self.port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self, *, extra_config: str | None = None) -> None:
        """Start it and wait until it answers."""
        extra = self._extra if extra_config is None else extra_config
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        config = self._folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{ports}"\nmax_payload: 1MB\n'
            f'jetstream {{ store_dir: "{self._folder / "data"}", sync_interval: always }}\n{extra}\n'
        )
        binary = Path(sys.executable).parent / "nats-server"
        self.run([str(binary), "-c", str(config)])
        self.port = self._read_port(ports)

    def _read_port(self, folder: Path) -> int:
        """The server writes this file once it listens."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for file in folder.glob("*.ports"):
                text = file.read_text()
                if text.endswith(("}", "}\n")):
                    return int(json.loads(text)["nats"][0].rpartition(":")[2])
            time.sleep(0.01)
        raise TimeoutError(self.log()[-2000:])


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """The session's server; do not stop it: take `own_nats_server` for that."""
    with tempfile.TemporaryDirectory(prefix="calliope-nats-") as folder:
        server = NatsServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of one's own, to kill; provisioned by nobody."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bus_settings() -> AsyncIterator[NatsSettings]:
    """Settings of a bus with all streams and durables, empty.

    A new server takes 20 ms; streams deleted and made again under the same names could meet what a test left behind.
    """
    with tempfile.TemporaryDirectory(prefix="calliope-nats-") as folder:
        server = NatsServer(Path(folder))
        server.start()
        try:
            await provisioned(server.url)
            yield NatsSettings(url=server.url)
        finally:
            server.stop()


async def provisioned(url: str) -> None:
    """Create what `streams.py` declares."""
    async with asyncio.timeout(10):
        connection = await nats.connect(url)
        await provision(connection.jetstream())
        await connection.close()
