"""`calliope-admin` as an operator starts it: a process, its exit status, and what it wrote."""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from calliope_admin.command_line import run

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)


async def admin(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Said:
    """Run it in a folder; of this process's environment it sees no setting of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CALLIOPE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "calliope_admin",
        *arguments,
        cwd=cwd,
        env=plain | dict(environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


async def admin_here(*arguments: str) -> Said:
    """Run it in this process, which is much faster; for commands that look at no file and no environment."""

    def call() -> int:
        try:
            return run(arguments)
        except SystemExit as exc:  # the command line is wrong
            return int(exc.code or 0)

    logs, out, err = structlog.get_config(), io.StringIO(), io.StringIO()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))  # of readers in this process
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            async with asyncio.timeout(PATIENCE_S):
                status = await asyncio.to_thread(call)
    finally:
        structlog.configure(**logs)
    return Said(status, out.getvalue(), err.getvalue())
