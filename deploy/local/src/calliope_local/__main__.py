"""`python -m calliope_local up | down | demo`: what `make up`, `make down` and `make demo` run."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from calliope_local.keys import write_private
from calliope_local.probes import is_free
from calliope_local.processes import ProcessError
from calliope_local.stack import LocalStack

FOLDER: Final = Path(".calliope")
DOWN_S: Final = 30.0


def main(arguments: list[str]) -> int:
    """Exit status 0 when all went well."""
    parser = argparse.ArgumentParser(prog="calliope_local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run the stack in the foreground; data survives in .calliope/")
    commands.add_parser("down", help="stop a stack that `up` started")
    demo = commands.add_parser("demo", help="one whole phone call on a stack of its own")
    demo.add_argument("--assistant", type=Path, default=None, help="JSON of the assistant")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "up":
            return up()
        if chosen.command == "down":
            return down()
        return run_demo(chosen.assistant)
    except ProcessError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def up() -> int:
    """Run until Ctrl-C or `down`."""
    pid_file = FOLDER / "up.pid"
    running = _running(pid_file)
    if running is not None:
        sys.stderr.write(f"It is up already (process {running}); `make down` stops it.\n")
        return 1
    signal.signal(signal.SIGTERM, _as_interrupt)
    stack = LocalStack(FOLDER, fixed=_wanted_ports())
    pid_file.write_text(str(os.getpid()), encoding="utf-8")
    try:
        _say("Starting Calliope …")
        with stack:
            write_private(FOLDER / "local.json", stack.describe())
            _say(_welcome(stack))
            while True:
                signal.pause()
    except KeyboardInterrupt:
        _say("Stopped.")
        return 0
    finally:
        for file in (pid_file, FOLDER / "local.json"):
            file.unlink(missing_ok=True)


def down() -> int:
    """Stop what `up` started, and wait until it is gone."""
    pid_file = FOLDER / "up.pid"
    pid = _running(pid_file)
    if pid is None:
        _say("Nothing is up.")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_S
    while _running(pid_file) is not None:
        if time.monotonic() > deadline:
            sys.stderr.write(f"Process {pid} does not end.\n")
            return 1
        time.sleep(0.1)
    _say("Stopped.")
    return 0


def run_demo(assistant: Path | None) -> int:
    """A stack in a temporary folder, one call, its story."""
    from calliope_local.demo import play

    with tempfile.TemporaryDirectory(prefix="calliope-demo-") as folder:
        _say("Starting Calliope: bus, store, sandbox and four services …")
        with LocalStack(Path(folder)) as stack:
            return play(stack, assistant)


def _wanted_ports() -> dict[str, int]:
    """8080 and 8090 unless set otherwise; a free port, said aloud, when they are taken."""
    wanted = {
        "gateway": int(os.environ.get("CALLIOPE_GATEWAY_PORT", "8080")),
        "sandbox": int(os.environ.get("CALLIOPE_SANDBOX_PORT", "8090")),
    }
    for name, port in list(wanted.items()):
        if port and not is_free(port):
            _say(f"Port {port} is taken; the {name} takes a free one.")
            del wanted[name]
    return wanted


def _welcome(stack: LocalStack) -> str:
    rows = "\n".join(f"  {name:<8} {value}" for name, value in stack.describe().items() if "twilio" not in name)
    key, gateway = stack.keys.api_key, stack.address("gateway")
    return (
        f"Calliope is up.\n\n{rows}\n\n  docs     {gateway}/docs\n\nTry:\n"
        f'  curl -s {gateway}/api/v1/assistants -H "Authorization: Bearer {key}"\n\n'
        f"Addresses are in {FOLDER}/local.json, logs in {FOLDER}/logs/. Ctrl-C or `make down` stops everything."
    )


def _running(pid_file: Path) -> int | None:
    """The process of a pid file, if it still runs and is ours."""
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists() and b"calliope_local" not in command.read_bytes():
        return None
    return pid


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
