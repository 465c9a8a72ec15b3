"""Asks `schema_check` about a value: another process, a deadline, and no way to hold up live calls."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from calliope.errors import CalliopeError, TransientError

Check = Callable[[Any, Any], Awaitable[list[str]]]
"""`await check(schema, value)`: what is wrong, in words for the model. Raises: UnusableSchemaError, TransientError."""

_MODULE: Final = "calliope_call_worker.analysis.schema_check"


class UnusableSchemaError(CalliopeError):
    """No value can be checked against this schema."""


class SchemaChecker:
    """See `Check`. A check takes some 0.1 s of another core."""

    def __init__(self, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s

    async def __call__(self, schema: Any, value: Any) -> list[str]:
        """See `Check`."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", _MODULE,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={},
            )  # fmt: skip
        except OSError as exc:
            raise TransientError("no process could be started to check the answer") from exc
        try:
            async with asyncio.timeout(self._deadline_s):
                said, _ = await process.communicate(orjson.dumps({"schema": schema, "value": value}))
        except TimeoutError as exc:
            raise UnusableSchemaError(f"the schema takes more than {self._deadline_s:g} s to check") from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise UnusableSchemaError("the schema takes too much memory or time to check")
        found = orjson.loads(said)
        if found["unusable"] is not None:
            raise UnusableSchemaError(found["unusable"])
        return list(found["problems"])
