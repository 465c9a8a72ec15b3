"""Runs the assistants service: `python -m calliope_assistants`."""

import sys

from calliope.runtime.process import main_of
from calliope_assistants.app import running
from calliope_assistants.edge import SERVICE
from calliope_assistants.settings import AssistantsSettings

SAYS = "The assistants service: keeps assistants, phone numbers, API keys and call records in the store."


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    return main_of(SERVICE, AssistantsSettings, running, says=SAYS)


if __name__ == "__main__":
    sys.exit(main())
