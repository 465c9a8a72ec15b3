"""Runs the gateway: `python -m calliope_gateway`."""

import sys

from calliope.runtime import run_service, until_stopped
from calliope_gateway.app import running
from calliope_gateway.settings import GatewaySettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = GatewaySettings()
    return run_service(until_stopped(running(settings)), service="gateway", settings=settings)


if __name__ == "__main__":
    sys.exit(main())
