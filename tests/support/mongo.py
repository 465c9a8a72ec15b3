"""A real store for tests: nx-27017 speaks MongoDB's protocol over SQLite; one per session, one database per test.

In the `conftest.py` of a folder that needs it: `from support.mongo import mongo_server, mongo_settings  # noqa: F401`.
"""

import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from calliope.settings import MongoSettings
from support.processes import ChildProcess, free_port

_START_S = 20.0


class MongoServer(ChildProcess):
    """One nx-27017 in its own directory; keeps its port over restarts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "output")
        self._folder = folder
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        binary = Path(sys.executable).parent / "nx-27017"
        command = [str(binary), "--data-dir", str(self._folder / "data"), "--port", str(self.port)]
        command += ["--log-file", str(self._folder / "nx.log"), "--pid-file", str(self._folder / "nx.pid")]
        self.run(command)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(self.log()[-2000:])


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """The session's server; do not stop it: take `own_mongo_server` for that."""
    with tempfile.TemporaryDirectory(prefix="calliope-mongo-") as folder:
        server = MongoServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def own_mongo_server(tmp_path: Path) -> Iterator[MongoServer]:
    """A server of one's own, to kill."""
    server = MongoServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mongo_settings(mongo_server: MongoServer) -> MongoSettings:
    """Settings of an empty database of one's own."""
    return MongoSettings(url=SecretStr(mongo_server.url), database=f"t{uuid.uuid4().hex[:12]}")
