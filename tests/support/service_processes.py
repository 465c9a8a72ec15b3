"""Every service of ours as an operator starts it: a child process with an environment, its exit status and output."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from calliope.secrets import generate_key, public_key_of

PUBLIC: Final = public_key_of(generate_key())
PRIVATE: Final = json.dumps([generate_key()])
NOWHERE: Final = 1
"""A port of loopback that nobody listens on."""
_END_S: Final = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """One of our processes: its name, its module, and what it needs on a laptop besides the addresses."""

    name: str
    module: str
    needs: Mapping[str, str]
    with_store: bool = False

    def environment(self, *, nats: int, mongo: int, **more: str) -> dict[str, str]:
        """With a bus and a store at these ports; nothing of this process's settings."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CALLIOPE_")}
        ports = {"CALLIOPE_HTTP__PORT": "0", "CALLIOPE_HEALTH__PORT": "0", "CALLIOPE_LAME_DUCK_S": "0"}
        addresses = {"CALLIOPE_NATS__URL": f"nats://127.0.0.1:{nats}"} | ports
        store = {"CALLIOPE_MONGO__URL": f"mongodb://127.0.0.1:{mongo}"} if self.with_store else {}
        return plain | {"PYTHONUNBUFFERED": "1"} | addresses | store | dict(self.needs) | more


_SEALING: Final = {"CALLIOPE_SEALING__CALLS_PUBLIC_KEY": PUBLIC, "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": PUBLIC}
GATEWAY: Final = Program("gateway", "calliope_gateway", _SEALING)
ASSISTANTS: Final = Program("assistants", "calliope_assistants", _SEALING, with_store=True)
WORKER: Final = Program("call-worker", "calliope_call_worker", {"CALLIOPE_SEALING__PRIVATE_KEYS": PRIVATE})
WEBHOOKS: Final = Program("webhooks", "calliope_webhooks", {"CALLIOPE_SEALING__PRIVATE_KEYS": PRIVATE}, with_store=True)
PROVISIONER: Final = Program("provision", "calliope.messaging.provision", {})
SANDBOX: Final = Program("sandbox", "calliope_sandbox", {"CALLIOPE_SANDBOX_PORT": "0"})
SERVICES: Final = (GATEWAY, ASSISTANTS, WORKER, WEBHOOKS)
OURS: Final = (*SERVICES, PROVISIONER)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind."""

    status: int
    out: str
    err: str

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of that name."""
        lines = (json.loads(line) for line in self.out.splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]


@cache
def helped(program: Program) -> Ended:
    """What `--help` shows; asked once."""
    return ran(program, "--help")


def ran(program: Program, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run it to its end."""
    chosen = dict(environment) if environment is not None else program.environment(nats=NOWHERE, mongo=NOWHERE)
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, "-m", program.module, *arguments],
        env=chosen, capture_output=True, text=True, timeout=_END_S, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


class Running:
    """A process under way."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    def wait_for(self, is_there: Callable[[str], object], *, within_s: float = _END_S) -> str:
        """Until its output satisfies; the output so far."""
        deadline = time.monotonic() + within_s
        while not is_there(text := self._output.read_text()):
            assert self._process.poll() is None, f"it ended: {text}"
            assert time.monotonic() < deadline, text
            time.sleep(0.02)
        return text

    def event(self, name: str) -> dict[str, Any]:
        """Until it has logged this; the line."""
        text = self.wait_for(lambda text: f'"event":"{name}"' in text)
        return Ended(0, text, "").events(name)[0]

    def terminate(self) -> tuple[Ended, float]:
        """SIGTERM; what it left behind and how long its end took, in seconds."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout=_END_S)
        return Ended(status, self._output.read_text(), ""), time.monotonic() - began


@contextmanager
def running(program: Program, folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """A process while the block lasts; killed at its end, if it still runs."""
    output = folder / f"{program.name}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-m", program.module], env=dict(environment), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield Running(process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=_END_S)
