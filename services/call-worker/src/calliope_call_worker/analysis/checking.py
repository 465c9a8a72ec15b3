"""Asks the process `schema_check` about a value, so that no schema can hold up live calls."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
import structlog

from calliope.errors import CalliopeError, TransientError
from calliope_call_worker.analysis.schema_check import LENGTH

log = structlog.get_logger(__name__)

Check = Callable[[Any, Any], Awaitable[list[str]]]
"""`await check(schema, value)`: what is wrong, in words for the model. Raises: UnusableSchemaError, TransientError."""

MARGIN_S: Final = 5.0
"""Beyond a check's own deadline, before its process counts as lost."""
_MODULE: Final = "calliope_call_worker.analysis.schema_check"


class UnusableSchemaError(CalliopeError):
    """No value can be checked against this schema."""


class SchemaChecker:
    """See `Check`. One check at a time; the process is started again only if it was lost."""

    def __init__(self, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, schema: Any, value: Any) -> list[str]:
        """See `Check`."""
        question = orjson.dumps({"schema": schema, "value": value, "deadline_s": self._deadline_s})
        async with self._turn:
            try:
                async with asyncio.timeout(self._deadline_s + MARGIN_S):
                    found = await self._asked(await self.start(), question)
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as exc:
                log.warning("schema_check.lost", error=type(exc).__name__)
                await self.stop()
                raise TransientError("the answer could not be checked") from exc
            except asyncio.CancelledError:  # half a conversation: the next answer would be that to this question
                await self.stop()
                raise
        if found["unusable"] is not None:
            raise UnusableSchemaError(found["unusable"])
        return list(found["problems"])

    async def start(self) -> Process:
        """The process, started if there is none. Before the first call, if possible. Raises: OSError."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-m", _MODULE),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={},
                start_new_session=True,
            )
        return self._process

    async def stop(self) -> None:
        """End the process and the check it is at: that one holds our pipe open, and would go on for ever."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _asked(self, process: Process, question: bytes) -> dict[str, Any]:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        process.stdin.write(LENGTH.pack(len(question)) + question)
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        found: dict[str, Any] = orjson.loads(await process.stdout.readexactly(length))
        return found


@asynccontextmanager
async def schema_checker(*, deadline_s: float) -> AsyncIterator[SchemaChecker]:
    """A checker, ready, for as long as the block lasts."""
    checker = SchemaChecker(deadline_s=deadline_s)
    await checker.start()
    try:
        yield checker
    finally:
        await checker.stop()
