"""`calliope-admin` as an operator starts it: a process, its exit status, and what it wrote."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
