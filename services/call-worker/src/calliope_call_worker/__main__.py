"""Runs the call-worker, or replays a recorded call: `python -m calliope_call_worker [replay FILE]`."""

import sys

from calliope.runtime import run_service, until_stopped
from calliope_call_worker.app import running
from calliope_call_worker.handlers import SERVICE
from calliope_call_worker.replay_command import replay_command
from calliope_call_worker.settings import WorkerSettings


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    if arguments[:1] == ["replay"]:
        return replay_command(arguments[1:])
    settings = WorkerSettings()
    return run_service(until_stopped(running(settings)), service=SERVICE, settings=settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
