"""`make up` and `make down`: what they start is ready, its data survives, and nothing outlives the launcher."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calliope_local.http import request
from support.house import a_document

READY_S = 60.0
GONE_S = 20.0


@contextmanager
def launched(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`make up` in a folder, on free ports; what it prints goes to `up.log` there."""
    variables = os.environ | {f"CALLIOPE_{name}_PORT": "0" for name in ("NATS", "GATEWAY", "SANDBOX")}
    with (folder / "up.log").open("ab") as log:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "calliope_local", "up"], cwd=folder, env=variables, stdout=log, stderr=log
        )
    try:
        yield launcher
    finally:
        launcher.kill()
        launcher.wait()


def local(folder: Path) -> dict[str, Any]:
    """`local.json`, once it is there."""
    file = folder / ".calliope" / "local.json"
    deadline = time.monotonic() + READY_S
    while not file.exists():
        assert time.monotonic() < deadline, (folder / "up.log").read_text()
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def processes(folder: Path) -> list[str]:
    """Command lines of every process that works in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = (entry / "cwd").readlink()
        except OSError:
            continue
        if where == folder:
            found.append(command)
    return found


def until_gone(folder: Path) -> None:
    deadline = time.monotonic() + GONE_S
    while left := processes(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_down_stops_everything_and_data_survives(tmp_path: Path) -> None:
    with launched(tmp_path) as launcher:
        told = local(tmp_path)
        assert set(told) >= {"gateway", "api_key", "sandbox", "nats", "mongo", "media"}
        made = request("POST", f"{told['gateway']}/api/v1/assistants", a_document(), key=told["api_key"])
        assert len(processes(tmp_path)) >= 7

        down = subprocess.run(
            [sys.executable, "-m", "calliope_local", "down"], cwd=tmp_path, capture_output=True, timeout=60, check=True
        )

        assert down.stdout == b"Stopped.\n"
        assert launcher.wait(timeout=GONE_S) == 0
        until_gone(tmp_path)
        assert not (tmp_path / ".calliope" / "local.json").exists()
    with launched(tmp_path) as launcher:
        before, told = told, local(tmp_path)
        assert told == before, "addresses and keys are those of the last time"
        found = request("GET", f"{told['gateway']}/api/v1/assistants/{made['id']}", key=told["api_key"])
        assert found["name"] == made["name"]
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(timeout=GONE_S) == 0
    until_gone(tmp_path)


def test_a_launcher_that_is_killed_leaves_no_process_and_no_lock_behind(tmp_path: Path) -> None:
    with launched(tmp_path) as launcher:
        local(tmp_path)
        launcher.kill()
        launcher.wait()
        until_gone(tmp_path)
    (tmp_path / ".calliope" / "local.json").unlink()

    with launched(tmp_path):
        assert local(tmp_path)["gateway"]
    until_gone(tmp_path)


def test_a_second_one_in_the_same_folder_is_refused_in_words(tmp_path: Path) -> None:
    with launched(tmp_path):
        local(tmp_path)
        with launched(tmp_path) as second:
            assert second.wait(timeout=READY_S) == 1
        assert "make down" in (tmp_path / "up.log").read_text()
    until_gone(tmp_path)
