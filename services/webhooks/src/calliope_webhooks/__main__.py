"""Runs webhooks: `python -m calliope_webhooks`."""

import sys

from calliope.runtime import run_service, until_stopped
from calliope_webhooks.app import running
from calliope_webhooks.handlers import SERVICE
from calliope_webhooks.settings import WebhooksSettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = WebhooksSettings()
    return run_service(until_stopped(running(settings)), service=SERVICE, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
