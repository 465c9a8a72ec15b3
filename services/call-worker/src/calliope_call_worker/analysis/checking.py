"""Asks the process `schema_check` about a value, so that no schema can hold up live calls."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson
import structlog

from calliope.errors import CalliopeError, TransientError
from calliope_call_worker.analysis.schema_check import BEGUN, LENGTH

log = structlog.get_logger(__name__)

Check = Callable[[Any, Any], Coroutine[Any, Any, list[str]]]
"""`await check(schema, value)`: what is wrong, in words for the model. Raises: UnusableSchemaError, TransientError."""

MOST_PER_OWNER: Final = 2
"""Checks of one owner at once: nobody else waits for a slow schema."""
MARGIN_S: Final = 1.0
"""Beyond the time of the processor that a check may take: for a machine that is busy."""
_TRIES: Final = 2
_MODULE: Final = "calliope_call_worker.analysis.schema_check"


class UnusableSchemaError(CalliopeError):
    """No value can be checked against this schema."""


class _LostError(Exception):
    """The process, or the check in it, ended before it answered."""


@dataclass(slots=True)
class _Owner:
    """Whose checks these are; forgotten when there are none."""

    users: int = 0
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_PER_OWNER))


class SchemaChecker:
    """Checks go on side by side, a few of each owner; the process is started again only if it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = threading.Lock()
        self._owners: dict[str, _Owner] = {}

    def check(self, owner: str, *, deadline_s: float, formats: bool = True) -> Check:
        """What checks values for this owner. `formats`: whether `format` is more than a remark.

        `deadline_s` is the time of the processor that one check may take.
        """
        return partial(self._check, owner=owner, deadline_s=deadline_s, formats=formats)

    async def start(self) -> "subprocess.Popen[bytes]":
        """The process, started if there is none. Before the first call, if possible. Raises: OSError."""
        living = self._living()
        return living if living is not None else await asyncio.to_thread(self._launch)

    async def stop(self) -> None:
        """End the process and the checks that it is at."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        process, control = self._process, self._control
        self._process = self._control = None
        if control is not None:
            control.close()
        if process is not None:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _launch(self) -> "subprocess.Popen[bytes]":
        """Have a process. In a thread: there the loop goes on while it starts, which it does not with uvloop's own."""
        with self._starting:
            process = self._living()
            if process is None:
                self._end()
                ours, theirs = socket.socketpair()
                ours.setblocking(False)
                with theirs:
                    process = subprocess.Popen(  # noqa: S603 - our own module
                        [sys.executable, "-I", "-m", _MODULE],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env={},
                        start_new_session=True,
                    )
                self._process, self._control = process, ours
            return process

    def _living(self) -> "subprocess.Popen[bytes] | None":
        """The process, if it has not ended. One that is killed leaves its socket before it can be waited for."""
        if self._process is None or self._control is None or self._process.poll() is not None:
            return None
        try:
            self._control.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._process
        except OSError:
            pass
        return None

    async def _check(self, schema: Any, value: Any, *, owner: str, deadline_s: float, formats: bool) -> list[str]:
        asked = {"schema": schema, "value": value, "deadline_s": deadline_s, "formats": formats}
        question = orjson.dumps(asked)
        try:
            async with asyncio.timeout(2 * (deadline_s + MARGIN_S)), self._place(owner):
                found = await self._found(question, deadline_s)
        except (TimeoutError, OSError, _LostError) as exc:
            log.warning("schema_check.failed", owner=owner, error=type(exc).__name__)
            raise TransientError("could not be checked just now") from exc
        if found["unusable"] is not None:
            raise UnusableSchemaError(found["unusable"])
        return list(found["problems"])

    @asynccontextmanager
    async def _place(self, name: str) -> AsyncIterator[None]:
        owner = self._owners.setdefault(name, _Owner())
        owner.users += 1
        try:
            async with owner.places:
                yield
        finally:
            owner.users -= 1
            if not owner.users:
                del self._owners[name]

    async def _found(self, question: bytes, deadline_s: float) -> dict[str, Any]:
        """The answer; asked once more when the process was lost. Raises: OSError, _LostError, TimeoutError."""
        for _ in range(_TRIES):
            await self.start()
            try:
                return await self._asked(question, deadline_s)
            except _LostError as exc:
                lost = exc
        raise lost

    def _send(self, asked: socket.socket) -> None:
        """Raises: _LostError; OSError, when nothing more fits into the way to the process."""
        try:
            if self._control is not None:
                socket.send_fds(self._control, [b"?"], [asked.fileno()])
                return
        except ConnectionError as exc:
            raise _LostError from exc
        raise _LostError

    async def _asked(self, question: bytes, deadline_s: float) -> dict[str, Any]:
        """Raises: _LostError, OSError."""
        began = asyncio.get_running_loop().time()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._send(theirs)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        begun = False
        try:
            async with asyncio.timeout(deadline_s + MARGIN_S):
                writer.write(LENGTH.pack(len(question)) + question)
                begun = await reader.readexactly(len(BEGUN)) == BEGUN
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                found: dict[str, Any] = orjson.loads(await reader.readexactly(length))
        except TimeoutError:
            if not begun:
                await self.stop()  # it is stuck, or full of checks: whoever asks next finds a new one
                raise
            return _too_slow(deadline_s)
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            if begun and asyncio.get_running_loop().time() - began >= deadline_s:
                return _too_slow(deadline_s)
            raise _LostError from exc
        else:
            return found
        finally:
            writer.transport.abort()


def _too_slow(deadline_s: float) -> dict[str, Any]:
    return {"problems": [], "unusable": f"the schema takes over {deadline_s:g} s to check"}


@asynccontextmanager
async def schema_checker() -> AsyncIterator[SchemaChecker]:
    """A checker, ready, for as long as the block lasts."""
    checker = SchemaChecker()
    await checker.start()
    try:
        yield checker
    finally:
        await checker.stop()
