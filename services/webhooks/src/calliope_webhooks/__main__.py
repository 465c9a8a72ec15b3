"""Runs webhooks: `python -m calliope_webhooks`."""

import sys

from calliope.runtime.process import main_of
from calliope_webhooks.app import running
from calliope_webhooks.handlers import SERVICE
from calliope_webhooks.settings import WebhooksSettings

SAYS = "The webhooks service: sends events to the URLs of users, signed and again until they arrive."


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    return main_of(SERVICE, WebhooksSettings, running, says=SAYS)


if __name__ == "__main__":
    sys.exit(main())
