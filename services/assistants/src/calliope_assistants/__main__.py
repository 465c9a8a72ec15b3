"""Runs the assistants service: `python -m calliope_assistants`."""

import sys

from calliope.runtime import run_service, until_stopped
from calliope_assistants.app import running
from calliope_assistants.handlers import SERVICE
from calliope_assistants.settings import AssistantsSettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = AssistantsSettings()
    return run_service(until_stopped(running(settings)), service=SERVICE, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
