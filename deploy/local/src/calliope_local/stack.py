"""The local stack: bus, store, sandbox and the four services as child processes, ready when `start` returns.

with LocalStack(Path(".calliope")) as stack:   # stopped in reverse order when the block is left; `async with` too
    stack.address("gateway"), stack.keys.api_key
    stack.kill("worker")                       # kill -9; restart, terminate, pause, resume, add_worker
    await asyncio.to_thread(stack.restart, "worker")        # every method may run in a thread
"""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from calliope_local import programs
from calliope_local.environment import EMULATED, PORT_NAMES, Ports, environments
from calliope_local.folder import FolderLock
from calliope_local.keys import LocalKeys
from calliope_local.nats_config import READER
from calliope_local.outside import Outside
from calliope_local.probes import free_ports
from calliope_local.processes import Guardian, Process
from calliope_local.welcome import are_scripted

READY_S: Final = 40.0
GRACE_S: Final = 10.0
YIELDING: Final = 10
"""The niceness of what yields to the sandbox: about a tenth of the processor's time when both want it."""
BACKING: Final = ("nats", "mongo", "sandbox")
SERVICES: Final = ("assistants", "webhooks", "worker", "gateway")


class _WorkerPorts(NamedTuple):
    """Of one call-worker more."""

    media: int
    health: int


class LocalStack:
    """One installation in one folder.

    `fixed` names ports, the others are free ones; a name in `extra` is a process (`worker-2`) or a kind (`worker`),
    its variables are added to that process's environment. `workers` is how many call-workers start. `outside` says
    which vendors are real, and where the outside world reaches this machine. `outside_first`: emulated vendors,
    carriers and callers get the processor first, as if they were elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fixed: Mapping[str, int] | None = None,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        workers: int = 1,
        outside: Outside = EMULATED,
        outside_first: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        free = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True))
        self.ports = Ports(**(free | {name: port for name, port in (fixed or {}).items() if port}))
        self.keys = LocalKeys.load_or_make(self.folder / "keys.json")
        self._outside = outside
        self._outside_first = outside_first
        self._extra = {name: dict(more) for name, more in (extra or {}).items()}
        self._more_workers = {f"worker-{n}": _WorkerPorts(*free_ports(2)) for n in range(2, workers + 1)}
        self._processes: dict[str, Process] = {}
        self._open = ExitStack()
        self._guardian = Guardian()

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

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises: ProcessError, FolderTakenError."""
        lock = self._open.enter_context(FolderLock(self.folder))
        self._guardian = self._open.enter_context(Guardian(hold=(lock.descriptor,)))
        self._start_all(*BACKING)
        self._launch("provision").finish(within_s=READY_S)
        self._start_all(*SERVICES, *self._more_workers, *(() if self._outside.public_url is None else ("proxy",)))

    def stop(self) -> None:
        """End everything: the edge first, then who talks to the bus, the bus and the store last."""
        workers = [name for name in self._processes if self._kind(name) == "worker"]
        for tier in (["proxy"], ["gateway"], workers, ["webhooks", "assistants", "provision"], list(BACKING)):
            running = [self._processes[name] for name in tier if name in self._processes]
            for process in running:
                process.signal(signal.SIGTERM)
            for process in running:
                process.stop(grace_s=GRACE_S)
        self._processes.clear()
        self._open.close()

    def add_worker(self, name: str) -> None:
        """One more call-worker, `worker-2` or so, ready when this returns."""
        self._more_workers[name] = _WorkerPorts(*free_ports(2))
        self._start_all(name)

    def kill(self, name: str) -> None:
        """As a crash would: SIGKILL."""
        self._processes[name].kill()

    def terminate(self, name: str, *, grace_s: float = 30.0) -> None:
        """As a deploy would: SIGTERM, and patience."""
        self._processes[name].stop(grace_s=grace_s)

    def restart(self, name: str, **variables: str) -> None:
        """Start it (again) on its port, with other variables if wanted, and wait until it is ready."""
        self._processes[name].stop()
        self._extra.setdefault(name, {}).update(variables)
        self._start_all(name)

    def pause(self, name: str) -> None:
        """As a frozen machine would: SIGSTOP."""
        self._processes[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Undo `pause`."""
        self._processes[name].signal(signal.SIGCONT)

    def names(self) -> list[str]:
        """What runs, the provisioning job apart."""
        return [name for name, process in self._processes.items() if process.pid is not None]

    def pid(self, name: str) -> int | None:
        """While it runs."""
        return self._processes[name].pid

    def ended(self) -> list[Process]:
        """What should run and does not."""
        return [process for name, process in self._processes.items() if name != "provision" and process.pid is None]

    def log_file(self, name: str) -> Path:
        """Where its output goes."""
        return self.folder / "logs" / f"{name}.log"

    def address(self, name: str, scheme: str = "http") -> str:
        """`http://127.0.0.1:…` of a process."""
        return f"{scheme}://127.0.0.1:{self._port(name)}"

    def health(self, name: str) -> str:
        """`http://127.0.0.1:…` where a process answers `/readyz` and `/metrics`."""
        return f"http://127.0.0.1:{self._health_port(name)}"

    def describe(self) -> dict[str, str]:
        """What `local.json` tells."""
        return {
            "gateway": self.address("gateway"),
            "api_key": self.keys.api_key,
            "sandbox": self.address("sandbox"),
            "nats": self.address("nats", "nats"),
            "nats_reader": f"nats://{READER}:{READER}@127.0.0.1:{self.ports.nats}",
            "mongo": self.address("mongo", "mongodb"),
            "media": self.address("worker", "ws") + "/media",
            "twilio_account_sid": self.keys.twilio_account_sid,
            "twilio_auth_token": self.keys.twilio_auth_token,
            "telnyx_connection_id": self.keys.telnyx_connection_id,
            "telnyx_api_key": self.keys.telnyx_api_key,
            "telnyx_public_key": self.keys.telnyx_public_key,
            "telnyx_signing_key": self.keys.telnyx_signing_key,
            "real_speech": ", ".join(self._outside.real_speech),
            "models": "scripted" if are_scripted(self._outside.choices) else "real",
        }

    def _start_all(self, *names: str) -> None:
        for name in names:
            self._launch(name)
        for name in names:
            ready = programs.readiness(self._kind(name), self._health_port(name), self.ports)
            self._processes[name].wait_ready(ready, within_s=READY_S)

    def _launch(self, name: str) -> Process:
        kind = self._kind(name)
        made = environments(self.ports, self.keys, recordings=self.folder / "recordings", outside=self._outside)
        variables = made[kind] | self._extra.get(kind, {}) | self._extra.get(name, {})
        if name in self._more_workers:
            variables["CALLIOPE_HTTP__PORT"] = str(self._port(name))
            variables["CALLIOPE_HEALTH__PORT"] = str(self._health_port(name))
        command = programs.command(kind, self.folder, self.ports)
        niceness = YIELDING if self._outside_first and kind != "sandbox" else 0
        process = Process(name, command, variables, self.log_file(name), self._guardian, niceness=niceness)
        process.start()
        self._processes[name] = process
        return process

    def _kind(self, name: str) -> str:
        return "worker" if name in self._more_workers else name

    def _port(self, name: str) -> int:
        return self._more_workers[name].media if name in self._more_workers else self.ports.of(name)

    def _health_port(self, name: str) -> int:
        return self._more_workers[name].health if name in self._more_workers else self.ports.health(name)
