"""The local stack: bus, store, sandbox and the four services as child processes, ready when `start` returns.

stack = LocalStack(Path(".calliope"))
with stack:                                   # started; stopped in reverse order when the block is left
    stack.address("gateway"), stack.keys.api_key
    stack.kill("worker"); stack.restart("worker")
"""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from calliope_local.environment import Ports, environments
from calliope_local.keys import LocalKeys
from calliope_local.processes import Process, accepts_tcp, answers_http, free_port

READY_S: Final = 40.0
SERVICES: Final = ("assistants", "webhooks", "worker", "gateway")
_MODULES: Final = {
    "sandbox": "calliope_sandbox",
    "assistants": "calliope_assistants",
    "webhooks": "calliope_webhooks",
    "worker": "calliope_call_worker",
    "gateway": "calliope_gateway",
    "provision": "calliope.messaging.provision",
}
_BINARIES: Final = Path(sys.executable).parent


class LocalStack:
    """One installation in one folder. `fixed` names ports; the others are free ones. `extra` adds variables by name."""

    def __init__(
        self,
        folder: Path,
        *,
        fixed: Mapping[str, int] | None = None,
        extra: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._folder = folder.resolve()
        names = ("nats", "mongo", "sandbox", "gateway", "assistants", "webhooks", "worker")
        self.ports = Ports(**{name: (fixed or {}).get(name) or free_port() for name in names})
        self.keys = LocalKeys.load_or_make(self._folder / "keys.json")
        self._extra = {name: dict(more) for name, more in (extra or {}).items()}
        self._processes: dict[str, Process] = {}
        self._more_workers: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises: ProcessError."""
        for name in ("nats", "mongo", "sandbox"):
            self._launch(name)
        self._wait("nats", "mongo", "sandbox")
        provision = self._launch("provision")
        provision.finish(within_s=READY_S)
        for name in SERVICES:
            self._launch(name)
        self._wait(*SERVICES)

    def stop(self) -> None:
        """End everything, the edge first, the bus and the store last."""
        workers = [name for name in self._processes if name.startswith("worker")]
        order = ("gateway", *workers, "webhooks", "assistants", "provision", "sandbox", "mongo", "nats")
        for name in order:
            if name in self._processes:
                self._processes[name].signal(signal.SIGTERM)
        for name in order:
            if name in self._processes:
                self._processes[name].stop()

    def add_worker(self, name: str) -> None:
        """One more call-worker, `worker-2` or so."""
        self._more_workers[name] = free_port()
        self._launch(name)
        self._wait(name)

    def kill(self, name: str) -> None:
        """As a crash would."""
        self._processes[name].kill()

    def terminate(self, name: str, *, grace_s: float = 30.0) -> None:
        """As a deploy would."""
        self._processes[name].stop(grace_s=grace_s)

    def restart(self, name: str, **variables: str) -> None:
        """Start it again on its port, with other variables if wanted, and wait until it is ready."""
        self._processes[name].stop()
        self._extra.setdefault(name, {}).update(variables)
        self._launch(name)
        self._wait(name)

    def pid(self, name: str) -> int | None:
        """While it runs."""
        return self._processes[name].pid

    def address(self, name: str, scheme: str = "http") -> str:
        """`http://127.0.0.1:…` of a process."""
        return self.ports.url(name, scheme)

    def describe(self) -> dict[str, str]:
        """What `local.json` tells."""
        return {
            "gateway": self.address("gateway"),
            "api_key": self.keys.api_key,
            "sandbox": self.address("sandbox"),
            "nats": self.address("nats", "nats"),
            "mongo": self.address("mongo", "mongodb"),
            "media": self.address("worker", "ws") + "/media",
            "twilio_account_sid": self.keys.twilio_account_sid,
            "twilio_auth_token": self.keys.twilio_auth_token,
        }

    def _launch(self, name: str) -> Process:
        kind = "worker" if name in self._more_workers else name
        variables = environments(self.ports, self.keys)[kind] | self._extra.get(kind, {}) | self._extra.get(name, {})
        if name in self._more_workers:
            variables["CALLIOPE_HTTP__PORT"] = str(self._more_workers[name])
        process = Process(name, self._command(kind), variables, self._folder / "logs" / f"{name}.log")
        process.start()
        self._processes[name] = process
        return process

    def _command(self, name: str) -> list[str]:
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if name == "nats":
            config = self._folder / "nats.conf"
            config.write_text(
                f'listen: "127.0.0.1:{self.ports.nats}"\nmax_payload: 1MB\n'
                f'jetstream {{ store_dir: "{data / "nats"}", sync_interval: always }}\n',
                encoding="utf-8",
            )
            return [str(_BINARIES / "nats-server"), "-c", str(config)]
        if name == "mongo":
            files = ["--db", str(data / "mongo.db"), "--pid-file", str(self._folder / "mongo.pid")]
            log_file = str(self._folder / "logs" / "mongo-server.log")
            port = str(self.ports.mongo)
            return [str(_BINARIES / "nx-27017"), *files, "--log-file", log_file, "--port", port]
        return [sys.executable, "-m", _MODULES[name]]

    def _wait(self, *names: str) -> None:
        for name in names:
            port = self._more_workers.get(name) or getattr(self.ports, name)
            ready = accepts_tcp(port) if name in {"nats", "mongo"} else answers_http(f"http://127.0.0.1:{port}/readyz")
            self._processes[name].wait_ready(ready, within_s=READY_S)
