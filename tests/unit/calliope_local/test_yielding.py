"""A process that yields the processor does so with everything that it starts."""

import os
import sys
from pathlib import Path

import pytest

from calliope_local.processes import Guardian, Process


@pytest.mark.parametrize("more", [0, 7])
def test_a_process_and_its_session_yield(more: int, tmp_path: Path) -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)
    niceness = min(19, here + more) if more else 0
    with Guardian() as guardian:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        process = Process("waits", command, {}, tmp_path / "log", guardian, niceness=niceness)
        process.start()
        assert process.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == (niceness or here)
        session = Path(f"/proc/{process.pid}/autogroup")
        if niceness and session.exists() and " nice " in session.read_text():
            assert session.read_text().split()[-1] == str(niceness)
        process.kill()
