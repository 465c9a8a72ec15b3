"""Runs the call-worker, or replays a recorded call: `python -m calliope_call_worker [replay FILE]`."""

import sys

from calliope.runtime.process import main_of
from calliope_call_worker.app import running
from calliope_call_worker.handlers import SERVICE
from calliope_call_worker.replay_command import replay_command
from calliope_call_worker.settings import WorkerSettings

SAYS = (
    "The call-worker: answers calls of carriers, and holds their media and their vendors of speech, models and voices. "
    "`replay FILE` decides a recorded call anew instead."
)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    if arguments[:1] == ["replay"]:
        return replay_command(arguments[1:])
    return main_of(SERVICE, WorkerSettings, running, says=SAYS, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
