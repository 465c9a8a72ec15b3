"""Child processes that never outlive us: in groups of their own, waited for until ready, ended with patience.

with Guardian() as guardian:
    process = Process("nats", ["nats-server"], environment, log_file, guardian)
    process.start()
    process.wait_ready(accepts_tcp(4222), within_s=10)
    process.stop()
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from calliope_local import guardian as guardian_program

GRACE_S: Final = 10.0
POLL_S: Final = 0.05
YIELD_TRIES: Final = 20
TAIL_LINES: Final = 20
TAIL_BYTES: Final = 16 * 1024


class ProcessError(RuntimeError):
    """A process did not do what it was started for; its last words are in the message."""


class Guardian:
    """A small process that kills every registered group once we are gone, `kill -9` included.

    `hold` are descriptors it keeps open until then, such as a lock on the folder those groups write to.
    """

    def __init__(self, *, hold: Sequence[int] = ()) -> None:
        self._hold = tuple(hold)
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", str(guardian_program.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            pass_fds=self._hold,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.communicate(timeout=GRACE_S)

    def watch(self, group: int) -> None:
        """Raises: ProcessError, when nobody guards."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """It has ended, and its number may be given to others."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._child is None or self._child.stdin is None:
            raise ProcessError("the guardian does not run")
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
        except OSError as exc:
            raise ProcessError("the guardian has ended") from exc


class Process:
    """One child, leader of its own session; its output goes to a log file. `niceness`: how much it yields to others."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        guardian: Guardian,
        *,
        niceness: int = 0,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = list(command)
        self._environment = dict(environment)
        self._guardian = guardian
        self._niceness = niceness
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def status(self) -> int | None:
        """Its exit status once it has ended; minus the signal that killed it."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start it. Raises: ProcessError, when it cannot be executed."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            try:
                self._child = subprocess.Popen(  # noqa: S603 - our own command
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as exc:
                raise ProcessError(f"{self.name} cannot be started: {exc}") from exc
        try:
            self._guardian.watch(self._child.pid)
        except ProcessError:
            self.kill()
            raise
        if self._niceness:
            _yield_processor(self._child.pid, self._niceness)

    def wait_ready(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Raises: ProcessError, when it dies or is not ready in time."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self.pid is None:
                raise ProcessError(f"{self.name} ended {self.ending()} before it was ready. {self.last_words()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready within {within_s:g} s. {self.last_words()}")
            time.sleep(POLL_S)

    def finish(self, *, within_s: float) -> None:
        """For a job: wait for its end. Raises: ProcessError, when it fails or takes too long."""
        if not self._reap(within_s):
            raise ProcessError(f"{self.name} did not finish within {within_s:g} s. {self.last_words()}")
        if self.status != 0:
            raise ProcessError(f"{self.name} ended {self.ending()}. {self.last_words()}")

    def signal(self, number: signal.Signals) -> None:
        """To the process itself, as an orchestrator sends it; nothing when it has ended."""
        if self._child is not None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """As a crash would: SIGKILL to the whole group."""
        if self._child is not None:
            self._kill_group()
            self._reap(GRACE_S)

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """SIGTERM, then SIGKILL after the grace."""
        self.signal(signal.SIGTERM)
        if not self._reap(grace_s):
            self.kill()

    def ending(self) -> str:
        """How it ended, in words."""
        status = self.status
        if status is not None and status < 0:
            return f"by {signal.Signals(-status).name}"
        return f"with status {status}"

    def last_words(self) -> str:
        """Where its log is, and the end of it."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        except FileNotFoundError:
            lines = []
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return f"It said last ({self.log_file}):\n{said}"

    def _reap(self, within_s: float) -> bool:
        """Whether it has ended; then nothing of its group is left either."""
        if self._child is None:
            return True
        try:
            self._child.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        self._kill_group()
        self._guardian.forget(self._child.pid)
        return True

    def _kill_group(self) -> None:
        if self._child is not None:
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except OSError:
                return  # nobody is left


def _yield_processor(pid: int, niceness: int) -> None:
    """Of a process that has just begun, before it has threads; best effort.

    Linux shares the processor among sessions first (sched(7), "The autogroup feature"): there the session yields.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    session = Path(f"/proc/{pid}/autogroup")
    for _ in range(YIELD_TRIES if session.exists() else 0):
        try:
            session.write_text(str(niceness), encoding="ascii")
        except BlockingIOError:
            time.sleep(POLL_S)  # one change in a tenth of a second is allowed
        except OSError:
            return
        else:
            return
