"""Servers and services as child processes of a test: started, killed as a power cut would, stopped; output is kept."""

import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_END_S = 20.0


class ChildProcess:
    """One process at a time; it may be started again after its end."""

    def __init__(self, output: Path) -> None:
        self.log_file = output
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """Start it and go on at once."""
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own binaries
                command, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def freeze(self) -> None:
        """It keeps its connections and does nothing, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._signal(number)
            self._process.wait(timeout=_END_S)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
