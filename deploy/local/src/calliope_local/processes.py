"""Child processes that never outlive us: started in their own session, waited for until ready, ended in order."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

GRACE_S: Final = 10.0
POLL_S: Final = 0.05
TAIL_LINES: Final = 20
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ProcessError(RuntimeError):
    """A process did not become ready; its last words are in the message."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers_http(url: str) -> Callable[[], bool]:
    """Ready when a GET is answered with 200."""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - our own loopback URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return probe


def accepts_tcp(port: int) -> Callable[[], bool]:
    """Ready when a connection is accepted."""

    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return True
        except OSError:
            return False

    return probe


class Process:
    """One child. Killing us kills it too (Linux), so nothing is left behind."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._log_file = log_file
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it; its output goes to the log file."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if _LIBC is not None else None,
            )

    def wait_ready(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Raises: ProcessError, when it dies or is not ready in time."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self._child is None or self._child.poll() is not None:
                code = None if self._child is None else self._child.returncode
                raise ProcessError(f"{self.name} ended with status {code} before it was ready:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready within {within_s:g} s:\n{self.last_words()}")
            time.sleep(POLL_S)

    def finish(self, *, within_s: float) -> None:
        """For a job: wait for its end. Raises: ProcessError, when it fails or takes too long."""
        if self._child is None:
            return
        try:
            code = self._child.wait(timeout=within_s)
        except subprocess.TimeoutExpired as exc:
            raise ProcessError(f"{self.name} did not finish within {within_s:g} s:\n{self.last_words()}") from exc
        if code != 0:
            raise ProcessError(f"{self.name} failed with status {code}:\n{self.last_words()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.pid is not None and self._child is not None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """As a crash would: SIGKILL."""
        self.signal(signal.SIGKILL)
        self._reap(GRACE_S)

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """SIGTERM, then SIGKILL after the grace."""
        self.signal(signal.SIGTERM)
        if not self._reap(grace_s):
            self.kill()

    def last_words(self) -> str:
        """The end of its log."""
        if not self._log_file.exists():
            return "(no output)"
        lines = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "(no output)"

    def _reap(self, within_s: float) -> bool:
        if self._child is None:
            return True
        try:
            self._child.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # the parent died before we asked
            os._exit(1)
